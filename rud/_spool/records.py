"""The format of a segment: a header, then records, each aligned to 8 bytes. Pure: bytes in, values out.

A segment begins with two equal copies of its header, so that one damaged byte cannot hide a whole segment. It has a
random number, and the checksum of each record covers that number and the record's own offset: bytes of an uploaded
segment do not pass for records. A record is a fixed part (with a check of its own, so that a torn record is told
from a damaged one), a JSON header, and a payload that may be empty.
"""

from __future__ import annotations

import enum
import json
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import google_crc32c

_SEGMENT = struct.Struct("<8sQQQII")
_SEGMENT_MAGIC = b"RUDLOG\x00\x01"
_ANSWERED = 1
SEGMENT_START = 2 * _SEGMENT.size

_RECORD = struct.Struct("<4sBxHIIII")
_BOUND = struct.Struct("<QQBIII")
_MAGIC = b"RUD\xa7"
_HEADER_LIMIT = 1 << 20

_encode = json.JSONEncoder(separators=(",", ":")).encode
_decode = json.JSONDecoder().raw_decode
_extend: Callable[[int, bytes], int] = google_crc32c.extend

Buffer = bytes | mmap.mmap


class Kind(enum.IntEnum):
    """What a record says."""

    ACCEPTED = 1
    STARTED = 2
    MULTIPART = 3
    SUM = 4
    ANSWERED = 5
    OUTCOME = 6
    RETIRED = 7
    """Every segment up to ``through`` was removed on purpose."""
    SEALED = 8
    """Another segment follows this one."""


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """``floor``: the greatest id when it was made. ``previous_end``: where the segment before it ends, whatever lies
    beyond.
    """

    nonce: int
    floor: int
    previous_end: int
    answered: bool

    def encode(self) -> bytes:
        flags = _ANSWERED if self.answered else 0
        body = _SEGMENT.pack(_SEGMENT_MAGIC, self.nonce, self.floor, self.previous_end, flags, 0)
        return 2 * (body[:-4] + struct.pack("<I", _extend(0, body[:-4])))


def decode_segment_header(data: Buffer) -> SegmentHeader | None:
    """The first whole copy, or ``None``."""
    for start in (0, _SEGMENT.size):
        body = data[start : start + _SEGMENT.size]
        if len(body) < _SEGMENT.size:
            return None
        magic, nonce, floor, previous_end, flags, crc = _SEGMENT.unpack(body)
        if magic == _SEGMENT_MAGIC and crc == _extend(0, body[:-4]):
            return SegmentHeader(nonce, floor, previous_end, bool(flags & _ANSWERED))
    return None


@dataclass(slots=True)
class Record:
    kind: int
    header: dict[str, Any]
    payload_at: int
    payload_length: int
    payload_crc: int
    end: int


def _padded(size: int) -> int:
    return (size + 7) & ~7


def encode_header(header: dict[str, Any]) -> bytes:
    return _encode(header).encode()


def record_size(header: bytes, payload_length: int = 0) -> int:
    return _padded(_RECORD.size + len(header) + payload_length)


def payload_offset(at: int, header: bytes) -> int:
    return at + _RECORD.size + len(header)


def _checked(kind: int, header_length: int, payload_length: int, header_crc: int, payload_crc: int) -> int:
    fixed = _RECORD.pack(_MAGIC, kind, 0, header_length, payload_length, header_crc, payload_crc)
    return _extend(0, fixed) & 0xFFFF


def _bound(place: tuple[int, int], kind: int, header: bytes, payload_length: int, payload_crc: int) -> int:
    return _extend(0, _BOUND.pack(*place, kind, len(header), payload_length, payload_crc) + header)


def encode_record(
    place: tuple[int, int], kind: Kind, header: bytes, payload: bytes = b"", payload_crc: int = 0
) -> list[bytes]:
    """The bytes of a record for ``place`` (a segment's random number, an offset), as parts to be written together."""
    header_crc = _bound(place, kind, header, len(payload), payload_crc)
    check = _checked(kind, len(header), len(payload), header_crc, payload_crc)
    fixed = _RECORD.pack(_MAGIC, kind, check, len(header), len(payload), header_crc, payload_crc)
    padding = bytes(-(len(fixed) + len(header) + len(payload)) % 8)
    return [fixed + header, payload, padding] if payload else [fixed + header + padding]


def _decode_record(data: Buffer, at: int, size: int, nonce: int) -> Record | None:
    """The record at ``at``; ``None`` when there is none that is whole. Its payload is not looked at."""
    if at + _RECORD.size > size:
        return None
    magic, kind, _, header_length, payload_length, header_crc, payload_crc = _RECORD.unpack_from(data, at)
    start = at + _RECORD.size
    end = at + _padded(_RECORD.size + header_length + payload_length)
    if magic != _MAGIC or header_length > _HEADER_LIMIT or end > size:
        return None
    header = data[start : start + header_length]
    if _bound((nonce, at), kind, header, payload_length, payload_crc) != header_crc:
        return None
    return Record(kind, _decode(header.decode())[0], start + header_length, payload_length, payload_crc, end)


def _is_torn(data: Buffer, at: int, size: int) -> bool:
    """What lies from ``at`` to the end was never a whole record: its beginning, or zeros that a lost write left."""
    rest = data[at : min(size, at + _RECORD.size)]
    if len(rest) < _RECORD.size:
        return True
    magic, kind, check, header_length, payload_length, header_crc, payload_crc = _RECORD.unpack(rest)
    if magic == _MAGIC and check == _checked(kind, header_length, payload_length, header_crc, payload_crc):
        return at + _padded(_RECORD.size + header_length + payload_length) > size
    return not any(rest) and not any(data[at:size])


def _next_record(data: Buffer, at: int, size: int, nonce: int) -> int | None:
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


def scan(data: Buffer, known_end: int | None = None) -> Scan:
    """Every whole record up to ``known_end``, where the next segment says it; else to the end, where a torn tail is
    no damage.
    """
    size = len(data) if known_end is None else min(known_end, len(data))
    result = Scan(decode_segment_header(data))
    if result.header is None:
        never_begun = known_end == 0 or size <= SEGMENT_START or not data[:size].strip(b"\x00")
        result.end = 0 if never_begun else size
        result.damage = [] if never_begun else [(0, size)]
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
