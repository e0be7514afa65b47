"""What the Cloud Storage store makes of an upload that goes wrong in the middle, and of what it finds in a bucket."""

from __future__ import annotations

import errno
import io
import json
import re
from collections.abc import Iterator
from typing import Any

import google_crc32c
import pytest
import requests
import urllib3.exceptions
from google.api_core import exceptions as api_exceptions
from google.auth import exceptions as auth_exceptions
from rud_fakes.gcs import Fault, GCSServer
from rud_fakes.gcs.state import QUANTUM

from rud._body import Body, BodyRevoked
from rud.backends import _gcs_json, _gcs_upload
from rud.backends._gcs_errors import translated
from rud.backends._gcs_json import LOOKS
from rud.backends.gcs import GCSObjectStore
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
    ThrottledError,
)
from rud.store import PutMode
from tests.support.contract import get, put
from tests.support.gcs import CHUNK
from tests.support.s3 import content

LARGE = 2 * CHUNK + 5
# They have no types.
api: Any = api_exceptions
auth: Any = auth_exceptions


@pytest.fixture(autouse=True)
def short_pauses_and_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_gcs_json.JsonStore, "chunk", CHUNK)
    monkeypatch.setattr(_gcs_json, "PAUSES", {"initial": 0.001, "multiplier": 2.0, "maximum": 0.01})


@pytest.fixture
def server() -> Iterator[GCSServer]:
    with GCSServer("bucket") as made:
        yield made


@pytest.fixture
def store(server: GCSServer) -> GCSObjectStore:
    return GCSObjectStore("bucket", endpoint_url=server.url)


def operations(server: GCSServer) -> list[str]:
    return [request.operation for request in server.requests]


def test_one_request_or_chunks(server: GCSServer, store: GCSObjectStore) -> None:
    """Up to 8 MiB are one request, more are chunks; nothing else is asked for, not even the bucket."""
    put(store, "k", content(CHUNK))
    assert operations(server) == ["UploadMultipart"]

    put(store, "k", content(LARGE), checksum=None)
    assert operations(server)[1:] == ["StartUpload", *["UploadChunk"] * 3]
    assert [request.bytes_in for request in server.requests[2:]] == [CHUNK, CHUNK, 5]
    assert server.sessions == []


@pytest.mark.parametrize("checksum", [True, False], ids=["known before", "not known"])
@pytest.mark.parametrize("size", [10, LARGE])
def test_the_service_verifies_the_sum(size: int, *, checksum: bool) -> None:
    """A bit that is wrong on the way is noticed by the service itself, before there is an object: it has the sum with
    the object to be, or at the latest with the last chunk."""
    crc = google_crc32c.value(content(size))
    with GCSServer("bucket") as server:
        store = GCSObjectStore("bucket", endpoint_url=server.url)
        body = Changing(content(size))
        with pytest.raises(IntegrityError, match="doesn't match calculated"):
            put(store, "k", Body(body, size), checksum=crc if checksum else None)

        assert server.objects == {}
        assert "DeleteObject" not in operations(server)


