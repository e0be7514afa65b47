"""HTTP/1.1 as it goes over one connection."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from email.utils import formatdate
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import Any, BinaryIO, cast
from urllib.parse import parse_qsl

from rud_fakes._http.bodies import BadBodyError, ClientLeftError
from rud_fakes._http.dialect import Head, Reply
from rud_fakes._http.exchange import BODILESS, Desk, Exchange, HangUp, Wire

RESET = struct.pack("ii", 1, 0)
"""SO_LINGER for no time: closing resets the connection."""
WHOLE_ADDRESS = re.compile(r"https?://[^/?]*", re.IGNORECASE)


class Connection(BaseHTTPRequestHandler):
    """Serves one connection to its end, and prints nothing."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    rbufsize = 1 << 16

    def __init__(self, connection: socket.socket, desk: Desk[Any]) -> None:
        self._desk = desk
        super().__init__(connection, None, None)  # type: ignore[arg-type]  # neither is asked for

    def handle(self) -> None:
        self.close_connection = False
        try:
            while not self.close_connection:
                self.handle_one_request()
        except HangUp as hang_up:
            if hang_up.reset:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except (OSError, ClientLeftError):
            pass  # The client has left, as clients do.

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65_537)
        if not self.raw_requestline:
            self.close_connection = True
            return
        if not self.parse_request():  # It has said why, and that this is the end.
            return
        wire = Wire(
            socket=self.connection,
            stream=cast(BinaryIO, self.rfile),
            send_continue=self._send_continue,
            send_head=self._send_head,
            send=self._send,
        )
        try:
            head = self._head()
            is_over = not Exchange(self._desk.of(head), wire, head).run()
        except BadBodyError as error:
            self.send_error(HTTPStatus.BAD_REQUEST, str(error))
            is_over = True
        if is_over:
            self.close_connection = True
            # The answer ends here; closing with unread bytes of the request may still reset the connection.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self.connection, socket.SHUT_WR)

    def _head(self) -> Head:
        whole = WHOLE_ADDRESS.match(self.path)
        path, _, query = self.path[whole.end() if whole else 0 :].partition("?")
        names = {name.lower() for name in self.headers}
        return Head(
            method=self.command,
            path=path or "/",
            query=query,
            parameters=dict(parse_qsl(query, keep_blank_values=True)),
            headers={name: ",".join(self.headers.get_all(name, [])) for name in names},
            via_proxy=whole is not None,
        )

    def _send_continue(self) -> None:
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _send_head(self, reply: Reply, is_last: bool) -> None:  # noqa: FBT001  # one argument of a plain function type
        headers = {"Server": "rud_fakes", "Date": formatdate(usegmt=True), **reply.headers}
        if reply.status not in BODILESS:
            headers["Content-Length"] = str(len(reply.body) if reply.length is None else reply.length)
        if is_last or self.close_connection:
            headers["Connection"] = "close"
        lines = [f"HTTP/1.1 {reply.status} {reason(reply.status)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        self._pending = "".join(f"{line}\r\n" for line in (*lines, "")).encode("latin-1", "replace")

    def _send(self, data: bytes | memoryview) -> None:
        """With the head before it, in one packet if they are small."""
        head, self._pending = self._pending, b""
        if head and len(data) <= 1 << 14:
            self.wfile.write(head + bytes(data))
            return
        if head:
            self.wfile.write(head)
        if data:
            self.wfile.write(data)

    def handle_expect_100(self) -> bool:
        """Leave to send is given when the body is wanted."""
        return True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the name that it has in the base
        """Nothing is printed."""


def reason(status: int) -> str:
    """The words that go with ``status``."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Status"
