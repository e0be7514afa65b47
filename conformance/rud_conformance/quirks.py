"""What the servers that the suite runs on get wrong: the cases that fail there for that reason, and the exchange that
shows it. A test makes each of them, and fails when the server is mended; ``rud conformance`` makes it, too.

There are none of fake-gcs-server: what it gets wrong takes faults to be seen, and those are made on ``rud_fakes.gcs``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

Headers = Mapping[str, str]
Answer = tuple[int, str, Headers]
"""Status, body and headers, whose names are in lower case."""


class Asked(Protocol):
    """Requests as they are written, to an empty place of a server. ``path``: from there on."""

    def ask(self, method: str, path: str, body: bytes = b"", headers: Headers | None = None) -> Answer: ...

    def listed(self) -> list[str]:
        """The paths of what is there, decoded."""
        ...


@dataclass(frozen=True, slots=True)
class Quirk:
    """One defect of ``server``. ``request`` is answered by ``answer``, and not by ``instead``, which the service that
    it stands for documents. ``cases`` fail because of it, on whatever backend. ``shows``: whether it still does, by
    making the request."""

    id: str
    server: str
    defect: str
    request: str
    answer: str
    instead: str
    cases: tuple[str, ...]
    shows: Callable[[Asked], bool] = field(repr=False)

    @property
    def told(self) -> str:
        """It, for a person."""
        return f"{self.id}: {self.server}: {self.defect}"


def _stored_as(path: str, name: str) -> Callable[[Asked], bool]:
    """An object that is put at ``path`` is listed as ``name``."""

    def shows(place: Asked) -> bool:
        place.ask("PUT", path, b"x")
        return place.listed() == [name]

    return shows


def _refused(path: str, *codes: str) -> Callable[[Asked], bool]:
    """A put at ``path`` is answered by one of ``codes``."""

    def shows(place: Asked) -> bool:
        answer = place.ask("PUT", path, b"x")[1]
        return any(f"<Code>{code}</Code>" in answer for code in codes)

    return shows


def _lists_another_character(place: Asked) -> bool:
    place.ask("PUT", "/a%01", b"x")
    found = place.listed()
    place.ask("DELETE", "/a%01")  # whoever cleans by the listing does not find it
    return found == ["/a\ufffd"]


def _keeps_a_beginning(place: Asked) -> bool:
    place.ask("PUT", "/d/x", b"x")
    status, answer, _ = place.ask("DELETE", "/d/")
    return status == 400 and "ErrDirectoryNotEmpty" in answer


def _finds_no_line_feed(place: Asked) -> bool:
    return place.ask("PUT", "/a%0A", b"x")[0] == 404


def _verifies_no_sum(place: Asked) -> bool:
    status, _, _ = place.ask("PUT", "/k", b"x", {"x-amz-checksum-crc32c": "AAAAAA=="})
    _, _, told = place.ask("HEAD", "/k", headers={"x-amz-checksum-mode": "ENABLED"})
    return status == 200 and "x-amz-checksum-crc32c" not in told


_VERSITYGW = "versitygw 1.8.0 (posix)"
_MOTO = "moto 5.2.5"

VERSITYGW = (
    Quirk(
        "versitygw-dots",
        _VERSITYGW,
        "segments of dots are resolved, since objects are files",
        "PUT /bucket/a/../b; GET /bucket?list-type=2",
        "200; the listing has 'b'",
        "the listing has 'a/../b'",
        ("N05",),
        _stored_as("/a/../b", "/b"),
    ),
    Quirk(
        "versitygw-slashes",
        _VERSITYGW,
        "slashes in a row become one, since objects are files",
        "PUT /bucket/a//b; GET /bucket?list-type=2",
        "200; the listing has 'a/b'",
        "the listing has 'a//b'",
        ("N06",),
        _stored_as("/a//b", "/a/b"),
    ),
    Quirk(
        "versitygw-front",
        _VERSITYGW,
        "slashes in front of a key are dropped, so that '/k' is 'k'",
        "PUT /bucket//k; GET /bucket?list-type=2",
        "200; the listing has 'k'",
        "the listing has '/k'",
        ("N07", "N28"),
        _stored_as("//k", "/k"),
    ),
    Quirk(
        "versitygw-folder",
        _VERSITYGW,
        "a key that ends in a slash is a folder, and may have no content",
        "PUT /bucket/d/ with 1 byte",
        "400 DirectoryObjectContainsData",
        "200",
        ("N08",),
        _refused("/d/", "DirectoryObjectContainsData"),
    ),
    Quirk(
        "versitygw-long",
        _VERSITYGW,
        "no segment of a key is longer than 255 bytes, since it is the name of a file",
        "PUT /bucket/sss… (256 bytes)",
        "400 KeyTooLongError",
        "200, up to 1,024 bytes",
        ("N15",),
        # Below a folder it is looked up before it is measured.
        _refused("/" + "s" * 256, "KeyTooLongError", "ExistingObjectIsDirectory"),
    ),
    Quirk(
        "versitygw-control",
        _VERSITYGW,
        "listings have U+FFFD for control characters that XML 1.0 does not allow, also where they are to be encoded",
        "PUT /bucket/a%01; GET /bucket?encoding-type=url&list-type=2",
        "200; the listing has 'a%EF%BF%BD'",
        "the listing has 'a%01'",
        ("N12",),
        _lists_another_character,
    ),
    Quirk(
        "versitygw-not-empty",
        _VERSITYGW,
        "a key that is only the beginning of others cannot be deleted",
        "PUT /bucket/d/x; DELETE /bucket/d/",
        "400 ErrDirectoryNotEmpty",
        "204",
        ("V12",),
        _keeps_a_beginning,
    ),
)

MOTO = (
    Quirk(
        "moto-line-feed",
        _MOTO,
        "a key with a line feed leads nowhere",
        "PUT /bucket/a%0A",
        "404",
        "200",
        ("N12",),
        _finds_no_line_feed,
    ),
    Quirk(
        "moto-sums",
        _MOTO,
        "the checksum of an object is neither compared with its bytes nor told, unless the SDK has put it in a trailer",
        "PUT /bucket/k of 1 byte, x-amz-checksum-crc32c: AAAAAA==; HEAD /bucket/k, x-amz-checksum-mode: ENABLED",
        "200; 200 without x-amz-checksum-crc32c",
        "400 BadDigest",
        ("S10", "C03", "X04"),
        _verifies_no_sum,
    ),
)


def is_path(key: str) -> bool:
    """Whether versitygw, which keeps objects as files, keeps ``key`` as it is."""
    parts = key.split("/")
    named = all(part not in ("", ".", "..") and len(part.encode()) <= 255 for part in parts)
    return named and all(" " <= one <= "\ufffd" for one in key)


def is_one_line(key: str) -> bool:
    """Whether moto finds ``key`` again."""
    return "\n" not in key


@dataclass(frozen=True, slots=True)
class Server:
    """One whose defects are known. ``header``: how what it calls itself in an answer begins. ``keeps``: see
    ``rud_conformance.harness.Limits``."""

    header: str
    quirks: tuple[Quirk, ...]
    keeps: Callable[[str], bool]


SERVERS = {"versitygw": Server("VERSITYGW", VERSITYGW, is_path), "moto": Server("Werkzeug", MOTO, is_one_line)}
"""By the name that the command line has for them."""


def known(*quirks: Quirk) -> dict[str, str]:
    """For ``ConformanceSuite.known``: the cases that fail because of ``quirks``, each with why."""
    found: dict[str, str] = {}
    for quirk in quirks:
        for case in quirk.cases:
            found[case] = f"{found[case]}; {quirk.told}" if case in found else quirk.told
    return found
