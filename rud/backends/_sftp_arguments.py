"""The arguments of the SFTP store: where it is and as whom, checked as far as can be without a request."""

from __future__ import annotations

import importlib.util
import inspect
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from rud._spec import nearest
from rud.errors import ConfigurationError

PORT = 22
KNOWN_HOSTS_ENVIRON = "COMPOSER_SFTP_KNOWN_HOSTS_FILE"
KEY_ENVIRON = "COMPOSER_SFTP_KEY_FILE"
"""Names that the documentation gives to the variables."""

POLICIES = ("RejectPolicy", "WarningPolicy", "AutoAddPolicy")
"""Paramiko's, for a server whose key is not known."""

_OURS = {
    "hostname": "host",
    "port": "port",
    "username": "username",
    "password": "password",
    "key_filename": "key_filename",
}
"""Arguments of paramiko's ``connect`` that have arguments of ours."""


@dataclass(frozen=True, slots=True)
class Place:
    """A server, a user (``""``: whoever runs this), a folder: absolute, or below the one in which sessions begin."""

    host: str
    port: int
    username: str
    folder: str
    password: str | None = field(repr=False, default=None)

    @property
    def authority(self) -> str:
        """As in a URI; without the password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (f"{self.username}@" if self.username else "") + host + (f":{self.port}" if self.port != PORT else "")


@dataclass(frozen=True, slots=True)
class Login:
    """How to be let in, and whom to believe."""

    policy: str
    known_hosts: str | None
    key_file: str | None
    connect_kwargs: Mapping[str, Any] = field(repr=False)


def place_of(
    bucket: str, prefix: str, host: str, *, port: int, username: str | None, password: str | None, cwd: str | None
) -> Place:
    """From a URI (``bucket`` and ``prefix``), and from arguments that may say the same; ``ConfigurationError`` for a
    contradiction."""
    uri = _parsed(bucket) if bucket else None
    given = _parsed(host) if host else None
    if uri is None and given is None:
        raise ConfigurationError("an SFTP store needs a host: sftp://user@host/folder, or host=…")
    if uri is not None and given is not None and uri.host != given.host:
        raise ConfigurationError(f"the URI says host {uri.host!r}, backend_kwargs say {given.host!r}; say it once")
    places = [place for place in (uri, given) if place is not None]
    return Place(
        host=places[0].host,
        port=_one("port", [place.port for place in places] + [port], PORT),
        username=_one("username", [place.username for place in places] + [username or ""], ""),
        folder=_one("folder", [_bare(prefix), *(place.folder for place in places), _bare(cwd or "")], ""),
        password=_one("password", [place.password for place in places] + [password], None),
    )


def whole(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """``arguments``, with what a ``host`` that is a URI says of the place said by the arguments for it."""
    if not isinstance(arguments.get("host"), str) or not arguments["host"]:
        return dict(arguments)
    host = _parsed(arguments["host"])
    said = {"port": host.port, "username": host.username, "cwd": host.folder, "password": host.password}
    missing: dict[str, Any] = {"port": PORT, "username": "", "cwd": "", "password": None}
    found: dict[str, Any] = {}
    for name, default in missing.items():
        given = arguments.get(name) or default
        found[name] = _one(name, [said[name], _bare(given) if name == "cwd" else given], default)
    kept = {name: value for name, value in found.items() if value != missing[name]}
    return {**arguments, "host": f"[{host.host}]" if ":" in host.host else host.host, **kept}


def _one(name: str, said: list[Any], default: Any) -> Any:
    found = list(dict.fromkeys(value for value in said if value != default))
    if len(found) > 1:
        shown = "" if name == "password" else f": {', '.join(map(repr, found))}"
        raise ConfigurationError(f"the {name} of an SFTP store is given twice{shown}; say it once")
    return found[0] if found else default


def _bare(folder: str) -> str:
    folder = folder.rstrip("/") or folder[:1]
    while folder == "." or folder.startswith("./"):
        folder = folder[2:]
    return folder


def _parsed(text: str) -> Place:
    """``host``, ``user@host:port``, or a whole ``sftp://`` URI."""
    try:
        parts = urlsplit(text if "://" in text else f"sftp://{text}")
        port = parts.port or PORT
    except ValueError as error:
        raise ConfigurationError(f"the host {text.rpartition('@')[2]!r} is none: {error}") from None
    if parts.scheme.lower() != "sftp" or not parts.hostname or parts.query or parts.fragment:
        raise ConfigurationError(
            f"the host {text.rpartition('@')[2]!r} is none: write a name, or sftp://user@host:port/folder"
        )
    password = unquote(parts.password) if parts.password is not None else None
    return Place(parts.hostname, port, unquote(parts.username or ""), _bare(parts.path[1:]), password)


