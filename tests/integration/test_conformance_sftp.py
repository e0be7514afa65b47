"""SFTP keeps the contract on OpenSSH's server."""

from __future__ import annotations

import pytest
from rud_conformance.harness import Harness
from rud_conformance.harnesses.sftp import SFTPByKeptConnections
from rud_conformance.suite import ConformanceSuite
from rud_fakes.servers import Sshd


class TestSFTPOnSshd(ConformanceSuite):
    """Below a folder."""

    profile = "smoke"

    @pytest.fixture
    def rud_harness(self, rud_sshd: Sshd) -> Harness:
        """The server of the session."""
        return SFTPByKeptConnections(rud_sshd)
