"""``rud conformance``: what it says, where it refuses, how it ends, and that nothing of it stays behind."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rud_conformance import _progress, acts, run
from rud_conformance._journal import Journal, Written, dead_runs, state_folder
from rud_conformance._scope import Scope
from rud_conformance._stores import AtUri
from rud_conformance.command import main
from rud_conformance.registry import case_of
from rud_conformance.verdict import HarnessError
from rud_fakes._http.dialect import Reply
from rud_fakes.memory import MemoryBackend
from rud_fakes.s3 import S3Server
from rud_fakes.s3.dialect import HANDLERS
from rud_fakes.s3.objects import put_object
from rud_fakes.s3.state import Call

from rud._registry import resolve
from rud.backends.s3 import S3ObjectStore
from rud.cli import main as rud
from tests.support import bad_stores

ROOT = Path(__file__).parents[2]
GREEN, FAILS, BLAME, LITTLE = 0, 1, 2, 3
Trial = Callable[..., int]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setattr(bad_stores.Dies, "left", 3)
    bad_stores.HANGS.clear()
    bad_stores.register()
    yield
    bad_stores.HANGS.set()


@pytest.fixture
def trial(monkeypatch: pytest.MonkeyPatch) -> Trial:
    """The command with only these cases."""

    def begin(uri: str, ids: str, *arguments: str) -> int:
        chosen = [case_of(one) for one in ids.split()]
        monkeypatch.setattr(_progress, "cases", lambda profile: chosen)
        smoke = replace(run.BUDGETS["smoke"], floor=1)
        monkeypatch.setitem(run.BUDGETS, "smoke", smoke)
        monkeypatch.setitem(run.FLOORS, "smoke", 1)
        return main([uri, "--yes", *arguments])

    return begin


def left(bucket: str) -> list[str]:
    bad_stores.HANGS.set()
    return [meta.key for meta in MemoryBackend(bucket).list("")]


def journals() -> list[Path]:
    return list(state_folder().glob("*"))


def test_it_says_where_it_writes(trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the first case: the place, objects and bytes, the time bound, and how to clean up by hand."""
    table, lines = tmp_path / "table.md", tmp_path / "lines.jsonl"
    assert trial("memory://said/below", "X01 N01", "--json", str(lines), "--markdown", str(table)) == GREEN

    said = capsys.readouterr().out
    scope = re.findall(r"writes below memory://said/below/(rud-conf-\w{10})/", said)[0]
    for words in ("objects in turn", "MiB", "begins no case after 300 s", f"/{scope}.json", f"begins with {scope}"):
        assert words in said
    assert (left("said"), journals()) == ([], [])
    assert "| N01 |" in table.read_text(encoding="utf-8")
    assert [json.loads(line)["case"] for line in lines.read_text(encoding="utf-8").splitlines()] == ["X01", "N01"]


def test_a_folder_that_was_not_there(trial: Trial, tmp_path: Path) -> None:
    """Folders that a run makes go with it."""
    assert trial(f"file://{tmp_path}/new/store", "X01 N01") == GREEN
    assert not (tmp_path / "new").exists()


