"""Several ranks, each a process: they begin, fail, wait and end alike."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rud.errors import ConfigurationError
from tests.support import rank_program
from tests.support.processes import Program

RANKS = 3
Start = Callable[..., list[Program]]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts all ranks; what is given by rank replaces what all share."""
    programs: list[Program] = []
    (tmp_path / "board").mkdir()
    (tmp_path / "store").mkdir()

    def run(logger: dict[str, Any] | None = None, *, batches: int = 5, **by_rank: dict[str, Any]) -> list[Program]:
        for rank in range(RANKS):
            mine = by_rank.get(f"rank_{rank}", {})
            shared = {
                "bucket_uri": (tmp_path / "store").as_uri(),
                "file_path_format_string": "{rank}/{remote_file_name}",
                "use_procs": False,
                "upload_staging_folder": str(tmp_path / f"staging-{rank}"),
                "peer_timeout": 1.0,
                "close_timeout": 1.0,
                **(logger or {}),
                **mine.pop("logger", {}),
            }
            config = {
                "rank": rank, "world_size": RANKS, "board": str(tmp_path / "board"), "logger": shared,
                "files": {}, "batches": batches, "hang": None, **mine,
            }  # fmt: skip
            script = Path(rank_program.__file__)
            programs.append(Program("rank", config, cwd=tmp_path, script=script))
        return programs

    yield run
    for program in programs:
        program.end()


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Something to upload."""
    (tmp_path / "file").write_bytes(b"content")
    return str(tmp_path / "file")


def test_all_is_well(start: Start, file: str, tmp_path: Path) -> None:
    """When each has stored what it has, all return, and what they told each other's board is all that is left."""
    for program in start(**{f"rank_{rank}": {"files": {"f": file}} for rank in range(RANKS)}):
        program.expect("began")
        program.expect("met")
        program.expect("closed")
        assert program.wait() == 0
    assert sorted(str(path.relative_to(tmp_path / "store")) for path in (tmp_path / "store").rglob("f")) == [
        "0/f", "1/f", "2/f",
    ]  # fmt: skip


def test_rank_0_cannot_write(start: Start, file: str) -> None:
    """What rank 0 finds of the destination is raised by all, though the others have not looked."""
    programs = start({"bucket_uri": f"file://{file}/below"})
    said = [program.expect("raised") for program in programs]
    assert said[0].startswith("BucketNotFoundError")
    assert said[1] == said[2]
    kind, text = said[0].split(" ", 1)
    assert said[1] == f"{kind} rank 0 on {os.uname().nodename}: {text}"
    for program in programs:
        program.expect("closed")


def test_one_rank_fails(start: Start, file: str, tmp_path: Path) -> None:
    """What fails on one rank is raised by all, with its class, its key, its rank."""
    there = tmp_path / "store" / "1" / "f"
    there.parent.mkdir()
    there.write_bytes(b"of somebody else")
    programs = start(rank_1={"files": {"f": file}})
    for program in programs:
        program.expect("began")
    said = [program.expect("raised UploadExistsError") for program in programs]
    assert all("upload of '1/f'" in text and "failed on rank 1 after 1 attempt" in text for text in said)
    for program in programs:
        program.expect("closed")
    assert there.read_bytes() == b"of somebody else"


def test_one_rank_is_killed(start: Start, tmp_path: Path) -> None:
    """A rank that is killed is named by all the others within the limit."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    programs = start(rank_2={"hang": str(gate)})
    for program in programs:
        program.expect("began")
    programs[2].signal(signal.SIGKILL)
    for program in programs[:2]:
        assert "rank 2 has given no sign of life for 1 s: it is lost" in program.expect("raised PeerLostError")


def test_one_rank_is_slow(start: Start, tmp_path: Path) -> None:
    """A rank that lives is waited for beyond the limit."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    programs = start({"peer_timeout": 0.2}, rank_2={"hang": str(gate)})
    for program in programs:
        program.expect("began")
    # More signs of life than the limit has room for: each is a tenth of it, or less.
    board = rank_program.FolderStore(tmp_path / "board", "rud/logger/0/")
    while int(board.get("beat/2").decode().strip("=")) < 40:
        assert all(program.process.poll() is None for program in programs)
    gate.write_bytes(b"")
    for program in programs:
        program.expect("met")


def test_one_rank_leaves(start: Start, file: str) -> None:
    """A rank that cannot begin tells the others, which do not wait for it."""
    programs = start(rank_1={"logger": {"upload_staging_folder": file}})
    programs[1].expect("raised ConfigurationError")
    for program in (programs[0], programs[2]):
        program.expect("began")
        program.expect("raised ConfigurationError rank 1 on ")


def test_torch_contradicts_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Ranks that the launcher and torch number differently are refused where that is seen, before any upload."""
    import sys

    from rud import RemoteUploaderDownloader

    monkeypatch.setitem(sys.modules, "torch.distributed", rank_program.distributed(tmp_path, 1, 2))
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ConfigurationError, match=r"torch\.distributed says 1 of 2, which contradicts WORLD_SIZE"):
        RemoteUploaderDownloader(tmp_path)


def test_ranks_that_disagree_on_how_many_they_are(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A rank with a number of its own, by hand, is refused by ``init``: the others would wait for one that is not
    there."""
    import sys

    from rud import RemoteUploaderDownloader, State

    monkeypatch.setitem(sys.modules, "torch.distributed", rank_program.distributed(tmp_path, 1, 2))
    monkeypatch.setenv("RUD_RANK", "1")
    monkeypatch.setenv("RUD_WORLD_SIZE", "3")
    logger = RemoteUploaderDownloader(tmp_path / "store", upload_staging_folder=tmp_path / "staging")
    with pytest.raises(ConfigurationError, match=r"takes itself for 1 of 3, and torch\.distributed for 1 of 2"):
        logger.init(State("run"), None)

    assert not (tmp_path / "staging").exists()
