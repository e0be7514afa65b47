"""From a URI to a store: which class serves a scheme, and what it is built from.

A URI is ``scheme://bucket/prefix``; for ``file`` the whole path is the bucket. It is taken literally: ``%``, ``?`` and
``#`` are refused, because programs disagree on what they mean there; a folder with such a name is given as a
``pathlib.Path``. Slashes at either end of a prefix are dropped.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rud._spec import StoreSpec, nearest
from rud.errors import ConfigurationError

__all__ = ["ENTRY_POINTS", "StoreSpec", "register_backend", "resolve"]

ENTRY_POINTS = "rud.backends"
"""The entry-point group in which a distribution names its schemes: ``acme = "acme_store:AcmeBackend"``."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_PATH_OF_CLASS = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class _Scheme:
    """One row: the class, the ``rud-uploader`` extra and the library that it needs, how its URIs are read, and other
    names that arguments may have."""

    backend: str
    extra: str = ""
    library: str = ""
    split: Callable[[str, str], tuple[str, str]] | None = None
    others: Mapping[str, str] = field(default_factory=dict[str, str])


def _split_bucket(uri: str, rest: str) -> tuple[str, str]:
    authority, _, path = rest.partition("/")
    if ":" in authority.rpartition("@")[0]:
        raise ConfigurationError(
            "the URI has a password in it, which would be written to disk; give it in backend_kwargs instead"
        )
    if not authority:
        raise ConfigurationError(f"{uri!r} names no bucket: write scheme://bucket or scheme://bucket/prefix")
    return authority, path.strip("/")


def _split_server(uri: str, rest: str) -> tuple[str, str]:
    """With ``//`` after the server the folder is absolute."""
    server, _ = _split_bucket(uri, rest)
    folder = rest[len(server) + 1 :]
    return server, folder.rstrip("/") or folder[:1]


def _split_folder(uri: str, rest: str) -> tuple[str, str]:
    if not rest.startswith("/"):
        meant = _file_uri(rest.removeprefix("localhost/"))
        raise ConfigurationError(f"{uri!r} has no absolute path after 'file://'; {meant!r} was probably meant")
    return rest.rstrip("/") or "/", ""


def _file_uri(path: str) -> str:
    return "file://" + os.path.abspath(path)


_BUILT_IN = {
    "composer": _Scheme("rud.backends.composer:ComposerObjectStore"),
    "file": _Scheme("rud.backends.local:LocalObjectStore", split=_split_folder),
    "gs": _Scheme("rud.backends.gcs:GCSObjectStore", extra="gcs", library="google-cloud-storage"),
    "libcloud": _Scheme(
        "rud.backends.libcloud:LibcloudObjectStore",
        extra="libcloud",
        library="apache-libcloud",
        # The second is how Composer's documentation spells it.
        others={"container": "bucket", "provider_kwargs=": "provider_kwargs"},
    ),
    "oci": _Scheme("rud.backends.oci:OCIObjectStore", extra="oci", library="oci"),
    "s3": _Scheme("rud.backends.s3:S3ObjectStore", extra="s3", library="boto3"),
    "sftp": _Scheme("rud.backends.sftp:SFTPObjectStore", extra="sftp", library="paramiko", split=_split_server),
}

_registered: dict[str, _Scheme] = {}


def register_backend(scheme: str, backend: str) -> None:
    """Let URIs of ``scheme`` be served by the class at ``backend`` (``"module:Class"``), here and in workers.

    The class is a ``rud.Backend``, built as ``cls(bucket, prefix, **backend_kwargs)``; it is imported when first used.
    Registering the same again changes nothing. ``ConfigurationError`` if an argument is malformed or the scheme taken.
    """
    if not _SCHEME.fullmatch(scheme):
        raise ConfigurationError(f"{scheme!r} is no scheme: a lower-case letter, then letters, digits, '+', '.' or '-'")
    if not _PATH_OF_CLASS.fullmatch(backend):
        raise ConfigurationError(f"{backend!r} does not say where a class is; write 'module:Class'")
    taken = _BUILT_IN.get(scheme) or _registered.get(scheme)
    if taken is not None and taken.backend != backend:
        raise ConfigurationError(f"the scheme {scheme!r} is served by {taken.backend!r} already")
    _registered[scheme] = _Scheme(backend)


