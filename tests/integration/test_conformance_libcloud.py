"""libcloud keeps the contract, as far as it declares to: under faults; what its folders get wrong is named."""

from __future__ import annotations

from typing import ClassVar

from rud_conformance.harnesses.libcloud import LibcloudGoogle, LibcloudLocal, LibcloudS3OnFake
from rud_conformance.suite import ConformanceSuite


class TestS3(ConformanceSuite):
    """The provider ``s3``, on a server that makes trouble."""

    harness = LibcloudS3OnFake
    profile = "smoke"


class TestGoogle(ConformanceSuite):
    """The provider ``google_storage`` by an HMAC key, on a server that verifies it and makes trouble."""

    harness = LibcloudGoogle
    profile = "smoke"


IN_PLACE = "libcloud's local driver writes in place, without a temporary name: "


class TestLocal(ConformanceSuite):
    """The provider ``local``."""

    harness = LibcloudLocal
    profile = "smoke"
    known: ClassVar[dict[str, str]] = {
        "P04": IN_PLACE + "what a broken source has given stays",
        "P06": IN_PLACE + "a put that fails has emptied the old object",
        "P15": IN_PLACE + "a put that is interrupted leaves what it had written",
        "K08": IN_PLACE + "so does one whose callback raises",
        "T02": IN_PLACE + "two puts at once mix their bytes",
    }
