"""``rud resume``: what dead runs have left is sent, whoever they were and however often it is interrupted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from rud._resume import ResumeOutcome, owner_folders, resume
from rud._resume.sending import spec_for
from rud._spool import files
from rud.cli import exits
from tests.support import switched_store
from tests.support.commands import Rud, runner
from tests.support.dead_runs import Run, contents_of

SMALL = {f"small/{number}": bytes([number]) * 100 for number in range(20)}
LARGE = {f"large/{number}": bytes([number]) * 400_000 for number in range(4)}


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str]) -> Rud:
    return runner(capfd)


def send(run: Run, **more: object) -> ResumeOutcome:
    return resume(owner_folders(str(run.staging_folder)), **more)  # type: ignore[arg-type]  # handed on


def test_everything_is_sent(rud: Rud, tmp_path: Path) -> None:
    """Small and large files that a killed process had accepted are stored, and its folder is gone."""
    run = Run(tmp_path, SMALL | LARGE)
    folder = run.die()

    done = rud("resume", run.staging_folder)

    assert (done.code, done.last) == (exits.DONE, "stored 24, failed 0, spooled 0")
    assert contents_of(run.store) == SMALL | LARGE
    assert not folder.exists()
    assert rud("resume", folder).last == "stored 0, failed 0, spooled 0"


def test_folders_of_all_ranks(rud: Rud, tmp_path: Path) -> None:
    """One command sends what several ranks have left, for several destinations."""
    for rank in range(3):
        Run(tmp_path, {f"rank{rank}": b"x"}, rank=rank, uri=f"file://{tmp_path}/store{rank % 2}").die()

    told = rud("resume", "--json", tmp_path / "staging").json

    assert (told["stored"], len(told["folders"])) == (3, 3)
    assert set(contents_of(tmp_path / "store0")) == {"rank0", "rank2"}
    assert set(contents_of(tmp_path / "store1")) == {"rank1"}


def test_killed_and_run_again(tmp_path: Path) -> None:
    """``rud resume`` that is killed again and again, at its start or amid uploads, loses nothing."""
    run = Run(tmp_path, SMALL | LARGE)
    run.die()
    command = [sys.executable, "-m", "rud", "resume", str(run.staging_folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    for files_before_the_kill in (0, 3, 12):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(contents_of_what_is_there(run.store)) < files_before_the_kill and process.poll() is None:
            pass
        process.send_signal(signal.SIGKILL)
        process.wait()

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    assert done.returncode == exits.DONE, done.stderr
    assert contents_of(run.store) == SMALL | LARGE
    assert owner_folders(str(run.staging_folder)) == []


def contents_of_what_is_there(store: Path) -> list[str]:
    return [name for _, _, names in os.walk(store) for name in names if not name.startswith(".")]


def test_failed(rud: Rud, tmp_path: Path) -> None:
    """What has failed stays aside and keeps the exit code at 4, until ``--failed`` tries it again."""
    run = Run(tmp_path, {"a": b"1", "b": b"2" * 500_000}, failed=("a", "b"))
    run.die()

    first = rud("resume", run.staging_folder)
    second = rud("resume", "--failed", run.staging_folder)

    assert (first.code, first.last) == (exits.FAILED, "stored 0, failed 2, spooled 0")
    assert (second.code, second.last) == (exits.DONE, "stored 2, failed 0, spooled 0")
    assert contents_of(run.store) == {"a": b"1", "b": b"2" * 500_000}


@pytest.mark.parametrize("commands", [["--failed"], ["", "--failed"]])
def test_failed_is_no_newer_than_it_was(rud: Rud, tmp_path: Path, commands: list[str]) -> None:
    """I5: what has failed and is tried again is not sent over what was accepted after it, waiting or stored."""
    Run(tmp_path, {"a": b"old", "b": b"1"}, failed=("a",)).die()
    run = Run(tmp_path, {"a": b"new"})
    run.die()
    codes = [rud("resume", *filter(None, [command]), run.staging_folder).code for command in commands]

    assert codes[-1] == exits.DONE
    assert contents_of(run.store) == {"a": b"new", "b": b"1"}


def test_other_host(rud: Rud, tmp_path: Path) -> None:
    """A folder of another host is taken only when it is said that the host's run is dead."""
    run = Run(tmp_path, {"a": b"1"})
    folder = run.die()
    facts = files.read_json(str(folder / "owner.json"))
    files.write_json(str(folder / "owner.json"), {**facts, "host": "elsewhere"})

    first = rud("resume", folder)
    second = rud("resume", "--other-host", folder)

    assert (first.code, first.last) == (exits.LEFT, "stored 0, failed 0, spooled 1")
    assert "it is of host elsewhere (add --other-host" in first.err
    assert (second.code, second.last) == (exits.DONE, "stored 1, failed 0, spooled 0")


