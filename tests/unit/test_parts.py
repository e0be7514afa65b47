"""Sending a body in parts: within a bound, whole, and nothing under way after a failure."""

from __future__ import annotations

import io
import threading

import google_crc32c
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._body import Body, BodyRevoked
from rud.backends._parts import MEBIBYTE, MOST_PARTS, part_size_for, send_parts
from rud.errors import IntegrityError
from rud.store import Section


def body(data: bytes) -> Body:
    return Body(io.BytesIO(data), len(data))


@given(st.integers(1, 5 << 40), st.integers(5, 600))
def test_a_body_never_has_more_parts_than_a_service_takes(size: int, mebibytes: int) -> None:
    """And no larger ones than that needs."""
    chunk = mebibytes * MEBIBYTE
    part_size = part_size_for(size, chunk)

    assert part_size * MOST_PARTS >= size
    assert part_size == chunk or (part_size - MEBIBYTE) * MOST_PARTS < size


@pytest.mark.parametrize(("further", "mebibytes"), [(0, 16), (1, 17)])
def test_the_border_of_ten_thousand_parts(further: int, mebibytes: int) -> None:
    """So many chunks are still one each."""
    assert part_size_for(10_000 * (16 << 20) + further, 16 << 20) == mebibytes << 20


@given(st.binary(min_size=1, max_size=200), st.integers(1, 40), st.integers(1, 5))
def test_every_byte_is_sent_once_in_parts_of_their_numbers(data: bytes, part_size: int, concurrency: int) -> None:
    """The results come in the order of the parts, each with its own sum, however many are under way."""

    def send(number: int, section: Section) -> tuple[int, bytes, int]:
        return number, bytes(section.read()), section.crc32c

    source = body(data)
    sent = send_parts(source, part_size, concurrency, send)

    assert [number for number, _, _ in sent] == list(range(1, -(-len(data) // part_size) + 1))
    assert b"".join(part for _, part, _ in sent) == data
    assert all(google_crc32c.value(part) == crc for _, part, crc in sent)
    assert source.crc32c == google_crc32c.value(data)


def test_as_many_as_allowed_are_under_way_and_no_more() -> None:
    """Parallel within the bound: the last allowed part is started while the first still waits."""
    together = threading.Barrier(3)
    now, most, lock = [0], [0], threading.Lock()

    def send(number: int, section: Section) -> None:
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        if number <= 3:
            together.wait(10)
        with lock:
            now[0] -= 1

    send_parts(body(b"x" * 50), 5, 3, send)

    assert most == [3]


def test_when_one_fails_the_others_have_ended_before_it_is_told() -> None:
    """A part that arrives after the abort would stay in the store for ever."""
    running = threading.Event()
    ended: list[int] = []

    def send(number: int, section: Section) -> None:
        if number == 1:
            running.wait(10)
            raise OSError("the first fails")
        running.set()
        try:
            while True:
                section.seek(0)
                section.read(1)
        except OSError:
            ended.append(number)
            raise

    with pytest.raises(OSError, match="the first fails"):
        send_parts(body(b"x" * 20), 5, 2, send)
    assert ended == [2]


def test_what_was_wrong_with_the_body_is_told_whatever_the_sdk_makes_of_it() -> None:
    """A retried request meets the same error again, and the reason comes out unwrapped."""
    given_up = threading.Event()
    source = Body(io.BytesIO(b"x" * 10), 10, revoked=given_up.is_set)

    def send(number: int, section: Section) -> None:
        given_up.set()
        for _ in range(3):
            try:
                section.read()
            except BodyRevoked:
                continue
        raise ConnectionError("what an SDK says")

    with pytest.raises(BodyRevoked):
        send_parts(source, 10, 1, send)


def test_without_threads_the_parts_go_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """While the interpreter ends, or at the limit of threads, none can be started."""

    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)

    assert send_parts(body(b"abcdef"), 2, 4, lambda number, section: bytes(section.read())) == [
        b"ab",
        b"cd",
        b"ef",
    ]


def test_a_wrong_body_is_found_before_its_last_part_is_sent() -> None:
    """A store never holds the whole of what was not accepted (I4)."""
    sent: list[int] = []
    source = Body(io.BytesIO(b"abcdef"), 6, expected=google_crc32c.value(b"abcdeF"))

    with pytest.raises(IntegrityError, match="was accepted"):
        send_parts(source, 2, 1, lambda number, section: sent.append(number))
    assert sent == [1, 2]
