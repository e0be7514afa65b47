"""From a URI to a store, and everything that is refused on the way, in words."""

from __future__ import annotations

import enum
import json
import pickle
import sys
import types
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.memory import MemoryBackend

from rud import _registry
from rud._registry import StoreSpec, register_backend, resolve
from rud.backends.local import LocalObjectStore
from rud.errors import AccessDeniedError, ConfigurationError
from rud.store import Backend


class AcmeBackend(MemoryBackend):
    """A store of a third party."""

    public_arguments = frozenset({"region"})

    def __init__(
        self, bucket: str, prefix: str = "", *, region: str, token: object = None, timeout: float = 1.0
    ) -> None:
        super().__init__(bucket, prefix)
        if region == "denied":
            raise AccessDeniedError("no")
        if region == "broken":
            raise LookupError(f"cannot log in as {token}")
        self.arguments = (region, token, timeout)


class Half(Backend):
    """Not written yet."""

    def __init__(self, bucket: str, prefix: str) -> None:
        pass


@pytest.fixture(autouse=True)
def acme(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("acme_store")
    module.__dict__.update(AcmeBackend=AcmeBackend, Half=Half, Nothing=object)
    monkeypatch.setitem(sys.modules, "acme_store", module)
    monkeypatch.setattr(_registry, "_registered", {})
    register_backend("acme", "acme_store:AcmeBackend")
    register_backend("memory", "rud_fakes.memory:MemoryBackend")


def test_a_folder(tmp_path: Path) -> None:
    """A ``file`` URI and a path of that folder are the same store."""
    spec = resolve(f"file://{tmp_path}")

    assert spec == resolve(tmp_path) == resolve(f"file://{tmp_path}/")
    assert (spec.bucket, spec.prefix) == (str(tmp_path), "")
    assert isinstance(spec.open(), LocalObjectStore)
    assert spec.uri == f"file://{tmp_path}"


def test_a_relative_path_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ``pathlib.Path`` means what it means here and now, whatever directory a worker has."""
    monkeypatch.chdir(tmp_path)

    assert resolve(Path("a b%20#")).bucket == f"{tmp_path}/a b%20#"


@pytest.mark.parametrize(
    ("uri", "bucket", "prefix"),
    [
        ("memory://bucket", "bucket", ""),
        ("memory://bucket/", "bucket", ""),
        ("memory://bucket/some/prefix/", "bucket", "some/prefix"),
        ("MEMORY://Bucket/a b//c", "Bucket", "a b//c"),
        ("memory://host:22/x", "host:22", "x"),
        ("memory://user@host/x", "user@host", "x"),
    ],
)
def test_bucket_and_prefix(uri: str, bucket: str, prefix: str) -> None:
    """The path of a URI is a prefix; slashes at its ends are dropped, all else is literal."""
    spec = resolve(uri)

    assert (spec.scheme, spec.bucket, spec.prefix) == ("memory", bucket, prefix)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s4://bucket", "known here: acme, composer, file, gs, libcloud, memory, oci"),
        ("fiel:///x", "did you mean 'file'"),
        ("dbfs:/Volumes/a/b/c", "composer.utils.object_store:UCObjectStore"),
        ("/data/x", "'file:///data/x' was probably meant"),
        ("", "no URI"),
        ("memory:bucket", "no URI"),
        ("memory://", "names no bucket"),
        ("memory:///x", "names no bucket"),
        ("file://relative/x", "no absolute path after 'file://'"),
        ("file://localhost/data", "'file:///"),
        ("file:///a%20b", "'%'"),
        ("file:///a#b", "pathlib.Path"),
        ("memory://bucket/a?b=c", "'?'"),
        ("memory://bucket/a\nb", "control character"),
    ],
)
def test_uris_that_are_refused(uri: str, said: str) -> None:
    """The text says what is wrong, and what was probably meant."""
    with pytest.raises(ConfigurationError) as caught:
        resolve(uri)

    assert said in str(caught.value)


def test_a_password_in_a_uri() -> None:
    """It is refused and not repeated."""
    with pytest.raises(ConfigurationError, match="password") as caught:
        resolve("memory://me:hunter2@host/x")

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({}, "needs backend_kwargs with 'region'"),
        ({"region": "eu", "regoin": "eu"}, "did you mean 'region'?"),
        ({"region": "eu", "zzz": 1}, "it takes: region, token, timeout"),
        ({"region": "eu", "bucket": "other"}, "say it once"),
        ({"region": "eu", "prefix": "other"}, "say it once"),
        ({"region": "eu", "prefix": 1}, "is text, not int"),
        ({1: 2}, "names of arguments are text"),
    ],
)
def test_arguments_that_are_refused(arguments: dict[str, object], said: str) -> None:
    """Unknown and missing arguments are found when the URI is resolved, with the nearest name that there is."""
    with pytest.raises(ConfigurationError) as caught:
        resolve("acme://bucket/p", arguments)

    assert said in str(caught.value)


def test_bucket_and_prefix_as_arguments() -> None:
    """The incumbent's users write them among the arguments: they are taken, and the caller's dict is not changed."""
    given_by_caller = {"region": "eu", "bucket": "b", "prefix": "/p/"}
    spec = resolve("acme://b", given_by_caller)

    assert (spec.bucket, spec.prefix, spec.names_of_arguments) == ("b", "p", ("region",))
    assert given_by_caller == {"region": "eu", "bucket": "b", "prefix": "/p/"}


def test_what_is_shown() -> None:
    """Only public arguments are part of the destination; of all others nothing but the name ever is."""
    spec = resolve("acme://b/p", {"region": "eu", "token": {"deep": ["hunter2"]}, "timeout": 2.0})

    assert spec.destination == {"scheme": "acme", "bucket": "b", "prefix": "p", "region": "eu"}
    assert spec.names_of_arguments == ("region", "timeout", "token")
    assert spec.secrets == ("hunter2",)
    assert resolve("acme://b", {"region": Path("/eu")}).destination["region"] == "/eu"
    # What is part of another would leave the rest of it to be read.
    assert resolve("acme://b", {"region": "eu", "token": ["hunter", "hunter2"]}).secrets == ("hunter2", "hunter")
    assert "hunter2" not in repr(spec)
    assert spec.uri == "acme://b/p"


def test_open_passes_everything_on() -> None:
    """The class is called with bucket, prefix and the arguments; each call builds another store."""
    spec = resolve("acme://b/p", {"region": "eu", "token": "t"})
    one, other = spec.open(), spec.open()

    assert isinstance(one, AcmeBackend)
    assert one is not other
    assert one.arguments == ("eu", "t", 1.0)
    assert one.uri("k") == "memory://b/p/k"


def test_errors_of_a_constructor() -> None:
    """Ours pass, foreign ones become a ``ConfigurationError`` without secrets, with their cause."""
    with pytest.raises(AccessDeniedError):
        resolve("acme://b", {"region": "denied"}).open()
    with pytest.raises(ConfigurationError, match=r"LookupError: cannot log in as \*\*\*") as caught:
        resolve("acme://b", {"region": "broken", "token": "hunter2"}).open()

    assert isinstance(caught.value.__cause__, LookupError)


@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("acme_store:Missing", "no class 'Missing'"),
        ("acme_store:Nothing", "derived from rud.Backend"),
        ("acme_store:Half", "lacks methods of rud.Backend: abort, capabilities, close"),
        ("no_such_module_of_ours.x:Store", "pip install no_such_module_of_ours"),
    ],
)
def test_classes_that_cannot_be_used(backend: str, said: str) -> None:
    """A class that is missing, unfinished or no store is found when the URI is resolved."""
    register_backend("other", backend)
    with pytest.raises(ConfigurationError) as caught:
        resolve("other://b")

    assert said in str(caught.value)


def test_a_missing_library_is_named_as_pip_calls_it() -> None:
    """The advice has the library's name on the index, not that of its module."""
    spec = StoreSpec("gs", "no_such_module_of_ours:Store", "b", "", library="google-cloud-storage")
    with pytest.raises(ConfigurationError, match="pip install google-cloud-storage"):
        spec.open()


@pytest.mark.parametrize(
    ("scheme", "backend"),
    [
        ("Acme", "a:B"),
        ("", "a:B"),
        ("1a", "a:B"),
        ("a_b", "a:B"),
        ("a", "a.B"),
        ("a", "a:"),
        ("a", ":B"),
        ("a", "a b:C"),
        ("file", "a:B"),
        ("acme", "a:B"),
    ],
)
def test_registrations_that_are_refused(scheme: str, backend: str) -> None:
    """Malformed names and schemes that are taken."""
    with pytest.raises(ConfigurationError):
        register_backend(scheme, backend)


def test_registering_twice() -> None:
    """The same again changes nothing."""
    register_backend("acme", "acme_store:AcmeBackend")

    assert resolve("acme://b", {"region": "eu"}).backend == "acme_store:AcmeBackend"


def test_entry_points(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheme that an installed distribution declares is found by its name."""
    monkeypatch.setattr(_registry, "_installed", lambda: {"declared": "rud_fakes.memory:MemoryBackend"})

    assert resolve("declared://b").backend == "rud_fakes.memory:MemoryBackend"


class Colour(enum.IntEnum):
    RED = 1


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])) | st.floats(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=3) | st.integers(), inner) | st.tuples(inner),
    max_leaves=5,
)


@given(st.dictionaries(st.text(min_size=1, max_size=5), plain | st.binary() | st.just(Colour.RED), max_size=4))
def test_the_wire(arguments: dict[str, object]) -> None:
    """Whatever pickles crosses a JSON pipe, equal and of the same type."""
    spec = StoreSpec("acme", "acme_store:AcmeBackend", "b", "p", arguments, "acme")
    back = StoreSpec.from_wire(json.loads(json.dumps(spec.to_wire())))

    assert repr(dict(back.arguments)) == repr(arguments)
    assert repr(dict(pickle.loads(pickle.dumps(spec)).arguments)) == repr(arguments)
    assert replace(back, arguments={}) == replace(spec, arguments={})


def test_what_cannot_cross() -> None:
    """An argument that does not pickle is named, and not shown."""
    spec = StoreSpec("acme", "acme_store:AcmeBackend", "b", "", {"token": lambda: "hunter2"})
    with pytest.raises(ConfigurationError, match="'token' \\(function\\)") as caught:
        spec.to_wire()

    assert "hunter2" not in str(caught.value)


def test_what_cannot_be_rebuilt() -> None:
    """An argument whose class is not importable in the worker is named."""
    wire = resolve("acme://b", {"region": "eu"}).to_wire()
    wire["arguments"]["token"] = {"pickle": "Y25vX3N1Y2hfbW9kdWxlX29mX291cnMKWAou"}
    with pytest.raises(ConfigurationError, match="'token' cannot be rebuilt"):
        StoreSpec.from_wire(wire)
