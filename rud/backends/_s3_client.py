"""Making a client of botocore for S3: where it goes, as whom, and how patient it is."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rud.backends._s3_errors import NO_CREDENTIALS
from rud.errors import ConfigurationError

ATTEMPTS = 3
"""At one request, by botocore in its ``standard`` mode: against a connection that the service has closed meanwhile, and
so that one bad request of 10,000 parts does not cost all of them. An outage is outlasted by us, not here: those three
are over within a second. A service can see at most ``num_attempts`` times as many requests for one part."""

CONNECT_TIMEOUT = 10
"""Seconds; urllib3 lets each send take no longer either: a service that takes nothing for so long gets the request
anew."""

SMALL = 1 << 20
"""Bytes of a body that is sent without asking first."""

READ_TIMEOUT = 60
"""Seconds without a byte of the answer."""

COMPLETION_TIMEOUT = 600
"""Seconds to wait for the answer to a completion: "processing of a CompleteMultipartUpload request could take several
minutes to finalize" (S3 API reference)."""


@dataclass(frozen=True, slots=True)
class Access:
    """The arguments that decide where a client goes and as whom."""

    region_name: str | None
    endpoint_url: str | None
    aws_access_key_id: str | None = field(repr=False)
    aws_secret_access_key: str | None = field(repr=False)
    aws_session_token: str | None = field(repr=False)
    client_config: Mapping[str, Any] = field(repr=False)

    def check(self) -> None:
        """``ConfigurationError`` for what can be told without a request; what takes long to tell, only if it has to."""
        if (self.aws_access_key_id is None) != (self.aws_secret_access_key is None):
            raise ConfigurationError("aws_access_key_id and aws_secret_access_key are given together, or not at all")
        if self.aws_session_token is not None and self.aws_access_key_id is None:
            raise ConfigurationError("aws_session_token is given, but not the aws_access_key_id that it belongs to")
        if self.endpoint_url is not None:
            _check_endpoint(self.endpoint_url)
        given = self.aws_access_key_id or os.environ.get("AWS_ACCESS_KEY_ID")
        if self.client_config or not given:
            config = self._config(1, READ_TIMEOUT)
            if not given and not _is_anonymous(config) and _credentials(_session()) is None:
                raise ConfigurationError(NO_CREDENTIALS)

    def client(self, *, connections: int, read_timeout: float = READ_TIMEOUT) -> Any:
        """A new client; ``ConfigurationError`` for whatever botocore refuses, and without credentials."""
        session = _session()
        config = self._config(connections, read_timeout)
        try:
            client = session.create_client(
                "s3",
                region_name=self.region_name or session.get_config_variable("region") or "us-east-1",
                endpoint_url=self.endpoint_url,
                aws_access_key_id=self.aws_access_key_id,
                aws_secret_access_key=self.aws_secret_access_key,
                aws_session_token=self.aws_session_token,
                config=config,
            )
        except Exception as error:
            raise ConfigurationError(f"botocore refuses to make a client for S3: {error}") from error
        client.meta.events.register_last("before-call.s3", _send_small_at_once)
        return client

    def _config(self, connections: int, read_timeout: float) -> Any:
        from botocore.config import Config

        # One level deeper as well: botocore writes into the dictionaries that it is given.
        given: dict[str, Any] = {
            name: dict(value) if isinstance(value, Mapping) else value for name, value in self.client_config.items()
        }
        ours = {
            "connect_timeout": CONNECT_TIMEOUT,
            "read_timeout": read_timeout,
            "retries": {"mode": "standard", "total_max_attempts": ATTEMPTS},
            "max_pool_connections": connections,
            "tcp_keepalive": True,
            # Ours is a header of every put, part and completion; a trailer is refused by old MinIO, Ceph and GCS.
            "request_checksum_calculation": "when_required",
            "response_checksum_validation": "when_required",
        }
        # Our CRC32C is a signed header already; to hash the bytes as well costs 0.6 s of a core for each GiB.
        s3 = {"payload_signing_enabled": False, **(given.pop("s3", None) or {})}
        if read_timeout > READ_TIMEOUT:
            given["read_timeout"] = max(read_timeout, given.get("read_timeout") or 0)
        try:
            return Config(**{**ours, **given, "s3": s3})
        except Exception as error:
            raise ConfigurationError(f"botocore refuses the client_config: {error}") from error

    def credentials_from(self) -> str:
        """Where the credentials come from, in words, and the end of the access key's id; never a secret."""
        if self.aws_access_key_id is not None:
            return f"backend_kwargs (access key {_shortened(self.aws_access_key_id)})"
        found = _credentials(_session())
        if found is None:
            return "nowhere: " + NO_CREDENTIALS
        return f"{_SOURCES.get(found.method, found.method)} (access key {_shortened(found.access_key)})"


