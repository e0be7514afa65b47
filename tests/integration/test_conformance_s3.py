"""S3 keeps the contract: on a server that makes trouble, and on versitygw."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import pytest
from rud_conformance.harness import Harness
from rud_conformance.harnesses import S3, FakeS3
from rud_conformance.suite import ConformanceSuite
from rud_fakes.servers import Versitygw


class TestNested(ConformanceSuite):
    """On the faulty server, under a prefix."""

    harness = FakeS3
    profile = "smoke"


def is_path(key: str) -> bool:
    """Whether versitygw, which keeps objects as files, keeps ``key`` as it is."""
    parts = key.split("/")
    named = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    return named and all(" " <= one <= "\ufffd" for one in key)


class OnVersitygw(S3):
    """Below a prefix of the bucket that every test of the session uses."""

    limits = replace(S3.limits, keeps=is_path)


PATHS = "versitygw 1.8.0 (posix) keeps objects as files: "


class TestVersitygw(ConformanceSuite):
    """On a server that many people use."""

    profile = "smoke"
    known: ClassVar[dict[str, str]] = {
        "N05": PATHS + "segments of dots are resolved",
        "N06": PATHS + "slashes in a row become one",
        "N07": PATHS + "slashes in front of a key are dropped",
        "N08": PATHS + "a key that ends in a slash is a folder, and may have no content",
        "N12": PATHS + "its listings have U+FFFD for control characters that XML 1.0 does not allow",
        "V12": PATHS + "deleting 'd/' while there is 'd/x' is an error",
    }

    @pytest.fixture
    def rud_harness(self, rud_versitygw: Versitygw) -> Harness:
        """The server of the session."""
        return OnVersitygw("s3://bucket/some/prefix", rud_versitygw.address.backend_kwargs)
