"""``StoreSpec``: what crosses to a worker instead of a live store."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from rud.errors import ConfigurationError, RudError
from rud.store import Backend, BackendClass


@dataclass(frozen=True, slots=True)
class StoreSpec:
    """Which class to build a store from, and with what. Pickles if its arguments do.

    ``backend`` is ``"module:Class"``. ``arguments`` may hold secrets: they are not shown, nor part of ``destination``.
    ``library`` is what ``pip install`` calls the library that the class needs, or ``""``.
    """

    scheme: str
    backend: str
    bucket: str
    prefix: str
    arguments: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    library: str = ""

    def open(self) -> Backend:
        """A new store; ``ConfigurationError`` when its library is missing or its arguments are no good."""
        cls = self._class()
        try:
            return cls(self.bucket, self.prefix, **self.arguments)  # type: ignore[call-arg]  # what every author's class takes
        except RudError:
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {error}"
            for secret in self.secrets:
                said = said.replace(secret, "***")
            raise ConfigurationError(f"the store {self.backend!r} cannot be built: {said}") from error

    def checked(self) -> Self:
        """This spec with its arguments resolved; ``ConfigurationError`` unless the class can be imported, is whole, and
        takes them."""
        cls = self._class()
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise ConfigurationError(f"{self.backend!r} lacks methods of rud.Backend: {', '.join(missing)}")
        self._check_arguments(cls)
        return replace(self, arguments=cls.resolve_arguments(dict(self.arguments)))

    @property
    def uri(self) -> str:
        """The URI that names it, for a person."""
        return f"{self.scheme}://{self.bucket}" + (f"/{self.prefix}" if self.prefix else "")

    @property
    def destination(self) -> dict[str, Any]:
        """Where it goes, as it may be written to disk: scheme, bucket, prefix, and the public arguments; what JSON
        would not give back as it is, as text."""
        public = self._class().public_arguments
        given = {name: self.arguments[name] for name in self.names_of_arguments if name in public}
        shown = {name: value if _is_plain(value) else str(value) for name, value in given.items()}
        return {"scheme": self.scheme, "bucket": self.bucket, "prefix": self.prefix, **shown}

    @property
    def names_of_arguments(self) -> tuple[str, ...]:
        """Of all arguments, public or not, sorted."""
        return tuple(sorted(self.arguments))

    @property
    def secrets(self) -> tuple[str, ...]:
        """Every text in the arguments that are not public, the longest first, to be blotted out of what is shown."""
        public = self._class().public_arguments
        texts = {text for name in self.arguments if name not in public for text in _texts(self.arguments[name])}
        return tuple(sorted(texts, key=len, reverse=True))

    def to_wire(self) -> dict[str, Any]:
        """A form that JSON can carry; ``ConfigurationError`` names the argument that cannot cross to another process.

        It holds the secrets: for a pipe to a worker, not for a disk.
        """
        return {
            "scheme": self.scheme,
            "backend": self.backend,
            "bucket": self.bucket,
            "prefix": self.prefix,
            "arguments": {name: _packed(name, value) for name, value in self.arguments.items()},
            "library": self.library,
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> Self:
        """The spec that ``to_wire`` wrote; ``ConfigurationError`` names an argument that cannot be rebuilt here."""
        arguments = {name: _unpacked(name, value) for name, value in wire["arguments"].items()}
        return cls(wire["scheme"], wire["backend"], wire["bucket"], wire["prefix"], arguments, wire["library"])

    def _class(self) -> BackendClass:
        import importlib

        module, _, name = self.backend.partition(":")
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ImportError as error:
            raise ConfigurationError(self._cannot_import(error)) from error
        if not (isinstance(found, type) and issubclass(found, Backend)):
            raise ConfigurationError(f"there is no class {name!r} derived from rud.Backend in the module {module!r}")
        return found

    def _cannot_import(self, error: ImportError) -> str:
        library = self.library or (error.name or "").partition(".")[0]
        advice = f"; pip install {library}" if library and isinstance(error, ModuleNotFoundError) else ""
        return f"the store of {self.scheme!r} URIs, {self.backend!r}, cannot be imported: {error}{advice}"

    def _check_arguments(self, cls: BackendClass) -> None:
        import inspect

        parameters = list(inspect.signature(cls).parameters.values())[2:]
        named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
        for name in self.names_of_arguments:
            if name not in named and not anything:
                takes = ", ".join(named) or "none"
                raise ConfigurationError(
                    f"backend_kwargs has {name!r}, which a {self.scheme} store does not take{nearest(name, named)}; "
                    f"it takes: {takes}"
                )
        missing = [name for name, p in named.items() if p.default is p.empty and name not in self.arguments]
        if missing:
            raise ConfigurationError(f"a {self.scheme} store needs backend_kwargs with {', '.join(map(repr, missing))}")


def nearest(name: str, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)`` where one of ``known`` is close to ``name``, else nothing."""
    import difflib

    close = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def _texts(value: Any) -> Iterator[str]:
    """The texts in ``value``; those under four characters hide nothing, and would blot out half a sentence."""
    if isinstance(value, str) and len(value) >= 4:
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from _texts(item)


def _is_plain(value: Any) -> bool:
    # Exact types only: JSON would turn an enum or a tuple into something that is not equal to it.
    if type(value) is float:
        return math.isfinite(value)
    if type(value) is list:
        return all(map(_is_plain, value))
    if type(value) is dict:
        return all(type(key) is str and _is_plain(item) for key, item in value.items())
    return value is None or type(value) in (bool, int, str)


def _packed(name: str, value: Any) -> dict[str, Any]:
    if _is_plain(value):
        return {"json": value}
    import base64
    import pickle

    try:
        return {"pickle": base64.b64encode(pickle.dumps(value)).decode("ascii")}
    except Exception as error:
        raise ConfigurationError(
            f"the backend argument {name!r} ({type(value).__name__}) cannot be sent to a worker process "
            f"({type(error).__name__}); give a value that pickles"
        ) from error


def _unpacked(name: str, packed: Mapping[str, Any]) -> Any:
    if "json" in packed:
        return packed["json"]
    import base64
    import pickle

    try:
        return pickle.loads(base64.b64decode(packed["pickle"]))
    except Exception as error:
        raise ConfigurationError(
            f"the backend argument {name!r} cannot be rebuilt in this process ({type(error).__name__}: {error}); "
            "classes must be importable here, those of a script's __main__ are not"
        ) from error