def test_running_process_is_left_alone(rud: Rud, tmp_path: Path) -> None:
    """A living run sends its own: it is no trouble among others, and left for later when it was asked for by name."""
    run = Run(tmp_path, {"a": b"1"})
    process, folder = run.start(alive=True)
    try:
        assert rud("resume", run.staging_folder).code == exits.DONE
        assert rud("resume", folder).code == exits.LEFT
        assert not run.store.exists()
    finally:
        process.communicate()

    assert rud("resume", folder).code == exits.DONE


def test_other_destination_is_refused(rud: Rud, tmp_path: Path) -> None:
    """Arguments that lead elsewhere than the run's own are refused in words, and nothing is sent."""
    switched_store.register()
    run = Run(tmp_path, {"a": b"1"}, uri=f"file://{tmp_path}/store")
    folder = run.die()
    facts = files.read_json(str(folder / "owner.json"))
    facts["destination"] = {"scheme": "switched", "bucket": "any", "prefix": "x/store", "region": "eu-1"}
    files.write_json(str(folder / "owner.json"), facts)

    done = rud("resume", folder, "--backend-kwargs", '{"region": "us-1", "token": "s3cr3t"}')

    assert (done.code, done.last) == (exits.USAGE, "stored 0, failed 0, spooled 1")
    assert "region 'eu-1', but the arguments lead to" in done.err
    assert "s3cr3t" not in done.err


def test_arguments_keep_their_kind(rud: Rud, tmp_path: Path) -> None:
    """A public argument that is no text comes back from the disk as what it was; the secret ones are not there."""
    switched_store.register()
    store = tmp_path / "store"
    switched_store.switch_off(store, "BucketNotFoundError")
    (tmp_path / "a").write_bytes(b"1")
    staging, arguments = tmp_path / "staging", json.dumps({"region": [7, True, None], "token": "s3cr3t"})
    uri = switched_store.uri_of(store)
    rud("upload", "--threads", "--staging-folder", staging, "--backend-kwargs", arguments, tmp_path / "a", uri)
    (folder,) = owner_folders(str(staging))
    facts = Path(folder, "owner.json").read_text(encoding="utf-8")
    switched_store.switch_on(store)

    assert spec_for(json.loads(facts)["destination"], None).arguments == {"region": [7, True, None]}
    assert "s3cr3t" not in facts
    assert rud("resume", folder, "--backend-kwargs", '{"region": "7"}').code == exits.USAGE
    assert rud("resume", folder, "--backend-kwargs", '{"token": "another"}').last == "stored 1, failed 0, spooled 0"


def test_trouble_and_recovery(tmp_path: Path) -> None:
    """While the store is out of service nothing fails, however few attempts that leaves; later all is sent."""
    switched_store.register()
    run = Run(tmp_path, SMALL)
    folder = _redirected(run, tmp_path)
    switched_store.switch_off(tmp_path / "store", "ObjectStoreTransientError")

    limited = send(run, timeout=3.0)
    (one,) = limited.folders
    assert (one.stop, one.report.spooled, one.report.failed) == ("time limit", len(SMALL), 0)

    switched_store.switch_on(tmp_path / "store")
    assert str(send(run).total) == f"stored {len(SMALL)}, failed 0, spooled 0"
    assert not folder.exists()


def test_missing_bucket_is_trouble(tmp_path: Path) -> None:
    """A destination that is missing ends the wait at once; the next folder for it is not even tried."""
    switched_store.register()
    for rank in (1, 2):
        _redirected(Run(tmp_path, {f"k{rank}": b"1"}, rank=rank), tmp_path)
    switched_store.switch_off(tmp_path / "store", "BucketNotFoundError")

    outcome = send(Run(tmp_path, {}), timeout=60.0)

    assert [(one.stop, one.report.spooled) for one in outcome.folders] == [("trouble", 1), ("trouble", 1)]
    assert "out of service" in outcome.folders[1].why