def resolve(uri: str | os.PathLike[str], backend_kwargs: Mapping[str, Any] | None = None) -> StoreSpec:
    """The store that ``uri`` names, with every argument checked against its class; nothing is opened.

    A ``pathlib.Path`` is a folder. ``backend_kwargs`` is copied, never changed; it may have ``bucket`` and ``prefix``
    if they do not contradict the URI. Raises ``ConfigurationError`` (a ``ValueError``) for everything that is wrong:
    an unknown scheme (the known ones are listed), no scheme, a missing library, unknown or missing arguments.
    """
    arguments = _copied(backend_kwargs)
    if isinstance(uri, str):
        name, rest = _parsed(uri)
    else:
        name, rest = "file", os.path.join(os.getcwd(), _text(os.fspath(uri)))
    scheme = _scheme(name)
    arguments = _renamed(arguments, scheme.others)
    bucket, prefix = (scheme.split or _split_bucket)(str(uri), rest)
    bucket = _agreed("bucket", bucket, arguments)
    prefix = _agreed("prefix", prefix, arguments)
    spec = StoreSpec(name, scheme.backend, bucket, prefix, arguments, library=scheme.library)
    return spec.checked()


def _copied(backend_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    arguments = dict(backend_kwargs or {})
    for name in arguments:
        if not isinstance(name, str):
            raise ConfigurationError(f"backend_kwargs has {name!r} for a name; names of arguments are text")
    return arguments


def _renamed(arguments: Mapping[str, Any], others: Mapping[str, str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in arguments.items():
        meant = others.get(name, name)
        if renamed.setdefault(meant, value) != value:
            raise ConfigurationError(f"backend_kwargs has both {name!r} and {meant!r}; say it once")
    return renamed


def _text(path: str | bytes) -> str:
    if isinstance(path, bytes):
        raise ConfigurationError(f"the folder {path!r} is given as bytes; give it as text")
    return path


def _parsed(uri: str) -> tuple[str, str]:
    if uri.lower().startswith("dbfs:"):
        raise ConfigurationError(
            f"{uri!r}: Databricks volumes are reached through Composer's store: 'composer://a-name-for-it' with "
            "backend_kwargs={'store': 'composer.utils.object_store:UCObjectStore', "
            "'arguments': {'path': 'Volumes/catalog/schema/volume'}}"
        )
    name, separator, rest = uri.partition("://")
    if not separator:
        meant = _file_uri(uri)
        raise ConfigurationError(f"{uri!r} is no URI such as scheme://bucket/prefix; {meant!r} was probably meant")
    if special := sorted(set(rest) & set("%?#")):
        raise ConfigurationError(
            f"the {name} URI contains {special[0]!r}, which is taken neither literally nor as an escape; "
            "a folder with such a name can be given as a pathlib.Path"
        )
    if any(character < " " or character == "\x7f" for character in rest):
        raise ConfigurationError(f"the {name} URI contains a control character")
    return name.lower(), rest


def _scheme(name: str) -> _Scheme:
    if row := _BUILT_IN.get(name) or _registered.get(name):
        return row
    installed = _installed()
    if name in installed:
        return _Scheme(installed[name])
    known = sorted({*_BUILT_IN, *_registered, *installed})
    raise ConfigurationError(
        f"no store serves the scheme {name!r}{nearest(name, known)}; known here: {', '.join(known)}. "
        f"Others come with a library that declares the entry point {ENTRY_POINTS!r}, or with rud.register_backend"
    )


def _installed() -> dict[str, str]:
    from importlib.metadata import entry_points

    return {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}


def _agreed(name: str, from_uri: str, arguments: dict[str, Any]) -> str:
    if name not in arguments:
        return from_uri
    given = arguments.pop(name)
    if not isinstance(given, str):
        raise ConfigurationError(f"backend_kwargs[{name!r}] is text, not {type(given).__name__}")
    wanted = given.strip("/") if name == "prefix" else given
    if from_uri not in ("", wanted):
        raise ConfigurationError(f"the URI says {name} {from_uri!r}, backend_kwargs says {given!r}; say it once")
    return wanted
