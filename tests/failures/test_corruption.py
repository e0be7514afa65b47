"""Whatever is damaged in a spool is found before it is sent, set aside and told; all the rest goes."""

from __future__ import annotations

import io
import logging
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rud_fakes import FakeClock
from rud_fakes.memory import MemoryBackend
from rud_fakes.runtime import InlineRuntime

from rud import SpoolError, Uploader
from rud._spool import Outcome, records, scan
from tests.support import scripted_store
from tests.support.scripted_store import SCRIPTS
from tests.support.spools import accept, open_spool, payload_of

scripted_store.register()
BUCKET = "corruption"
SMALL, LARGE = 100, 300_000
HOUR = 3600.0


class Lines(logging.Handler):
    """What was said at WARNING or above."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())


@dataclass
class Dead:
    """The staging folder of two runs that have died, and what they had accepted, the newest of a key last."""

    staging: Path
    accepted: dict[str, list[bytes]] = field(default_factory=dict)
    runs: int = 0

    def uploader(self) -> Uploader:
        self.runs += 1
        clock = FakeClock()
        clock.advance(self.runs * HOUR)
        self.runtime = InlineRuntime(clock, stepped=self.runs < 3)
        return Uploader(
            f"scripted://{BUCKET}",
            use_procs=False,
            upload_staging_folder=self.staging,
            on_failure="warn",
            _runtime=self.runtime,
        )

    def run(self, sizes: dict[str, int]) -> None:
        """Accept a file for each key, have what begins with "refused" fail and the rest wait, and die."""
        uploader = self.uploader()
        for key, size in sizes.items():
            content = f"{self.runs} of {key} ".encode() * (size // 8)
            source = self.staging.parent / "source"
            source.write_bytes(content[:size])
            uploader.upload(source, key)
            self.accepted.setdefault(key, []).append(content[:size])
            if key.startswith("refused"):
                SCRIPTS[BUCKET].puts.append("denied")
                self.runtime.settle()
                self.runtime.links[0].work()
                self.runtime.settle()
        uploader._spool.abandon()
        uploader._pid = -1

    def files(self) -> list[Path]:
        return sorted(path for path in self.staging.rglob("*") if path.is_file() and path.suffix != ".lock")

    def holds(self, content: bytes) -> bool:
        return any(content in path.read_bytes() for path in self.files())


@pytest.fixture(scope="module")
def template() -> Iterator[Dead]:
    folder = Path(tempfile.mkdtemp())
    MemoryBackend.forget(BUCKET)
    dead = Dead(folder / "staging")
    dead.run({"refused": SMALL, "small": SMALL, "large": LARGE, "twice": SMALL})
    dead.run({"other": SMALL, "big": LARGE, "twice": LARGE})
    for owner in (dead.staging / "rud-spool" / "v1").iterdir():
        (owner / "notes.txt").write_text("written by nobody of rud")
    yield dead
    shutil.rmtree(folder)


def damage(dead: Dead, how: str, which: int, where: int, bit: int) -> tuple[Path, bytes]:
    """One file is not what was written; which, and what it was."""
    files = [path for path in dead.files() if path.name not in {"notes.txt", "answered"}]
    path = files[which % len(files)]
    before = path.read_bytes()
    at = where % len(before)
    if how == "flip":
        path.write_bytes(before[:at] + bytes([before[at] ^ (1 << bit)]) + before[at + 1 :])
    elif how == "truncate":
        path.write_bytes(before[:at])
    elif how == "zeros":
        path.write_bytes(before[:at] + bytes(min(4096, len(before) - at)) + before[at + 4096 :])
    elif how == "gone":
        path.unlink()
    else:
        alike = [other for other in files if other.suffix == path.suffix and other != path]
        other = alike[where % len(alike)]
        path.write_bytes(other.read_bytes())
        other.write_bytes(before)
    return path, before


@settings(deadline=None, max_examples=max(10, settings().max_examples // 4))
@given(
    how=st.sampled_from(["flip", "truncate", "zeros", "swap", "gone"]),
    which=st.integers(0, 100),
    where=st.integers(0, LARGE),
    bit=st.integers(0, 7),
)
def test_damage_anywhere(template: Dead, how: str, which: int, where: int, bit: int) -> None:
    """I1, I4: after any damage to any file of a spool no wrong byte is in the store, under no wrong key; what is not
    stored is kept and was told, and nothing is removed that was not understood."""
    with tempfile.TemporaryDirectory() as folder:
        staging = Path(folder) / "staging"
        shutil.copytree(template.staging, staging)
        dead = Dead(staging, template.accepted, template.runs)
        path, before = damage(dead, how, which, where, bit)
        # Just so a loss of power leaves the end of a log without ``fsync``: I2 promises no more.
        cut = (
            path.name.startswith("log-") and path.exists() and not path.read_bytes()[where % len(before) :].strip(b"\0")
        )
        check(dead, before, swapped=how == "swap", cut=cut and how != "swap")


def check(dead: Dead, before: bytes, *, swapped: bool, cut: bool) -> None:
    MemoryBackend.forget(BUCKET)
    SCRIPTS[BUCKET].puts.clear()
    lines, logger = Lines(), logging.getLogger("rud")
    logger.addHandler(lines)
    try:
        with dead.uploader() as uploader:
            uploader.drain(adopted=True)
    finally:
        logger.removeHandler(lines)
    stored = contents()
    for key, content in stored.items():
        assert content in dead.accepted[key], f"{key!r} holds what nobody uploaded"
    for key, versions in dead.accepted.items():
        newest = versions[-1]
        if stored.get(key) == newest or cut:
            continue
        assert key == "refused" or lines.said, f"{key!r} is missing and nobody was told"
        # What was in the damaged file cannot all be there; of everything else, every byte is.
        assert dead.holds(newest) or newest in before or swapped
    assert len(list(dead.staging.rglob("notes.txt"))) == 2


def contents() -> dict[str, bytes]:
    store = MemoryBackend(BUCKET)
    found: dict[str, bytes] = {}
    for meta in store.list(""):
        sink = io.BytesIO()
        store.get(meta.key, sink)
        found[meta.key] = sink.getvalue()
    return found


# What this version does not understand


def add_record(log: Path, kind: int, **header: object) -> None:
    """As a later version of rud would write it, at the end of a segment."""
    data = log.read_bytes()
    start = records.decode_segment_header(data)
    assert start is not None
    place = start.nonce, records.scan(data).end
    log.write_bytes(
        data[: place[1]] + records.encode_record(place, kind, records.encode_header(header))  # type: ignore[arg-type]  # a kind that is none
    )


def a_dead_spool(tmp_path: Path) -> Path:
    """An owner folder with one upload that waits."""
    source = tmp_path / "source"
    source.write_bytes(b"weights")
    spool = open_spool(tmp_path / "staging")
    accept(spool, source)
    spool.abandon()
    return Path(spool.folder)


def test_a_record_of_an_unknown_kind(tmp_path: Path) -> None:
    """What the version knows is sent, the record is told, and its folder stays."""
    folder = a_dead_spool(tmp_path)
    add_record(folder / "log-1", 99, about="something new")
    spool = open_spool(tmp_path / "staging")
    adoption = spool.adopt()
    (entry,) = adoption.entries
    assert payload_of(entry) == b"weights"
    assert spool.settle(entry, Outcome.STORED)
    assert spool.close() == str(folder)

    assert "does not know: [99]" in adoption.damage[0]
    assert b"something new" in (folder / "log-1").read_bytes()
    assert [one.damage for one in scan(str(tmp_path / "staging"))] == [tuple(adoption.damage)]


@pytest.mark.parametrize(
    ("kind", "header"),
    [(records.Kind.OUTCOME, {"id": 1, "outcome": "archived"}), (records.Kind.ACCEPTED, {"name": "k", "version": 2})],
)
def test_a_record_of_a_newer_schema(tmp_path: Path, kind: int, header: dict[str, object]) -> None:
    """A log with a record that cannot be understood is left as it is, and said so, also by ``rud status``."""
    folder = a_dead_spool(tmp_path)
    add_record(folder / "log-1", kind, **header)
    before = (folder / "log-1").read_bytes()
    spool = open_spool(tmp_path / "staging")
    adoption = spool.adopt()
    spool.close()

    assert adoption.entries == []
    assert "was left as it is: it cannot be read" in adoption.skipped[0]
    assert (folder / "log-1").read_bytes() == before
    assert "cannot be read" in scan(str(tmp_path / "staging"))[0].damage[0]


def test_a_failed_entry_that_was_changed(tmp_path: Path) -> None:
    """I4: one flipped bit anywhere in ``entry.json`` never sends a failed upload under another key or id."""
    folder = a_dead_spool(tmp_path)
    spool = open_spool(tmp_path / "staging")
    (entry,) = spool.adopt().entries
    failed = Path(spool.fail(entry, {"text": "no"}))
    whole = (failed / "entry.json").read_bytes()
    for at in range(len(whole)):
        (failed / "entry.json").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        try:
            again = spool.retake(str(failed))
        except SpoolError:
            continue
        assert (again.key, payload_of(again)) == ("k", b"weights")
        failed = Path(spool.fail(again, {"text": "no"}))
        whole = (failed / "entry.json").read_bytes()
    assert (failed / "payload").read_bytes() == b"weights"
    assert folder.is_dir()
    spool.close()


def test_a_hundred_thousand_entries(tmp_path: Path) -> None:
    """As many uploads as a run of weeks may leave are all found, in their order."""
    folder = a_dead_spool(tmp_path)
    log, count = folder / "log-1", 100_000
    data = log.read_bytes()
    start = records.decode_segment_header(data)
    assert start is not None
    at, parts = records.scan(data).end, [data]
    for number in range(1, count):
        header = {"id": number, "key": f"k{number}", "size": 0, "overwrite": True, "mtime": 0}
        parts.append(records.encode_record((start.nonce, at), records.Kind.ACCEPTED, records.encode_header(header)))
        at += len(parts[-1])
    log.write_bytes(b"".join([data[: records.scan(data).end], *parts[1:]]))
    spool = open_spool(tmp_path / "staging")
    adoption = spool.adopt()
    spool.abandon()

    assert len(adoption.entries) == count
    assert [entry.key for entry in adoption.entries[:3]] == ["k1", "k2", "k3"]
