"""What every backend of ours has to do, against a dictionary that does it too."""

from __future__ import annotations

import io
from collections.abc import Iterator

import google_crc32c
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from rud._body import Body, Section
from rud.errors import (
    IntegrityError,
    InvalidKeyError,
    ObjectExistsError,
    ObjectNotFoundError,
    StoreClosedError,
)
from rud.store import Backend, ObjectMeta, OnMultipart, PutMode, PutResult, Source

LEAVES = ["a", "A", "a b", "a+b", "a%20b", "%41", "é", "e\u0301", "ﬁ", "\U0001f600", " a", "a ", "a.b", "a-b", "~",
          "*?[", "\\", "C:\\x", "-rf", "\n", "\x7f", "\u200b", "500", "CON", "$(x)", "'\"", "a" * 255]  # fmt: skip
FOLDERS = ["d", "d.", "d-", "D", "dé"]

keys = st.builds(
    lambda folders, leaf: "/".join([*folders, leaf]),
    st.lists(st.sampled_from(FOLDERS), max_size=3),
    st.sampled_from(LEAVES),
)
payloads = st.binary(max_size=50)


def put(
    backend: Backend,
    key: str,
    data: bytes | Source,
    *,
    mode: PutMode = PutMode.OVERWRITE,
    checksum: int | None = None,
    entry_id: str | None = None,
    durable: bool = False,
    on_multipart: OnMultipart = lambda _: None,
) -> PutResult:
    """A put of ``data``, with what most tests do not care about filled in."""
    return backend.put(
        key,
        Body(io.BytesIO(data), len(data)) if isinstance(data, bytes) else data,
        mode=mode,
        checksum=checksum,
        entry_id=entry_id,
        durable=durable,
        on_multipart=on_multipart,
    )


def get(backend: Backend, key: str, start: int = 0) -> tuple[bytes, ObjectMeta]:
    """The bytes of ``key`` from ``start``, and its metadata."""
    sink = io.BytesIO()
    meta = backend.get(key, sink, start=start)
    return sink.getvalue(), meta


def by_utf8(names: Iterator[str] | list[str]) -> list[str]:
    """``names`` in the order that a listing promises."""
    return sorted(names, key=str.encode)


class Model(RuleBasedStateMachine):
    """Does the same to a backend and to a dictionary; derived classes say how to make the backend."""

    backend: Backend

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}
        self.backend = self.make()

    def make(self) -> Backend:
        raise NotImplementedError

    def keeps(self, key: str) -> bool:
        """Whether the store can keep ``key``; one that it cannot keep it refuses."""
        return True

    def _refused(self, key: str) -> bool:
        if self.keeps(key):
            return False
        for operation in (lambda: put(self.backend, key, b""), lambda: self.backend.head(key)):
            with pytest.raises(InvalidKeyError):
                operation()
        return True

    @rule(key=keys, data=payloads, durable=st.booleans())
    def overwrite(self, key: str, data: bytes, durable: bool) -> None:  # noqa: FBT001 - Hypothesis passes it
        if self._refused(key):
            return
        result = put(self.backend, key, data, durable=durable)
        self.model[key] = data
        assert result.etag == self.backend.head(key).etag

    @rule(key=keys, data=payloads)
    def create(self, key: str, data: bytes) -> None:
        if self._refused(key):
            return
        if key in self.model:
            with pytest.raises(ObjectExistsError):
                put(self.backend, key, data, mode=PutMode.CREATE)
        else:
            put(self.backend, key, data, mode=PutMode.CREATE)
            self.model[key] = data

    @rule(key=keys)
    def delete(self, key: str) -> None:
        if self._refused(key):
            return
        self.backend.delete(key)
        self.model.pop(key, None)

    @rule(key=keys, start=st.integers(0, 60))
    def read(self, key: str, start: int) -> None:
        if self._refused(key):
            return
        if key not in self.model:
            with pytest.raises(ObjectNotFoundError):
                get(self.backend, key)
            with pytest.raises(ObjectNotFoundError):
                self.backend.head(key)
            return
        data, meta = get(self.backend, key, start)
        assert self.model[key][start:] == data
        assert (key, len(self.model[key])) == (meta.key, meta.size)
        assert meta == self.backend.head(key)

    @rule(prefix=st.one_of(keys, st.sampled_from([*FOLDERS, "d/", "", "d/d", "/", "zz"])), cut=st.integers(0, 5))
    def listing(self, prefix: str, cut: int) -> None:
        prefix = prefix[: len(prefix) - cut]
        expected = by_utf8([key for key in self.model if key.startswith(prefix)])
        assert expected == [meta.key for meta in self.backend.list(prefix)]

    @invariant()
    def holds_the_same(self) -> None:
        expected = [(key, len(self.model[key])) for key in by_utf8(list(self.model))]
        assert expected == [(meta.key, meta.size) for meta in self.backend.list("")]


