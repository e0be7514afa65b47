"""Messages between supervisor and worker: 4 bytes of length, 4 of CRC-32, a JSON object.

JSON, not pickle: only values cross, a garbled frame can do nothing, and a person can read one.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any

PROTOCOL = 1
"""Grows with every change that an older worker would misread."""

Message = dict[str, Any]
_HEAD = struct.Struct("<II")
_MAX = 64 << 20
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True).encode
_loads = json.JSONDecoder().decode


class FrameError(ValueError):
    """The bytes are no frame: whoever sent them is not to be trusted any more."""


def encode(message: Message) -> bytes:
    """The frame of one message."""
    body = _dumps(message).encode("ascii")
    return _HEAD.pack(len(body), zlib.crc32(body)) + body


class Decoder:
    """Takes bytes as they come and gives whole messages."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Message]:
        """All messages that are complete now; ``FrameError`` for a wrong sum or an absurd length."""
        self._buffer += data
        messages: list[Message] = []
        while len(self._buffer) >= _HEAD.size:
            length, crc = _HEAD.unpack_from(self._buffer)
            if length > _MAX:
                raise FrameError(f"a frame of {length} bytes")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                break
            body = bytes(self._buffer[_HEAD.size : end])
            del self._buffer[:end]
            if zlib.crc32(body) != crc:
                raise FrameError("a frame with a wrong sum")
            messages.append(_loads(body.decode("ascii")))
        return messages
