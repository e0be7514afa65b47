"""The stores over libcloud on servers that are slow to try, as far as their declarations go.

Its name is not one that pytest looks for: ``.ci/full`` names it.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
from rud_conformance.harness import Harness
from rud_conformance.harnesses.libcloud import LibcloudAzure, LibcloudS3OnMoto, LibcloudS3OnVersitygw
from rud_conformance.harnesses.oci import FakeOCIAtRoot
from rud_conformance.harnesses.sftp import SFTPOnSshd, SFTPOnSshdAtRoot
from rud_conformance.quirks import VERSITYGW, known
from rud_conformance.suite import ConformanceSuite
from rud_fakes.servers import Azurite, Moto, Sshd, Versitygw


class TestLibcloudS3OnMoto(ConformanceSuite):
    """The provider ``s3``."""

    profile = "smoke"

    @pytest.fixture
    def rud_harness(self, rud_moto: Moto) -> Harness:
        """The server of the session."""
        return LibcloudS3OnMoto(rud_moto)


class TestLibcloudS3OnVersitygw(ConformanceSuite):
    """The provider ``s3``, on a server that verifies everything."""

    profile = "smoke"
    known: ClassVar[dict[str, str]] = {case: why for case, why in known(*VERSITYGW).items() if case in ("N08", "V12")}
    """Of the others libcloud's own limits keep it away."""

    @pytest.fixture
    def rud_harness(self, rud_versitygw: Versitygw) -> Harness:
        """The server of the session."""
        return LibcloudS3OnVersitygw(rud_versitygw)


class TestLibcloudAzure(ConformanceSuite):
    """The provider ``azure_blobs``."""

    profile = "smoke"
    known: ClassVar[dict[str, str]] = {
        "T02": "libcloud numbers the blocks of every put alike: of two puts of one blob at once, one is refused"
    }

    @pytest.fixture
    def rud_harness(self, rud_azurite: Azurite) -> Harness:
        """The server of the session."""
        return LibcloudAzure(rud_azurite)


class TestSFTPOnSshd(ConformanceSuite):
    """SFTP, in a folder below the one in which sessions begin."""

    profile = "smoke"
    on: ClassVar[type[SFTPOnSshd]] = SFTPOnSshd

    @pytest.fixture
    def rud_harness(self, rud_sshd: Sshd) -> Harness:
        """The server of the session."""
        return self.on(rud_sshd)


class TestSFTPOnSshdAtRoot(TestSFTPOnSshd):
    """The same in an absolute folder."""

    on = SFTPOnSshdAtRoot


class TestOCIAtRoot(ConformanceSuite):
    """OCI without a prefix; below one it is tried with every change."""

    harness = FakeOCIAtRoot
    profile = "quick"
    known: ClassVar[dict[str, str]] = {
        "P23": "OCI's list of unfinished uploads tells nothing by which ours could be known, so they are left to a rule"
    }
