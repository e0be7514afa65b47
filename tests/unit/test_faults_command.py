"""``rud faults``: every point in a list, a plan in words, a command under a plan."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from rud_fakes.faults.points import POINTS
from rud_fakes.faults.runtime import parse
from rud_fakes.faults.words import explain

from rud.cli import main

REACHES = "from rud import _faultpoints as f; f.load(); f.hit('fs.scan.after')"
"""A program that reaches one point, as an uploader does."""


def test_list_has_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its contract, with who injects it and with what it allows; the same as one object."""
    assert main(["faults", "list"]) == 0
    printed = capsys.readouterr().out
    assert main(["faults", "list", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["points"]

    assert [row["name"] for row in rows] == list(POINTS)
    assert {row["injected"] for row in rows} == {"library", "fault server"}
    for row in rows:
        assert row["contract"] in printed
        assert f"{row['injected']}: {', '.join(row['actions'])}" in printed


WORDS = """\
r1: when a store has read more of the body (worker.part.sent, library), if key is like 'ckpt/*', the 2nd time: \
the process gets SIGKILL.
    It fires at most once; the run fails unless it has fired at least once.
slow: when a request is about to be answered (http.response, fault server), if op is like 'put', every 3rd time, \
counted for each key apart: the answer is 503 SlowDown with Retry-After: 2, and nothing is done.
    It fires at most 10 times in each; the run fails unless it has fired exactly 4 times.
r3: when the log is about to be synced (fs.log.fsync.before, library), with the chance 0.25: \
nothing happens for 1.5 s, then it goes on; then the step fails with EIO.
    It fires once, over all processes and restarts; the run fails unless it has fired at least once.
Chances are decided by the seed 7: the same seed picks the same ones.
"""
LINE = (
    "seed(7); worker.part.sent[key=ckpt/*]#2=kill; "
    "slow: http.response[op=put,scope=key]%3*10=status(503,SlowDown,2); "
    "fs.log.fsync.before[once=1]~0.25=delay(1.5)+errno(EIO); expect(slow=4)"
)


def test_explain_says_what_a_plan_would_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A line, and a file in the other form, are told in the same words; the form as JSON is the same plan."""
    assert main(["faults", "explain", LINE]) == 0
    assert capsys.readouterr().out == WORDS
    assert main(["faults", "explain", "--json", LINE]) == 0
    file = tmp_path / "plan.json"
    file.write_text(capsys.readouterr().out)
    assert parse(file.read_text()) == parse(LINE)
    assert main(["faults", "explain", str(file)]) == 0
    assert capsys.readouterr().out == WORDS


def test_every_action_has_words() -> None:
    """Whatever a point allows is told in a sentence without a gap."""
    values = {
        "errno": "(EIO)", "raise": "(MemoryError)", "exit": "(1)", "_exit": "(1)", "delay": "(1)", "pause": "(a)",
        "truncate": "(1)", "flip": "(1)", "status": "(503)", "trickle": "(9)", "error200": "(InternalError)",
    }  # fmt: skip
    for point in POINTS.values():
        for action in point.actions:
            first, second = explain(parse(f"{point.name}={action}{values.get(action, '')}"))
            assert not {"{0}", "None", "True"} & set(first.split()), first
            assert second == "    It fires each time; the run fails unless it has fired at least once."


def test_a_wrong_plan_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    """It is refused with the nearest name, and nothing is run."""
    assert main(["faults", "explain", "fs.scan.aftr=kill"]) == 2
    assert "did you mean 'fs.scan.after'" in capsys.readouterr().err
    assert main(["faults", "run", "fs.scan.after=kill"]) == 2
    assert "there is no COMMAND" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("plan", "program", "code", "said"),
    [
        ("fs.scan.after=kill", REACHES, 137, "rule r1 has fired at fs.scan.after (number 1) in process"),
        ("fs.scan.after=delay(0)", REACHES, 2, "does not allow 'delay'"),
        ("fs.scan.before=errno(EIO)", REACHES, 4, "rule r1 at fs.scan.before has fired 0 times"),
        ("fs.scan.before=errno(EIO)", "raise SystemExit(9)", 9, "has fired 0 times"),
        ("fs.scan.before=errno(EIO); expect(r1=0)", REACHES, 0, ""),
    ],
)
def test_run_is_a_command_under_a_plan(
    plan: str, program: str, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It ends as the command does, and with 4 when all was well but a rule has not fired as it should."""
    assert main(["faults", "run", plan, "--", sys.executable, "-c", program]) == code
    assert said in capsys.readouterr().err