def test_destination_that_may_not_be_read(tmp_path: Path) -> None:
    """Credentials that may not look at what is there leave it spooled; with ``overwrite_newer`` it is sent."""
    switched_store.register()
    run = Run(tmp_path, {"a": b"1"})
    _redirected(run, tmp_path)
    switched_store.switch_off(tmp_path / "store", "AccessDeniedError")

    (one,) = send(run, timeout=60.0).folders

    assert (one.stop, one.report.spooled, one.report.failed) == ("trouble", 1, 0)
    switched_store.switch_on(tmp_path / "store")
    assert send(run, overwrite_newer=True).total.stored == 1


def test_newer_object_of_somebody_else(rud: Rud, tmp_path: Path) -> None:
    """An object that is newer than the accept and not ours stays; ``--failed --overwrite-newer`` replaces it."""
    run = Run(tmp_path, {"a": b"ours"})
    run.die()
    run.store.mkdir()
    (run.store / "a").write_bytes(b"theirs, and newer")

    assert rud("resume", run.staging_folder).last == "stored 0, failed 1, spooled 0"
    assert contents_of(run.store) == {"a": b"theirs, and newer"}
    assert rud("resume", "--failed", "--overwrite-newer", run.staging_folder).code == exits.DONE
    assert contents_of(run.store) == {"a": b"ours"}


def test_store_of_another_process(tmp_path: Path, rud: Rud) -> None:
    """What was meant for the memory of a dead process cannot be sent, and is not pretended to be."""
    run = Run(tmp_path, {"a": b"1"})
    folder = run.die()
    facts = files.read_json(str(folder / "owner.json"))
    facts["destination"] = {"scheme": "memory", "bucket": "b", "prefix": ""}
    files.write_json(str(folder / "owner.json"), facts)

    done = rud("resume", folder)

    assert (done.code, done.last) == (exits.USAGE, "stored 0, failed 0, spooled 1")
    assert f"rud discard {folder}" in done.err


def test_interrupt(tmp_path: Path) -> None:
    """Ctrl-C ends it with an outcome: what is left stays spooled, and the next one sends it."""
    run = Run(tmp_path, SMALL)
    run.die()

    def interrupt(folder: str, counts: object) -> None:
        raise KeyboardInterrupt

    switched_store.register()
    _redirect(owner_folders(str(run.staging_folder))[0], tmp_path)
    switched_store.switch_off(tmp_path / "store", "ObjectStoreTransientError")
    (one,) = send(run, on_progress=interrupt).folders
    switched_store.switch_on(tmp_path / "store")

    assert (one.stop, one.report.spooled) == ("interrupted", len(SMALL))
    assert send(run).total.stored == len(SMALL)


def test_damage_is_failed(rud: Rud, tmp_path: Path) -> None:
    """A payload that is not what was accepted is never sent; it is kept and said, and the exit code is 4."""
    run = Run(tmp_path, {"a": b"1" * 500_000, "b": b"2"})
    folder = run.die()
    (payload,) = (folder / "big").iterdir()
    payload.write_bytes(b"short")

    done = rud("resume", folder)

    assert (done.code, done.last) == (exits.FAILED, "stored 1, failed 1, spooled 0")
    assert "5 bytes, 500000 were accepted" in done.err
    assert contents_of(run.store) == {"b": b"2"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_root_gives_back_what_it_makes(tmp_path: Path) -> None:
    """What root leaves in the spool of another user is that user's, who can go on with it."""
    run = Run(tmp_path, {"a": b"1"})
    folder = _redirected(run, tmp_path)
    for parent, folders, names in os.walk(folder):
        for name in (".", *folders, *names):
            os.chown(os.path.join(parent, name), 12345, 12345)
    switched_store.switch_off(tmp_path / "store", "BucketNotFoundError")

    send(run, timeout=60.0)

    assert {path.stat().st_uid for path in (folder, *folder.rglob("*"))} == {12345}


def _redirected(run: Run, tmp_path: Path) -> Path:
    """The folder of a dead run whose destination is a store that can be switched off."""
    folder = run.die()
    _redirect(str(folder), tmp_path)
    return folder


def _redirect(folder: str, tmp_path: Path) -> None:
    path = os.path.join(folder, "owner.json")
    facts = files.read_json(path)
    prefix = str(tmp_path / "store").lstrip("/")
    facts["destination"] = {"scheme": "switched", "bucket": "any", "prefix": prefix}
    files.write_json(path, facts)
