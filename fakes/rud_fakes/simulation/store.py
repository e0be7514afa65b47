"""The store of a simulated world: requests take time, get lost, are answered wrongly, or arrive after their sender's
death. What became visible, and when, is its history.
"""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import google_crc32c

from rud.errors import (
    AccessDeniedError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
    ThrottledError,
)
from rud.store import Backend, Capabilities, ObjectMeta, OnMultipart, PutMode, PutResult, Sink, Source
from rud_fakes.simulation.fibers import Dead
from rud_fakes.simulation.world import Process, World

PART = 8192
"""Bytes: what is larger goes up in parts."""


@dataclass(frozen=True, slots=True)
class Put:
    """One put that became visible."""

    at: float
    key: str
    content: bytes
    entry_id: str | None
    mode: PutMode
    sender: Process
    posthumous: bool = False
    """The run that has sent it was over, or its worker dead: another run knew nothing of it."""

    @property
    def run(self) -> Process | None:
        return self.sender.parent


@dataclass(eq=False)
class Bucket:
    """``objects`` by key; ``parts``: unfinished multipart uploads, and of what; ``problems``: what no client may do.

    ``asked``: what each process holds at the moment. ``unknown``: of which contents somebody could not know whether
    they arrived, once for each time.
    """

    world: World
    capabilities: Capabilities
    history: list[Put] = field(default_factory=list[Put])
    objects: dict[str, tuple[Put, ObjectMeta]] = field(default_factory=dict[str, tuple[Put, ObjectMeta]])
    parts: dict[str, Put] = field(default_factory=dict[str, Put])
    unknown: list[bytes] = field(default_factory=list[bytes])
    problems: list[str] = field(default_factory=list[str])
    asked: dict[str, tuple[Process, bytes]] = field(default_factory=dict[str, tuple[Process, bytes]])
    out_until: float = 0.0
    valid_from: float = 0.0
    """Credentials that were fetched before are expired."""
    upload_ids: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def apply(self, put: Put) -> None:
        """Make it visible; ``ObjectExistsError`` for a create on a taken key."""
        if put.mode is PutMode.CREATE and put.key in self.objects:
            raise ObjectExistsError.during("put", put.key, "an object of that key exists")
        gone = put.sender.dead or put.run is None or put.run.dead
        put = replace(put, at=self.world.clock.monotonic(), posthumous=gone)
        crc = int(google_crc32c.value(put.content))
        meta = ObjectMeta(
            put.key,
            len(put.content),
            f"{len(self.history)}",
            crc if self.capabilities.checksums is True else None,
            self.world.clock.true_time,
            put.entry_id if self.capabilities.entry_ids is True else None,
        )
        self.objects[put.key] = put, meta
        self.history.append(put)
        self.world.note(f"store has {put.content[:8]!r}")

    def hold(self, key: str, content: bytes) -> None:
        """The current worker begins to put: no other one of its run may be at other bytes of that key (I6)."""
        worker = self.world.current
        assert worker is not None
        other, there = self.asked.get(key, (worker, content))
        if other is not worker and not other.dead and other.parent is worker.parent and there != content:
            self.problems.append(f"two writers of {key!r} at once: {other.name} and {worker.name}")
        self.asked[key] = worker, content


BUCKETS: dict[str, Bucket] = {}


def capabilities(chance: random.Random) -> Capabilities:
    """What a store of this world offers."""
    no = "this one does not"
    plain = chance.random() < 0.75
    return Capabilities(
        create=True if plain or chance.random() < 0.7 else no,
        entry_ids=True if plain or chance.random() < 0.5 else no,
        checksums=True if plain or chance.random() < 0.5 else no,
        ranges=True,
        fsync=True,
        reads_body=True,
        ends_with_worker=True if chance.random() < 0.5 else no,
        processes=True,
    )


