"""The conformance suite itself: it passes what is right, kills what is wrong, and tells the rest apart."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from rud_conformance.harness import Harness, harness_of
from rud_conformance.harnesses import Memory, Wired
from rud_conformance.mutants import mutants
from rud_conformance.registry import GROUPS, PROFILES, case_of, cases
from rud_conformance.report import console, exit_code, from_json_lines, json_line, matrix, registry_page
from rud_conformance.run import Run
from rud_conformance.verdict import HarnessError, Result, Verdict
from rud_conformance.wired import WiredBackend
from rud_fakes.memory import MemoryBackend

from rud.store import Backend, Capabilities

ROOT = Path(__file__).parents[2]


def test_every_group_has_cases() -> None:
    """The registry is not empty anywhere, and a larger profile has all of a smaller one."""
    assert {one.group for one in cases()} == set(GROUPS.values())
    smoke, quick, emulator, full, soak = ({one.id for one in cases(profile)} for profile in PROFILES)
    assert smoke < quick <= emulator <= full <= soak
    assert len(quick) >= 120


def verdict_of(case: str, harness: object) -> Result:
    return Run(harness, "smoke").result(case_of(case))


class _NoCreate(WiredBackend):
    @property
    def capabilities(self) -> Capabilities:
        return replace(super().capabilities, create="the gateway ignores the condition")

    def put(self, key, source, *, mode, **given):  # type: ignore[no-untyped-def]  # as its base
        from rud.errors import UnsupportedOperationError
        from rud.store import PutMode

        if mode is PutMode.CREATE:
            raise UnsupportedOperationError.during("put", key, "no create")
        return super().put(key, source, mode=mode, **given)


class NoCreate(Wired):
    backend = _NoCreate


def test_a_declared_no_is_tested() -> None:
    """What is declared a "no" and refused in words is told apart from what passes."""
    refused = verdict_of("O04", NoCreate)

    assert (refused.verdict, refused.reason) == (Verdict.REFUSED, "the gateway ignores the condition")
    assert verdict_of("X02", NoCreate).verdict is Verdict.PASS


def _raising(scope: str) -> Backend:
    raise RuntimeError(f"no place for {scope[:8]}")


def _no_backend(scope: str) -> object:
    return scope


class _Nothing(Harness):
    pass


@pytest.mark.parametrize("harness", [_raising, _no_backend, _Nothing])
def test_a_harness_that_is_wrong(harness: object) -> None:
    """A harness that raises, returns something else, or says nothing is its author's error, not the backend's."""
    assert verdict_of("X01", harness).verdict is Verdict.ERROR


@pytest.mark.parametrize("name", ["no", "no:no", "rud_conformance.harnesses:No", 7])
def test_a_name_that_leads_nowhere(name: object) -> None:
    """A harness that cannot be found is refused in words."""
    with pytest.raises(HarnessError):
        harness_of(name)


def test_a_bare_function_is_a_harness() -> None:
    """A function of a scope is all that an author has to write."""

    def opened(scope: str) -> Backend:
        return MemoryBackend("test-conformance", scope)

    assert verdict_of("N01", opened).verdict is Verdict.PASS
    missing = verdict_of("E02", opened)
    assert (missing.verdict, missing.reason) == (Verdict.NOT_OFFERED, "the harness has no wire()")


class _Deaf(Wired):
    class backend(WiredBackend):  # noqa: N801 - the attribute of the harness
        def head(self, key):  # type: ignore[no-untyped-def]  # as its base
            return self._meta(key, self._service._objects[self._whole(key)])


def test_a_fault_that_is_never_met() -> None:
    """A case whose planned trouble was met by no request has tried nothing, and says so."""
    result = verdict_of("E11", _Deaf)

    assert result.verdict in (Verdict.INCONCLUSIVE, Verdict.FAIL)


def test_a_store_that_is_gone() -> None:
    """When the service does not answer any more, the backend is not blamed."""

    class Gone(Wired):
        class backend(WiredBackend):  # noqa: N801 - the attribute of the harness
            def head(self, key):  # type: ignore[no-untyped-def]  # as its base
                raise ConnectionRefusedError

        def alive(self) -> bool:
            return False

    result = verdict_of("S12", Gone)

    assert (result.verdict, "does not answer" in result.reason) == (Verdict.INCONCLUSIVE, True)


def test_a_store_that_hangs() -> None:
    """A case that is not done in time is given up, and the next one is tried."""
    over = threading.Event()

    class Hanging(Wired):
        class backend(WiredBackend):  # noqa: N801 - the attribute of the harness
            def head(self, key):  # type: ignore[no-untyped-def]  # as its base
                over.wait(60)
                return super().head(key)

    run = Run(Hanging, "smoke", limit=0.2)
    hanging, fine = run.result(case_of("S12")), run.result(case_of("L13"))
    over.set()

    assert (hanging.verdict, hanging.reason) == (Verdict.INCONCLUSIVE, "not done after 0.2 s")
    assert fine.verdict is Verdict.PASS


def test_a_failure_comes_with_a_script(tmp_path: Path) -> None:
    """What is printed for a failure is a program that shows it again when it is run by itself."""
    (tmp_path / "faulty.py").write_text(
        "from rud_fakes.memory import MemoryBackend\n"
        "class Faulty(MemoryBackend):\n"
        "    def _whole(self, operation, key):\n"
        "        return super()._whole(operation, key).lower()\n"
        "def faulty(scope):\n"
        "    return Faulty('faulty', scope)\n",
        encoding="utf-8",
    )
    sys.path.insert(0, str(tmp_path))
    try:
        result = Run("faulty:faulty", "smoke").result(case_of("N01"))
        fixed = Run("faulty:faulty", "smoke").result(case_of("N09"))
    finally:
        sys.path.remove(str(tmp_path))

    assert (result.verdict, fixed.verdict) == (Verdict.FAIL, Verdict.FAIL)
    assert "hypothesis" not in result.script
    for script in (result.script, fixed.script):
        done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "AssertionError" in done.stderr


class BlanksArePlus(Wired):
    """A harness of a faulty backend that can be imported by its name."""

    class backend(WiredBackend):  # noqa: N801 - the attribute of the harness
        def _whole(self, key: str) -> str:
            return super()._whole(key.replace(" ", "+"))


@pytest.mark.parametrize("case", ["N01", "N04"])
def test_a_failure_of_a_class_is_shown_again(case: str) -> None:
    """The program that is printed names the class of the harness, and fails as it did, of generated input or not."""
    result = Run(BlanksArePlus, "quick").result(case_of(case))
    assert result.verdict is Verdict.FAIL
    done = subprocess.run([sys.executable, "-c", result.script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, "AssertionError" in done.stderr) == (1, True), done.stderr
    assert done.stderr.splitlines()[-1].removeprefix("AssertionError: ") == result.reason


def test_a_backend_that_asks_when_it_is_built() -> None:
    """What the service answers while an instance is built is held against the backend, not the harness."""
    asks = next(one for one in mutants() if one.id == "asks-when-built")

    assert [verdict_of(case, asks.harness).verdict for case in ("X08", "P18")] == [Verdict.PASS, Verdict.FAIL]


def _results(*verdicts: Verdict) -> list[Result]:
    return [Result("N01", verdict, "why") for verdict in verdicts]


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.PASS] * 50, 0),
        ([Verdict.PASS] * 50 + [Verdict.NOT_OFFERED], 0),
        ([Verdict.PASS] * 50 + [Verdict.FAIL, Verdict.ERROR], 1),
        ([Verdict.PASS] * 50 + [Verdict.ERROR], 2),
        ([Verdict.PASS] * 50 + [Verdict.INCONCLUSIVE], 2),
        ([Verdict.PASS], 3),
        ([], 3),
    ],
)
def test_exit_codes(verdicts: list[Verdict], code: int) -> None:
    """Green, the backend's fault, the harness's fault and too little are told apart; nothing executed is not green."""
    assert exit_code(_results(*verdicts), "smoke") == code


def test_what_is_required() -> None:
    """A required case, or capability, that was not executed makes a run fail."""
    results = [*_results(*[Verdict.PASS] * 50), Result("O04", Verdict.NOT_OFFERED, "declared: no")]

    assert exit_code(results, "smoke") == 0
    for wanted in ("O04", "create", "E02"):
        assert exit_code(results, "smoke", [wanted]) == 3
    assert "O04 is required" in console(results, "smoke", ["create"])


def test_reports(tmp_path: Path) -> None:
    """Console, JSON lines and matrix tell the same verdicts, with reasons; keys in them are escaped."""
    results = [verdict_of("N01", Memory), verdict_of("E02", Memory), replace(verdict_of("O04", NoCreate), notes=("n",))]
    lines = "\n".join(json_line(result, "memory", "smoke") for result in results)

    again = from_json_lines(lines)
    assert [(one.case, one.verdict) for one in again["memory"]] == [(one.case, one.verdict) for one in results]
    assert json.loads(lines.splitlines()[0])["verdict"] == "pass"
    table = matrix({"memory": results})
    assert "| N01 |" in table
    assert "no wire()" in table
    assert "refused-as-declared: the gateway ignores the condition" in table
    assert "1 pass" in console(results, "smoke")


def test_the_page_of_the_registry() -> None:
    """``docs/conformance-cases.md`` is what ``python -m rud_conformance.report`` prints."""
    assert (ROOT / "docs" / "conformance-cases.md").read_text(encoding="utf-8") == registry_page()


FILE = """
from rud_conformance import ConformanceSuite, Harness
from rud_fakes.memory import MemoryBackend