def test_as_a_command_of_rud(trial: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    """``rud conformance`` is the same, and the library itself knows nothing of it."""
    assert rud(["conformance"]) == BLAME
    assert "give the URI of an empty place" in capsys.readouterr().out
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "rud").rglob("*.py"))
    assert "rud_conformance" not in source


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is named, with how to install it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    assert main(["memory://nothing"]) == BLAME
    assert "pip install 'rud-uploader[conformance]'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "give the URI"),
        (("s3://bucket/prefix",), "Say --yes"),
        (("readsonly://bucket",), "Say --yes"),
        (("nothing",), "no URI"),
        (("memory://bucket", "--backend-kwargs", "{"), "no JSON"),
        (("--clean", "/no/such/journal"), "cannot be read"),
    ],
)
def test_what_is_refused(arguments: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command line that is wrong, or that may cost money, ends in a sentence before anything is written."""
    assert main(arguments) == BLAME
    assert said in capsys.readouterr().out
    assert journals() == []


def test_a_place_that_is_not_empty(capsys: pytest.CaptureFixture[str]) -> None:
    """Where there is anything, nothing is written, and what is there stays."""
    acts.put(MemoryBackend("full"), "somebody's", b"model")

    assert main(["memory://full"]) == BLAME
    assert "not empty" in capsys.readouterr().out
    assert (left("full"), journals()) == (["somebody's"], [])


@pytest.mark.parametrize(
    ("scheme", "cases", "code", "said"),
    [
        ("saysyes", "O04 O05", FAILS, "O04 fail"),
        ("saysno", "O04 X02", FAILS, "fail"),
        ("raises", "X01", BLAME, "no such gateway"),
        ("hangsalways", "X01", BLAME, "has not answered after 0.2 s"),
        ("hangsonce", "S12 X01", BLAME, "S12 inconclusive: not done after 0.2 s"),
        ("readsonly", "X01", BLAME, "may only read"),
        ("tramples", "N01", FAILS, "objects beside the place were changed or are gone"),
    ],
)
def test_bad_input(
    *, scheme: str, cases: str, code: int, said: str, trial: Trial, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each kind of trouble has its own words and exit code, within bounds, and leaves no object behind."""
    limit = ("--limit", "0.2") if scheme.startswith("hangs") else ()

    assert trial(f"{scheme}://bad-{scheme}", cases, *limit) == code
    assert said in capsys.readouterr().out
    assert left(f"bad-{scheme}") == []


def test_a_harness_that_cleans_too_much(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One that removes what is beside the place of the run is noticed, whatever the cases say of the backend."""

    def clean(self: AtUri, scope: str) -> None:
        run = scope.partition("/")[0]
        for meta in list(self.open("").list("")):
            if meta.key.startswith(run):
                self.open("").delete(meta.key)

    monkeypatch.setattr(AtUri, "clean", clean)
    assert trial("memory://swept/below", "X01 N09") == FAILS
    said = capsys.readouterr().out
    assert "2 pass" in said
    assert re.search(r"objects beside the place were changed or are gone: rud-conf-\w{10}x, ", said)
    assert (left("swept"), journals()) == ([], [])


def test_a_server_that_dies(trial: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    """The backend is not blamed for it; no further case is begun; the journal stays, and cleans up when it is back."""
    assert trial("dies://dead", "R01 N01 L01 V01 X01") == BLAME
    said = capsys.readouterr().out
    (journal,) = journals()
    assert "does not answer any more" in said
    assert f"rud conformance --clean {journal}" in said
    assert " fail:" not in said

    bad_stores.Dies.left = 1000
    assert main(["--clean", str(journal)]) == GREEN
    assert (left("dead"), journals()) == ([], [])


PROGRAM = """
import sys
from tests.support import bad_stores
from rud_conformance.command import main
bad_stores.register()
sys.exit(main([sys.argv[1], "--yes", "--limit", "2"]))
"""


def started(folder: Path) -> subprocess.Popen[str]:
    """The command in a process of its own, when a case has written its first object and stands still."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, f"tells://{folder.name}"],
        cwd=folder.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stderr is not None
    assert child.stderr.readline() == "written\n"
    return child


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("by", ["itself", "clean"])
def test_after_a_kill(by: str, trial: Trial, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed run left goes with the next run at that place, or by its journal."""
    folder = tmp_path / "store"
    child = started(folder)
    child.kill()
    child.communicate()
    (journal,) = journals()
    assert len(files(folder)) >= 3

    bad_stores.HANGS.set()
    monkeypatch.chdir(tmp_path)
    if by == "clean":
        assert main(["--clean", str(journal)]) == GREEN
    else:
        assert trial("tells://store", "X01") == GREEN
    assert (files(folder), journals()) == ([], [])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_on_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    """A run that is asked to end removes what it wrote, and keeps its journal only if a case may still write."""
    child = started(tmp_path / "store")
    child.send_signal(number)
    said, _ = child.communicate(timeout=60)

    assert (child.returncode, "interrupted" in said) == (BLAME, True), said
    assert files(tmp_path / "store") == []
    assert "a case still runs" in said


def test_a_run_that_lives_is_left_alone(tmp_path: Path) -> None:
    """A journal that a run holds is nobody else's, and one that names other things removes nothing."""
    written = Written("memory://bucket", "rud-conf-0", ("rud-conf-0x",))
    journal = Journal.begin(written, tmp_path)
    assert list(dead_runs("memory://bucket", tmp_path)) == []
    with pytest.raises(HarnessError, match="not over yet"):
        Journal.of_dead_run(journal.path)
    journal.close(done=False)
    (dead,) = dead_runs("memory://bucket", tmp_path)
    assert dead.written == written
    dead.close(done=True)

    (tmp_path / "forged.json").write_text('{"uri": "memory://b", "scopes": "", "keys": []}', encoding="utf-8")
    with pytest.raises(HarnessError, match="nothing is removed"):
        Journal.of_dead_run(tmp_path / "forged.json")


def forgetful(call: Call) -> Reply:
    """A put whose last byte is lost."""
    data = call.received.data or b""
    return put_object(replace(call, received=replace(call.received, data=data[:-1], size=max(0, len(data) - 1))))


def test_a_failure_at_a_uri_is_shown_again(
    trial: Trial, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program that is printed for a place leads there, names no secret, shows the failure, and cleans up."""
    monkeypatch.setitem(HANDLERS, "PutObject", forgetful)
    secret = "rud-conformance-secret"
    with S3Server("bucket", credentials={"KEY": secret}) as server:
        given: dict[str, object] = {
            "aws_access_key_id": "KEY",
            "aws_secret_access_key": secret,
            "endpoint_url": server.url,
        }
        given |= {"client_config": {"retries": {"total_max_attempts": 1}}, "region_name": "us-east-1"}
        assert trial("s3://bucket/some/where", "S01", "--backend-kwargs", json.dumps(given)) == FAILS
        said = capsys.readouterr().out
        script = "\n".join(line.removeprefix("  | ") for line in said.splitlines() if line.startswith("  | "))
        secrets = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": secret}
        config = {"CLIENT_CONFIG": json.dumps(given["client_config"])}
        asked = len(server.requests)
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **secrets, **config},
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, "AssertionError: the size" in done.stderr) == (1, True), script + done.stderr
        assert len(server.requests) > asked
        assert server.objects == {}
    assert secret not in said


def test_unfinished_uploads_go_too() -> None:
    """Multipart uploads that a run has begun and not ended are aborted; those of others are not."""
    server = S3Server("bucket", credentials={"KEY": "rud-conformance-secret"})
    server.start()
    keys = {"aws_access_key_id": "KEY", "aws_secret_access_key": "rud-conformance-secret"}
    spec = resolve("s3://bucket/some/where", {"endpoint_url": server.url, "region_name": "us-east-1", **keys})
    scope = Scope(spec, Written("s3://bucket/some/where", "rud-conf-0", ()), patience=30.0)
    try:
        assert isinstance(scope.backend, S3ObjectStore)
        for key in ("some/where/rud-conf-0/1/a", "some/where/other"):
            scope.backend._requests.call("create_multipart_upload", Key=key)
        assert scope.remove() == ""
        assert [one.key for one in server.uploads.values()] == ["some/where/other"]
    finally:
        scope.close()
        server.close()