class Changing(io.BytesIO):
    """A file of which each byte that is read a second time is another: as if it were spoilt after it was summed."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._seen = 0

    def read(self, size: int | None = -1) -> bytes:
        begin = self.tell()
        data = super().read(size)
        is_new = begin >= self._seen
        self._seen = max(self._seen, begin + len(data))
        return data if is_new else bytes(255 - byte for byte in data)


@pytest.mark.parametrize("skip", [0, 1, 2])
@pytest.mark.parametrize("action", ["status", "lost_reply", "reset_before", "reset_after"])
def test_a_chunk_that_fails(server: GCSServer, store: GCSObjectStore, action: Any, skip: int) -> None:
    """The service is asked how far it has come, and what it has is not sent again; not even the whole, when only the
    last answer was lost."""
    server.add(Fault("UploadChunk", action, skip=skip))
    put(store, "k", content(LARGE), entry_id="id")

    assert server.object("k").data == content(LARGE)
    arrived = action == "lost_reply"
    assert operations(server).count("UploadChunk") == (3 if arrived else 4)
    assert operations(server).count("QueryUpload") == 1


def test_a_chunk_that_is_broken_off(server: GCSServer, store: GCSObjectStore) -> None:
    """A connection that ends in the middle of a chunk costs that chunk."""
    server.add(Fault("UploadChunk", "reset_in_body", bytes=3 << 20, skip=1))
    put(store, "k", content(LARGE))

    assert server.object("k").data == content(LARGE)


@pytest.mark.parametrize("operation", ["StartUpload", "QueryUpload", "UploadMultipart"])
@pytest.mark.parametrize("action", ["status", "lost_reply", "reset_before"])
def test_a_request_that_fails(server: GCSServer, store: GCSObjectStore, operation: str, action: Any) -> None:
    """So does every other request of an upload: it is made again."""
    server.add(Fault("UploadChunk", "status", skip=1))
    server.add(Fault(operation, action))
    data = content(10 if operation == "UploadMultipart" else LARGE)
    put(store, "k", data)

    assert server.object("k").data == data
    assert operation in [request.operation for _, request in server.fired]


@pytest.mark.parametrize("takes", [QUANTUM, 3 * QUANTUM + 7])
def test_a_service_that_takes_less_than_it_is_sent(takes: int) -> None:
    """What is left of a chunk is sent again, from where the service has come to."""
    with GCSServer("bucket", takes=takes) as server:
        put(GCSObjectStore("bucket", endpoint_url=server.url), "k", content(CHUNK + 5))

        assert server.object("k").data == content(CHUNK + 5)


def test_a_service_that_takes_nothing() -> None:
    """It is not asked for ever."""
    with GCSServer("bucket", takes=0) as server:
        with pytest.raises(ObjectStoreTransientError, match="takes no more"):
            put(GCSObjectStore("bucket", endpoint_url=server.url), "k", content(CHUNK + 5))

        assert len(server.requests) < 5


@pytest.mark.parametrize("status", [404, 410])
@pytest.mark.parametrize("operation", ["UploadChunk", "QueryUpload"])
def test_a_session_that_the_service_has_ended(
    server: GCSServer, store: GCSObjectStore, operation: str, status: int
) -> None:
    """It may be begun anew: this is no missing bucket, and no failure for good."""
    server.add(Fault("UploadChunk", "status", skip=1))
    server.add(Fault(operation, "status", status=status, skip=operation == "UploadChunk"))

    with pytest.raises(ObjectStoreTransientError, match=f"ended the upload.*{status}"):
        put(store, "k", content(LARGE))

    assert server.objects == {}
    server.clear_faults()
    put(store, "k", content(LARGE))


@pytest.mark.parametrize("left", [0, QUANTUM])
def test_a_session_that_has_lost_what_it_had(server: GCSServer, store: GCSObjectStore, left: int) -> None:
    """What was sent before cannot be sent again from the middle; another attempt can."""

    def forget(_: object) -> None:
        (session,) = server.sessions
        del session.data[left:]
        del session.genuine[left:]

    server.add(Fault("UploadChunk", "call", skip=1, call=forget))
    server.add(Fault("UploadChunk", "status", skip=1))

    with pytest.raises(ObjectStoreTransientError, match=f"has {left} bytes, between"):
        put(store, "k", content(LARGE))


def test_a_condition_that_fails_at_the_end(server: GCSServer, store: GCSObjectStore) -> None:
    """Somebody else's object that appears while chunks are sent stays as it is."""
    server.add(Fault("UploadChunk", "call", skip=1, call=lambda _: server.put("k", b"somebody's")))

    with pytest.raises(ObjectExistsError):
        put(store, "k", content(LARGE), mode=PutMode.CREATE)

    assert server.object("k").data == b"somebody's"


@pytest.mark.parametrize("declared", [0, 1])
@pytest.mark.parametrize("size", [7, LARGE])
def test_bytes_that_are_not_those_declared_are_not_stored(
    server: GCSServer, store: GCSObjectStore, size: int, declared: int
) -> None:
    """Whatever number it is that their sum should have been, 0 included."""
    with pytest.raises(IntegrityError, match=f"not {declared:08x}"):
        put(store, "k", content(size), checksum=declared)

    assert server.objects == {}