class MyStore(Harness):
    ephemeral = True

    def open(self, scope):
        return MemoryBackend("third-party", scope)

class TestMyStore(ConformanceSuite):
    harness = MyStore
    profile = "smoke"
"""


def _pytest(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_file_of_an_author(tmp_path: Path) -> None:
    """A class with a harness is a suite: each case is a test, what is not offered is skipped with its reason."""
    (tmp_path / "test_mine.py").write_text(FILE, encoding="utf-8")
    code, output = _pytest(tmp_path, "-rs", "-k", "X0 or E02 or enough")

    assert (code, "the harness has no wire()" in output) == (0, True), output


def test_without_a_file(tmp_path: Path) -> None:
    """``--pyargs rud_conformance`` runs the suite on a backend that is named on the command line."""
    given = (
        "--pyargs",
        "rud_conformance",
        "--rud-backend",
        "rud_conformance.harnesses:Wired",
        "--rud-profile",
        "smoke",
    )
    junit, lines = tmp_path / "junit.xml", tmp_path / "results.jsonl"
    code, output = _pytest(tmp_path, *given, "-k", "X or enough", f"--junitxml={junit}", "--rud-json", str(lines))

    assert (code, "passed" in output) == (0, True), output
    assert 'name="verdict" value="pass"' in junit.read_text(encoding="utf-8")
    (results,) = from_json_lines(lines.read_text(encoding="utf-8")).values()
    assert {one.case for one in results} == {one.id for one in cases("smoke") if one.id.startswith("X")}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "has no harness"),
        (("--rud-backend", "no.such:thing"), "cannot be imported"),
        (("--rud-backend", "rud_conformance.harnesses:Memory", "--rud-require", "E02"), "E02 not offered"),
    ],
)
def test_a_run_that_proves_nothing(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Without a backend, with one that is not there, or without what is required, a run is red."""
    code, output = _pytest(tmp_path, "--pyargs", "rud_conformance", "--rud-profile", "smoke", "-k", "E02", *arguments)

    assert (code, said in output) == (1, True), output
