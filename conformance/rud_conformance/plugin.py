"""The pytest plugin, loaded in every run of everybody who has rud installed: it imports pytest and nothing else.

What it adds to other people's test runs is named so that it cannot meet theirs: fixtures and marks begin with ``rud_``,
options with ``--rud-``.
"""

from __future__ import annotations

import pytest

# Asserts of the suite live in a package, where pytest rewrites them only when told before the import.
pytest.register_assert_rewrite("rud_conformance.suite")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marks, so that a run with strict marks accepts the suite."""
    config.addinivalue_line("markers", "rud_conformance: a test of the suite; select them with -m rud_conformance")
