"""Making a client of google-cloud-storage: where it goes, and as whom."""

from __future__ import annotations

import importlib.util
import os
from typing import Any

from rud.errors import ConfigurationError

NO_CREDENTIALS = (
    "no Google Cloud credentials were found: run `gcloud auth application-default login`, set "
    "GOOGLE_APPLICATION_CREDENTIALS to a key file, or GCS_KEY and GCS_SECRET to an HMAC key"
)

_LIBRARY = "google-cloud-storage"


def need_library() -> None:
    """``ConfigurationError`` unless google-cloud-storage is installed; it is not imported yet."""
    try:
        found = importlib.util.find_spec("google.cloud.storage")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ConfigurationError(
            f"the store of 'gs' URIs needs {_LIBRARY}, which is not installed: pip install {_LIBRARY}"
        )


def configured_endpoint() -> str | None:
    """What ``STORAGE_EMULATOR_HOST`` names, with ``http://`` where it has no scheme; ``None``: Google's own."""
    host = os.environ.get("STORAGE_EMULATOR_HOST")
    return f"http://{host}" if host and "://" not in host else host or None


def asks_nobody(endpoint: str | None) -> bool:
    """Whether no credentials are looked for: a token does not travel over plain http."""
    return endpoint is not None and endpoint.lower().startswith("http://")


def check_credentials(endpoint: str | None) -> None:
    """``ConfigurationError`` for what can be told without a request and without an SDK: a file that is not there, or
    none of credentials where a machine of Google's is not to be asked."""
    if asks_nobody(endpoint):
        return
    for variable in ("GOOGLE_APPLICATION_CREDENTIALS", "REQUESTS_CA_BUNDLE"):
        if (path := os.environ.get(variable)) and not os.path.exists(path):
            raise ConfigurationError(f"{variable} names {path!r}, which is not there")
    named = os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    if not (named or os.path.exists(_gcloud_file())) and os.environ.get("NO_GCE_CHECK", "").lower() == "true":
        raise ConfigurationError(NO_CREDENTIALS)


def credentials_from(endpoint: str | None) -> str:
    """Where they will be looked for, in words."""
    if asks_nobody(endpoint):
        return "nowhere: over plain http none are sent"
    if named := os.environ.get("GOOGLE_APPLICATION_CREDENTIALS"):
        return f"the file that GOOGLE_APPLICATION_CREDENTIALS names ({named})"
    if os.path.exists(_gcloud_file()):
        return f"application default credentials of gcloud ({_gcloud_file()})"
    return "the service account of this machine, if it is one of Google Cloud"


def _gcloud_file() -> str:
    folder = os.environ.get("CLOUDSDK_CONFIG") or os.path.expanduser("~/.config/gcloud")
    return os.path.join(folder, "application_default_credentials.json")


def new_client(endpoint: str | None) -> Any:
    """A client; ``ConfigurationError`` without credentials."""
    from google.auth.credentials import AnonymousCredentials
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.storage import Client

    options = {"api_endpoint": endpoint} if endpoint is not None else None
    make_nobody: Any = AnonymousCredentials  # it has no types
    nobody = make_nobody() if asks_nobody(endpoint) else None
    try:
        # The project is for what concerns buckets; None keeps the SDK from looking for one.
        client: Any = Client(project=None, credentials=nobody, client_options=options)
    except GoogleAuthError as error:
        raise ConfigurationError(f"{NO_CREDENTIALS} ({error})") from error
    # Else a thread of the SDK asks for the bucket, by our connection and whether we may or not, for the sake of traces.
    client._bucket_metadata_cache = None  # noqa: SLF001  # there is no other way for one client
    return client
