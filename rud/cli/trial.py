"""What ``rud check`` does to a store: one small object is written, read, looked at, listed and removed again."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Literal

import google_crc32c

from rud._body import Body
from rud._clock import Clock
from rud._object_store import ObjectStore
from rud.cli import exits
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    InvalidKeyError,
    ObjectExistsError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    UnsupportedOperationError,
)
from rud.store import PutMode

SIZE = 1000
"""Bytes of the object."""

Verdict = Literal["ok", "refused", "trouble", "failed", "not tried", "not offered"]

_RIGHTS = {"probe": "write", "write": "write", "create": "write", "list": "list", "delete": "delete"}
"""What a step needs; the others read."""

_ADVICE: tuple[tuple[type[RudError], str], ...] = (
    (CredentialsExpiredError, "renew the credentials"),
    (AccessDeniedError, "are the credentials the right ones, and may they {right} below {where}?"),
    (BucketNotFoundError, "make it, or correct the URI"),
    (ObjectStoreTransientError, "look at the endpoint, the network and its proxies, and try again"),
    (IntegrityError, "do not rely on this store, or on what stands between it and here, before that is explained"),
)
"""What to do about it, where the error does not say so itself."""

_DONE_WITH = (ObjectStoreTransientError, BucketNotFoundError, CredentialsExpiredError, ConfigurationError)
"""After one of these every other request would come to the same."""

_NOTHING_WRITTEN = (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    InvalidKeyError,
    UnsupportedOperationError,
)
"""Answers to a write after which there is nothing to remove."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one step came to. ``text``: what was found, or what is wrong, and ``advice``: what to do about it;
    ``code``: its exit code; ``milliseconds``: ``None`` when it was not tried."""

    name: str
    verdict: Verdict = "ok"
    text: str = ""
    advice: str = ""
    milliseconds: float | None = None
    code: int = exits.DONE


@dataclass(slots=True)
class Trial:
    """The steps, in their order. ``tell`` hears of each as it ends; ``where``: the store's URI, for the advice."""

    clock: Clock
    chance: random.Random
    where: str
    tell: Callable[[Step], object]
    steps: list[Step] = field(default_factory=list[Step])
    over: str = ""
    """Why nothing more is tried."""
    _key: str = ""
    _content: bytes = b""
    _entry_id: str = ""
    _stored: bool = False
    _to_remove: bool = False

    def __post_init__(self) -> None:
        self._key = f"rud-check-{self.chance.getrandbits(64):016x}"
        self._content = self.chance.randbytes(SIZE)
        self._entry_id = f"{self.chance.getrandbits(63):016x}"

    @property
    def left(self) -> str:
        """The key of an object that could not be removed, or ``""``."""
        return self._key if self._to_remove else ""

    def step(self, name: str, act: Callable[[], str], *, unless: str = "") -> None:
        """Run ``act``, which says what it found; what it raises becomes the verdict. ``unless``: why it is left out."""
        if unless:
            self._add(Step(name, "not tried", unless))
            return
        began = self.clock.monotonic()
        try:
            done = Step(name, text=act())
        except RudError as error:
            if isinstance(error, _DONE_WITH):
                self.over = _why_over(error)
            reason = error.reason if isinstance(error, StoreError) and error.reason else str(error)
            done = Step(name, _verdict(error), reason, self._advice(name, error), code=exits.code_of(error))
        self._add(replace(done, milliseconds=1000 * (self.clock.monotonic() - began)))

    def run(self, store: ObjectStore) -> None:
        """Every step that makes sense; what was written is removed, also when Ctrl-C ends it."""
        try:
            self.step("probe", lambda: self._probe(store))
            self.step("write", lambda: self._write(store), unless=self.over)
            self.step("read", lambda: self._read(store), unless=self._nothing)
            self.step("head", lambda: self._head(store), unless=self._nothing)
            self.step("list", lambda: self._list(store), unless=self.over)
            if (offer := store.backend.capabilities.create) is True:
                self.step("create", lambda: self._create(store), unless=self._nothing)
            else:
                self._add(Step("create", "not offered", offer))
        finally:
            self.step("delete", lambda: self._delete(store), unless="" if self._to_remove else "nothing was written")

    def _add(self, step: Step) -> None:
        self.steps.append(step)
        self.tell(step)

    @property
    def _nothing(self) -> str:
        return self.over or ("" if self._stored else "nothing was written")

    def _probe(self, store: ObjectStore) -> str:
        with store.calling("probe", "") as backend:
            backend.probe()
        return ""

    def _write(self, store: ObjectStore) -> str:
        self._to_remove = True
        try:
            self._put(store, self._content, self._entry_id, PutMode.OVERWRITE)
        except _NOTHING_WRITTEN:
            self._to_remove = False
            raise
        self._stored = True
        return f"{SIZE} bytes as {self._key}"

    def _put(self, store: ObjectStore, content: bytes, entry_id: str, mode: PutMode) -> None:
        crc = int(google_crc32c.value(content))
        with store.calling("put", self._key) as backend:
            backend.put(
                self._key,
                Body(io.BytesIO(content), len(content), expected=crc),
                mode=mode,
                checksum=crc,
                entry_id=entry_id,
                durable=False,
                on_multipart=_nothing_to_note,
            )

    def _read(self, store: ObjectStore) -> str:
        sink = io.BytesIO()
        with store.calling("get", self._key) as backend:
            backend.get(self._key, sink)
        if sink.getvalue() != self._content:
            reason = f"{len(sink.getvalue())} bytes came back, and not those {SIZE} that were written"
            raise IntegrityError.during("get", self._key, reason)
        return "the same bytes"

    def _head(self, store: ObjectStore) -> str:
        with store.calling("head", self._key) as backend:
            meta = backend.head(self._key)
        wrong = [f"size {meta.size}"] * (meta.size != SIZE)
        if meta.checksum is not None and meta.checksum != int(google_crc32c.value(self._content)):
            wrong.append(f"CRC32C {meta.checksum:08x}")
        if store.backend.capabilities.entry_ids is True and meta.entry_id != self._entry_id:
            wrong.append(f"the id {meta.entry_id!r}")
        if wrong:
            raise IntegrityError.during("head", self._key, f"it says {', '.join(wrong)}, which is not what was written")
        return "size and checksum" if meta.checksum is not None else "size"

    def _list(self, store: ObjectStore) -> str:
        with store.calling("list", self._key) as backend:
            found = [meta.key for meta in backend.list(self._key)]
        if found != [self._key] * self._stored:
            raise StoreError.during("list", self._key, f"it lists {len(found)} objects, not the one that was written")
        return ""

    def _create(self, store: ObjectStore) -> str:
        try:
            self._put(store, self._content[::-1], f"{self.chance.getrandbits(63):016x}", PutMode.CREATE)
        except ObjectExistsError:
            return "an object that is there is left as it is"
        raise IntegrityError.during("put", self._key, "with overwrite=False the object was replaced all the same")

    def _delete(self, store: ObjectStore) -> str:
        with store.calling("delete", self._key) as backend:
            backend.delete(self._key)
        self._to_remove = False
        return ""

    def _advice(self, name: str, error: RudError) -> str:
        if name == "delete":
            return f"the object {self._key} is left below {self.where}: remove it"
        advice = next((advice for kind, advice in _ADVICE if isinstance(error, kind)), "")
        return advice.format(right=_RIGHTS.get(name, "read"), where=self.where)


def _verdict(error: RudError) -> Verdict:
    match error:
        case AccessDeniedError():
            return "refused"
        case ObjectStoreTransientError():
            return "trouble"
        case _:
            return "failed"


def _why_over(error: RudError) -> str:
    match error:
        case ObjectStoreTransientError():
            return "the store is in trouble"
        case BucketNotFoundError():
            return "there is nowhere to do it"
        case CredentialsExpiredError():
            return "the credentials have expired"
        case _:
            return "the store cannot be used like this"


def _nothing_to_note(upload_id: str, /) -> None:
    """Nobody goes on with it after us."""
