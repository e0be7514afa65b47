"""What the S3 store makes of answers that are no success, and what it leaves behind."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from rud_fakes._http.faults import Action
from rud_fakes.s3 import Fault, S3Server
from rud_fakes.servers import Versitygw

from rud import Downloader, Uploader
from rud._body import Body
from rud.backends.s3 import S3ObjectStore
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
    UnsupportedOperationError,
    UploadExistsError,
)
from rud.store import PutMode
from tests.support.contract import get, put
from tests.support.s3 import CREDENTIALS, ONE_TRY, PART, SMALL_PARTS, address_of, content, new_place


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server("bucket", credentials=CREDENTIALS) as made:
        yield made


@pytest.fixture
def store(server: S3Server) -> S3ObjectStore:
    """Asks once, so that what is seen is what one answer leads to."""
    return S3ObjectStore(
        "bucket", **address_of(server).backend_kwargs, client_config=ONE_TRY, transfer_config=SMALL_PARTS
    )


ANSWERS: list[tuple[int, str | None, type[RudError]]] = [
    (400, "RequestTimeout", ObjectStoreTransientError),
    (409, "OperationAborted", ObjectStoreTransientError),
    (409, "ConditionalRequestConflict", ObjectStoreTransientError),
    (500, "InternalError", ObjectStoreTransientError),
    (503, "ServiceUnavailable", ObjectStoreTransientError),
    (503, "SlowDown", ThrottledError),
    (429, "TooManyRequests", ThrottledError),
    (400, "ThrottlingException", ThrottledError),
    (400, "ExpiredToken", CredentialsExpiredError),
    (400, "TokenRefreshRequired", CredentialsExpiredError),
    (403, "AccessDenied", AccessDeniedError),
    (403, "InvalidAccessKeyId", AccessDeniedError),
    (403, "SignatureDoesNotMatch", AccessDeniedError),
    (403, "RequestTimeTooSkewed", ConfigurationError),
    (404, "NoSuchBucket", BucketNotFoundError),
    (404, "NoSuchKey", ObjectNotFoundError),
    (412, "PreconditionFailed", ObjectExistsError),
    (400, "BadDigest", IntegrityError),
    (400, "XAmzContentChecksumMismatch", IntegrityError),
    (501, "NotImplemented", UnsupportedOperationError),
    (400, "InvalidRequest", StoreError),
    (400, "EntityTooLarge", StoreError),
    (418, "SomethingOfItsOwn403", StoreError),
    (599, "SomethingOfItsOwn404", ObjectStoreTransientError),
]


@pytest.mark.parametrize(("status", "code", "expected"), ANSWERS, ids=str)
def test_answers(server: S3Server, store: S3ObjectStore, status: int, code: str, expected: type[RudError]) -> None:
    """The service's code decides the class, whatever was asked for; the text has key, code and status."""
    server.put("k-503", b"x")
    server.add(Fault("*", "status", status=status, code=code, times=None, retry_after=7.0))
    operations: list[Callable[[], object]] = [
        lambda: put(store, "k-503", b"x"),
        lambda: put(store, "k-503", content(PART + 1)),
        lambda: get(store, "k-503"),
        lambda: store.list("k-503"),
    ]
    for operation in operations:
        with pytest.raises(RudError) as raised:
            operation()
        assert type(raised.value) is expected
        assert all(word in str(raised.value) for word in ("k-503", code, str(status)))
        if isinstance(raised.value, ObjectStoreTransientError):
            assert raised.value.retry_after == 7.0


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, StoreError),
        (401, AccessDeniedError),
        (403, AccessDeniedError),
        (404, ObjectNotFoundError),
        (408, ObjectStoreTransientError),
        (412, ObjectExistsError),
        (425, ObjectStoreTransientError),
        (429, ThrottledError),
        (500, ObjectStoreTransientError),
        (501, UnsupportedOperationError),
        (502, ObjectStoreTransientError),
        (504, ObjectStoreTransientError),
    ],
)
def test_answers_without_a_code(server: S3Server, store: S3ObjectStore, status: int, expected: type[RudError]) -> None:
    """The answer to a HEAD has no body, and so no code: there the status decides."""
    server.put("k", b"x")
    server.add(Fault("HeadObject", "status", status=status, times=None))

    with pytest.raises(RudError) as raised:
        store.head("k")

    assert type(raised.value) is expected