class SimulatedStore(Backend):
    """``simulated://bucket``: one of ``BUCKETS``."""

    public_arguments: ClassVar[frozenset[str]] = frozenset()

    def __init__(self, bucket: str, prefix: str = "") -> None:
        self._bucket = BUCKETS[bucket]
        self._world = self._bucket.world
        self._name = bucket
        self._opened = self._world.clock.monotonic()

    @property
    def capabilities(self) -> Capabilities:
        return self._bucket.capabilities

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        content = self._body(source)
        if checksum not in (None, int(google_crc32c.value(content))):
            raise IntegrityError.during("put", key, "the service was promised other bytes")
        assert self._world.current is not None
        put = Put(0.0, key, content, entry_id, mode, self._world.current)
        self._bucket.hold(key, content)
        try:
            if len(content) > PART:
                self._in_parts(put, on_multipart)
            else:
                self._request("put", key, lambda: self._bucket.apply(put), put)
        finally:
            self._bucket.asked.pop(key, None)
        return PutResult()

    def _body(self, source: Source) -> bytes:
        content = b""
        while chunk := source.read(PART):
            content += chunk
            self._world.event(f"read {len(content)}")
        return content

    def _in_parts(self, put: Put, on_multipart: OnMultipart) -> None:
        parts, upload_id = self._bucket.parts, f"mp-{next(self._bucket.upload_ids)}"
        try:
            self._request("create", put.key, lambda: parts.update({upload_id: put}), None)
        except ObjectStoreTransientError:
            parts.pop(upload_id, None)  # nobody learns its id: a service's own rule has to remove it
            raise
        on_multipart(upload_id)

        def complete() -> None:
            self._find_parts(upload_id, put)
            self._bucket.apply(put)
            del parts[upload_id]

        try:
            for number in range(-(-len(put.content) // PART)):
                self._request(f"part {number}", put.key, lambda: self._find_parts(upload_id, put), None)
            self._request("complete", put.key, complete, put)
        except StoreError:
            with contextlib.suppress(StoreError):
                self.abort(put.key, upload_id)
            raise

    def _find_parts(self, upload_id: str, put: Put) -> None:
        if upload_id not in self._bucket.parts:
            raise ObjectStoreTransientError.during("put", put.key, "NoSuchUpload")

    def head(self, key: str) -> ObjectMeta:
        self._request("head", key, lambda: None, None)
        if key not in self._bucket.objects:
            raise ObjectNotFoundError.during("head", key, "there is no such object")
        return self._bucket.objects[key][1]

    def abort(self, key: str, upload_id: str | None) -> None:
        def end() -> None:
            for one in [one for one, its in self._bucket.parts.items() if its.key == key and upload_id in (None, one)]:
                del self._bucket.parts[one]

        self._request("abort", key, end, None)

    def probe(self) -> None:
        self._request("probe", "", lambda: None, None)

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        put, meta = self._bucket.objects[key]
        sink.write(put.content[start:])
        return meta

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return iter([meta for key, (_, meta) in sorted(self._bucket.objects.items()) if key.startswith(prefix)])

    def delete(self, key: str) -> None:
        raise AccessDeniedError.during("delete", key, "nobody deletes here")

    def uri(self, key: str) -> str:
        return f"simulated://{self._name}/{key}"

    def close(self) -> None:
        return

    def _request(self, operation: str, key: str, carry_out: Callable[[], None], put: Put | None) -> None:
        """One request: it may fail on its way, at the service, or on its way back."""
        world, faults = self._world, self._world.faults
        world.event(f"{operation} {key}")
        latency = world.chance.expovariate(20.0)
        try:
            self._maybe_die_or_stall()
            world.sleep(latency)
            self._fail_before(operation, key)
            carry_out()
            world.event(f"{operation} {key} is carried out")
            self._maybe_die_or_stall()
            world.sleep(latency)
        except Dead:
            if put is not None:
                self._bucket.unknown.append(put.content)
                self._maybe_arrive_late(put)
            raise
        if faults.strikes("reply") or self._is_out:
            if put is not None:
                self._bucket.unknown.append(put.content)
            raise ObjectStoreTransientError.during(operation, key, "the reply was lost")

    def _maybe_die_or_stall(self) -> None:
        world = self._world
        assert world.current is not None
        if world.faults.strikes("worker"):
            world.kill(world.current)
            world.check()
        if world.faults.strikes("stall"):
            world.sleep(float("inf"))

    @property
    def _is_out(self) -> bool:
        return self._world.clock.monotonic() < self._bucket.out_until and not self._world.faults.healed

    def _fail_before(self, operation: str, key: str) -> None:
        faults, bucket, now = self._world.faults, self._bucket, self._world.clock.monotonic()
        if self._is_out:
            raise ObjectStoreTransientError.during(operation, key, "no answer")
        if faults.strikes("expire"):
            bucket.valid_from = now
        if self._opened < bucket.valid_from and not faults.healed:
            raise CredentialsExpiredError.during(operation, key, "ExpiredToken")
        if faults.strikes("refuse"):
            raise ObjectStoreTransientError.during(operation, key, "503")
        if faults.strikes("throttle"):
            asked = faults.chance("throttle").choice([None, 0.0, 3.0, 3600.0])
            raise ThrottledError("slow down", operation=operation, key=key, retry_after=asked)
        if faults.strikes("vanish"):
            raise ObjectStoreTransientError.during(operation, key, "connection reset")
        if operation in ("put", "complete", "head") and faults.strikes("deny"):
            raise AccessDeniedError.during(operation, key, "403")

    def _maybe_arrive_late(self, put: Put) -> None:
        """What a dead sender has sent, where the store does not declare that it ends with it."""
        faults, bucket = self._world.faults, self._bucket
        if bucket.capabilities.ends_with_worker is True or len(put.content) > PART or not faults.strikes("late"):
            return

        def arrive() -> None:
            if not (put.mode is PutMode.CREATE and put.key in bucket.objects):
                bucket.apply(put)

        bucket.unknown.append(put.content)
        self._world.at(self._world.clock.monotonic() + faults.chance("late").uniform(0.0, 9.9), arrive)
