"""Owner folders: birth, locks, end, and the folders that are refused."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rud._clock import SystemClock
from rud._spool import Outcome, Spool, files, owner, scan
from rud.errors import ConfigurationError, PoolClosedError, SpoolError
from tests.support.spools import accept, open_spool, write

ROOT = str(Path(__file__).parents[2])
START = """
import sys
from pathlib import Path
from tests.support.spools import accept, open_spool
spool = open_spool(Path(sys.argv[1]))
print("born", flush=True)
sys.stdin.readline()
accept(spool, Path(sys.argv[2]), spool.folder)
print("accepted", flush=True)
sys.stdin.readline()
adoption = spool.adopt()
print(len(adoption.entries), len(adoption.skipped), flush=True)
sys.stdin.readline()
"""


def start(staging: Path, source: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START, str(staging), str(source)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": ROOT},
    )


def say(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def hear(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_eight_processes_that_start_at_once_leave_each_other_alone(tmp_path: Path) -> None:
    """No process adopts the folder of one that lives; what they leave when they are killed is adopted once."""
    source = write(tmp_path / "source", b"payload")
    processes = [start(tmp_path / "st", source) for _ in range(8)]
    try:
        for step in ("born", "accepted"):
            assert [hear(process) for process in processes] == [step] * 8
            for process in processes:
                say(process)
        assert [hear(process) for process in processes] == ["0 0"] * 8
        assert [one.alive for one in scan(str(tmp_path / "st"))] == [True] * 8
    finally:
        for process in processes:
            process.kill()
            process.communicate()
    spool = open_spool(tmp_path / "st")
    adoption = spool.adopt()

    assert len(adoption.entries) == len({entry.key for entry in adoption.entries}) == 8
    for entry in adoption.entries:
        assert spool.settle(entry, Outcome.STORED)
    assert spool.close() is None
    assert scan(str(tmp_path / "st")) == []


def test_a_second_spool_of_this_process_adopts_nothing_of_the_first(tmp_path: Path) -> None:
    """A POSIX lock does not exclude within a process; the table of owners does, and the lock survives the look."""
    first = open_spool(tmp_path / "st")
    accept(first, write(tmp_path / "source", b"x"))
    second = open_spool(tmp_path / "st")

    assert second.adopt().entries == []
    assert [line for line in second.adopt_folder(first.folder).skipped if "this process" in line]
    assert [one.alive for one in scan(str(tmp_path / "st"))] == [True, True]
    assert second.close() is None

    asked = "import sys; from rud._spool import owner; print(owner.is_alive(sys.argv[1]))"
    command = [sys.executable, "-c", asked, first.folder]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ROOT})
    assert answer.stdout.strip() == "True"
    first.abandon()


def test_a_dead_owner_whose_worker_lives_is_left_alone(tmp_path: Path) -> None:
    """A folder is taken only once its workers' locks are free; the line says so, and waiting is bounded."""
    first = open_spool(tmp_path / "st")
    accept(first, write(tmp_path / "source", b"x"))
    hold = "import fcntl,sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, 2); print('held', flush=True); input()"
    worker = subprocess.Popen(
        [sys.executable, "-c", hold, *first.worker_lock_paths(3)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    folder = first.folder
    try:
        assert hear(worker) == "held"
        first.abandon()
        second = open_spool(tmp_path / "st")
        skipped = second.adopt().skipped
        assert [line for line in skipped if f"worker-{os.getpid()}-3.lock is held" in line and "rud resume" in line]
        assert second.adopt_folder(folder, wait=0.05).entries == []
    finally:
        worker.kill()
        worker.communicate()

    assert len(second.adopt_folder(folder, wait=30).entries) == 1
    second.abandon()


@pytest.mark.parametrize(
    ("change", "why"), [({"rank": 1}, "rank 0"), ({"destination": {"uri": "fake://other"}}, "another destination")]
)
def test_what_is_not_ours_is_named_and_left(tmp_path: Path, change: dict[str, object], why: str) -> None:
    """Only owners of the same destination and rank are adopted at start; any can be named to ``adopt_folder``."""
    first = open_spool(tmp_path / "st")
    accept(first, write(tmp_path / "source", b"x"))
    first.abandon()
    second = open_spool(tmp_path / "st", **change)  # type: ignore[arg-type]  # of a parametrised dict
    adoption = second.adopt()

    assert adoption.entries == []
    assert len(adoption.skipped) == 1
    assert why in adoption.skipped[0]
    assert len(second.adopt_folder(first.folder).entries) == 1
    second.abandon()


def test_the_folder_of_another_host_needs_a_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its locks may not be seen from here, so it is taken only with ``other_host``."""
    with monkeypatch.context() as patched:
        patched.setattr(owner, "host_name", lambda: "elsewhere")
        first = open_spool(tmp_path / "st")
        accept(first, write(tmp_path / "source", b"x"))
        first.abandon()
    second = open_spool(tmp_path / "st")

    assert "host elsewhere" in second.adopt().skipped[0]
    assert "--other-host" in second.adopt_folder(first.folder).skipped[0]
    assert len(second.adopt_folder(first.folder, other_host=True).entries) == 1
    second.abandon()


def test_owner_json_says_who_and_where_and_nothing_else(tmp_path: Path) -> None:
    """The facts are of this process and the destination as given; nothing of the environment gets in."""
    spool = open_spool(tmp_path / "st", rank=5)
    facts = files.read_json(str(Path(spool.folder, "owner.json")))

    assert set(facts) == {"host", "boot_id", "pid", "pid_started", "created", "rank", "destination", "fsync"}
    assert (facts["pid"], facts["rank"], facts["destination"]) == (os.getpid(), 5, {"uri": "fake://bucket"})
    assert Path(spool.folder).stat().st_mode & 0o777 == 0o700
    assert spool.close() is None


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A staging folder that is a file raises in words and stays as it was."""
    path = write(tmp_path / "file", b"content")
    with pytest.raises(ConfigurationError, match="is a file; give a folder"):
        open_spool(path)

    assert path.read_bytes() == b"content"


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    """A staging folder that others can write raises with the command that helps, and nothing is made in it."""
    folder = tmp_path / "st"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(ConfigurationError, match=r"can be written by others; run: chmod go-w"):
        open_spool(folder)

    assert list(folder.iterdir()) == []


def test_a_folder_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A staging folder of somebody else raises, and nothing is made in it."""
    folder = tmp_path / "st"
    folder.mkdir()
    found = folder.stat().st_uid
    monkeypatch.setattr(os, "getuid", lambda: found + 1000)
    if found == 0:
        os.chown(folder, 4321, -1)
    with pytest.raises(ConfigurationError, match="owned by another user"):
        open_spool(folder)

    assert list(folder.iterdir()) == []


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A birth that fails half-way raises ``ConfigurationError`` and leaves no folder that was made for it."""

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(owner.Owner, "_guard", refuse)
    with pytest.raises(ConfigurationError, match="cannot be written: Permission denied"):
        open_spool(tmp_path / "new" / "st")

    assert list(tmp_path.iterdir()) == []


def test_the_default_folder_is_the_users_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an argument the environment decides, and without that a private folder under the temporary one."""
    import tempfile

    from rud._spool import home

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv(home.ENVIRONMENT, raising=False)
    assert home.staging_folder(None) == str(tmp_path / f"rud-{os.getuid()}")
    monkeypatch.setenv(home.ENVIRONMENT, str(tmp_path / "mine"))
    assert home.staging_folder(None) == str(tmp_path / "mine")
    assert home.staging_folder(str(tmp_path / "given")) == str(tmp_path / "given")


def test_a_spool_for_resume_makes_and_accepts_nothing(tmp_path: Path) -> None:
    """It takes over, ends, and goes without a folder of its own."""
    first = open_spool(tmp_path / "st")
    source = write(tmp_path / "source", b"x")
    accept(first, source)
    first.abandon()
    resume = Spool.for_resume(str(tmp_path / "st"), clock=SystemClock())
    with pytest.raises(SpoolError, match="accepts nothing"):
        resume.stage(source)
    [entry] = resume.adopt_folder(first.folder).entries
    assert resume.settle(entry, Outcome.STORED)

    assert resume.close() is None
    assert scan(str(tmp_path / "st")) == []


def test_hidden_folders_go_after_a_day(tmp_path: Path) -> None:
    """What a death in birth or removal left under a hidden name is removed once it is old, not before."""
    spool = open_spool(tmp_path / "st")
    root = Path(spool.folder).parent
    now = SystemClock().time_ns()
    old, new = root / f".{now - 2 * 86400 * 10**9:016x}-1-a", root / f".{now:016x}-1-a"
    old.mkdir()
    new.mkdir()
    other = open_spool(tmp_path / "st")

    assert (old.exists(), new.exists()) == (False, True)
    assert [spool.close(), other.close()] == [None, None]


def test_importing_the_spool_is_cheap() -> None:
    """The import brings in none of the heavy modules that are only needed now and then."""
    heavy = "multiprocessing", "tempfile", "shutil", "subprocess", "urllib"
    code = f"before = set(sys.modules); import rud._spool; print(sorted({set(heavy)} & (set(sys.modules) - before)))"
    command = [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}; {code}"]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)

    assert answer.stdout.strip() == "[]"


def test_a_forked_child_leaves_its_parents_folder_alone(tmp_path: Path) -> None:
    """Closing in the child removes nothing, and an upload offered there is refused."""
    source = write(tmp_path / "source", b"x")
    code = f"""
import os, sys
from pathlib import Path
from rud.errors import PoolClosedError
from tests.support.spools import accept, open_spool
spool = open_spool(Path({str(tmp_path / "st")!r}))
child = os.fork()
if child == 0:
    try:
        spool.stage({str(source)!r})
    except PoolClosedError:
        spool.close()
        os._exit(7)
    os._exit(1)
_, status = os.waitpid(child, 0)
print(os.waitstatus_to_exitcode(status), os.path.isdir(spool.folder), spool.close())
"""
    command = [sys.executable, "-c", code]
    answer = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": ROOT})

    assert answer.stdout.split() == ["7", "True", "None"]


def test_a_closed_spool_writes_nothing_more(tmp_path: Path) -> None:
    """What comes late, as a sum or a mark of a worker, does not touch a folder that others may have taken over."""
    spool = open_spool(tmp_path / "st")
    entry = accept(spool, write(tmp_path / "source", b"x"))
    spool.close()
    before = sorted(os.listdir(spool.folder)), Path(spool.folder, "log-1").read_bytes()
    spool.started(entry, kills=0)
    assert not spool.settle(entry, Outcome.STORED)
    with pytest.raises(PoolClosedError):
        spool.stage(tmp_path / "source")

    assert (sorted(os.listdir(spool.folder)), Path(spool.folder, "log-1").read_bytes()) == before