BREAKS = [
    Fault("*", "reset_before", times=None),
    Fault("*", "reset_after", times=None),
    Fault("*", "lost_reply", times=None),
    Fault("CompleteMultipartUpload", "error_in_200", code="InternalError", times=None),
    Fault("UploadPart", "reset_in_body", bytes=1000, times=None),
]


@pytest.mark.parametrize("fault", BREAKS, ids=lambda fault: f"{fault.operation}-{fault.action}")
def test_connections_that_break(server: S3Server, store: S3ObjectStore, fault: Fault) -> None:
    """A connection that breaks, or a 200 that carries an error, may pass; nothing unfinished is left where the store
    can be reached."""
    server.add(fault)

    with pytest.raises(ObjectStoreTransientError, match="'k'"):
        put(store, "k", content(PART + 1))

    assert server.fired
    if fault.operation != "*":
        assert server.uploads == {}
        assert server.objects == {}


@pytest.mark.parametrize("action", ["reset_before", "lost_reply"])
def test_a_connection_that_breaks_after_a_miss(server: S3Server, store: S3ObjectStore, action: Action) -> None:
    """When an object is missing and the question why breaks off, that is transient: no file of certificates is."""
    server.add(Fault("GetObject", action))
    with pytest.raises(ObjectStoreTransientError):
        store.head("missing")

    server.add(Fault("GetObject", action))
    with pytest.raises(ObjectStoreTransientError):
        put(store, "k", content(PART + 1), mode=PutMode.CREATE)


def test_a_server_that_is_away(server: S3Server, store: S3ObjectStore) -> None:
    """A refused connection may pass, too; and the store works again when the server is back."""
    server.stop()
    for operation in (lambda: put(store, "k", b"x"), lambda: store.head("k"), store.probe):
        with pytest.raises(ObjectStoreTransientError):
            operation()
    server.start()

    put(store, "k", b"x")


def test_a_get_that_is_cut_short(server: S3Server, store: S3ObjectStore) -> None:
    """An object that ends early is a fault that may pass, never a shorter object."""
    server.put("k", content(1 << 20))
    server.add(Fault("GetObject", "truncate", bytes=1000))

    with pytest.raises(ObjectStoreTransientError):
        get(store, "k")

    assert get(store, "k")[0] == content(1 << 20)


@pytest.mark.parametrize("size", [1000, PART + 1000], ids=["one request", "parts"])
def test_bytes_that_rot(server: S3Server, size: int, tmp_path: Path) -> None:
    """What was stored well and is no longer what it was is refused by whoever downloads it, and not left there."""
    arguments = address_of(server).backend_kwargs
    store = S3ObjectStore("bucket", **arguments, transfer_config=SMALL_PARTS)
    server.add(Fault("PutObject" if size < PART else "UploadPart", "flip", part=None if size < PART else 1))
    put(store, "k", content(size))

    with pytest.raises(IntegrityError, match="'k'"):
        Downloader("s3://bucket", backend_kwargs=arguments, num_attempts=1).download("k", tmp_path / "k")

    assert list(tmp_path.iterdir()) == []


class Interrupted(io.BytesIO):
    """A file in whose middle Ctrl-C comes."""

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= len(self.getbuffer()) // 2:
            raise KeyboardInterrupt
        return super().read(size)


def interrupted() -> Body:
    return Body(Interrupted(content(3 * PART)), 3 * PART)


def test_a_failure_leaves_no_parts(server: S3Server, store: S3ObjectStore) -> None:
    """Whatever ends a put in parts, the service's no or Ctrl-C, its multipart upload is ended, and others go on."""
    server.add(Fault("UploadPart", "status", part=2, status=403, code="AccessDenied"))
    with pytest.raises(AccessDeniedError):
        put(store, "k", content(3 * PART))
    with pytest.raises(KeyboardInterrupt):
        put(store, "k", interrupted())
    assert (server.uploads, server.objects) == ({}, {})

    ids: list[str] = []
    put(store, "k", content(PART + 1), on_multipart=ids.append)
    assert [one.query.get("uploadId") for one in server.requests if one.operation == "UploadPart"][-1] in ids
    assert server.object("k").size == PART + 1


def test_a_failure_whose_abort_is_refused(server: S3Server, store: S3ObjectStore) -> None:
    """The reason of the failure is what is raised, not that tidying up has failed as well."""
    server.add(Fault("UploadPart", "status", status=403, code="AccessDenied"))
    server.add(Fault("AbortMultipartUpload", "status", status=500))

    with pytest.raises(AccessDeniedError):
        put(store, "k", content(PART + 1))


