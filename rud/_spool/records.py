"""The format of a segment: a header, then records, each aligned to 8 bytes. Pure: bytes in, values out.

A segment begins with two equal copies of its header, so that one damaged byte cannot hide a whole segment. It has a
random number, and the checksum of each record covers that number and the record's own offset: bytes of an uploaded
segment do not pass for records. A record is a fixed part (with a checksum of its own, so that a torn record is told
from a damaged one), a JSON header, and a payload that may be empty.
"""

from __future__ import annotations

import enum
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import google_crc32c

_SEGMENT = struct.Struct("<8sQQQ")
_SEGMENT_MAGIC = b"RUDLOG\x00\x01"
_SUM = struct.Struct("<I")
_COPY = _SEGMENT.size + _SUM.size
SEGMENT_START = 2 * _COPY

_FIXED = struct.Struct("<4sB3xIII")
_PLACE = struct.Struct("<QQ")
_SUMS = struct.Struct("<II")
_RECORD = struct.Struct(_FIXED.format + _SUMS.format[1:])
HEADER_AT = _RECORD.size
_MAGIC = b"RUD\xa7"
_HEADER_LIMIT = 1 << 20

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode
_extend: Callable[[int, bytes], int] = google_crc32c.extend


class Kind(enum.IntEnum):
    """What a record says."""

    ACCEPTED = 1
    STARTED = 2
    MULTIPART = 3
    SUM = 4
    OUTCOME = 5
    RETIRED = 6
    """Every segment up to ``through`` was removed on purpose."""
    SEALED = 7
    """Another segment follows this one."""
    POSTPONED = 8
    """An attempt has failed, and another will follow: for people who look at the spool."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """``floor``: the greatest id when it was made. ``previous_end``: where the segment before it ends, whatever lies
    beyond.
    """

    nonce: int
    floor: int
    previous_end: int

    def encode(self) -> bytes:
        body = _SEGMENT.pack(_SEGMENT_MAGIC, self.nonce, self.floor, self.previous_end)
        return 2 * (body + _SUM.pack(_extend(0, body)))


def decode_segment_header(data: bytes) -> SegmentHeader | None:
    """The first whole copy, or ``None``."""
    for start in (0, _COPY):
        body, check = data[start : start + _SEGMENT.size], data[start + _SEGMENT.size : start + _COPY]
        if body.startswith(_SEGMENT_MAGIC) and check == _SUM.pack(_extend(0, body)):
            return SegmentHeader(*_SEGMENT.unpack(body)[1:])
    return None


@dataclass(slots=True)
class Record:
    kind: int
    header: dict[str, Any]
    payload_at: int
    payload_length: int
    payload_crc: int
    end: int


def encode_header(header: dict[str, Any]) -> bytes:
    return _encode(header).encode()


def encode_record(
    place: tuple[int, int], kind: Kind, header: bytes, payload: bytes = b"", payload_crc: int = 0
) -> bytes:
    """The bytes of a record for ``place``: a segment's random number, an offset."""
    fixed = _FIXED.pack(_MAGIC, kind, len(header), len(payload), payload_crc)
    check = _extend(0, fixed)
    bound = _extend(check, _PLACE.pack(*place) + header)
    padding = bytes(-(HEADER_AT + len(header) + len(payload)) % 8)
    return b"".join((fixed, _SUMS.pack(check, bound), header, payload, padding))


def _end(at: int, header_length: int, payload_length: int) -> int:
    return at + ((HEADER_AT + header_length + payload_length + 7) & ~7)


def _decode_record(data: bytes, at: int, size: int, nonce: int) -> Record | None:
    """The record at ``at``; ``None`` when there is none that is whole. Its payload is not looked at."""
    if at + HEADER_AT > size:
        return None
    magic, kind, header_length, payload_length, payload_crc, _, bound = _RECORD.unpack_from(data, at)
    end = _end(at, header_length, payload_length)
    if magic != _MAGIC or header_length > _HEADER_LIMIT or end > size:
        return None
    start = at + HEADER_AT
    header = data[start : start + header_length]
    if bound != _extend(0, data[at : at + _FIXED.size] + _PLACE.pack(nonce, at) + header):
        return None
    return Record(kind, _decode(header.decode())[0], start + header_length, payload_length, payload_crc, end)


def _is_torn(data: bytes, at: int, size: int) -> bool:
    """What lies from ``at`` to the end was never a whole record: its beginning, or zeros that a lost write left."""
    if at + HEADER_AT > size:
        return True
    magic, _, header_length, payload_length, _, check, _ = _RECORD.unpack_from(data, at)
    if magic == _MAGIC and check == _extend(0, data[at : at + _FIXED.size]):
        return _end(at, header_length, payload_length) > size
    return not any(data[at:size])


def _next_record(data: bytes, at: int, size: int, nonce: int) -> int | None:
    """Where the first whole record after ``at`` begins."""
    while (at := data.find(_MAGIC, at + 1, size)) >= 0:
        if at % 8 == 0 and _decode_record(data, at, size, nonce) is not None:
            return at
    return None


@dataclass(slots=True)
class Scan:
    """One segment as read. ``header`` is ``None`` when both copies are unreadable; ``damage`` are ranges of bytes."""

    header: SegmentHeader | None
    records: list[Record] = field(default_factory=list)
    end: int = SEGMENT_START
    damage: list[tuple[int, int]] = field(default_factory=list)


def scan(data: bytes, known_end: int | None = None) -> Scan:
    """Every whole record up to ``known_end``, where the next segment says it; else to the end, where a torn tail is
    no damage.
    """
    size = len(data) if known_end is None else min(known_end, len(data))
    result = Scan(decode_segment_header(data))
    if result.header is None or len(data) < SEGMENT_START:
        held_nothing = len(data) <= SEGMENT_START or not any(data)
        never_begun = held_nothing if known_end is None else known_end <= SEGMENT_START
        result.end = 0 if never_begun else size
        result.damage = [] if never_begun else [(0, size if known_end is None else known_end)]
        return result
    at = SEGMENT_START
    while at < size:
        record = _decode_record(data, at, size, result.header.nonce)
        if record is not None:
            result.records.append(record)
            at = record.end
            continue
        following = _next_record(data, at, size, result.header.nonce)
        if following is None:
            if known_end is not None or not _is_torn(data, at, size):
                result.damage.append((at, size))
            break
        result.damage.append((at, following))
        at = following
    result.end = at
    if known_end is not None and len(data) < known_end:
        result.damage.append((len(data), known_end))
    return result
