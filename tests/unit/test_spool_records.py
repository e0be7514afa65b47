"""The format of a segment."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._spool import records
from rud._spool.records import SEGMENT_START, Kind, SegmentHeader, encode_header, encode_record, scan
from tests.support.spools import accept, open_spool, payload_of, write

HEADER = SegmentHeader(nonce=77, floor=5, previous_end=0)


def segment(payloads: list[bytes], header: SegmentHeader = HEADER) -> bytes:
    data = header.encode()
    for number, payload in enumerate(payloads):
        encoded = encode_header({"id": number})
        data += encode_record((header.nonce, len(data)), Kind.ACCEPTED, encoded, payload, 9)
    return data


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_what_was_written_is_read(payloads: list[bytes]) -> None:
    """Every record comes back with its header and the place of its payload."""
    data = segment(payloads)
    found = scan(data)

    assert [record.header["id"] for record in found.records] == list(range(len(payloads)))
    assert [data[one.payload_at : one.payload_at + one.payload_length] for one in found.records] == payloads
    assert (found.end, found.damage) == (len(data), [])


@given(st.integers(0, 400))
def test_a_torn_tail_is_no_damage(length: int) -> None:
    """A segment that ends anywhere holds the records that are whole, and its end is told from damage."""
    whole = segment([b"a" * 20, b"b" * 20, b"c" * 20])
    found = scan(whole[:length])

    assert found.damage == []
    assert found.records == scan(whole).records[: len(found.records)]
    assert found.end <= max(length, SEGMENT_START)


@given(st.integers(SEGMENT_START, 400), st.integers(0, 7))
def test_a_flipped_bit_is_damage_and_hides_one_record(at: int, bit: int) -> None:
    """A flip in a record's header hides that record alone and is reported; one in a payload hides nothing."""
    whole = bytearray(segment([b"a" * 20, b"b" * 20, b"c" * 20]))
    at = min(at, len(whole) - 1)
    whole[at] ^= 1 << bit
    found = scan(bytes(whole))

    assert len(found.records) == 3 - len(found.damage)


def test_either_copy_of_the_segment_header_will_do() -> None:
    """One damaged copy of a segment's header hides nothing."""
    data = segment([b"x"])
    damaged = b"\0" * (SEGMENT_START // 2) + data[SEGMENT_START // 2 :]

    assert len(scan(damaged).records) == 1


def test_records_of_another_segment_are_not_records_here(tmp_path: Path) -> None:
    """An uploaded segment, behind a damaged record or not, does not bring its own records to life."""
    inner = segment([b"planted"])
    outer = bytearray(segment([inner, b"last"]))
    outer[SEGMENT_START] ^= 1
    found = scan(bytes(outer))

    assert [record.header["id"] for record in found.records] == [1]


def test_an_uploaded_log_is_only_a_payload(tmp_path: Path) -> None:
    """The log of a spool, uploaded through the same spool, comes back as one upload with those bytes."""
    spool = open_spool(tmp_path / "st")
    accept(spool, write(tmp_path / "a", b"a"), "a")
    log = Path(spool.folder) / "log-1"
    content = log.read_bytes()
    accept(spool, write(tmp_path / "copy", content), "log")
    spool.abandon()
    again = open_spool(tmp_path / "st")
    entries = again.adopt().entries

    assert [entry.key for entry in entries] == ["a", "log"]
    assert payload_of(entries[1]) == content
    again.abandon()


@pytest.mark.parametrize("end", [None, 0, 10_000])
def test_a_segment_is_judged_by_the_end_that_the_next_one_names(end: int | None) -> None:
    """What lies beyond the named end does not count, and what is missing before it is damage."""
    data = segment([b"one"])
    found = scan(data, end)

    assert len(found.records) == (0 if end == 0 else 1)
    assert bool(found.damage) == (end == 10_000)


def test_zeros_left_by_a_lost_write_are_a_torn_tail() -> None:
    """A tail of zeros, as a loss of power leaves it, is not damage."""
    assert scan(segment([b"one"]) + bytes(100)).damage == []
    assert scan(bytes(500)).damage == []
    assert records.decode_segment_header(bytes(500)) is None
