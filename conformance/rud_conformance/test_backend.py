"""For ``pytest --pyargs rud_conformance --rud-backend module:name``: the suite on a backend without a file of tests."""

from __future__ import annotations

from rud_conformance.suite import ConformanceSuite


class TestBackend(ConformanceSuite):
    """The backend of ``--rud-backend``."""