@pytest.mark.parametrize(("operation", "size"), [("UploadMultipart", 1000), ("UploadChunk", LARGE)])
def test_a_service_that_verifies_nothing(operation: str, size: int) -> None:
    """What it tells of the object is compared with what was sent; the wrong object is removed, and no newer one."""
    with GCSServer("bucket", verifies=False) as server:
        store = GCSObjectStore("bucket", endpoint_url=server.url)
        server.add(Fault(operation, "flip"))
        with pytest.raises(IntegrityError, match="the service has"):
            put(store, "k", content(size))
        assert server.objects == {}

        server.add(Fault(operation, "flip"))
        server.add(Fault("DeleteObject", "call", call=lambda _: server.put("k", b"newer")))
        with pytest.raises(IntegrityError):
            put(store, "k", content(size))
        assert server.object("k").data == b"newer"


@pytest.mark.parametrize(
    ("operation", "size"), [("UploadMultipart", 0), ("UploadMultipart", 1000), ("UploadChunk", LARGE)]
)
def test_an_upload_that_was_given_up_is_not_sent_again(
    server: GCSServer, store: GCSObjectStore, operation: str, size: int
) -> None:
    """A thread that was abandoned must not overwrite what came after it."""
    given_up: list[object] = []
    server.add(Fault(operation, "call", call=given_up.append))
    server.add(Fault(operation, "reset_after"))
    body = Body(io.BytesIO(content(size)), size, revoked=lambda: bool(given_up))

    with pytest.raises(BodyRevoked):
        put(store, "k", body)

    assert server.objects == {}
    assert operations(server).count(operation) == 1


def test_an_object_that_is_replaced_while_it_is_read(server: GCSServer, store: GCSObjectStore) -> None:
    """Never the metadata of one and the bytes of another: it is looked at again, but not for ever."""
    server.put("k", b"old")
    server.add(Fault("GetMedia", "call", call=lambda _: server.put("k", b"newer")))

    data, meta = get(store, "k")
    assert (data, meta) == (b"newer", store.head("k"))

    server.add(Fault("GetMedia", "call", times=None, call=lambda _: server.put("k", b"newest")))
    with pytest.raises(ObjectStoreTransientError, match="replaced"):
        get(store, "k")
    assert operations(server).count("GetMedia") == 2 + LOOKS


def test_an_object_that_is_removed_while_it_is_read(server: GCSServer, store: GCSObjectStore) -> None:
    """It is not there."""
    server.put("k", b"old")
    server.add(Fault("GetMedia", "status", status=404))

    with pytest.raises(ObjectNotFoundError):
        get(store, "k")


class Full:
    """A disk that is full after one write."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def write(self, chunk: bytes) -> None:
        self.sizes.append(len(chunk))
        if len(self.sizes) > 1:
            raise OSError(errno.ENOSPC, "no space left")


def test_a_sink_that_fails(server: GCSServer, store: GCSObjectStore) -> None:
    """Its own error comes out, and it is written to in pieces of 1 MiB."""
    server.put("k", content(3 << 20))
    full = Full()

    with pytest.raises(OSError, match="no space left") as caught:
        store.get("k", full)

    assert not isinstance(caught.value, RudError)
    assert full.sizes == [1 << 20, 1 << 20]


def test_a_get_that_is_cut_short(server: GCSServer, store: GCSObjectStore) -> None:
    """What has arrived is handed on before the failure, so that the next attempt can go on from there."""
    server.put("k", content(3 << 20))
    server.add(Fault("GetMedia", "truncate", bytes=(1 << 20) + 100_000))
    sink = io.BytesIO()

    with pytest.raises(ObjectStoreTransientError):
        store.get("k", sink)

    assert sink.tell() > 1 << 20
    assert content(3 << 20).startswith(sink.getvalue())


def test_a_delete_that_is_refused(server: GCSServer, store: GCSObjectStore) -> None:
    """What is not there any more is no error, everything else is; who may not list is believed to have a bucket."""
    server.add(Fault("DeleteObject", "status", status=403))
    with pytest.raises(AccessDeniedError):
        store.delete("k")
    server.add(Fault("ListObjects", "status", status=403))
    store.delete("k")
    store.delete("k")


def test_a_probe(server: GCSServer, store: GCSObjectStore) -> None:
    """It needs no more than the right to put, and a session that could not be cancelled is no failure."""
    server.add(Fault("CancelUpload", "lost_reply"))
    store.probe()
    store.probe()

    assert operations(server) == ["StartUpload", "CancelUpload"] * 2
    assert (server.sessions, server.objects) == ([], {})
    server.add(Fault("StartUpload", "status", status=403))
    with pytest.raises(AccessDeniedError):
        store.probe()


def test_no_session_is_announced(server: GCSServer, store: GCSObjectStore) -> None:
    """Its address lets whoever has it write the object: it is in no text, no error and no journal."""
    told: list[str] = []
    server.add(Fault("UploadChunk", "status", status=403))
    with pytest.raises(AccessDeniedError) as caught:
        put(store, "k", content(LARGE), on_multipart=told.append)

    assert told == []
    assert "upload_id" not in str(caught.value)
    assert "upload_id" not in repr(caught.value.__dict__)


def test_a_service_that_goes_away_is_no_reason_to_tell_the_session(
    server: GCSServer, store: GCSObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a refused connection urllib3 tells the whole address, and our text goes into logs and to the disk (I23)."""
    monkeypatch.setattr(_gcs_json, "RETRY_FOR", 0.1)
    data = content(LARGE)
    gone = Body(io.BytesIO(data), len(data), on_read=lambda _: server.stop())

    with pytest.raises(ObjectStoreTransientError, match="upload_id=…") as caught:
        put(store, "k", gone)
    assert re.findall(r"upload_id=[^…]", str(caught.value)) == []


