"""What the S3 store makes of an upload that goes wrong in the middle, and of what it finds in a bucket."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.s3 import Fault, S3Server

from rud._body import Body, BodyRevoked
from rud.backends import _s3_multipart
from rud.backends._s3_multipart import Multipart
from rud.backends.s3 import S3ObjectStore
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    CredentialsExpiredError,
    IntegrityError,
    ObjectStoreTransientError,
)
from tests.support.contract import put
from tests.support.s3 import CREDENTIALS, ONE_TRY, PART, SMALL_PARTS, address_of, content


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server("bucket", credentials=CREDENTIALS) as made:
        yield made


def store_at(server: S3Server, prefix: str = "", **arguments: Any) -> S3ObjectStore:
    """A store that asks once and sends small parts."""
    given = {"client_config": ONE_TRY, "transfer_config": SMALL_PARTS, **arguments}
    return S3ObjectStore("bucket", prefix, **address_of(server).backend_kwargs, **given)


@pytest.mark.parametrize("operation", ["UploadPart", "CompleteMultipartUpload"])
@pytest.mark.parametrize("readable", [True, False])
def test_a_multipart_upload_that_somebody_ended_may_be_begun_anew(
    server: S3Server, operation: str, *, readable: bool
) -> None:
    """A rule of the bucket, or another run, may abort it: the next attempt succeeds, so this is no failure for good."""
    store = store_at(server)
    server.add(Fault(operation, "status", status=404, code="NoSuchUpload"))
    if not readable:
        server.add(Fault("HeadObject", "status", status=403))
        server.add(Fault("GetObject", "status", status=403))

    with pytest.raises(ObjectStoreTransientError, match="NoSuchUpload"):
        put(store, "k", content(PART + 1), entry_id="ours")

    assert server.objects == {}
    server.clear_faults()
    put(store, "k", content(PART + 1), entry_id="ours")


@pytest.mark.parametrize(
    ("there", "entry_id", "stored"),
    [("ours", "ours", True), ("theirs", "ours", False), (None, "ours", False), (None, None, False)],
)
def test_a_completion_that_finds_nothing_to_complete(
    server: S3Server, there: str | None, entry_id: str | None, *, stored: bool
) -> None:
    """Its first answer was lost and the SDK has asked again: stored if the object is of this very upload."""
    server.put("k", b"there", {} if there is None else {"rud-entry-id": there})
    server.add(Fault("CompleteMultipartUpload", "status", status=404, code="NoSuchUpload"))
    store = store_at(server)

    if stored:
        assert put(store, "k", content(PART + 1), entry_id=entry_id).etag == store.head("k").etag
    else:
        with pytest.raises(ObjectStoreTransientError):
            put(store, "k", content(PART + 1), entry_id=entry_id)


@pytest.mark.parametrize("declared", [0, 1])
@pytest.mark.parametrize("size", [7, PART + 1])
def test_bytes_that_are_not_those_declared_are_not_stored(server: S3Server, size: int, declared: int) -> None:
    """Whatever number it is that their sum should have been, 0 included."""
    with pytest.raises(IntegrityError, match=f"not {declared:08x}"):
        put(store_at(server), "k", content(size), checksum=declared)

    assert (server.objects, server.uploads) == ({}, {})


def test_a_folder_that_a_console_has_made_is_no_object(server: S3Server) -> None:
    """An object named as the prefix with its slash has no name in this store, and every name that is listed is one."""
    for key in ("some/prefix/", "some/prefix/a/", "some/prefix/a/b"):
        server.put(key, b"")

    assert [meta.key for meta in store_at(server, "some/prefix").list("")] == ["a/", "a/b"]


@pytest.mark.parametrize("size", [0, 1000])
def test_an_upload_that_was_given_up_is_not_sent_again(server: S3Server, size: int) -> None:
    """botocore's second try reads what the first has read already, and is refused too: a thread that was abandoned
    must not overwrite what came after it."""
    given_up: list[object] = []
    server.add(Fault("PutObject", "call", call=given_up.append))
    server.add(Fault("PutObject", "reset_after"))
    body = Body(io.BytesIO(content(size)), size, revoked=lambda: bool(given_up))

    with pytest.raises(BodyRevoked):
        put(store_at(server, client_config={}), "k", body)
    assert server.objects == {}


def test_an_upload_that_was_given_up_is_not_completed(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though the answer to its last part comes in the end: somebody else may have the key by now."""
    given_up: list[object] = []
    send = Multipart.send

    def send_and_wait_too_long(*arguments: Any) -> list[Any]:
        parts = send(*arguments)
        given_up.append("after the last byte")
        return parts

    monkeypatch.setattr(Multipart, "send", send_and_wait_too_long)
    body = Body(io.BytesIO(content(PART + 1)), PART + 1, revoked=lambda: bool(given_up))

    with pytest.raises(BodyRevoked):
        put(store_at(server), "k", body)
    assert (server.objects, server.uploads) == ({}, {})


