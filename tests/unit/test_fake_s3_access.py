"""Who is let in to the faulty S3 server, and by which ways: signatures, expiry, https, a proxy, raw HTTP."""

from __future__ import annotations

import base64
import http.client
import io
import ssl
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.exceptions as errors
import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes._http.bodies import BadBodyError, ClientLeftError, as_stream, unchunk
from rud_fakes.s3 import Fault, S3Server

from tests.support.fake_s3 import BUCKET, client, complete, multipart, refused

CREDENTIALS = {"KEY": "SECRET"}
KEY = "a b/ü+%2F'(*)"


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server(BUCKET, credentials=CREDENTIALS) as made:
        yield made


@pytest.fixture
def s3(server: S3Server) -> Iterator[Any]:
    with client(server.url) as made:
        yield made


def test_right_signature(server: S3Server, s3: Any) -> None:
    """Whatever is signed rightly passes: odd keys, queries, metadata, bodies."""
    s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"content", Metadata={"m": "two  spaces"})
    s3.list_objects_v2(Bucket=BUCKET, Prefix="a b/ü+", Delimiter="/")
    s3.upload_fileobj(io.BytesIO(b"managed"), BUCKET, "managed")
    s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "managed"}]})

    assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"content"
    assert all(request.status == 200 for request in server.requests)


def test_wrong_signature(server: S3Server, s3: Any) -> None:
    """A wrong secret, an unknown key and no signature at all are told apart; nothing is stored."""
    with client(server.url, secret="WRONG") as wrong, refused("SignatureDoesNotMatch", 403):
        wrong.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    with S3Server(BUCKET, credentials={}) as other, client(other.url) as unknown, refused("InvalidAccessKeyId", 403):
        unknown.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    assert ask(server, "PUT", "/bucket/k", body=b"x")[0] == 403
    assert server.objects == {}


def test_another_region() -> None:
    """A signature for another region is refused, and says which is right; boto3 signs anew, by itself."""
    with S3Server(BUCKET, region="eu-north-1", credentials=CREDENTIALS) as server, client(server.url) as s3:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")

        assert [request.status for request in server.requests] == [400, 200]
        assert "/eu-north-1/" in server.requests[-1].headers["authorization"]


def test_changed_on_the_way(server: S3Server, s3: Any) -> None:
    """A request whose path or body is not what was signed is refused."""
    signed: dict[str, Any] = {}
    s3.meta.events.register("before-send", lambda request, **_: signed.update(dict(request.headers)))
    s3.put_object(Bucket=BUCKET, Key="k", Body=b"content", ChecksumAlgorithm="SHA1")
    headers = {name: value.decode() if isinstance(value, bytes) else value for name, value in signed.items()}
    headers = {name: value for name, value in headers.items() if name.lower() not in ("content-length", "expect")}
    headers["Host"] = server.url.removeprefix("http://")

    assert ask(server, "PUT", "/bucket/k", headers, b"content")[0] == 200
    assert "SignatureDoesNotMatch" in ask(server, "PUT", "/bucket/other", headers, b"content")[1]
    assert "XAmzContentSHA256Mismatch" in ask(server, "PUT", "/bucket/k", headers, b"another")[1]
    assert server.object("k").data == b"content"


@pytest.mark.parametrize("credentials", [CREDENTIALS, None])
def test_expiry(credentials: dict[str, str] | None) -> None:
    """From a moment on a key is expired, until it is not; a test may choose the request."""
    with S3Server(BUCKET, credentials=credentials) as server, client(server.url) as s3:
        server.add(Fault("PutObject", "call", skip=1, call=lambda request: server.expire("KEY")))
        s3.put_object(Bucket=BUCKET, Key="1", Body=b"x")
        for _ in range(2):
            with refused("ExpiredToken", 400):
                s3.put_object(Bucket=BUCKET, Key="2", Body=b"x")
        server.revive("KEY")
        s3.put_object(Bucket=BUCKET, Key="3", Body=b"x")

        assert sorted(server.objects) == ["1", "3"]


def test_expiry_of_a_session(server: S3Server) -> None:
    """A session token expires as well, and only that session."""
    server.expire("TOKEN-1")
    for token, is_expired in (("TOKEN-1", True), ("TOKEN-2", False)):
        status, text = ask(server, "GET", "/", {"x-amz-security-token": token})

        assert (status, "ExpiredToken" in text) == ((400, True) if is_expired else (403, False))


@pytest.fixture
def authority(tmp_path: Path) -> Iterator[tuple[S3Server, str]]:
    """An https server, and the file with the authority that vouches for it."""
    ca = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    ca.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with S3Server(BUCKET, tls=context, credentials=CREDENTIALS, minimum_part=5) as made:
        yield made, str(tmp_path / "ca.pem")


def test_https(authority: tuple[S3Server, str]) -> None:
    """Over TLS boto3 sends ``aws-chunked`` bodies with a checksum behind them; they are decoded and checked."""
    server, ca = authority
    data = bytes(3 << 20)
    with client(server.url, verify=ca) as s3:
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=data, ContentEncoding="gzip")
        upload_id, parts = multipart(s3, "m", [b"first", b"last"])
        complete(s3, "m", upload_id, parts)

        assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == data
    sent = server.requests[0]
    kept = server.object(KEY)
    assert (sent.headers["content-encoding"], kept.headers["content-encoding"]) == ("gzip,aws-chunked", "gzip")
    assert kept.checksums == {"crc32": base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()}
    assert server.object("m").data == b"firstlast"


