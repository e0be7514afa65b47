"""Paramiko's client, which also tells the codes of errors, those of each write too, and knows two more extensions of
OpenSSH's."""

# ruff: noqa: SLF001  # what paramiko has for itself has no other name

from __future__ import annotations

import contextlib
import errno
from collections import deque
from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko.message import Message
from paramiko.sftp import (
    CMD_CLOSE,
    CMD_DATA,
    CMD_EXTENDED,
    CMD_OPENDIR,
    CMD_READ,
    CMD_READDIR,
    CMD_WRITE,
    SFTP_EOF,
    SFTP_NO_SUCH_FILE,
    SFTP_OK,
    SFTP_OP_UNSUPPORTED,
    SFTP_PERMISSION_DENIED,
    int64,
)

PIECE = 1 << 15
"""Bytes of one request: what every server takes (draft-ietf-secsh-filexfer-02, section 3)."""

_AHEAD = 64
"""Requests that are under way at once: 2 MiB, the window of paramiko's channel."""

_ERRNO = {SFTP_NO_SUCH_FILE: errno.ENOENT, SFTP_PERMISSION_DENIED: errno.EACCES}


class StatusError(OSError):
    """What the server answered: ``code`` is the protocol's (draft-ietf-secsh-filexfer-02, section 7)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(_ERRNO.get(code, 0), text)
        self.code = code

    @property
    def is_unsupported(self) -> bool:
        return bool(self.code == SFTP_OP_UNSUPPORTED)


class Client(paramiko.SFTPClient):
    """One thread at a time."""

    def _convert_status(self, msg: Message) -> None:
        code, text = msg.get_int(), msg.get_string().decode(errors="replace")
        if code == SFTP_EOF:
            raise EOFError(text)
        if code != SFTP_OK:
            raise StatusError(code, text)

    @property
    def _untyped(self) -> Any:
        return self

    def link(self, old: str, new: str) -> None:
        """A hard link ``new``; an error if there is something of that name."""
        self._untyped._request(CMD_EXTENDED, "hardlink@openssh.com", old, new)

    def sync(self, file: paramiko.SFTPFile) -> None:
        """Return when ``file``, which may be a folder, would survive a loss of power."""
        self._untyped._request(CMD_EXTENDED, "fsync@openssh.com", file.handle)

    def write(self, file: paramiko.SFTPFile, offset: int, data: bytes) -> None:
        """Have ``data`` written at ``offset``; what becomes of it is told by a later call, or by ``settle``.

        Paramiko's own file forgets the answer to a write that is not waited for.
        """
        for start in range(0, len(data), PIECE):
            piece = data[start : start + PIECE]
            self._untyped._async_request(file, CMD_WRITE, file.handle, int64(offset + start), piece)
            while len(self._untyped._expecting) > _AHEAD:
                self._untyped._read_response()
                self._check(file)

    def settle(self, file: paramiko.SFTPFile) -> None:
        """Return when all of ``file`` was written; raise what the server said of any write."""
        self._untyped._finish_responses(file)
        self._check(file)

    @staticmethod
    def _check(file: Any) -> None:
        file._check_exception()

    def end(self, file: Any) -> None:
        """Close ``file``; of its own ``close`` paramiko tells no error."""
        file._closed = True
        self._untyped._request(CMD_CLOSE, file.handle)

    def read(self, file: paramiko.SFTPFile, start: int, size: int) -> Iterator[bytes]:
        """The bytes of ``file`` from ``start`` to ``size``, or to where it ends."""
        waiting: deque[_Read] = deque()
        asked, piece = start, PIECE
        while start < size:
            while asked < size and len(waiting) < _AHEAD:
                waiting.append(_Read(self, file, asked, min(piece, size - asked)))
                asked += waiting[-1].size
            one = waiting.popleft()
            data = one.data()
            if not data:
                return
            start += len(data)
            if len(data) < one.size:
                # As much as this server gives at once. What was asked for goes on from the wrong place.
                waiting.clear()
                asked, piece = start, len(data)
            yield data

    def entries(self, path: str) -> list[paramiko.SFTPAttributes]:
        """What is in the folder ``path``; what has a name that is no UTF-8 is left out, where paramiko would fail."""
        handle = self._untyped._request(CMD_OPENDIR, path)[1].get_binary()
        found: list[paramiko.SFTPAttributes] = []
        try:
            with contextlib.suppress(EOFError):
                while True:
                    msg = self._untyped._request(CMD_READDIR, handle)[1]
                    found += [one for one in _named(msg) if one.filename not in (".", "..")]
        finally:
            self._untyped._request(CMD_CLOSE, handle)
        return found


def _named(msg: Message) -> Iterator[Any]:
    make: Any = paramiko.SFTPAttributes
    for _ in range(msg.get_int()):
        name, _longname = msg.get_binary(), msg.get_binary()
        entry = make._from_msg(msg)
        with contextlib.suppress(UnicodeDecodeError):
            entry.filename = name.decode()
            yield entry


class _Read:
    """A read that is under way."""

    def __init__(self, client: Any, file: paramiko.SFTPFile, offset: int, size: int) -> None:
        self.size = size
        self._client = client
        self._data: bytes | None = None
        self._error: Exception | None = None
        client._async_request(self, CMD_READ, file.handle, int64(offset), size)

    def _async_response(self, kind: int, msg: Message, number: int) -> None:
        """Paramiko's word for: here is the answer."""
        if kind == CMD_DATA:
            self._data = msg.get_binary()
            return
        try:
            self._client._convert_status(msg)
        except EOFError:
            self._data = b""
        except Exception as error:  # noqa: BLE001  # raised below
            self._error = error

    def data(self) -> bytes:
        """Wait for it; ``b""`` is the end of the file."""
        while self._data is None:
            if self._error is not None:
                raise self._error
            self._client._read_response()
        return self._data
