"""The JSON API of Cloud Storage as a dialect of the faulty server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from rud_fakes._http.dialect import Head, Reply, Target
from rud_fakes.gcs import intake, objects, operations, uploads
from rud_fakes.gcs.documents import GCSError, error_reply
from rud_fakes.gcs.state import Call, Received, State

HANDLERS: dict[str, Callable[[Call], Reply]] = {
    "CancelUpload": uploads.cancel,
    "CreateBucket": objects.create_bucket,
    "DeleteObject": objects.delete_object,
    "GetBucket": objects.get_bucket,
    "GetMedia": objects.get_media,
    "GetObject": objects.get_object,
    "ListObjects": objects.list_objects,
    "QueryUpload": uploads.chunk,
    "StartUpload": uploads.start,
    "Token": objects.token,
    "UploadChunk": uploads.chunk,
    "UploadMedia": uploads.upload,
    "UploadMultipart": uploads.upload,
}
WITHOUT_BUCKET = ("CreateBucket", "Token")
BY_SESSION = ("CancelUpload", "QueryUpload", "UploadChunk")
"""Who has the address of a session needs no token."""


class GCSDialect:
    """Over ``state``."""

    def __init__(self, state: State) -> None:
        self._state = state

    def recognise(self, head: Head) -> Target:
        target = operations.recognise(head)
        with self._state.lock:
            session = self._state.sessions.get(head.parameters.get("upload_id", ""))
        return target if session is None else replace(target, key=session.key)

    def admit(self, head: Head, target: Target) -> None:
        """Who asks, and whether there can be an answer."""
        if target.operation not in HANDLERS:
            raise GCSError(501, "This server does not offer what was asked of it.")
        with self._state.lock:
            wanted = self._state.token
            if target.operation not in WITHOUT_BUCKET + BY_SESSION:
                if wanted is not None and head.headers.get("authorization") != f"Bearer {wanted}":
                    raise GCSError(401, "Invalid Credentials", {"WWW-Authenticate": "Bearer"})
                self._state.bucket(target.bucket)

    def receive(self, head: Head, target: Target, chunks: Iterator[bytes]) -> Received:
        return intake.receive(head, target, chunks)

    def spoil(self, received: Received) -> Received:
        return intake.spoilt(received)

    def answer(self, head: Head, target: Target, received: Received) -> Reply:
        return HANDLERS[target.operation](Call(self._state, head, target, received))

    def failure(self, head: Head, status: int, code: str | None) -> Reply:
        """``code``: the reason."""
        return error_reply(status, "This failure was asked for by a test.", code)