def test_nothing_is_left_by_versitygw(rud_versitygw: Versitygw) -> None:
    """The same on a real server: neither an object nor an unfinished upload."""
    place = new_place(rud_versitygw.address)
    with pytest.raises(KeyboardInterrupt):
        put(place.store(transfer_config=SMALL_PARTS), "k", interrupted())

    assert place.unfinished() == 0
    assert list(place.store().list("")) == []


LOST = [
    ("PutObject", 1000),
    ("UploadPart", PART + 1000),
    ("CompleteMultipartUpload", PART + 1000),
    ("CreateMultipartUpload", PART + 1000),
]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(("operation", "size"), LOST, ids=[operation for operation, _ in LOST])
def test_a_create_whose_reply_is_lost(server: S3Server, tmp_path: Path, operation: str, size: int, times: int) -> None:
    """A create whose reply never came is recognised as our own: it is stored once, and reported as stored."""
    server.add(Fault(operation, "lost_reply", times=times))
    (tmp_path / "file").write_bytes(content(size))
    with uploader_to(server, tmp_path) as uploader:
        handle = uploader.upload(tmp_path / "file", "k", overwrite=False)
        handle.result(60)

    # After a completion the next attempt looks first, and finds its own object.
    assert len(server.fired) == (1 if operation == "CompleteMultipartUpload" else times)
    assert server.object("k").data == content(size)
    assert list(server.objects) == ["k"]
    if operation != "CreateMultipartUpload":
        assert server.uploads == {}


@pytest.mark.parametrize(("entry_id", "theirs"), [(None, False), ("id", False), ("id", True)])
def test_a_create_by_hand_whose_reply_is_lost(server: S3Server, entry_id: str | None, *, theirs: bool) -> None:
    """botocore asks again, and finds the object: our own is a success, by its id or its sum; another's is there."""
    if theirs:
        server.put("k", content(1000))
    server.add(Fault("PutObject", "lost_reply"))
    with closing(S3ObjectStore("bucket", **address_of(server).backend_kwargs)) as store:
        create = partial(put, store, "k", content(1000), mode=PutMode.CREATE, entry_id=entry_id)
        if theirs:
            with pytest.raises(ObjectExistsError):
                create()
        else:
            assert create().etag == server.object("k").etag.strip('"')
    assert len([one for one in server.requests if one.operation == "PutObject"]) == 2


@pytest.mark.parametrize("size", [1000, PART + 1000], ids=["one request", "parts"])
def test_a_create_that_finds_another_object(server: S3Server, tmp_path: Path, size: int) -> None:
    """With a lost reply or without, somebody else's object stays as it is, and the create has failed."""
    server.put("k", b"somebody's")
    server.add(Fault("PutObject" if size < PART else "CompleteMultipartUpload", "lost_reply"))
    (tmp_path / "file").write_bytes(content(size))
    with pytest.raises(UploadExistsError), uploader_to(server, tmp_path) as uploader:
        uploader.upload(tmp_path / "file", "k", overwrite=False)

    assert server.object("k").data == b"somebody's"
    assert server.uploads == {}


@pytest.mark.parametrize("size", [1000, PART + 1000], ids=["one request", "parts"])
def test_a_create_that_cannot_look(server: S3Server, tmp_path: Path, size: int) -> None:
    """Attempts that could not see whether an object is there do not replace it, nor do those after them."""
    server.put("k", b"somebody's")
    server.add(Fault("PutObject", "status"))
    server.add(Fault("HeadObject", "status", times=2))
    (tmp_path / "file").write_bytes(content(size))
    with pytest.raises(UploadExistsError, match=r"after [34] attempts"), uploader_to(server, tmp_path) as uploader:
        uploader.upload(tmp_path / "file", "k", overwrite=False)

    assert server.object("k").data == b"somebody's"
    assert server.uploads == {}


def uploader_to(server: S3Server, folder: Path) -> Uploader:
    arguments = {**address_of(server).backend_kwargs, "client_config": ONE_TRY, "transfer_config": SMALL_PARTS}
    return Uploader(
        "s3://bucket",
        backend_kwargs=arguments,
        use_procs=False,
        num_attempts=6,
        upload_staging_folder=folder / "staging",
    )
