"""The body of an upload: bounded, summed, counted, revocable, and a file to whoever reads it."""

from __future__ import annotations

import contextlib
import io
import threading
from concurrent.futures import ThreadPoolExecutor

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._body import TELL_EVERY, Body, BodyRevoked, Section, crc32c_of, joined_crc32c
from rud.errors import IntegrityError


@given(st.binary(max_size=300), st.integers(0, 20), st.data())
def test_any_reads_and_seeks_give_the_bytes_of_the_file(content: bytes, offset: int, data: st.DataObject) -> None:
    """A body behaves as a binary file over its part of the file, and never reads beyond it."""
    body = Body(io.BytesIO(b"x" * offset + content + b"beyond"), len(content), offset=offset)
    model = io.BytesIO(content)
    for _ in range(data.draw(st.integers(1, 8))):
        if data.draw(st.booleans()):
            to = data.draw(st.integers(0, len(content)))
            assert body.seek(to) == model.seek(to)
        else:
            size = data.draw(st.integers(-1, 50))
            assert body.read(size) == model.read(size)
        assert body.tell() == model.tell()


@given(st.binary(max_size=300), st.integers(1, 50), st.integers(0, 300))
def test_the_sum_is_of_the_whole_however_it_was_read(content: bytes, step: int, back: int) -> None:
    """Reading again from an earlier place sums nothing twice."""
    body = Body(io.BytesIO(content), len(content))
    while body.read(step):
        pass
    body.seek(min(back, len(content)))
    body.read()

    assert body.crc32c == google_crc32c.value(content)


def test_no_sum_before_the_end_or_after_a_leap() -> None:
    """What was not read in order has no sum, and no wrong one."""
    body = Body(io.BytesIO(b"abcdef"), 6)
    body.read(2)
    early = body.crc32c
    body.seek(4)
    body.read()

    assert early is None
    assert body.crc32c is None


def test_the_last_byte_of_a_wrong_payload_is_never_handed_out() -> None:
    """A store cannot hold the whole of what was not accepted (I4)."""
    body = Body(io.BytesIO(b"abcdef"), 6, expected=google_crc32c.value(b"abcdeF"))
    head = body.read(5)

    with pytest.raises(IntegrityError, match="was accepted"):
        body.read(5)

    assert head == b"abcde"


def test_a_payload_that_has_become_shorter_is_an_error() -> None:
    """A torn body is not sent as a whole one."""
    body = Body(io.BytesIO(b"abc"), 6)
    body.read(3)

    with pytest.raises(IntegrityError, match="ends after 3 of 6"):
        body.read()
    with pytest.raises(IntegrityError):
        crc32c_of(io.BytesIO(b"abc"), 6)


def test_a_revoked_body_gives_nothing_more() -> None:
    """Once an attempt is given up, its next read raises."""
    revoked = False
    body = Body(io.BytesIO(b"abcdef"), 6, revoked=lambda: revoked)
    body.read(2)
    revoked = True

    with pytest.raises(BodyRevoked):
        body.read(2)


def test_progress_never_falls_and_ends_at_the_size() -> None:
    """An SDK that reads a part again does not take progress back."""
    told: list[int] = []
    body = Body(io.BytesIO(b"abcdef"), 6, on_read=told.append)
    body.read(4)
    body.seek(0)
    body.read(3)
    body.read()

    assert told == sorted(told)
    assert told[-1] == 6


@given(st.binary(max_size=300), st.lists(st.integers(1, 90), min_size=1, max_size=9), st.integers(1, 50))
def test_sections_count_as_read_when_they_are_read(content: bytes, sizes: list[int], step: int) -> None:
    """What was summed has not gone anywhere: progress is what was handed on, and never falls."""
    told: list[int] = []
    body = Body(io.BytesIO(content), len(content), on_read=told.append)
    sections = [body.section(size) for size in [*sizes, len(content)]]
    before = list(told)
    for section in reversed(sections):
        for _ in range(2):
            section.seek(0)
            while section.read(step):
                pass

    assert before == []
    assert told == sorted(told)
    assert (told or [0])[-1] == len(content)
    assert body.crc32c == google_crc32c.value(content)


def test_a_section_raises_ever_after_what_it_has_raised_once() -> None:
    """An SDK that tries a request again must not send what was given up, or has failed to be noted."""
    callback_errors = [LookupError("a callback")]

    def tell(count: int) -> None:
        if callback_errors:
            raise callback_errors.pop()

    section = Body(io.BytesIO(b"abc"), 3, on_read=tell).section(3)

    for again in (section.read, lambda: section.seek(0), section.read):
        with pytest.raises(LookupError, match="a callback"):
            again()
    assert isinstance(section.error, LookupError)


def test_a_section_that_is_read_again_gives_signs_of_life_and_can_be_revoked() -> None:
    """An SDK that makes a request again reads what was read: that tells nothing new, but somebody is at work, and has
    to stop when the upload is given up."""
    told: list[int] = []
    revoked = False
    size = 3 * TELL_EVERY
    body = Body(io.BytesIO(bytes(size)), size, on_read=told.append, revoked=lambda: revoked)
    section = body.section(size)
    for _ in range(2):
        section.seek(0)
        while section.read(1 << 16):
            pass
    again = list(told)
    section.seek(0)
    revoked = True

    assert again == [TELL_EVERY, 2 * TELL_EVERY, size, size, size, size]
    with pytest.raises(BodyRevoked):
        section.read(1)
    assert told == again
    assert isinstance(section.error, BodyRevoked)


def test_one_section_after_the_other_has_the_file() -> None:
    """They are read by several threads, and a file has one position."""
    meeting = threading.Barrier(2)

    class File(io.BytesIO):
        def seek(self, offset: int, whence: int = 0) -> int:
            position = super().seek(offset, whence)
            with contextlib.suppress(threading.BrokenBarrierError):
                meeting.wait(0.1)
            return position

    content = bytes(range(200))
    body = Body(File(content), 200)
    meeting.abort()
    sections = [body.section(100), body.section(100)]
    meeting.reset()
    with ThreadPoolExecutor(2) as pool:
        read = list(pool.map(Section.read, sections))

    assert b"".join(read) == content


@given(st.binary(max_size=400), st.binary(max_size=400), st.integers(0, 3))
def test_sums_of_parts_are_joined_to_the_sum_of_the_whole(first: bytes, second: bytes, repeat: int) -> None:
    """As if all of it had been summed at once, whatever the lengths."""
    second = second * 10**repeat
    joined = joined_crc32c(google_crc32c.value(first), google_crc32c.value(second), len(second))

    assert joined == google_crc32c.value(first + second)


def test_a_section_of_a_wrong_payload_is_found_before_the_last_is_sent() -> None:
    """What was accepted is compared by the joined sums, too (I4)."""
    body = Body(io.BytesIO(b"abcdef"), 6, expected=google_crc32c.value(b"abcdeF"))
    body.section(4)

    with pytest.raises(IntegrityError, match="was accepted"):
        body.section(4)