def _send_small_at_once(model: Any, params: dict[str, Any], **_: object) -> None:
    """Without ``Expect: 100-continue``, which botocore puts on every body that is a file: to ask before a small body
    costs a round trip more than the body."""
    if model.name == "PutObject" and len(params["body"]) <= SMALL:
        params["headers"].pop("Expect", None)


_SOURCES = {
    "env": "the environment",
    "shared-credentials-file": "the shared credentials file",
    "config-file": "the AWS config file",
    "iam-role": "the role of this instance",
    "container-role": "the role of this container",
    "assume-role": "an assumed role",
    "assume-role-with-web-identity": "a web identity",
    "sso": "single sign-on",
    "custom-process": "a credential process",
}
"""Names that botocore gives to its sources."""


def configured_endpoint() -> str | None:
    """The endpoint that the environment, or the profile in use, sets for S3; ``None``: AWS itself.

    ``S3_ENDPOINT_URL`` comes first, then what botocore obeys.
    """
    if url := os.environ.get("S3_ENDPOINT_URL"):
        return url
    if os.environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return None
    if url := os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL"):
        return url
    if not _profile_may_set_an_endpoint():
        return None
    # With credentials of nobody's, or it would look for some, and fail where there are none.
    nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody"}
    endpoint: str = _session().create_client("s3", region_name="us-east-1", **nobody).meta.endpoint_url
    return None if endpoint.endswith((".amazonaws.com", ".amazonaws.com.cn")) else endpoint


def _check_endpoint(url: str) -> None:
    from urllib.parse import urlsplit

    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:  # a port that is no number, say
        parts, good = urlsplit(""), False
    if not good:
        raise ConfigurationError(f"the endpoint {url!r} is no URL such as https://s3.example.com:9000")
    if parts.username is not None or parts.password is not None:
        raise ConfigurationError("the endpoint has a user or a password in it; give credentials in backend_kwargs")


def _profile_may_set_an_endpoint() -> bool:
    """Asked of the text first: botocore takes 0.3 s to answer, and hardly anybody sets one there."""
    path = os.path.expanduser(os.environ.get("AWS_CONFIG_FILE") or "~/.aws/config")
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return "endpoint_url" in file.read()
    except OSError:
        return False


@functools.cache
def _loader(data_path: str | None) -> Any:
    """One for all sessions of the process: to read the model of S3 anew takes 0.1 s, with it a client takes 5 ms."""
    from botocore.loaders import create_loader

    return create_loader(data_path)


def _session() -> Any:
    import botocore.session
    from botocore.exceptions import BotoCoreError

    try:
        session = botocore.session.Session()
        session.get_scoped_config()
        session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    except BotoCoreError as error:
        raise ConfigurationError(f"the AWS configuration is no good: {error}") from error
    return session


def _credentials(session: Any) -> Any:
    from botocore.exceptions import BotoCoreError

    try:
        return session.get_credentials()
    except BotoCoreError as error:
        raise ConfigurationError(f"no AWS credentials could be had: {error}") from error


def _is_anonymous(config: Any) -> bool:
    from botocore import UNSIGNED

    return config.signature_version is UNSIGNED


def _shortened(access_key: str) -> str:
    return f"…{access_key[-4:]}" if len(access_key) > 8 else "…"
