"""Every backend keeps the contract on every server that it is tried on, by the suite that authors of others run.

Here each has its turn below a prefix; the whole of it, and at the root of a bucket, is ``tests/full/conformance.py``.
"""

from __future__ import annotations

from typing import ClassVar

import pytest
from rud_conformance.harness import Harness
from rud_conformance.harnesses import FakeGCS, FakeS3, GCSByHmac, GCSOnFakeGcsServer, S3OnMoto, S3OnVersitygw
from rud_conformance.quirks import MOTO, VERSITYGW, known
from rud_conformance.registry import Profile
from rud_conformance.suite import ConformanceSuite
from rud_fakes.servers import FakeGcs, Moto, Versitygw

EMULATOR: Profile = "quick"


class TestS3OnAFaultyServer(ConformanceSuite):
    """S3, under faults."""

    harness = FakeS3
    profile = "smoke"


class TestGCSOnAFaultyServer(ConformanceSuite):
    """Cloud Storage, under faults."""

    harness = FakeGCS
    profile = "smoke"


class TestGCSByHmac(ConformanceSuite):
    """Cloud Storage by its S3-compatible interface."""

    harness = GCSByHmac
    profile = "smoke"


class TestS3OnMoto(ConformanceSuite):
    """S3 on a server that takes what others refuse."""

    profile: ClassVar[Profile] = "smoke"
    known: ClassVar[dict[str, str]] = known(*MOTO)
    on: ClassVar[type[S3OnMoto]] = S3OnMoto

    @pytest.fixture
    def rud_harness(self, rud_moto: Moto) -> Harness:
        """The server of the session."""
        return self.on(rud_moto)


class TestS3OnVersitygw(ConformanceSuite):
    """S3 on a server that many people use, which verifies everything."""

    profile = EMULATOR
    known: ClassVar[dict[str, str]] = known(*VERSITYGW)
    on: ClassVar[type[S3OnVersitygw]] = S3OnVersitygw

    @pytest.fixture
    def rud_harness(self, rud_versitygw: Versitygw) -> Harness:
        """The server of the session."""
        return self.on(rud_versitygw)


class TestGCSOnFakeGcsServer(ConformanceSuite):
    """Cloud Storage on a server that many people use."""

    profile = EMULATOR
    on: ClassVar[type[GCSOnFakeGcsServer]] = GCSOnFakeGcsServer

    @pytest.fixture
    def rud_harness(self, rud_fake_gcs: FakeGcs) -> Harness:
        """The server of the session."""
        return self.on(rud_fake_gcs)