def login_of(
    policy: str,
    *,
    known_hosts: str | os.PathLike[str] | None,
    known_hosts_environ: str | None,
    key_file: str | os.PathLike[str] | None,
    key_environ: str | None,
    connect_kwargs: Mapping[str, Any] | None,
) -> Login:
    """``ConfigurationError`` for a policy that is none, a file that is not there, a key that cannot be read."""
    if importlib.util.find_spec("paramiko") is None:
        raise ConfigurationError(
            "the store of 'sftp' URIs needs paramiko, which is not installed: pip install paramiko"
        )
    if policy not in POLICIES:
        raise ConfigurationError(
            f"missing_host_key_policy is {policy!r}{nearest(str(policy), POLICIES)}; it is one of {', '.join(POLICIES)}"
        )
    given = dict(connect_kwargs or {})
    if twice := sorted(_OURS.keys() & given.keys()):
        raise ConfigurationError(f"connect_kwargs has {twice[0]!r}; give it as {_OURS[twice[0]]!r} instead")
    if given:
        _check_names(given)
    return Login(
        policy,
        _file("known_hosts_filename", known_hosts, known_hosts_environ),
        _file("key_filename", key_file, key_environ),
        given,
    )


def _check_names(given: Mapping[str, Any]) -> None:
    import paramiko

    known = list(inspect.signature(paramiko.SSHClient.connect).parameters)[1:]
    for name in given:
        if name not in known:
            raise ConfigurationError(
                f"connect_kwargs has {name!r}, which paramiko.SSHClient.connect does not take{nearest(name, known)}"
            )


def _file(name: str, path: str | os.PathLike[str] | None, variable: str | None) -> str | None:
    source = name
    if path is None and variable is not None:
        path, source = os.environ.get(variable) or None, f"{name}_environ, by {variable},"
    if path is None:
        return None
    found = os.path.expanduser(os.fspath(path))
    if not os.path.isfile(found):
        raise ConfigurationError(f"{source} names {found!r}, which is no file")
    return found


def key_of(login: Login, password: str | None) -> Any:
    """The private key of the file, as paramiko's; ``ConfigurationError`` if it cannot be read. As with paramiko
    ``password`` opens it, too, and a certificate beside it goes with it."""
    import paramiko

    path = login.key_file or ""
    passphrase = login.connect_kwargs.get("passphrase")
    key, error = _read_key(path, password if passphrase is None else passphrase)
    if key is None and passphrase is None and isinstance(_read_key(path, None)[1], paramiko.PasswordRequiredException):
        raise ConfigurationError(
            f"the key file {path!r} has a passphrase: give connect_kwargs={{'passphrase': …}}, or use a key without one"
        )
    if key is None:
        advice = " with this passphrase" if passphrase else ""
        raise ConfigurationError(f"the key file {path!r} cannot be read{advice}: {error}")
    if os.path.isfile(f"{path}-cert.pub"):
        key.load_certificate(f"{path}-cert.pub")
    return key


def _read_key(path: str, passphrase: str | None) -> tuple[Any, Exception | None]:
    import paramiko

    errors: list[Exception] = []
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(path, passphrase), None
        except Exception as error:  # noqa: BLE001  # told by the caller
            errors.append(error)
    wanted = (error for error in errors if isinstance(error, paramiko.PasswordRequiredException))
    return None, next(wanted, errors[0])