def test_a_process_that_gives_expired_credentials(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Credentials that are out of date as soon as they come are expired ones, which are waited for, no failure."""
    credentials = {"Version": 1, "AccessKeyId": "rudtest", "SecretAccessKey": "s", "SessionToken": "t"}
    (tmp_path / "out").write_text(json.dumps({**credentials, "Expiration": "2020-01-01T00:00:00Z"}))
    (tmp_path / "config").write_text(f"[default]\ncredential_process = cat {tmp_path / 'out'}\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))

    with pytest.raises(CredentialsExpiredError):
        put(S3ObjectStore("bucket", endpoint_url=server.url), "k", b"x")


def test_a_file_of_certificates_that_is_not_there(
    server: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It will not come about by waiting, and the text says which setting it is."""
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "nowhere.pem"))
    address = replace(address_of(server), url=server.url.replace("http:", "https:"))

    with pytest.raises(ConfigurationError, match="AWS_CA_BUNDLE"):
        S3ObjectStore("bucket", **address.backend_kwargs).probe()


def test_a_delete_that_is_refused(server: S3Server) -> None:
    """What is not there any more is no error, everything else is."""
    store = store_at(server)
    for status, code in ((404, "NoSuchKey"), (403, "AccessDenied"), (404, "NoSuchBucket")):
        server.add(Fault("DeleteObject", "status", status=status, code=code))

    store.delete("k")
    with pytest.raises(AccessDeniedError):
        store.delete("k")
    with pytest.raises(BucketNotFoundError):
        store.delete("k")


def test_an_abort_that_is_refused(server: S3Server) -> None:
    """An upload that is not there any more is no error, everything else is."""
    store = store_at(server)
    server.add(Fault("AbortMultipartUpload", "status", status=403))

    with pytest.raises(AccessDeniedError):
        store.abort("k", "an-id")
    store.abort("k", "an-id")
    server.add(Fault("AbortMultipartUpload", "status", status=404, code="SomethingNew"))
    store.abort("k", "an-id")


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (405, "MethodNotAllowed"), (501, None)])
def test_who_may_not_list_finds_nothing_to_abort(server: S3Server, status: int, code: str | None) -> None:
    """The right to list what is unfinished is none that an upload needs; a service that is away is another thing."""
    store = store_at(server)
    server.add(Fault("ListMultipartUploads", "status", status=status, code=code))
    server.add(Fault("ListMultipartUploads", "status", status=503))

    store.abort("k", None)
    with pytest.raises(ObjectStoreTransientError):
        store.abort("k", None)


def test_the_id_of_the_upload_is_ours_to_write(server: S3Server) -> None:
    """A caller who sets that very name in the metadata cannot make an upload be taken for another."""
    store = store_at(server, extra_args={"Metadata": {"rud-entry-id": "theirs", "team": "vision"}})
    put(store, "k", b"x", entry_id="ours")

    assert server.object("k").metadata == {"rud-entry-id": "ours", "team": "vision"}


def test_a_client_is_made_when_it_is_needed(server: S3Server) -> None:
    """One for all requests, another of more patience for the first completion."""
    store = store_at(server)
    clients = store._requests._made

    store.uri("k")
    made = [len(clients)]
    for act in (store.prepare, lambda: put(store, "k", b"x"), lambda: put(store, "k", content(PART + 1))):
        act()
        made.append(len(clients))
    assert made == [0, 1, 1, 2]


def test_what_another_program_has_begun_is_left_alone(server: S3Server) -> None:
    """Only those with our mark are ended, of this very key: a copy that somebody else is making is theirs."""
    store = store_at(server)
    client: Any = store._requests._client
    marks: list[dict[str, str]] = [
        {},
        {"ChecksumAlgorithm": "CRC32"},
        {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "COMPOSITE"},
        {"ChecksumAlgorithm": "CRC32C", "ChecksumType": "FULL_OBJECT"},
    ]
    begun = [
        client.create_multipart_upload(Bucket="bucket", Key=key, **mark)["UploadId"]
        for key in ("k", "k-1")
        for mark in marks
    ]
    store.abort("k", None)

    assert set(begun) - set(server.uploads) == {begun[3]}
    assert [one.query["prefix"] for one in server.requests if one.operation == "ListMultipartUploads"] == ["k"]


def test_an_upload_of_more_than_ten_thousand_chunks(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its parts are larger, so that there are not more of them than S3 takes."""
    sizes: list[int] = []
    monkeypatch.setattr(_s3_multipart, "send_parts", lambda source, size, concurrency, send: sizes.append(size))
    source = Body(io.BytesIO(), 200 << 30)
    Multipart(store_at(server)._requests, "k", "k", "id").send(source, 16 << 20, 4)

    assert sizes == [21 << 20]


def test_the_token_of_the_arguments_is_sent(server: S3Server) -> None:
    """Temporary credentials are nothing without it."""
    put(store_at(server, aws_session_token="token"), "k", b"x")

    assert server.requests[-1].headers["x-amz-security-token"] == "token"


@pytest.mark.parametrize(("size", "asked"), [(0, None), (1 << 20, None), ((1 << 20) + 1, "100-continue")])
def test_a_small_body_is_sent_without_asking_first(server: S3Server, size: int, asked: str | None) -> None:
    """The question costs a round trip, which is worth it only for bodies that take longer than that."""
    put(store_at(server), "k", b"x" * size)

    assert server.requests[-1].headers.get("expect") == asked
