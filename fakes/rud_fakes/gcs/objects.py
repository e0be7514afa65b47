"""Operations on objects that are there, and on buckets."""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import formatdate
from typing import Any

from rud_fakes._http.dialect import Reply
from rud_fakes.gcs import conditions
from rud_fakes.gcs.documents import GCSError, chosen, document, iso_time
from rud_fakes.gcs.state import Bucket, Call, StoredObject

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def _found(call: Call) -> StoredObject:
    """The object that a request to read or remove one is about; its conditions hold. Under the lock."""
    wanted = conditions.given(call.head.parameters)
    there = call.bucket().objects.get(call.target.key)
    generation = call.parameter("generation")
    if there is None or generation not in ("", str(there.generation)):
        raise GCSError(404, f"No such object: {call.target.bucket}/{call.target.key}")
    conditions.check(wanted, there, reading=call.head.method == "GET")
    return there


def get_object(call: Call) -> Reply:
    """What is known of it."""
    with call.state.lock:
        there = _found(call)
    return chosen(call.head, there.resource(call.target.bucket))


def get_media(call: Call) -> Reply:
    """Its bytes, or a range of them."""
    with call.state.lock:
        there = _found(call)
    span = _range_of(call.head.headers.get("range"), there.size)
    begin, end = span or (0, there.size)
    headers = {
        "Content-Type": there.content_type,
        "Accept-Ranges": "bytes",
        "ETag": there.etag,
        "Last-Modified": formatdate(there.last_modified, usegmt=True),
        "X-Goog-Generation": str(there.generation),
        "X-Goog-Metageneration": "1",
        "X-Goog-Hash": ",".join(f"{name}={value}" for name, value in there.sums.items()),
        "X-Goog-Stored-Content-Length": str(there.size),
        "X-Goog-Stored-Content-Encoding": "identity",
    }
    if span is not None:
        headers["Content-Range"] = f"bytes {begin}-{end - 1}/{there.size}"
    return Reply(200 if span is None else 206, memoryview(there.data)[begin:end], headers)


def _range_of(given: str | None, size: int) -> tuple[int, int] | None:
    """From, and before; ``None`` for all of it, also where the header says nothing that can be read."""
    found = _RANGE.fullmatch(given.strip()) if given else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    begin = int(first) if first else max(0, size - int(last))
    end = min(size, int(last) + 1) if first and last else size
    if begin >= end:
        raise GCSError(416, "The requested range cannot be satisfied.", headers={"Content-Range": f"bytes */{size}"})
    return begin, end


def delete_object(call: Call) -> Reply:
    """404 for one that is not there."""
    with call.state.lock:
        del call.bucket().objects[_found(call).key]
    return Reply(204)


def list_objects(call: Call) -> Reply:
    """A page, in the order of the names' UTF-8 bytes; without delimiters."""
    if "delimiter" in call.head.parameters:
        raise GCSError(501, "This server was not taught delimiters.")
    most = min(_number(call, "maxResults", call.state.page), call.state.page)
    after = _from_token(call.parameter("pageToken"))
    with call.state.lock:
        objects = dict(call.bucket().objects)
    names = sorted(name.encode() for name in objects if name.startswith(call.parameter("prefix")))
    left = [name for name in names if name > after]
    told: dict[str, Any] = {"kind": "storage#objects"}
    if page := left[:most]:
        told["items"] = [objects[name.decode()].resource(call.target.bucket) for name in page]
    if len(left) > most:
        told["nextPageToken"] = base64.urlsafe_b64encode(page[-1]).decode()
    return chosen(call.head, told)


def _number(call: Call, name: str, default: int) -> int:
    given = call.parameter(name)
    if not given:
        return default
    if not given.isdecimal() or not int(given):
        raise GCSError(400, f"Invalid value for {name}: {given}")
    return int(given)


def _from_token(token: str) -> bytes:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise GCSError(400, "Invalid value for pageToken.") from None


def create_bucket(call: Call) -> Reply:
    """An empty one."""
    name = str(call.received.resource.get("name") or "")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]", name):
        raise GCSError(400, f"Invalid bucket name: {name!r}")
    with call.state.lock:
        if name in call.state.buckets:
            raise GCSError(409, "Your previous request to create the named bucket succeeded and you already own it.")
        call.state.buckets[name] = Bucket(call.state.now())
    return document(_bucket(name, call.state.now()))


def get_bucket(call: Call) -> Reply:
    """What is known of it."""
    with call.state.lock:
        created = call.bucket().created
    return document(_bucket(call.target.bucket, created))


def _bucket(name: str, created: float) -> dict[str, Any]:
    return {"kind": "storage#bucket", "id": name, "name": name, "timeCreated": iso_time(created)}


def token(call: Call) -> Reply:
    """What a service account gets for its signature, which is not looked at: the token that is asked for."""
    with call.state.lock:
        current = call.state.token
    return document({"access_token": current or "anybody", "expires_in": 3600, "token_type": "Bearer"})
