"""Each quirk that switches a case off is still one: a test here that fails is a server that was mended.

Then the quirk goes from ``rud_conformance.quirks``, with its test, and the cases are switched on.
"""

from __future__ import annotations

import http.client
from collections.abc import Mapping

from rud_conformance.quirks import MOTO, VERSITYGW, Quirk
from rud_conformance.registry import cases
from rud_fakes.servers import Moto, Versitygw

from tests.support.s3 import new_place

QUIRKS = (*VERSITYGW, *MOTO)


def test_every_quirk_is_tried() -> None:
    """Each has a test here, an id of its own, and names cases that there are."""
    tried = {name.removeprefix("test_").replace("_", "-") for name in globals() if name.startswith("test_")}
    ids = [quirk.id for quirk in QUIRKS]

    assert set(ids) <= tried
    assert len(ids) == len(set(ids))
    assert {case for quirk in QUIRKS for case in quirk.cases} <= {case.id for case in cases()}


class OnVersitygw:
    """A bucket of its own, and requests to it as they are written."""

    def __init__(self, server: Versitygw) -> None:
        self.place = new_place(server.address)

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        return self.place.server.ask(method, f"/{self.place.bucket}{path}", body)

    def listed(self) -> str:
        return self.ask("GET", "?encoding-type=url&list-type=2")[1]


def shows(quirk: str, *, expected: object, found: object) -> None:
    told: Quirk = next(one for one in QUIRKS if one.id == quirk)
    assert expected == found, f"{told.server} is mended: {told.defect!r} is gone, and so should {quirk} be"


def test_versitygw_dots(rud_versitygw: Versitygw) -> None:
    """``a/../b`` is stored as ``b``."""
    bucket = OnVersitygw(rud_versitygw)
    bucket.ask("PUT", "/a/../b", b"x")

    shows("versitygw-dots", expected=True, found="<Key>b</Key>" in bucket.listed())


def test_versitygw_slashes(rud_versitygw: Versitygw) -> None:
    """``a//b`` is stored as ``a/b``."""
    bucket = OnVersitygw(rud_versitygw)
    bucket.ask("PUT", "/a//b", b"x")

    shows("versitygw-slashes", expected=True, found="<Key>a/b</Key>" in bucket.listed())


def test_versitygw_front(rud_versitygw: Versitygw) -> None:
    """``/k`` is stored as ``k``."""
    bucket = OnVersitygw(rud_versitygw)
    bucket.ask("PUT", "//k", b"x")

    shows("versitygw-front", expected=True, found="<Key>k</Key>" in bucket.listed())


def test_versitygw_folder(rud_versitygw: Versitygw) -> None:
    """``d/`` with content is refused."""
    status, answer = OnVersitygw(rud_versitygw).ask("PUT", "/d/", b"x")

    shows("versitygw-folder", expected=(400, True), found=(status, "DirectoryObjectContainsData" in answer))


def test_versitygw_long(rud_versitygw: Versitygw) -> None:
    """A segment of 256 bytes is refused."""
    status, answer = OnVersitygw(rud_versitygw).ask("PUT", "/" + "s" * 256, b"x")

    shows("versitygw-long", expected=(400, True), found=(status, "KeyTooLongError" in answer))


def test_versitygw_control(rud_versitygw: Versitygw) -> None:
    """A control character is listed as U+FFFD."""
    bucket = OnVersitygw(rud_versitygw)
    bucket.ask("PUT", "/a%01", b"x")

    shows("versitygw-control", expected=True, found="a%EF%BF%BD" in bucket.listed() or "a\ufffd" in bucket.listed())


def test_versitygw_not_empty(rud_versitygw: Versitygw) -> None:
    """``d/`` cannot be deleted while there is ``d/x``."""
    bucket = OnVersitygw(rud_versitygw)
    bucket.ask("PUT", "/d/x", b"x")
    status, answer = bucket.ask("DELETE", "/d/")

    shows("versitygw-not-empty", expected=(400, True), found=(status, "ErrDirectoryNotEmpty" in answer))


def asked(url: str, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> tuple[int, Mapping[str, str]]:
    """One request without a signature, which moto does not ask for."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        answer.read()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}
    finally:
        connection.close()


def test_moto_line_feed(rud_moto: Moto) -> None:
    """A key with a line feed cannot be put."""
    path = f"/{new_place(rud_moto.address).bucket}/a%0A"

    shows("moto-line-feed", expected=404, found=asked(rud_moto.url, "PUT", path, b"x", {})[0])


def test_moto_sums(rud_moto: Moto) -> None:
    """A wrong checksum is taken, and not told again."""
    path = f"/{new_place(rud_moto.address).bucket}/k"
    status, _ = asked(rud_moto.url, "PUT", path, b"x", {"x-amz-checksum-crc32c": "AAAAAA=="})
    _, told = asked(rud_moto.url, "HEAD", path, b"", {"x-amz-checksum-mode": "ENABLED"})

    shows("moto-sums", expected=(200, None), found=(status, told.get("x-amz-checksum-crc32c")))
