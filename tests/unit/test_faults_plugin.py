"""The pytest plugin, in runs of pytest's own."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from rud_fakes.faults import plugin

CONFTEST = 'pytest_plugins = ["rud_fakes.faults.plugin"]\n'
KEEPER = """
import pytest

class Shelf:
    def __init__(self):
        self.kept = {}
    def put(self, key, data):
        self.kept[key] = data

@pytest.fixture
def shelf():
    return Shelf()

@pytest.mark.parametrize("tries", [1, 2])
@pytest.mark.rud_faults
def test_put(shelf, rud_faults, tries):
    faulty = rud_faults.wrap(shelf)
    for left in reversed(range(tries)):
        try:
            faulty.put("a", b"xxx")
            break
        except Exception as error:
            assert left, error
    assert shelf.kept["a"] == b"xxx"
"""


def run(folder: Path, test: str, *options: str, conftest: str = CONFTEST) -> tuple[int, str]:
    """The exit status and what was printed."""
    (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    (folder / "test_it.py").write_text(test, encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "--rootdir", ".", "-W", "error", *options]
    # No plugins of others but the one that swept tests have to get on with: they take longer to load than the tests.
    command += ["-p", "pytest_timeout"]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def counts(printed: str) -> dict[str, int]:
    """Of the last line, by outcome."""
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", printed.splitlines()[-1])}


def test_a_sweep_finds_what_one_try_does_not_survive(tmp_path: Path) -> None:
    """The test that tries twice fails only where the store itself is wrong; the one that tries once fails under every
    fault that is no mere delay. Each can be run again by the line that is printed."""
    status, printed = run(tmp_path, KEEPER, "--rud-faults-sweep")
    once, twice = (re.search(rf"test_put\[{n}\]: (\d+) faults, (\d+) of them", printed) for n in (1, 2))
    assert once is not None, printed
    assert twice is not None, printed
    replays = re.findall(r"pytest (test_it\S+|'test_it[^']+') --rud-faults-replay ('[^']+'|\S+)", printed)

    assert status == 1
    assert once[1] == twice[1]
    assert int(twice[2]) == 1 < int(once[2]) < int(once[1])
    assert len(replays) == int(once[2]) + int(twice[2]) == counts(printed)["failed"]
    name, plan = (one.strip("'") for one in replays[0])
    status, printed = run(tmp_path, KEEPER, name, "--rud-faults-replay", plan)
    assert (status, counts(printed)) == (1, {"failed": 1}), printed


SWEPT = """
import pytest

@pytest.fixture(scope="module")
def made(request):
    made = []
    yield made
    assert len(made) >= 1

@pytest.mark.rud_faults
@pytest.mark.timeout(30)
def test_red(rud_faults):
    assert False

@pytest.mark.rud_faults
def test_nothing(made):
    made.append(1)

@pytest.mark.rud_faults("http.response[op=put]#1=status(503)")
def test_plan(rud_faults, made):
    made.append(1)
    store = rud_faults.wrap({}, names={"put": "update"})
    with pytest.raises(OSError):
        store.update(a=1)

def test_called(rud_faults, made):
    made.append(1)
    store = rud_faults("http.response[op=put]#2=status(503)").wrap({}, names={"put": "update"})
    store.update(a=1)

class TestOther:
    def test_other(self):
        pass
"""


def test_what_is_swept_and_what_is_not(tmp_path: Path) -> None:
    """What is red without a fault is not swept; a sweep in which nothing was reached fails, as does a plan that has not
    fired; a test with a plan of its own runs once, under that."""
    status, printed = run(tmp_path, SWEPT, "--rud-faults-sweep")

    assert status == 1
    assert counts(printed) == {"failed": 3, "passed": 3}, printed
    assert "rule r1 at http.response has fired 0 times" in printed
    assert "test_it.py::test_nothing: 1 faults, 1 of them make it fail" in printed


def test_a_plan_is_made_smaller(tmp_path: Path) -> None:
    """Of three rules the one that matters is left, in a command that runs it."""
    plan = "store.slow=delay(0); http.response#1,2=status(503); http.request.head#7=reset; expect(r3=0)"
    status, printed = run(tmp_path, KEEPER, "--rud-faults-replay", plan, "--rud-faults-shrink", "-k", "2")
    smallest = re.search(r"--rud-faults-replay '([^']+)'", printed)

    assert status == 1
    assert smallest is not None, printed
    assert smallest[1] == "r2: http.response#1,2=status(503)"


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--rud-faults-replay", "http.respons=status(503)"], "did you mean 'http.response'"),
        (["--rud-faults-replay", "http.response=status(503)", "--rud-faults-sweep"], "cannot replay"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(options: list[str], why: str, tmp_path: Path) -> None:
    """A usage error, with the nearest name."""
    status, printed = run(tmp_path, KEEPER, *options)

    assert (status, why in printed) == (4, True), printed


UNUSED = 'import pathlib, sys\ndef pytest_unconfigure(): pathlib.Path("modules").write_text("\\n".join(sys.modules))\n'


def test_unused_it_costs_an_import_of_itself(tmp_path: Path) -> None:
    """A run that does not ask for the fixture imports the plugin and its packages, and nothing of rud."""
    status, printed = run(tmp_path, "def test_it(): pass\n", conftest=CONFTEST + UNUSED)
    found = set((tmp_path / "modules").read_text(encoding="utf-8").splitlines())

    assert status == 0, printed
    assert {one for one in found if one.partition(".")[0] in ("rud", "rud_fakes")} == {
        "rud_fakes", "rud_fakes.faults", "rud_fakes.faults.plugin",
    }  # fmt: skip


def test_its_names_meet_nobody_elses() -> None:
    """Fixture, mark and options begin with our name, since it is loaded beside all others."""
    text = Path(plugin.__file__).read_text(encoding="utf-8")
    fixtures = re.findall(r"^@pytest\.fixture.*\ndef (\w+)", text, re.MULTILINE)
    options = re.findall(r"addoption\(\s*\"([^\"]+)", text)

    assert [*fixtures, plugin.MARK] == ["rud_faults", "rud_faults"]
    assert len(options) == 4
    assert [one for one in options if not one.startswith("--rud-faults-")] == []
