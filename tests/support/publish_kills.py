"""Ranks that die while they publish: whatever happens, a pointer names nothing but whole saves.

``python -m tests.support.publish_kills --simulated 1000 --real 50``. A simulated rank is an uploader of this process
that loses the others' board, and its own life, at a chosen request; a real one is a process that is killed.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from unittest import mock

import google_crc32c
from rud_fakes import MemoryBackend

from rud import Upload, Uploader, _peers
from rud._clock import SystemClock
from rud._manifest import from_bytes
from rud._peers import Peers
from rud._publish import Publisher
from rud.errors import ObjectNotFoundError, RudError
from tests.support import rank_program
from tests.support.processes import Program

RANKS = 3
SAVES = 3
SHARDS = 2


@dataclass
class Verdict:
    """What lies under the pointer, judged without the library's word."""

    faults: list[str] = field(default_factory=list)
    published: int = -1
    """The number of the save that it names; -1: none."""


def judge(pointer: bytes | None, read: Callable[[str], bytes | None]) -> Verdict:
    """Whether ``pointer`` names all shards of one save, and each of them is stored as it says."""
    verdict = Verdict()
    if pointer is None:
        return verdict
    shards = from_bytes(pointer)
    saves = {shard.key.split("/")[0] for shard in shards}
    wanted = {(rank, number) for rank in range(RANKS) for number in range(SHARDS)}
    if len(saves) != 1 or {(shard.rank, int(shard.key.split("-")[-1])) for shard in shards} != wanted:
        verdict.faults.append(f"not one whole save: {sorted(shard.key for shard in shards)}")
    for shard in shards:
        data = read(shard.key)
        if data is None or f"{google_crc32c.value(data):08x}" != shard.crc32c:
            verdict.faults.append(f"{shard.key} is not what was published")
    verdict.published = int(min(saves))
    return verdict


class _Board:
    """Of all ranks; ``view`` is that of one which dies at its n-th request."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def view(self, dies_at: float, died: Callable[[], None]) -> _View:
        return _View(self.words, dies_at, died)


class _View:
    def __init__(self, words: dict[str, str], dies_at: float, died: Callable[[], None]) -> None:
        self._words = words
        self._left = dies_at
        self._died = died

    def _ask(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._died()
            raise ConnectionError("this rank is dead")

    def set(self, key: str, value: str) -> None:
        self._ask()
        self._words[key] = value

    def has(self, keys: list[str]) -> bool:
        self._ask()
        return all(key in self._words for key in keys)

    def get(self, key: str) -> str:
        self._ask()
        return self._words[key]


def simulated(seed: int, folder: Path) -> Verdict:
    """One run of ranks of which one, or two, die at a request that the seed chooses."""
    chance = random.Random(seed)
    victims = {rank: chance.randrange(1, 60) for rank in chance.sample(range(RANKS), chance.choice([1, 1, 2]))}
    board, bucket = _Board(), f"publish-{seed}"
    MemoryBackend.forget(bucket)
    with mock.patch.multiple(_peers, LOOK=0.002, LINGER=0.05):
        threads = [
            threading.Thread(target=_rank, args=(rank, board, victims.get(rank, float("inf")), bucket, folder))
            for rank in range(RANKS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    there = MemoryBackend(bucket)
    return judge(_memory(there, "latest"), lambda key: _memory(there, key))


def _rank(rank: int, board: _Board, dies_at: float, bucket: str, folder: Path) -> None:
    dead, place = threading.Event(), rank

    class Ranked(Uploader):
        def _open_publisher(self, process_group: object, rank: int) -> Publisher:
            def join(wait: Callable[[float], object]) -> Peers:
                view = board.view(dies_at, dead.set)
                return Peers(view, place, RANKS, clock=SystemClock(), wait=wait, timeout=0.1)

            return Publisher(self._pool, self.upload, join, place)

    with contextlib.suppress(ConnectionError):
        uploader = Ranked(f"memory://{bucket}", use_procs=False, upload_staging_folder=folder / f"{bucket}-{rank}")
        for save in range(SAVES):
            pointer = uploader.publish("latest", after=_save(uploader, folder, save, rank))
            with contextlib.suppress(RudError):
                pointer.result(20)
            if dead.is_set():
                break
        uploader.close(0.0 if dead.is_set() else 20.0)


def _save(uploader: Uploader, folder: Path, save: int, rank: int) -> list[Upload]:
    uploads = []
    for number in range(SHARDS):
        path = folder / f"{rank}-{number}"
        path.write_text(f"{save} {rank} {number}")
        uploads.append(uploader.upload(path, f"{save}/{rank}-{number}"))
    return uploads


def _memory(there: MemoryBackend, key: str) -> bytes | None:
    from io import BytesIO

    sink = BytesIO()
    try:
        there.get(key, sink)
    except ObjectNotFoundError:
        return None
    return sink.getvalue()


def real(seed: int, folder: Path) -> Verdict:
    """Processes that publish until one of them is killed, after so many words of its own as the seed chooses."""
    chance = random.Random(seed)
    (folder / "board").mkdir()
    (folder / "store").mkdir()
    programs = [
        Program(
            "publish",
            {"rank": rank, "world_size": RANKS, "board": str(folder / "board"), "shards": SHARDS,
             "uploader": {"uri": (folder / "store").as_uri(), "upload_staging_folder": str(folder / f"staging-{rank}"),
                          "use_procs": False, "peer_timeout": 1.0, "close_timeout": 1.0}},
            cwd=folder, script=Path(rank_program.__file__),
        )
        for rank in range(RANKS)
    ]  # fmt: skip
    try:
        victim = programs[chance.randrange(RANKS)]
        for _ in range(chance.randrange(1, 8)):
            victim.expect("published")
        victim.signal(signal.SIGKILL)
        for program in programs:
            if program is not victim:
                _read_until(program, "raised PeerLostError")
    finally:
        for program in programs:
            program.end()
    return judge(_file(folder / "store" / "latest"), lambda key: _file(folder / "store" / key))


def _read_until(program: Program, word: str) -> None:
    while not (line := program.expect("")).startswith(word):
        assert line.startswith("published"), f"{line!r} instead of {word!r}: {program.errors()}"


def _file(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulated", type=int, default=1000, metavar="N")
    parser.add_argument("--real", type=int, default=50, metavar="N")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    faults: list[str] = []
    for name, trial, count in (("simulated", simulated, args.simulated), ("real", real, args.real)):
        published: list[int] = []
        for seed in range(args.seed, args.seed + count):
            with tempfile.TemporaryDirectory() as folder:
                verdict = trial(seed, Path(folder))
            published.append(verdict.published)
            faults += [f"{name} {seed}: {fault}" for fault in verdict.faults]
        some = sum(number >= 0 for number in published)
        print(f"{name}: {count} runs with kills, a pointer in {some}, {len(faults)} that named what is not whole")
    print(*faults, sep="\n")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
