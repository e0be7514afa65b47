"""Faulty servers, behind the right backends of S3 and Cloud Storage: what a gateway may get wrong, and is found by."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from rud_fakes._http.dialect import Reply
from rud_fakes.s3.documents import S3Error

from rud_conformance.harness import Harness
from rud_conformance.harnesses import FakeGCS, FakeS3
from rud_conformance.mutants import mutant


@dataclass(frozen=True, slots=True)
class Asked:
    """One request; ``then``: what a right server makes of it."""

    state: Any
    head: Any
    target: Any
    received: Any
    then: Callable[..., Reply]

    @property
    def operation(self) -> str:
        return str(self.target.operation)

    def right(self, **changed: Any) -> Reply:
        """The right answer, to a request that is ``changed``."""
        given = {"head": self.head, "target": self.target, "received": self.received, **changed}
        return self.then(given["head"], given["target"], given["received"])

    def without(self, *headers: str) -> Any:
        """The head of the request, without these."""
        return replace(self.head, headers={n: value for n, value in self.head.headers.items() if n not in headers})


Rule = Callable[[Asked], Reply]


def _harness(base: type[FakeS3 | FakeGCS], rule: Rule) -> type[Harness]:
    def begin(self: Any) -> None:
        base.__init__(self)
        dialect = self._server._dialect
        then, state = dialect.answer, dialect._state
        dialect.answer = lambda head, target, received: rule(Asked(state, head, target, received, then))

    made: type[Harness] = type(base.__name__, (base,), {"__init__": begin})  # pyright: ignore[reportAssignmentType]  # type() is typed as its metaclass
    return made


def _s3(id: str, killers: str, bug: str) -> Callable[[Rule], Rule]:  # noqa: A002 - as for mutants
    def enter(rule: Rule) -> Rule:
        mutant(f"s3-{id}", killers, bug)(_harness(FakeS3, rule))
        return rule

    return enter


def _gcs(id: str, killers: str, bug: str) -> Callable[[Rule], Rule]:  # noqa: A002 - as for mutants
    def enter(rule: Rule) -> Rule:
        mutant(f"gcs-{id}", killers, bug)(_harness(FakeGCS, rule))
        return rule

    return enter


def _cut(asked: Asked) -> Any:
    data = asked.received.data or b""
    return replace(asked.received, data=data[:-1], size=max(0, len(data) - 1))


@_s3("body-short", "S01", "the server stores a body without its last byte")
def body_short(asked: Asked) -> Reply:
    return asked.right(received=_cut(asked)) if asked.operation == "PutObject" else asked.right()


@_s3("condition-ignored", "O04 X02", "the server ignores If-None-Match")
def condition_ignored(asked: Asked) -> Reply:
    return asked.right(head=asked.without("if-none-match"))


@_s3("condition-ignored-in-parts", "O08", "the server ignores If-None-Match of a completion")
def condition_ignored_in_parts(asked: Asked) -> Reply:
    whole = asked.operation != "CompleteMultipartUpload"
    return asked.right() if whole else asked.right(head=asked.without("if-none-match"))


@_s3("first-page", "L08", "the server says that the first page of a listing is the last")
def first_page(asked: Asked) -> Reply:
    answer = asked.right()
    if asked.operation != "ListObjectsV2":
        return answer
    body = bytes(answer.body).replace(b"<IsTruncated>true", b"<IsTruncated>false")
    return replace(answer, body=re.sub(b"<NextContinuationToken>.*?</NextContinuationToken>", b"", body))


@_s3("listing-late", "L01 V04", "the server lists an object only when another one was put after it")
def listing_late(asked: Asked) -> Reply:
    if asked.operation != "ListObjectsV2":
        return asked.right()
    with asked.state.lock:
        bucket = asked.state.bucket(asked.target.bucket)
        last = next(reversed(bucket.objects), None)
        there = bucket.objects.pop(last) if last else None
    answer = asked.right()
    if last and there:
        with asked.state.lock:
            bucket.objects[last] = there
    return answer


@_s3("prefix-ignored", "L02", "the server lists the bucket, whatever the prefix")
def prefix_ignored(asked: Asked) -> Reply:
    if asked.operation != "ListObjectsV2":
        return asked.right()
    given = {name: value for name, value in asked.head.parameters.items() if name != "prefix"}
    return asked.right(head=replace(asked.head, parameters=given))


@_s3("wrong-sum", "S10", "the server tells another checksum than that of the object")
def wrong_sum(asked: Asked) -> Reply:
    answer = asked.right()
    if asked.operation != "HeadObject" or "x-amz-checksum-crc32c" not in answer.headers:
        return answer
    return replace(answer, headers={**answer.headers, "x-amz-checksum-crc32c": "AAAAAA=="})


@_s3("sums-unknown", "S10 X04", "the server neither verifies nor tells checksums")
def sums_unknown(asked: Asked) -> Reply:
    answer = asked.right(received=replace(asked.received, declared={}))
    told = {name: value for name, value in answer.headers.items() if "checksum" not in name.lower()}
    return replace(answer, headers=told)


_old: dict[tuple[str, str], Any] = {}


@_s3("stale", "O03 V05", "the server answers a head and a get from what was there before the last put")
def stale(asked: Asked) -> Reply:
    name = (asked.target.bucket, asked.target.key)
    with asked.state.lock:
        objects = asked.state.bucket(asked.target.bucket).objects
        there = objects.get(asked.target.key)
    if asked.operation in ("PutObject", "CompleteMultipartUpload") and there is not None:
        _old[name] = there
    if asked.operation not in ("HeadObject", "GetObject") or there is None or name not in _old:
        return asked.right()
    with asked.state.lock:
        objects[asked.target.key] = _old[name]
    try:
        return asked.right()
    finally:
        with asked.state.lock:
            objects[asked.target.key] = there


@_s3("deletes-nothing", "V06", "the server says that it has deleted, and has not")
def deletes_nothing(asked: Asked) -> Reply:
    return Reply(204) if asked.operation == "DeleteObject" else asked.right()


@_s3("wrong-range", "D18", "the server begins a range one byte late, and tells it as asked for")
def wrong_range(asked: Asked) -> Reply:
    answer = asked.right()
    if asked.operation != "GetObject" or answer.status != 206 or not answer.body:
        return answer
    return replace(answer, body=bytes(answer.body)[1:] + b"?")


@_s3("metadata-lost", "S11", "the server keeps no metadata of users")
def metadata_lost(asked: Asked) -> Reply:
    mine = [name for name in asked.head.headers if name.startswith("x-amz-meta-")]
    return asked.right(head=asked.without(*mine))


@_s3("first-part", "R03", "the server makes the object of the first part alone")
def first_part(asked: Asked) -> Reply:
    if asked.operation == "CompleteMultipartUpload":
        upload_id = asked.head.parameters["uploadId"]
        with asked.state.lock:
            uploads = asked.state.bucket(asked.target.bucket).uploads
            upload = uploads[upload_id]
            none = {n: replace(one, data=b"", size=0) for n, one in upload.parts.items() if n > 1}
            uploads[upload_id] = replace(upload, parts={**upload.parts, **none})
        lenient = asked.without("x-amz-mp-object-size", "x-amz-checksum-crc32c")
        return asked.right(head=lenient)
    return asked.right()


def _renamed(asked: Asked, change: Callable[[str], str]) -> Reply:
    return asked.right(target=replace(asked.target, key=change(asked.target.key)))


@_s3("plus-is-a-space", "N04", "the server takes a plus in a key for a space")
def plus_is_a_space(asked: Asked) -> Reply:
    return _renamed(asked, lambda key: key.replace("+", " "))


@_s3("slashes-collapse", "N06", "the server takes slashes in a row for one")
def slashes_collapse(asked: Asked) -> Reply:
    return _renamed(asked, lambda key: re.sub("//+", "/", key))


@_s3("without-case", "N09", "the server takes capitals in a key for small letters")
def without_case(asked: Asked) -> Reply:
    return _renamed(asked, str.lower)


@_s3("missing-is-forbidden", "E01", "the server says 403 of an object that is not there")
def missing_is_forbidden(asked: Asked) -> Reply:
    try:
        return asked.right()
    except S3Error as error:
        if asked.operation in ("HeadObject", "GetObject") and error.reply.status == 404:
            raise S3Error("AccessDenied", "Access Denied") from None
        raise


@_s3("missing-bucket", "E01", "the server says of an object that is not there that there is no bucket")
def missing_bucket(asked: Asked) -> Reply:
    try:
        return asked.right()
    except S3Error as error:
        if asked.operation == "GetObject" and error.reply.status == 404:
            raise S3Error("NoSuchBucket", "The specified bucket does not exist") from None
        raise


@_s3("aborts-nothing", "P02 Z09", "the server says that it has aborted an upload, and has not")
def aborts_nothing(asked: Asked) -> Reply:
    return Reply(204) if asked.operation == "AbortMultipartUpload" else asked.right()


@_s3("no-time", "S08", "the server tells the first of January 1970 for the time of every object")
def no_time(asked: Asked) -> Reply:
    answer = asked.right()
    if "Last-Modified" in answer.headers:
        epoch = "Thu, 01 Jan 1970 00:00:00 GMT"
        return replace(answer, headers={**answer.headers, "Last-Modified": epoch})
    return answer


@_s3("one-etag", "S09", "the server has one etag for all objects")
def one_etag(asked: Asked) -> Reply:
    answer = asked.right()
    headers = {**answer.headers, "ETag": '"one"'} if "ETag" in answer.headers else answer.headers
    body = re.sub(b"<ETag>.*?</ETag>", b"<ETag>&#34;one&#34;</ETag>", bytes(answer.body))
    return replace(answer, headers=headers, body=body if asked.operation == "ListObjectsV2" else answer.body)


@_s3("empty-lost", "R01", "the server takes an object without bytes for nothing to do")
def empty_lost(asked: Asked) -> Reply:
    answer = asked.right()
    if asked.operation == "PutObject" and not asked.received.size:
        with asked.state.lock:
            asked.state.bucket(asked.target.bucket).objects.pop(asked.target.key, None)
    return answer


_looked: dict[tuple[str, str], threading.Event] = {}


@_s3("checks-then-writes", "O07", "the server looks whether a key is free, and then writes")
def checks_then_writes(asked: Asked) -> Reply:
    if asked.operation != "PutObject" or "if-none-match" not in asked.head.headers:
        return asked.right()
    name = (asked.target.bucket, asked.target.key)
    with asked.state.lock:
        is_free = asked.target.key not in asked.state.bucket(asked.target.bucket).objects
        is_first, rival = name not in _looked, _looked.setdefault(name, threading.Event())
    if not is_free:
        return asked.right()
    if is_first:
        rival.wait(5.0)  # for another to look
    rival.set()
    return asked.right(head=asked.without("if-none-match"))


@_gcs("condition-ignored", "O04", "the server ignores ifGenerationMatch")
def gcs_condition_ignored(asked: Asked) -> Reply:
    given = {name: value for name, value in asked.head.parameters.items() if name != "ifGenerationMatch"}
    return asked.right(head=replace(asked.head, parameters=given))


def _resource(answer: Reply, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Reply:
    """``answer``, with another document."""
    told = json.loads(bytes(answer.body) or b"{}")
    body = json.dumps(change(told)).encode()
    return replace(answer, body=body)


@_gcs("first-page", "L08", "the server says that the first page of a listing is the last")
def gcs_first_page(asked: Asked) -> Reply:
    answer = asked.right()
    if asked.operation != "ListObjects":
        return answer
    return _resource(answer, lambda told: {name: value for name, value in told.items() if name != "nextPageToken"})


@_gcs("metadata-lost", "S11", "the server tells no metadata of users")
def gcs_metadata_lost(asked: Asked) -> Reply:
    answer = asked.right()
    if asked.operation != "GetObject":
        return answer
    return _resource(answer, lambda told: {name: value for name, value in told.items() if name != "metadata"})


@_gcs("wrong-sum", "R06", "the server tells another checksum than that of the object")
def gcs_wrong_sum(asked: Asked) -> Reply:
    answer = asked.right()
    if asked.operation not in ("UploadMultipart", "GetObject"):
        return answer
    return _resource(answer, lambda told: {**told, "crc32c": "AAAAAA=="} if "crc32c" in told else told)


@_gcs("body-short", "S01", "the server stores a body without its last byte, and sums what it stored")
def gcs_body_short(asked: Asked) -> Reply:
    if asked.operation != "UploadMultipart":
        return asked.right()
    received = replace(asked.received, data=asked.received.data[:-1])
    kept = {name: value for name, value in received.resource.items() if name != "crc32c"}
    return asked.right(received=replace(received, resource=kept))


@_gcs("deletes-nothing", "V06", "the server says that it has deleted, and has not")
def gcs_deletes_nothing(asked: Asked) -> Reply:
    return Reply(204) if asked.operation == "DeleteObject" else asked.right()
