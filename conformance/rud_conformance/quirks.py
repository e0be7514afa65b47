"""What the servers that the suite runs on get wrong: the cases that fail there for that reason, and the exchange that
shows it. Each is tried by a test, which fails when the server is mended.

There are none of fake-gcs-server: what it gets wrong takes faults to be seen, and those are made on ``rud_fakes.gcs``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quirk:
    """One defect of ``server``. ``request`` is answered by ``answer``, and not by ``instead``, which the service that
    it stands for documents. ``cases`` fail because of it, on whatever backend."""

    id: str
    server: str
    defect: str
    request: str
    answer: str
    instead: str
    cases: tuple[str, ...]


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
    ),
    Quirk(
        "versitygw-slashes",
        _VERSITYGW,
        "slashes in a row become one, since objects are files",
        "PUT /bucket/a//b; GET /bucket?list-type=2",
        "200; the listing has 'a/b'",
        "the listing has 'a//b'",
        ("N06",),
    ),
    Quirk(
        "versitygw-front",
        _VERSITYGW,
        "slashes in front of a key are dropped, so that '/k' is 'k'",
        "PUT /bucket//k; GET /bucket?list-type=2",
        "200; the listing has 'k'",
        "the listing has '/k'",
        ("N07", "N28"),
    ),
    Quirk(
        "versitygw-folder",
        _VERSITYGW,
        "a key that ends in a slash is a folder, and may have no content",
        "PUT /bucket/d/ with 1 byte",
        "400 DirectoryObjectContainsData",
        "200",
        ("N08",),
    ),
    Quirk(
        "versitygw-long",
        _VERSITYGW,
        "no segment of a key is longer than 255 bytes, since it is the name of a file",
        "PUT /bucket/sss… (256 bytes)",
        "400 KeyTooLongError",
        "200, up to 1,024 bytes",
        ("N15",),
    ),
    Quirk(
        "versitygw-control",
        _VERSITYGW,
        "listings have U+FFFD for control characters that XML 1.0 does not allow, also where they are to be encoded",
        "PUT /bucket/a%01; GET /bucket?encoding-type=url&list-type=2",
        "200; the listing has 'a%EF%BF%BD'",
        "the listing has 'a%01'",
        ("N12",),
    ),
    Quirk(
        "versitygw-not-empty",
        _VERSITYGW,
        "a key that is only the beginning of others cannot be deleted",
        "PUT /bucket/d/x; DELETE /bucket/d/",
        "400 ErrDirectoryNotEmpty",
        "204",
        ("V12",),
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
    ),
    Quirk(
        "moto-sums",
        _MOTO,
        "the checksum of an object is neither compared with its bytes nor told, unless the SDK has put it in a trailer",
        "PUT /bucket/k of 1 byte, x-amz-checksum-crc32c: AAAAAA==; HEAD /bucket/k, x-amz-checksum-mode: ENABLED",
        "200; 200 without x-amz-checksum-crc32c",
        "400 BadDigest",
        ("S10", "C03", "X04"),
    ),
)


def known(*quirks: Quirk) -> dict[str, str]:
    """For ``ConformanceSuite.known``: the cases that fail because of ``quirks``, each with why."""
    found: dict[str, str] = {}
    for quirk in quirks:
        for case in quirk.cases:
            told = f"{quirk.id}: {quirk.server}: {quirk.defect}"
            found[case] = f"{found[case]}; {told}" if case in found else told
    return found
