"""Operations that store an object: in one request, or by a session."""

from __future__ import annotations

import re
import secrets
from urllib.parse import quote

from rud_fakes._http.dialect import Reply
from rud_fakes.gcs import conditions
from rud_fakes.gcs.documents import GCSError, document
from rud_fakes.gcs.intake import check_sums, made
from rud_fakes.gcs.state import QUANTUM, Call, Received, Session, StoredObject

LONGEST_NAME = 1024
_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


def name_of(call: Call) -> str:
    """Of the object to be, by the query or the document; refused unless there can be such a one."""
    name = call.parameter("name") or str(call.received.resource.get("name") or "")
    if not name:
        raise GCSError(400, "Required object name.")
    too_long = len(name.encode(errors="replace")) > LONGEST_NAME
    if (
        too_long
        or "\r" in name
        or "\n" in name
        or name in (".", "..")
        or name.startswith(".well-known/acme-challenge/")
    ):
        raise GCSError(400, f"Invalid object name: {name[:80]!r}")
    return name


def upload(call: Call) -> Reply:
    """All of it in one request, with or without a document."""
    name = name_of(call)
    wanted = conditions.given(call.head.parameters)
    check_sums(call.state, call.received.genuine, call.head.headers, call.received.resource)
    with call.state.lock:
        bucket = call.bucket()
        conditions.check(wanted, bucket.objects.get(name))
        stored = _store(call, name, call.received)
    return document(stored.resource(call.target.bucket))


def _store(call: Call, name: str, received: Received) -> StoredObject:
    """Under the lock."""
    stored = made(call.state, name, received)
    call.bucket().objects[name] = stored
    return stored


def start(call: Call) -> Reply:
    """A session; its address is in the answer."""
    name = name_of(call)
    wanted = conditions.given(call.head.parameters)
    size = call.head.headers.get("x-upload-content-length", "")
    upload_id = secrets.token_urlsafe(16)
    with call.state.lock:
        conditions.check(wanted, call.bucket().objects.get(name))
        call.state.sessions[upload_id] = Session(
            key=name,
            bucket=call.target.bucket,
            resource=call.received.resource,
            conditions=wanted,
            content_type=call.received.content_type,
            size=int(size) if size.isdecimal() else None,
        )
    here = f"{call.state.scheme}://{call.head.headers.get('host', '')}"
    query = f"uploadType=resumable&name={quote(name, safe='')}&upload_id={upload_id}"
    address = f"{here}/upload/storage/v1/b/{quote(call.target.bucket, safe='')}/o?{query}"
    return Reply(200, b"", {"Location": address, "X-GUploader-UploadID": upload_id})


def session_of(call: Call) -> Session:
    """Under the lock."""
    found = call.state.sessions.get(call.parameter("upload_id"))
    if found is None:
        raise GCSError(404, "There is no such upload session.")
    if found.cancelled:
        raise GCSError(499, "The upload was cancelled.")
    return found


def chunk(call: Call) -> Reply:
    """The next piece, or a question how far the upload has come; when it is whole, the object."""
    with call.state.lock:
        session = session_of(call)
        if session.stored is None:
            _take(call, session)
        if session.stored is not None:
            return document(session.stored.resource(session.bucket))
        reached = len(session.data)
    return Reply(308, b"", {"Range": f"bytes=0-{reached - 1}"} if reached else {})


def _take(call: Call, session: Session) -> None:
    """Persist what is new of the body, and the object if that was all. Under the lock."""
    data = call.received.data
    begin, total = _place(call, session)
    if begin is not None:
        if begin > len(session.data):
            raise GCSError(
                400,
                f"Invalid request. According to the Content-Range header, the upload offset is {begin} byte(s), which "
                f"exceeds already uploaded size of {len(session.data)} byte(s).",
            )
        # What has arrived before is not taken again.
        old = len(session.data) - begin
        fresh = data[old:]
        whole = total is not None and begin + len(data) == total
        kept = _kept(len(fresh), call.state.takes, whole=whole)
        session.data += fresh[:kept]
        session.genuine += call.received.genuine[old:][:kept]
    if total is not None and len(session.data) == total:
        _finish(call, session)


def _kept(size: int, takes: int | None, *, whole: bool) -> int:
    """How many of ``size`` new bytes are persisted."""
    kept = size if takes is None else min(size, takes)
    return kept if whole and kept == size else kept - kept % QUANTUM


def _place(call: Call, session: Session) -> tuple[int | None, int | None]:
    """Where the body begins (``None``: it is a question), and the size of the whole, if that is known."""
    header = call.head.headers.get("content-range")
    if header is None:
        return 0, len(call.received.data)
    found = _RANGE.fullmatch(header)
    if found is None:
        raise GCSError(400, "Failed to parse Content-Range header.")
    first, last, size = found.groups()
    total = int(size) if size != "*" else None
    if None not in (total, session.size) and total != session.size:
        raise GCSError(400, f"Invalid request. The upload was begun with {session.size} bytes, not {total}.")
    if first is None:
        return None, total
    begin, length = int(first), int(last) - int(first) + 1
    if length != len(call.received.data) or (total is not None and begin + length > total):
        raise GCSError(
            400,
            f"Invalid request.  There were {len(call.received.data)} byte(s) in the request body.  There should have "
            f"been {length} byte(s) (starting at offset {begin} and ending at offset {last}) according to the "
            "Content-Range header.",
        )
    return begin, total


def _finish(call: Call, session: Session) -> None:
    """Under the lock. A session whose bytes are not those declared, or whose condition does not hold, is over."""
    try:
        check_sums(call.state, session.genuine, call.head.headers, session.resource)
        conditions.check(session.conditions, call.bucket().objects.get(session.key))
    except GCSError:
        del call.state.sessions[call.parameter("upload_id")]
        raise
    whole = Received(bytes(session.data), session.resource, session.content_type, bytes(session.genuine))
    session.stored = _store(call, session.key, whole)
    session.data.clear()
    session.genuine.clear()


def cancel(call: Call) -> Reply:
    """499 says that it was done."""
    with call.state.lock:
        session_of(call).cancelled = True
    return Reply(499, b"")
