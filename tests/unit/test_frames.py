"""Frames: what goes in comes out, however the bytes are cut; garbage is recognised."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._frames import Decoder, FrameError, encode

VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3))
MESSAGES = st.dictionaries(st.text(min_size=1), VALUES, min_size=1, max_size=4)


@given(st.lists(MESSAGES, max_size=5), st.data())
def test_messages_survive_any_cut(messages: list[dict[str, object]], data: st.DataObject) -> None:
    """A pipe may hand over the bytes in any pieces."""
    wire = b"".join(map(encode, messages))
    decoder = Decoder()
    seen = []
    while wire:
        size = data.draw(st.integers(1, len(wire)))
        seen += decoder.feed(wire[:size])
        wire = wire[size:]

    assert seen == messages


@given(MESSAGES, st.data())
def test_a_flipped_bit_in_the_body_is_seen(message: dict[str, object], data: st.DataObject) -> None:
    """Bytes that are no frame are never taken for one."""
    frame = bytearray(encode(message))
    at = data.draw(st.integers(8, len(frame) - 1))
    frame[at] ^= 1 << data.draw(st.integers(0, 7))

    with pytest.raises(FrameError):
        Decoder().feed(bytes(frame))


def test_an_absurd_length_is_refused_before_it_is_waited_for() -> None:
    """What a printing backend might write is not a promise of two gigabytes."""
    with pytest.raises(FrameError, match="bytes"):
        Decoder().feed(struct.pack("<II", 2**31, 0))


def test_file_names_that_are_not_utf8_cross() -> None:
    """A path with undecodable bytes is text with surrogates, and comes out as it went in."""
    message = {"path": b"/tmp/\xff".decode("utf-8", "surrogateescape")}

    assert Decoder().feed(encode(message)) == [message]
