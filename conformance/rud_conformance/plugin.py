"""The pytest plugin, loaded in every run of everybody who has rud installed: it imports pytest and nothing else.

What it adds to other people's test runs is named so that it cannot meet theirs: fixtures and marks begin with ``rud_``,
options with ``--rud-``.
"""

from __future__ import annotations

import pytest

# Asserts of the suite live in a package, where pytest rewrites them only when told before the import.
pytest.register_assert_rewrite("rud_conformance.suite")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The options of the suite."""
    group = parser.getgroup("rud", "conformance of storage backends")
    group.addoption(
        "--rud-backend", metavar="MODULE:NAME", help="a rud_conformance Harness, or a function of a scope, to run on"
    )
    profiles = ("smoke", "quick", "emulator", "full", "soak")
    group.addoption("--rud-profile", choices=profiles, help="how much to try (default: quick)")
    group.addoption("--rud-seed", type=int, help="other examples than the same ones each time")
    group.addoption(
        "--rud-require", action="append", metavar="ID", help="a case or capability that has to be executed; repeatable"
    )
    group.addoption("--rud-json", metavar="FILE", help="append each result to FILE, as a line of JSON")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, so that a run with strict marks accepts the suite."""
    config.addinivalue_line("markers", "rud_conformance: a test of the suite; select them with -m rud_conformance")
