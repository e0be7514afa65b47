"""The connection of a libcloud driver: its patience, and what the driver does not tell of the answers it got.

A driver keeps neither the status nor the code of an answer, only a text; it waits without end for some answers; and it
does not tell the id of a multipart upload. All of that is seen here, where requests hands over to urllib3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import RequestException

CONNECT_TIMEOUT = 10
READ_TIMEOUT = 60
COMPLETION_TIMEOUT = 600
"""Seconds, as for the store of S3 (``rud.backends._s3_client``)."""

_UPLOAD_ID = re.compile(rb"<UploadId>([^<]+)</UploadId>")
_ERROR = re.compile(rb"\s*(<\?xml[^>]*\?>)?\s*<Error\b")

OnMultipart = Callable[[str], None]


class Line(HTTPAdapter):
    """What requests sends by.

    Attributes: ``trouble`` (the first answer since ``begin`` that was an error, or the exception in its place; later
    ones come of the driver's own cleaning), ``last`` (the last answer), ``unfinished`` (the id of the multipart upload
    that was begun and has neither been completed nor aborted).
    """

    trouble: Response | RequestException | None = None
    last: Response | None = None
    unfinished: str | None = None
    _on_multipart: OnMultipart | None = None

    def begin(self, on_multipart: OnMultipart | None = None) -> None:
        """Another operation begins."""
        self.trouble = self.last = self.unfinished = None
        self._on_multipart = on_multipart

    def send(self, request: PreparedRequest, stream: bool = False, **options: Any) -> Response:  # type: ignore[override]  # noqa: FBT001, FBT002  # as in its base
        completes = request.method == "POST" and "uploadId=" in str(request.url)
        options["timeout"] = (CONNECT_TIMEOUT, COMPLETION_TIMEOUT if completes else READ_TIMEOUT)
        try:
            answer = super().send(request, stream=stream, **options)
            if not stream:
                _ = answer.content  # now, so that what breaks meanwhile is seen here, too
        except RequestException as error:
            self._fail(error)
            raise
        self._note(request, answer, stream=stream)
        return answer

    def _note(self, request: PreparedRequest, answer: Response, *, stream: bool) -> None:
        self.last = answer
        is_error = answer.status_code >= 300 or (not stream and _ERROR.match(answer.content) is not None)
        if is_error:
            self._fail(answer)
        elif request.method == "POST" and re.search(r"[?&]uploads\b", str(request.url)):
            if found := _UPLOAD_ID.search(answer.content):
                upload_id = self.unfinished = found[1].decode()
                if self._on_multipart is not None:
                    self._on_multipart(upload_id)
        elif request.method in ("POST", "DELETE") and "uploadId=" in str(request.url):
            self.unfinished = None

    def _fail(self, trouble: Response | RequestException) -> None:
        # An answer's truth value is whether it was a success.
        if self.trouble is None:
            self.trouble = trouble


def fitted(driver: Any) -> Line:
    """A line for every request of ``driver``, which has connected already as far as it ever does."""
    line = Line()
    connection = driver.connection
    # Its own repetition of failed requests would send an empty body the second time (apache-libcloud 3.9.1).
    connection.retryCls = _never_again
    session = getattr(connection.connection, "session", None)
    if session is not None:
        for scheme in ("http://", "https://"):
            if type(session.get_adapter(scheme)) is HTTPAdapter:  # one with a certificate of the client's stays
                session.mount(scheme, line)
    return line


def _never_again(**_: object) -> Callable[[Any], Any]:
    return lambda request: request