class Failing(Body):
    """A source of three bytes whose reads raise ``error``."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(io.BytesIO(b"abc"), 3)
        self._error = error

    def read(self, size: int | None = -1) -> bytes:
        raise self._error

    def section(self, size: int) -> Section:
        raise self._error


class BackendContract:
    """One test each; the class of a backend supplies the fixture ``backend``."""

    leaves: tuple[str, ...] = tuple(LEAVES)
    """Keys that the store can keep."""

    def test_checksum_and_entry_id_are_kept(self, backend: Backend) -> None:
        """What a put said of the object is what head says, and another put replaces all of it."""
        put(backend, "k", b"one", entry_id="id-1")
        first = backend.head("k")
        put(backend, "k", b"two")
        second = backend.head("k")

        assert (google_crc32c.value(b"one"), "id-1") == (first.checksum, first.entry_id)
        assert (google_crc32c.value(b"two"), None) == (second.checksum, second.entry_id)
        assert first.etag != second.etag

    def test_other_bytes_than_declared_are_refused(self, backend: Backend) -> None:
        """A put whose bytes have another sum than was declared changes nothing."""
        put(backend, "k", b"good")

        with pytest.raises(IntegrityError):
            put(backend, "k", b"evil", checksum=google_crc32c.value(b"good"))

        assert get(backend, "k")[0] == b"good"

    def test_a_put_that_fails_changes_nothing(self, backend: Backend) -> None:
        """Whatever ends a put, even an interrupt, leaves the store as it was."""
        put(backend, "d/k", b"old")
        for key in ("d/k", "d/new", "other/new"):
            with pytest.raises(KeyboardInterrupt):
                put(backend, key, Failing(KeyboardInterrupt()))

        assert [(meta.key, meta.size) for meta in backend.list("")] == [("d/k", 3)]

    def test_a_create_that_is_overtaken(self, backend: Backend) -> None:
        """A rival that stores the key while a create reads its body wins: the create raises and changes nothing."""

        class Overtaken(Body):
            def read(self, size: int | None = -1) -> bytes:
                if self.tell() == 0:
                    put(backend, "d/k", b"rival")
                return super().read(size)

            def section(self, size: int) -> Section:
                put(backend, "d/k", b"rival")
                return super().section(size)

        with pytest.raises(ObjectExistsError):
            put(backend, "d/k", Overtaken(io.BytesIO(b"late"), 4), mode=PutMode.CREATE)

        assert get(backend, "d/k")[0] == b"rival"

    def test_a_source_that_ends_early_is_refused(self, backend: Backend) -> None:
        """A body shorter than it said is never stored."""
        with pytest.raises(IntegrityError):
            put(backend, "k", Body(io.BytesIO(b"ab"), 3))

        assert list(backend.list("")) == []

    @pytest.mark.parametrize("key", ["", "a\0b", "\ud800"])
    def test_keys_that_no_store_keeps(self, backend: Backend, key: str) -> None:
        """An impossible key is refused by every operation that takes one."""
        for operation in (lambda: put(backend, key, b""), lambda: backend.head(key), lambda: get(backend, key)):
            with pytest.raises(InvalidKeyError):
                operation()
        for name in ("delete", "uri"):
            with pytest.raises(InvalidKeyError):
                getattr(backend, name)(key)

    def test_abort_of_the_unknown(self, backend: Backend) -> None:
        """Ending an upload that nobody knows is no error and removes no object."""
        put(backend, "k", b"x")
        for upload_id in ("nobody", "k", "../k", ""):
            backend.abort("k", upload_id)
            backend.abort("d/other", upload_id)

        assert get(backend, "k")[0] == b"x"

    def test_uri_is_injective(self, backend: Backend) -> None:
        """No two keys share an address, whatever they have in common."""
        assert len(self.leaves) == len({backend.uri(leaf) for leaf in self.leaves})

    def test_probe_leaves_nothing(self, backend: Backend) -> None:
        """A probe passes on an empty store and shows no object."""
        backend.probe()
        backend.probe()

        assert list(backend.list("")) == []

    def test_closed(self, backend: Backend) -> None:
        """Closing twice is no error; use after it is."""
        backend.close()
        backend.close()

        with pytest.raises(StoreClosedError):
            backend.head("k")
        with pytest.raises(StoreClosedError):
            list(backend.list(""))
