"""Where an OCI store goes and as whom: the SDK's own configuration file, checked as far as can be without a request."""

from __future__ import annotations

import configparser
import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rud.backends._endpoints import check_endpoint
from rud.errors import ConfigurationError

DEFAULT_FILE = "~/.oci/config"
FILE_ENVIRON = "OCI_CONFIG_FILE"
"""The SDK's own names."""

_NEEDED = ("user", "tenancy", "fingerprint", "key_file")

CONNECT_TIMEOUT = 10.0
"""Seconds, as the SDK's own."""

READ_TIMEOUT = 60.0
"""Seconds without a byte of the answer."""

COMPLETION_TIMEOUT = 600.0
"""Seconds to wait for the answer to a commit, as to S3's completion: other requests should fail sooner."""


@dataclass(frozen=True, slots=True)
class Access:
    """What decides where requests go, and who signs them. ``settings``: of the profile in the configuration file."""

    path: str
    profile: str
    settings: Mapping[str, str] = field(repr=False)
    region: str
    endpoint_url: str | None
    tenancy: str

    def check(self) -> None:
        """``ConfigurationError`` for what can be told without a request."""
        if importlib.util.find_spec("oci") is None:
            raise ConfigurationError("the store of 'oci' URIs needs oci, which is not installed: pip install oci")
        if self.endpoint_url is not None:
            check_endpoint(self.endpoint_url)
        if not self.region:
            raise ConfigurationError(
                f"the OCI profile {self.profile!r} in {self.path} has no region, nor was one given"
            )
        if "authentication_type" in self.settings:
            return
        if "security_token_file" in self.settings:
            raise ConfigurationError(
                f"the OCI profile {self.profile!r} in {self.path} has a session token, which runs out within the hour; "
                "use one with an API key"
            )
        if missing := [name for name in _NEEDED if not self.settings.get(name)]:
            raise ConfigurationError(f"the OCI profile {self.profile!r} in {self.path} lacks {', '.join(missing)}")
        self._check_key(os.path.expanduser(self.settings["key_file"]))

    def _check_key(self, path: str) -> None:
        try:
            with open(path, encoding="ascii", errors="replace") as file:
                key = file.read()
        except OSError as error:
            said = f"the OCI profile {self.profile!r} in {self.path} names the key file {path!r}: {error.strerror}"
            raise ConfigurationError(said) from None
        if "ENCRYPTED" in key and not self.settings.get("pass_phrase"):
            raise ConfigurationError(
                f"the key file {path!r} has a passphrase, and the OCI profile {self.profile!r} in {self.path} has no "
                "pass_phrase"
            )

    def client(self, read_timeout: float = READ_TIMEOUT) -> Any:
        """A new client; ``ConfigurationError`` for whatever the SDK refuses. It asks once, and each part of a path is
        quoted whole, slashes too: else a dot between two would lead to another object."""
        import oci

        try:
            config = {**oci.config.from_file(self.path, self.profile), "region": self.region}
            return oci.object_storage.ObjectStorageClient(
                config,
                **({"service_endpoint": self.endpoint_url} if self.endpoint_url else {}),
                retry_strategy=oci.retry.NoneRetryStrategy(),
                circuit_breaker_strategy=oci.circuit_breaker.NoCircuitBreakerStrategy(),
                timeout=(CONNECT_TIMEOUT, read_timeout),
                enable_strict_url_encoding=True,
                allow_control_chars=True,
            )
        except Exception as error:
            raise ConfigurationError(f"the OCI SDK refuses the profile {self.profile!r}: {error}") from error


def access_of(
    config_file: str | os.PathLike[str] | None,
    profile: str,
    *,
    region: str | None,
    endpoint_url: str | None,
    tenancy: str | None,
) -> Access:
    """From the file, and from arguments, which come before it. ``ConfigurationError`` where there is no such profile,
    and where ``tenancy`` is another than the profile's: what was meant for one is not to be sent to another."""
    path = os.path.expanduser(os.fspath(config_file or os.environ.get(FILE_ENVIRON) or DEFAULT_FILE))
    settings = _settings(path, profile)
    found = settings.get("tenancy", "")
    if tenancy is not None and found and tenancy != found:
        raise ConfigurationError(f"the OCI profile {profile!r} in {path} is of another tenancy than {tenancy}")
    return Access(
        path=path,
        profile=profile,
        settings=settings,
        region=region or settings.get("region", ""),
        endpoint_url=(endpoint_url or settings.get("endpoint") or "").rstrip("/") or None,
        tenancy=tenancy or found,
    )


def _settings(path: str, profile: str) -> dict[str, str]:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        if not parser.read(path):
            raise ConfigurationError(
                f"there is no OCI configuration at {path}: make one by `oci setup config`, or name another by "
                f"config_file or {FILE_ENVIRON}"
            )
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the OCI configuration {path} cannot be read: {type(error).__name__}") from None
    if profile not in parser:
        raise ConfigurationError(f"the OCI configuration {path} has no profile {profile!r}")
    return dict(parser[profile])