def test_https_without_trust(authority: tuple[S3Server, str], capfd: pytest.CaptureFixture[str]) -> None:
    """A client that does not know the authority refuses, and the server goes on in silence."""
    server, ca = authority
    with client(server.url) as s3, pytest.raises(errors.SSLError, match="CERTIFICATE_VERIFY_FAILED"):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    with client(server.url.replace("https", "http")) as s3, pytest.raises(errors.HTTPClientError):
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")
    with client(server.url, verify=ca) as s3:
        s3.put_object(Bucket=BUCKET, Key="k", Body=b"x")

    assert (list(server.objects), capfd.readouterr()) == (["k"], ("", ""))


def test_faults_over_https(authority: tuple[S3Server, str]) -> None:
    """Resets, lost replies and an outage look the same through TLS."""
    server, ca = authority
    with client(server.url, verify=ca) as s3:
        for action in ("reset_before", "reset_in_body", "reset_after", "lost_reply"):
            server.add(Fault("PutObject", action, bytes=1))
            # Where a reset meets the sending of the body, boto3 calls it an SSLError.
            with pytest.raises((errors.HTTPClientError, errors.SSLError)):
                s3.put_object(Bucket=BUCKET, Key=action, Body=b"content")
        server.stop()
        with pytest.raises(errors.EndpointConnectionError):
            s3.put_object(Bucket=BUCKET, Key="k", Body=b"content")

    assert list(server.objects) == ["lost_reply"]


def test_as_a_proxy(server: S3Server) -> None:
    """Named as the proxy of an endpoint that does not exist, the server answers in its place and notes it."""
    with client("http://s3.invalid:1234", proxies={"http": server.url}) as s3:
        s3.put_object(Bucket=BUCKET, Key=KEY, Body=b"content")

        assert s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read() == b"content"
    assert [request.via_proxy for request in server.requests] == [True, True]
    with client(server.url) as s3:
        s3.head_object(Bucket=BUCKET, Key=KEY)
    assert not server.requests[-1].via_proxy


def ask(
    server: S3Server, method: str, path: str, headers: dict[str, str] | None = None, body: Any = None
) -> tuple[int, str]:
    """One request without any SDK: the status, and the answer as text."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    try:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("trailer", "body", "answer"),
    [
        ("AAAAAA==", b"7\r\ncontent\r\n0\r\n", "BadDigest"),
        ("right", b"7\r\ncontent\r\n0\r\n", None),
        ("right", b"3;chunk-signature=00\r\ncon\r\n4;chunk-signature=00\r\ntent\r\n0\r\n", None),
        ("right", b"6\r\ncontent\r\n0\r\n", "IncompleteBody"),
        ("right", b"9\r\ncontent\r\n", "IncompleteBody"),
        ("right", b"junk", "IncompleteBody"),
        (None, b"7\r\ncontent\r\n0\r\n", "MalformedTrailerError"),
    ],
    ids=["wrong sum", "right", "signed chunks", "too short", "too long", "junk", "no trailer"],
)
def test_aws_chunked(trailer: str | None, body: bytes, answer: str | None) -> None:
    """A body in chunks is taken whole with the right sum behind it, and otherwise not at all."""
    right = base64.b64encode(zlib.crc32(b"content").to_bytes(4, "big")).decode()
    behind = f"x-amz-checksum-crc32:{right if trailer == 'right' else trailer}\r\n" if trailer else ""
    headers = {
        "content-encoding": "aws-chunked",
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-trailer": "x-amz-checksum-crc32",
        "x-amz-decoded-content-length": "7",
    }
    whole = body + behind.encode() + b"\r\n"
    with S3Server(BUCKET) as server:
        status, text = ask(server, "PUT", "/bucket/k", headers, whole)
        chunked = ask(server, "PUT", "/bucket/chunked", headers, iter([whole[:5], whole[5:]]))

        assert (status, chunked[0]) == ((200, 200) if answer is None else (400, 400))
        assert (answer or "") in text
        assert {key: kept.data for key, kept in server.objects.items()} == (
            {"k": b"content", "chunked": b"content"} if answer is None else {}
        )


def test_connections_are_kept(server: S3Server) -> None:
    """After an answer, also one that refuses, the connection serves the next request."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=10)
    for _ in range(3):
        connection.request("PUT", "/bucket/k", b"x" * 300_000)
        answer = connection.getresponse()
        answer.read()

        assert (answer.status, answer.will_close) == (403, False)
    connection.close()


@pytest.mark.parametrize("length", ["-1", "many", "1,1"])
def test_no_length(length: str) -> None:
    """A length that is none is answered 400."""
    with S3Server(BUCKET) as server:
        assert ask(server, "PUT", "/bucket/k", {"Content-Length": length})[0] == 400
        assert ask(server, "POST", "/bucket/k")[0] == 501
        assert ask(server, "BREW", "/")[0] == 501


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5), st.integers(1, 40), st.integers(1, 7))
def test_unchunk(chunks: list[bytes], pieces: int, size: int) -> None:
    """What was put into chunks comes out of them, however it arrives; cut anywhere, it is noticed."""
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nName: value\r\n\r\n"
    arriving = iter([framed[begin : begin + pieces] for begin in range(0, len(framed), pieces)])
    trailers: dict[str, str] = {}

    assert b"".join(unchunk(as_stream(arriving), trailers, size)) == b"".join(chunks)
    assert trailers == {"name": "value"}
    with pytest.raises((ClientLeftError, BadBodyError)):
        list(unchunk(as_stream(iter([framed[:-pieces]])), {}, size))


def test_needs_no_sdk() -> None:
    """The server is imported without an SDK or a test tool."""
    script = "import sys, rud_fakes.s3; print({'boto3', 'botocore', 'pytest'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert done.stdout == "set()\n"
