"""Every backend on every server, all cases of ``quick`` and, where no server is asked, of ``full``: below a prefix, and
at the root of a bucket of its own.

Its name is not one that pytest looks for: ``.ci/full`` names it, and ``.ci/run`` takes too little time for it.
"""

from __future__ import annotations

from rud_conformance import harnesses
from rud_conformance.suite import ConformanceSuite

from tests.integration import test_conformance_servers as servers


class TestMemory(ConformanceSuite):
    """``MemoryBackend``."""

    harness = harnesses.Memory
    profile = "full"


class TestMemoryAtRoot(ConformanceSuite):
    """The same without a prefix."""

    harness = harnesses.MemoryAtRoot
    profile = "full"


class TestFolder(ConformanceSuite):
    """``LocalObjectStore``, whose root is a folder like others."""

    harness = harnesses.Folder
    profile = "full"


class TestWired(ConformanceSuite):
    """The reference from which the mutants derive."""

    harness = harnesses.Wired
    profile = "full"


class TestWiredAtRoot(ConformanceSuite):
    """The same without a prefix."""

    harness = harnesses.WiredAtRoot
    profile = "full"


class TestS3OnAFaultyServer(ConformanceSuite):
    """S3, under faults."""

    harness = harnesses.FakeS3
    profile = "quick"


class TestS3OnAFaultyServerAtRoot(ConformanceSuite):
    """The same without a prefix."""

    harness = harnesses.FakeS3AtRoot
    profile = "quick"


class TestGCSOnAFaultyServer(ConformanceSuite):
    """Cloud Storage, under faults."""

    harness = harnesses.FakeGCS
    profile = "quick"


class TestGCSOnAFaultyServerAtRoot(ConformanceSuite):
    """The same without a prefix."""

    harness = harnesses.FakeGCSAtRoot
    profile = "quick"


class TestGCSByHmac(ConformanceSuite):
    """Cloud Storage by its S3-compatible interface."""

    harness = harnesses.GCSByHmac
    profile = "quick"


class TestS3OnMoto(servers.TestS3OnMoto):
    """S3 on moto."""

    profile = "quick"


class TestS3OnMotoAtRoot(servers.TestS3OnMoto):
    """The same without a prefix."""

    profile = "quick"
    on = harnesses.S3OnMotoAtRoot


class TestS3OnVersitygw(servers.TestS3OnVersitygw):
    """S3 on versitygw."""

    profile = servers.EMULATOR


class TestS3OnVersitygwAtRoot(servers.TestS3OnVersitygw):
    """The same without a prefix."""

    on = harnesses.S3OnVersitygwAtRoot


class TestGCSOnFakeGcsServer(servers.TestGCSOnFakeGcsServer):
    """Cloud Storage on fake-gcs-server."""

    profile = servers.EMULATOR


class TestGCSOnFakeGcsServerAtRoot(servers.TestGCSOnFakeGcsServer):
    """The same without a prefix."""

    on = harnesses.GCSOnFakeGcsServerAtRoot
