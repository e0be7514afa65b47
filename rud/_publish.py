"""Pointers to whole saves: written when all their uploads are stored, on all ranks, and not before.

Each rank says what it has stored, by upload and sum; rank 0 waits for all of them and uploads the manifest. A rank that
fails or dies leaves the old pointer where it is. One thread works off the publications of an uploader in the order in
which they were asked for, so that an older pointer never follows a newer one.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict

from rud import _manifest
from rud._clock import Clock
from rud._manifest import Shard
from rud._peers import Failure, Peers
from rud._pool import WorkerPool
from rud._transfer import Transfer, UploadState
from rud.errors import DependencyFailedError, PoolClosedError, RudError, UploadTimeoutError
from rud.upload import Upload

logger = logging.getLogger("rud")

GRACE = 1.0
"""Seconds that the end waits for a publication that is being broken off."""


class Publication:
    """One pointer on its way, under ``key``, to be found at ``uri``. Dropping the handle changes nothing."""

    def __init__(self, key: str, uri: str, uploads: Sequence[Upload]) -> None:
        self.key = key
        self.uri = uri
        self.uploads = tuple(uploads)
        self.error: RudError | None = None
        """Why the old pointer stays, once it is done."""
        self.reported = False
        self._done = threading.Event()

    def __repr__(self) -> str:
        return f"<Publication {self.uri} {'done' if self.done() else 'under way'}>"

    def done(self) -> bool:
        """The pointer is stored, or the old one stays."""
        return self._done.is_set()

    def wait(self, timeout: float | None = None) -> None:
        """Until it is done; ``UploadTimeoutError`` after ``timeout`` seconds."""
        if not self._done.wait(timeout):
            raise UploadTimeoutError(f"{self.key!r} is not published within {timeout:g} s; it goes on")

    def result(self, timeout: float | None = None) -> str:
        """Wait until it is done; the address of the pointer.

        Raises, on all ranks, and the old pointer stays: ``DependencyFailedError`` (an upload of the save, or of the
        pointer, failed, was cancelled or replaced; ``rank`` says where), ``PeerLostError``, ``PoolClosedError``.
        ``UploadTimeoutError`` after ``timeout`` seconds; it goes on.
        """
        self.wait(timeout)
        self.reported = True
        if self.error is not None:
            raise self.error
        return self.uri

    def settle(self, error: RudError | None) -> None:
        self.error = error
        self._done.set()


class _ClosingError(Exception):
    pass


class Publisher:
    """``accept``: the uploader's, of a path and a key. ``join``: given a wait, the other ranks, or ``None``; when it is
    closed the wait raises. ``rank``: of the run."""

    def __init__(
        self,
        pool: WorkerPool,
        accept: Callable[[str, str], Upload],
        join: Callable[[Callable[[float], object]], Peers | None],
        rank: int,
    ) -> None:
        self._pool = pool
        self._accept = accept
        self._peers = join(self._wait)
        self._rank = rank
        self._closing = False
        self._moved = threading.Event()
        self._asked: queue.SimpleQueue[Publication | None] = queue.SimpleQueue()
        self._all: list[Publication] = []
        self._count = 0
        self._thread: threading.Thread | None = None
        if self._peers is not None:
            self._peers.start()

    def publish(self, publication: Publication) -> None:
        """Take it; it is worked off when all before it are done."""
        self._all.append(publication)
        self._asked.put(publication)
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="rud-publisher", daemon=True)
            self._thread.start()

    def drain(self, timeout: float | None, clock: Clock) -> None:
        """Until all that was taken is done; ``UploadTimeoutError`` after ``timeout`` seconds."""
        end = None if timeout is None else clock.monotonic() + timeout
        for publication in list(self._all):
            publication.wait(None if end is None else max(0.0, end - clock.monotonic()))

    def take_failures(self) -> list[RudError]:
        """Of those that are done, and of which nobody was told; each is handed out once."""
        done = [one for one in self._all if one.done()]
        self._all = [one for one in self._all if one not in done]
        return [one.error for one in done if one.error is not None and not one.reported]

    def close(self) -> None:
        """What is not done is not published."""
        self._closing = True
        self._moved.set()
        self._asked.put(None)
        if self._thread is not None:
            self._thread.join(GRACE)
        if self._peers is not None:
            self._peers.leave()

    def _work(self) -> None:
        while (publication := self._asked.get()) is not None:
            self._count += 1
            error = self._outcome(publication)
            if error is not None:
                logger.error("%s", error)
            publication.settle(error)

    def _outcome(self, publication: Publication) -> RudError | None:
        try:
            return self._published(publication)
        except _ClosingError:
            return PoolClosedError(f"{publication.key!r} was not published: the uploader was closed; the old one stays")
        except RudError as error:
            return error
        except OSError as error:
            return DependencyFailedError(f"{publication.key!r} was not published: {error}", key=publication.key)

    def _published(self, publication: Publication) -> RudError | None:
        word = self._word(publication)
        if self._peers is None:
            return word if isinstance(word, RudError) else self._write(publication, word)
        return self._publish_together(self._peers, publication, word)

    def _publish_together(
        self, peers: Peers, publication: Publication, word: list[Shard] | RudError
    ) -> RudError | None:
        name = f"publication/{self._count}"
        said: dict[str, object] = {}
        if isinstance(word, RudError):
            said["failed"] = Failure.of(word, self._rank).to_text()
        else:
            said["stored"] = [asdict(shard) for shard in word]
        found = peers.gather(name, json.dumps(said))
        verdict = self._decided(publication, found) if peers.is_first else None
        told = peers.agree(f"{name}/verdict", verdict)
        return None if told is None else told.error()

    def _decided(self, publication: Publication, found: list[str] | Failure) -> Failure | None:
        if isinstance(found, Failure):
            return found
        shards: list[Shard] = []
        for text in found:
            said = json.loads(text)
            if "failed" in said:
                return Failure.from_text(said["failed"])
            shards += [Shard(**row) for row in said["stored"]]
        error = self._write(publication, shards)
        return None if error is None else Failure.of(error, self._rank)

    def _write(self, publication: Publication, shards: list[Shard]) -> RudError | None:
        with tempfile.TemporaryDirectory(prefix="rud-") as folder:
            path = os.path.join(folder, "manifest")
            with open(path, "wb") as file:
                file.write(_manifest.to_bytes(shards))
            upload = self._accept(path, publication.key)
        (pointer,) = self._ended([upload])
        return self._why_not_stored(publication, upload, pointer)

    def _word(self, publication: Publication) -> list[Shard] | RudError:
        """What this rank has stored for it."""
        shards: list[Shard] = []
        for upload, transfer in zip(publication.uploads, self._ended(publication.uploads), strict=True):
            error = self._why_not_stored(publication, upload, transfer)
            if error is not None:
                return error
            entry = transfer.entry
            assert entry.crc is not None, "a stored upload was summed"
            shards.append(Shard(entry.key, entry.size, f"{entry.crc:08x}", self._rank, upload.id))
        return shards

    def _ended(self, uploads: Sequence[Upload]) -> list[Transfer]:
        """Their transfers, once each has ended, itself or by what took its place."""
        for upload in uploads:
            upload.add_done_callback(lambda _: self._moved.set())
        while not all(upload.done() for upload in uploads):
            self._wait(None)
        return [upload.transfer_of(self._pool) for upload in uploads]

    def _wait(self, seconds: float | None) -> None:
        self._moved.wait(seconds)
        self._moved.clear()
        if self._closing:
            raise _ClosingError

    def _why_not_stored(self, publication: Publication, upload: Upload, transfer: Transfer) -> RudError | None:
        why = {
            UploadState.STORED: "",
            UploadState.FAILED: f"failed: {transfer.error}",
            UploadState.CANCELLED: "was cancelled",
            UploadState.SUPERSEDED: "was superseded by a newer upload of its key",
        }[transfer.state]
        if not why:
            return None
        return DependencyFailedError(
            f"{publication.key!r} was not published, the old one stays: the upload of {upload.key!r} {why}",
            key=publication.key, uri=publication.uri, rank=self._rank,
        )  # fmt: skip