def test_a_service_that_never_answers(
    server: GCSServer, store: GCSObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is waited for once, not for ever and not again and again."""
    for module in (_gcs_json, _gcs_upload):
        monkeypatch.setattr(module, "TIMEOUT", (5, 0.2))
    monkeypatch.setattr(_gcs_json, "RETRY_FOR", 0.1)
    server.add(Fault("*", "never", times=None))
    for operation in (lambda: put(store, "k", b"x"), lambda: store.head("k"), lambda: store.list(""), store.probe):
        with pytest.raises(ObjectStoreTransientError):
            operation()

    assert len(server.requests) == 4


def response(status: int, message: str = "", reason: str = "") -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made._content = json.dumps({"error": {"message": message, "errors": [{"reason": reason}]}}).encode()
    return made


def answered(status: int, message: str = "") -> Exception:
    error: Any = api.from_http_status(status, message, response=response(status, message))
    assert isinstance(error, Exception)
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (requests.ConnectionError("refused"), ObjectStoreTransientError),
        (requests.ReadTimeout("slow"), ObjectStoreTransientError),
        (requests.exceptions.ChunkedEncodingError("cut"), ObjectStoreTransientError),
        (urllib3.exceptions.ProtocolError("cut"), ObjectStoreTransientError),
        (ConnectionResetError("reset"), ObjectStoreTransientError),
        (TimeoutError("slow"), ObjectStoreTransientError),
        (requests.exceptions.JSONDecodeError("a page of a portal", "<html>", 0), ObjectStoreTransientError),
        (auth.TransportError("the token's service is away"), ObjectStoreTransientError),
        (auth.RefreshError("away for a moment", retryable=True), ObjectStoreTransientError),
        (auth.RefreshError("invalid_grant"), CredentialsExpiredError),
        (auth.DefaultCredentialsError("none"), ConfigurationError),
        (api.RetryError("late", requests.ConnectionError("refused")), ObjectStoreTransientError),
        (api.RetryError("late", answered(429)), ThrottledError),
        (api.RetryError("late", ThrottledError("ours")), ThrottledError),
        (answered(400, 'Provided CRC32C "a" doesn\'t match calculated CRC32C "b".'), IntegrityError),
        (answered(400, "no"), StoreError),
        (answered(401), CredentialsExpiredError),
        (answered(404), BucketNotFoundError),
        (answered(412), ObjectExistsError),
        (answered(503), ObjectStoreTransientError),
        (RuntimeError("a bug"), StoreError),
        (ThrottledError("ours"), ThrottledError),
    ],
    ids=lambda value: f"{type(value).__name__}-{value}" if isinstance(value, Exception) else "",
)
def test_what_the_sdk_raises(error: Exception, expected: type[Exception]) -> None:
    """Each kind is of the class that says what to do about it; an error of ours stays what it is."""
    with pytest.raises(RudError) as caught, translated("put", "k"):
        raise error

    assert type(caught.value) is expected


def test_an_answer_that_is_no_document() -> None:
    """A proxy's page of HTML has a status all the same."""
    strange = response(502)
    strange._content = b"<html>Bad Gateway"
    error: Any = api.from_http_status(502, "", response=strange)

    with pytest.raises(ObjectStoreTransientError, match="HTTP 502"), translated("put", "k"):
        raise error
