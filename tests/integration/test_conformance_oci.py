"""OCI keeps the contract on a server that verifies every signature and makes trouble."""

from __future__ import annotations

from rud_conformance.harnesses.oci import FakeOCI
from rud_conformance.suite import ConformanceSuite


class TestOCI(ConformanceSuite):
    """Below a prefix."""

    harness = FakeOCI
    profile = "smoke"
