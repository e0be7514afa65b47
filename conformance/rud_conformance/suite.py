"""``ConformanceSuite``: the cases as tests of pytest, one each."""

from __future__ import annotations

from typing import ClassVar

import pytest

from rud_conformance.registry import Case, Profile, cases
from rud_conformance.report import json_line
from rud_conformance.run import FLOORS, Run
from rud_conformance.verdict import HarnessError, Verdict

_RUN = pytest.StashKey[Run]()


class ConformanceSuite:
    """Derive a class whose name begins with ``Test`` and set ``harness``; pytest does the rest.

    ``harness``: a ``Harness``, a class of one, or ``"module:name"``. ``profile``: ``--rud-profile`` wins. ``known``:
    ids of cases that a defect of the *store* makes fail, each with the defect in words; they have to fail.
    """

    harness: ClassVar[object] = None
    profile: ClassVar[Profile] = "quick"
    known: ClassVar[dict[str, str]] = {}

    @pytest.fixture
    def rud_harness(self, request: pytest.FixtureRequest) -> object:
        """What to run on; a class that needs other fixtures for it defines this one instead of ``harness``."""
        harness = self.harness or request.config.getoption("--rud-backend")
        if harness is None:
            pytest.fail(f"{type(self).__name__} has no harness: set one, or --rud-backend module:name", pytrace=False)
        return harness

    @pytest.fixture
    def rud_run(self, rud_harness: object, request: pytest.FixtureRequest) -> Run:
        """The run of this class."""
        node = request.node.getparent(pytest.Class)
        assert node is not None
        run: Run | None = node.stash.get(_RUN, None)
        if run is None:
            node.stash[_RUN] = run = _run_of(rud_harness, request.config, type(self))
            node.addfinalizer(run.harness.close)
        return run

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """A test for each case of the profile."""
        if "rud_case" in metafunc.fixturenames:
            chosen = cases(_profile(metafunc.config, type(self)))
            metafunc.parametrize("rud_case", chosen, ids=[one.id for one in chosen])

    @pytest.mark.rud_conformance
    def test_case(self, rud_case: Case, rud_run: Run, request: pytest.FixtureRequest) -> None:
        """The backend keeps the property."""
        result = rud_run.result(rud_case)
        # For JUnit; record_property would warn of a dialect that has no place for them.
        request.node.user_properties += [
            ("property", rud_case.property),
            ("verdict", result.verdict.value),
            ("reason", result.reason),
        ]
        if path := request.config.getoption("--rud-json"):
            with open(path, "a", encoding="utf-8") as file:
                file.write(json_line(result, rud_run.name, rud_run.profile) + "\n")
        required = set(request.config.getoption("--rud-require") or ())
        told = f"{rud_case.id} {result.verdict.value}: {result.reason}"
        if rud_case.id in self.known:
            assert result.verdict is Verdict.FAIL, f"{told}; the defect is gone: {self.known[rud_case.id]}"
            pytest.xfail(self.known[rud_case.id])
        if result.verdict is Verdict.NOT_OFFERED and not required & {rud_case.id, *rud_case.needs}:
            pytest.skip(told)
        if result.verdict not in (Verdict.PASS, Verdict.REFUSED):
            pytest.fail(f"{told}\n{rud_case.property}\n\n{result.script}", pytrace=False)

    @pytest.mark.rud_conformance
    def test_enough_is_executed(self, rud_run: Run) -> None:
        """So many cases can be executed that the run proves something."""
        executable, floor = len(rud_run.executable()), FLOORS[rud_run.profile]
        assert executable >= floor, f"only {executable} cases can be executed here; {rud_run.profile} asks for {floor}"


def _profile(config: pytest.Config, cls: type[ConformanceSuite]) -> Profile:
    return config.getoption("--rud-profile") or cls.profile


def _run_of(harness: object, config: pytest.Config, cls: type[ConformanceSuite]) -> Run:
    try:
        return Run(harness, _profile(config, cls), seed=config.getoption("--rud-seed"))
    except HarnessError as error:
        pytest.fail(str(error), pytrace=False)
