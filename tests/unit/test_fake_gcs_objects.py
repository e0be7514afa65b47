"""The faulty Cloud Storage server: objects in one request, conditions, ranges, pages, errors."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

import pytest
from rud_fakes.gcs import Fault, GCSServer

from tests.support.fake_gcs import Client, client, crc32c, md5


@pytest.fixture
def server() -> Iterator[GCSServer]:
    with GCSServer("bucket") as made:
        yield made


@pytest.fixture
def gcs(server: GCSServer) -> Iterator[Client]:
    with client(server.url) as made:
        yield made


def test_what_is_told_of_an_object(gcs: Client, server: GCSServer) -> None:
    """Size, sums, generation, etag, time, type and metadata; the same by the answer to its upload and by a look."""
    told = gcs.multipart({"name": "a/b", "metadata": {"rud": "é"}}, b"content").json

    assert (told["name"], told["bucket"], told["size"]) == ("a/b", "bucket", "7")
    assert (told["crc32c"], told["md5Hash"]) == (crc32c(b"content"), md5(b"content"))
    assert (told["metadata"], told["contentType"]) == ({"rud": "é"}, "text/plain")
    assert (told["generation"], told["metageneration"]) == (str(server.object("a/b").generation), "1")
    assert gcs.get("a%2Fb").json == told
    assert set(gcs.get("a%2Fb", "fields=name,size").json) == {"name", "size"}


def test_generations_grow(gcs: Client) -> None:
    """Each write has a larger one than the last, and an etag of its own, though the bytes are the same."""
    told = [gcs.media("k", b"x").json for _ in range(5)]
    generations = [int(one["generation"]) for one in told]

    assert generations == sorted(set(generations))
    assert len({one["etag"] for one in told}) == 5


def test_data_with_the_boundary_in_it(gcs: Client, server: GCSServer) -> None:
    """What looks like a boundary within the data is data, and so are line breaks at its end."""
    for data in (b"--cut--\r\n", b"\r\n", b"x--cut\r\ny", b"", b"\r\n\r\n"):
        gcs.multipart({"name": "k"}, data)
        assert server.object("k").data == data


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/related; boundary=cut", b"nonsense"),
        ("multipart/related", b"--cut\r\n\r\n{}\r\n--cut\r\n\r\nx\r\n--cut--"),
        ("text/plain; boundary=cut", b"--cut\r\n\r\n{}\r\n--cut\r\n\r\nx\r\n--cut--"),
        (
            "multipart/related; boundary=cut",
            b"--cut\r\nContent-Type: text/plain\r\n\r\n{}\r\n--cut\r\n\r\nx\r\n--cut--",
        ),
        (
            "multipart/related; boundary=cut",
            b"--cut\r\nContent-Type: application/json\r\n\r\n[]\r\n--cut\r\n\r\nx\r\n--cut--",
        ),
    ],
)
def test_a_multipart_body_that_is_none(gcs: Client, server: GCSServer, content_type: str, body: bytes) -> None:
    """It is refused, and stores nothing."""
    path = "/upload/storage/v1/b/bucket/o?uploadType=multipart&name=k"

    assert gcs.ask("POST", path, body, Content_Type=content_type).status == 400
    assert server.objects == {}


CONDITIONS = [
    ("ifGenerationMatch=0", False),
    ("ifGenerationMatch={generation}", True),
    ("ifGenerationMatch=7", False),
    ("ifGenerationNotMatch=0", True),
    ("ifGenerationNotMatch={generation}", False),
    ("ifMetagenerationMatch=1", True),
    ("ifMetagenerationMatch=2", False),
]


@pytest.mark.parametrize(("condition", "holds"), CONDITIONS)
@pytest.mark.parametrize("kind", ["media", "multipart", "start", "delete", "get", "bytes"])
def test_conditions(gcs: Client, server: GCSServer, kind: str, condition: str, *, holds: bool) -> None:
    """Each is obeyed by every operation: 412 where it does not hold, or 304 for a read of what the client has."""
    there = server.put("k", b"there")
    condition = condition.format(generation=there.generation)
    answer = {
        "media": lambda: gcs.media("k", b"new", f"&{condition}"),
        "multipart": lambda: gcs.multipart({"name": "k"}, b"new", f"&{condition}"),
        "start": lambda: gcs.start({"name": "k"}, f"&{condition}"),
        "delete": lambda: gcs.delete("k", condition),
        "get": lambda: gcs.get("k", condition),
        "bytes": lambda: gcs.get("k", f"alt=media&{condition}"),
    }[kind]()
    reads = kind in ("get", "bytes")

    if holds:
        assert answer.status in (200, 204)
    else:
        assert answer.status == (304 if reads and "NotMatch" in condition else 412)
        assert server.object("k") == there


def test_a_condition_on_what_is_not_there(gcs: Client, server: GCSServer) -> None:
    """Nothing has generation 0: a create is carried out, and what has to be there is not."""
    assert gcs.media("k", b"x", "&ifGenerationMatch=5").status == 412
    assert gcs.media("k", b"x", "&ifGenerationMatch=nonsense").status == 400
    assert server.objects == {}
    assert gcs.media("k", b"x", "&ifGenerationMatch=0").status == 200


def test_an_object_of_another_generation(gcs: Client, server: GCSServer) -> None:
    """There are no versions: what was replaced is not there."""
    old = server.put("k", b"old")
    new = server.put("k", b"new")

    assert gcs.get("k", f"alt=media&generation={old.generation}").status == 404
    assert gcs.get("k", f"alt=media&generation={new.generation}").body == b"new"


WRONG = "AAAAAA=="


@pytest.mark.parametrize(
    ("hashes", "status"),
    [
        (f"crc32c={crc32c(b'data')}", 200),
        (f"crc32c={crc32c(b'data')},md5={md5(b'data')}", 200),
        (f"crc32c={WRONG}", 400),
        (f"md5={md5(b'other')}", 400),
        (f"crc32c={crc32c(b'data')}, md5={md5(b'other')}", 400),
        ("sha256=AAAA", 400),
    ],
)
def test_sums_in_headers(gcs: Client, server: GCSServer, hashes: str, status: int) -> None:
    """Every sum of an ``X-Goog-Hash`` is verified; the object is not there if one is wrong."""
    assert gcs.media("k", b"data", X_Goog_Hash=hashes).status == status
    assert bool(server.objects) == (status == 200)


@pytest.mark.parametrize("field", ["crc32c", "md5Hash"])
def test_sums_in_documents(gcs: Client, server: GCSServer, field: str) -> None:
    """So is what the document of an upload declares; the text says which was wrong."""
    right = {"crc32c": crc32c, "md5Hash": md5}[field](b"data")
    assert gcs.multipart({"name": "k", field: WRONG}, b"data").status == 400
    assert server.objects == {}
    answer = gcs.multipart({"name": "k", field: WRONG}, b"data").json
    assert "doesn't match calculated" in answer["error"]["message"]

    assert gcs.multipart({"name": "k", field: right}, b"data").status == 200


def test_a_server_that_verifies_nothing() -> None:
    """It takes whatever was declared, and tells the sums of what it has."""
    with GCSServer("bucket", verifies=False) as server, client(server.url) as gcs:
        server.add(Fault("UploadMedia", "flip"))
        told = gcs.media("k", b"data", X_Goog_Hash=f"crc32c={WRONG}").json

        assert told["crc32c"] == crc32c(server.object("k").data) != crc32c(b"data")


@pytest.mark.parametrize(
    ("given", "status", "body"),
    [
        (None, 200, b"0123456789"),
        ("bytes=0-0", 206, b"0"),
        ("bytes=3-5", 206, b"345"),
        ("bytes=8-", 206, b"89"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-99", 206, b"89"),
        ("bytes=10-", 416, None),
        ("bytes=-0", 416, None),
        ("nonsense", 200, b"0123456789"),
    ],
)
def test_ranges(gcs: Client, server: GCSServer, given: str | None, status: int, body: bytes | None) -> None:
    """A range that can be read is obeyed, one behind the end is 416; the headers tell of the whole object."""
    there = server.put("k", b"0123456789")
    answer = gcs.get("k", "alt=media", **({"Range": given} if given else {}))

    assert answer.status == status
    if body is not None:
        assert answer.body == body
        assert answer.headers["x-goog-generation"] == str(there.generation)
        assert answer.headers["x-goog-hash"] == f"crc32c={crc32c(there.data)},md5={md5(there.data)}"
        assert answer.headers["x-goog-stored-content-length"] == "10"


def test_an_object_without_bytes(gcs: Client, server: GCSServer) -> None:
    """It is one as any other, but has no range."""
    server.put("k", b"")

    assert (gcs.get("k", "alt=media").status, gcs.get("k", "alt=media").body) == (200, b"")
    assert gcs.get("k", "alt=media", Range="bytes=0-").status == 416


def test_pages(gcs: Client, server: GCSServer) -> None:
    """Names in the order of their UTF-8 bytes, as many a page as asked for, and each once."""
    names = ["a", "a/b", "a0", "é", "\uffff", "\U0001f600"]
    for name in reversed(names):
        server.put(name, b"x")
    found, query = list[str](), "maxResults=2"
    while True:
        page = gcs.list(query)
        found += [item["name"] for item in page.get("items", ())]
        assert len(page.get("items", ())) <= 2
        if "nextPageToken" not in page:
            break
        query = f"maxResults=2&pageToken={quote(page['nextPageToken'])}"

    assert found == names
    assert [item["name"] for item in gcs.list("prefix=a")["items"]] == ["a", "a/b", "a0"]
    assert gcs.list("prefix=nothing") == {"kind": "storage#objects"}
    assert gcs.list("fields=items(name),nextPageToken&maxResults=1")["items"] == [{"name": "a"}]


def test_a_page_has_a_limit_of_its_own() -> None:
    """Whoever asks for more gets as many as the service gives."""
    with GCSServer("bucket", page=2) as server, client(server.url) as gcs:
        for name in "abc":
            server.put(name, b"x")
        assert len(gcs.list("maxResults=5000")["items"]) == 2
        assert len(gcs.list()["items"]) == 2


@pytest.mark.parametrize(
    "name", ["a b", "a+b", "a%2Fb", "a//b", "/a", "../a", "a?b#c", "é\u0301", "x" * 1024, "é" * 512]
)
def test_names_that_are_kept(gcs: Client, server: GCSServer, name: str) -> None:
    """As they are."""
    assert gcs.multipart({"name": name}, b"x").status == 200
    assert list(server.objects) == [name]
    assert gcs.get(quote(name, safe=""), "alt=media").body == b"x"
    assert gcs.delete(quote(name, safe="")).status == 204


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "a\rb", "x" * 1025, ".well-known/acme-challenge/x"])
def test_names_that_are_refused(gcs: Client, server: GCSServer, name: str) -> None:
    """By uploads of every kind."""
    assert gcs.multipart({"name": name}, b"x").status == 400
    assert gcs.start({"name": name}).status == 400
    assert server.objects == {}


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/storage/v1/b/bucket/o/k", 404),
        ("GET", "/storage/v1/b/bucket/o/k?alt=media", 404),
        ("DELETE", "/storage/v1/b/bucket/o/k", 404),
        ("GET", "/storage/v1/b/nowhere/o", 404),
        ("GET", "/storage/v1/b/nowhere/o/k", 404),
        ("GET", "/storage/v1/b/nowhere", 404),
        ("POST", "/upload/storage/v1/b/nowhere/o?uploadType=media&name=k", 404),
        ("POST", "/upload/storage/v1/b/nowhere/o?uploadType=resumable&name=k", 404),
        ("GET", "/storage/v1/b/bucket/o?maxResults=x", 400),
        ("GET", "/storage/v1/b/bucket/o?pageToken=%21", 400),
        ("GET", "/storage/v1/b/bucket/o?delimiter=/", 501),
        ("POST", "/upload/storage/v1/b/bucket/o?uploadType=sideways", 501),
        ("PATCH", "/storage/v1/b/bucket/o/k", 501),
        ("POST", "/storage/v1/b/bucket/o/k/compose", 501),
        ("GET", "/", 501),
    ],
)
def test_errors(gcs: Client, method: str, path: str, status: int) -> None:
    """What is missing is 404, what makes no sense 400, what is not offered 501; each with a document."""
    answer = gcs.ask(method, path)

    assert answer.status == answer.json["error"]["code"] == status
    assert answer.json["error"]["errors"][0]["reason"]


def test_buckets(gcs: Client, server: GCSServer) -> None:
    """One can be made once, and is empty."""
    made = [gcs.ask("POST", "/storage/v1/b?project=p", '{"name": "other"}').status for _ in range(2)]

    assert made == [200, 409]
    assert gcs.ask("POST", "/storage/v1/b?project=p", '{"name": "No"}').status == 400
    assert gcs.ask("GET", "/storage/v1/b/other").json["name"] == "other"
    assert "items" not in gcs.ask("GET", "/storage/v1/b/other/o").json


def test_a_token() -> None:
    """Who does not bear it is answered 401; it is handed out, and can be changed."""
    with GCSServer("bucket", token="first") as server, client(server.url) as gcs:
        assert gcs.media("k", b"x").status == 401
        assert gcs.media("k", b"x", Authorization="Bearer first").status == 200
        server.renew("second")
        assert gcs.get("k", Authorization="Bearer first").status == 401
        assert gcs.ask("POST", "/token").json["access_token"] == "second"


def test_faults(gcs: Client, server: GCSServer) -> None:
    """A status has a document with its reason, a flip is noticed by nobody but whoever sums, and all is in the log."""
    server.add(Fault("UploadMedia", "status", status=429, retry_after=3))
    server.add(Fault("UploadMedia", "flip"))
    refused = gcs.media("k", b"data")
    assert (refused.status, refused.headers["retry-after"]) == (429, "3")
    assert refused.json["error"]["errors"][0]["reason"] == "rateLimitExceeded"

    told = gcs.media("k", b"data", X_Goog_Hash=f"crc32c={crc32c(b'data')}").json
    assert told["crc32c"] == crc32c(b"data") != crc32c(server.object("k").data)
    assert [(one.operation, one.key, one.status) for one in server.requests] == [
        ("UploadMedia", "k", 429),
        ("UploadMedia", "k", 200),
    ]
