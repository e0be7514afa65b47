"""Each fault of the faulty S3 server, and what boto3 makes of it."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import botocore.exceptions as errors
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.s3 import Fault, Request, S3Server

from tests.support.fake_s3 import BUCKET, client, complete, multipart, refused

BODY = bytes(range(256)) * 2048
BROKEN = (errors.ConnectionClosedError, errors.EndpointConnectionError)


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server(BUCKET, minimum_part=1) as made:
        yield made


@pytest.fixture
def s3(server: S3Server) -> Iterator[Any]:
    with client(server.url, read_timeout=20) as made:
        yield made


def put(s3: Any, key: str = "k") -> Any:
    return s3.put_object(Bucket=BUCKET, Key=key, Body=BODY)


def raw(server: S3Server, text: bytes) -> socket.socket:
    """A connection that has sent ``text``."""
    host, _, port = server.url.removeprefix("http://").partition(":")
    made = socket.create_connection((host, int(port)), timeout=10)
    made.sendall(text)
    return made


def seconds(call: Callable[[], object]) -> float:
    began = time.monotonic()
    call()
    return time.monotonic() - began


@pytest.mark.parametrize("read_body", [True, False])
def test_status(server: S3Server, s3: Any, read_body: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A status comes with its code and Retry-After, once; the next request passes."""
    server.add(Fault("PutObject", "status", status=503, retry_after=2.0, read_body=read_body))
    with pytest.raises(errors.ClientError) as caught:
        put(s3)
    answer: Any = caught.value.response

    assert answer["Error"]["Code"] == "SlowDown"
    assert answer["ResponseMetadata"]["HTTPHeaders"]["retry-after"] == "2"
    assert (server.objects, [request.bytes_in for request in server.requests]) == ({}, [len(BODY) if read_body else 0])
    put(s3)
    assert [request.status for request in server.requests] == [503, 200]


@pytest.mark.parametrize("operation", ["head_object", "get_object", "delete_object"])
def test_status_of_requests_without_body(server: S3Server, s3: Any, operation: str) -> None:
    """Any operation may meet a status with any code."""
    server.put("k", b"x")
    server.add(Fault("*", "status", status=403, code="AccountProblem"))
    with refused("403" if operation == "head_object" else "AccountProblem", 403):
        getattr(s3, operation)(Bucket=BUCKET, Key="k")

    assert list(server.objects) == ["k"]


@pytest.mark.parametrize(
    ("fault", "bytes_in", "stored"),
    [
        (Fault("PutObject", "reset_before"), 0, False),
        (Fault("PutObject", "reset_in_body", bytes=100_000), 100_000, False),
        (Fault("PutObject", "reset_in_body", bytes=300_000), 262_144, False),
        (Fault("PutObject", "reset_in_body", bytes=1 << 30), len(BODY), False),
        (Fault("PutObject", "reset_after"), len(BODY), False),
        (Fault("PutObject", "lost_reply"), len(BODY), True),
    ],
    ids=lambda value: value.action if isinstance(value, Fault) else "",
)
def test_broken_connections(server: S3Server, s3: Any, fault: Fault, bytes_in: int, stored: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A connection that breaks is told as such; whether the object is stored depends on when it broke."""
    server.add(fault)
    with pytest.raises(BROKEN):
        put(s3)
    server.stop()  # Whatever was being done is done.

    assert [(one, request.operation, request.status) for one, request in server.fired] == [(fault, "PutObject", None)]
    assert [(request.bytes_in, request.ended is not None) for request in server.requests] == [(bytes_in, True)]
    assert ("k" in server.objects) is stored


@pytest.mark.parametrize("action", ["reset_before", "reset_after", "lost_reply"])
def test_broken_connections_of_a_get(server: S3Server, s3: Any, action: Any) -> None:
    """A GET may be broken off as well."""
    server.put("k", BODY)
    server.add(Fault("GetObject", action))
    with pytest.raises(BROKEN):
        s3.get_object(Bucket=BUCKET, Key="k")

    assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == BODY


def test_truncate(server: S3Server, s3: Any) -> None:
    """A body of which a part comes is no body."""
    server.put("k", BODY)
    server.add(Fault("GetObject", "truncate", bytes=1000))
    with pytest.raises((errors.ResponseStreamingError, errors.IncompleteReadError), match=r"1000"):
        s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()

    assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == BODY


def test_flip_of_an_answer(server: S3Server, s3: Any) -> None:
    """One bit of an answer is wrong, what is stored is not; boto3 notices by the checksum that it asked for."""
    put(s3)
    server.add(Fault("GetObject", "flip", times=2))
    with pytest.raises(errors.FlexibleChecksumError):
        s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()
    part = s3.get_object(Bucket=BUCKET, Key="k", Range="bytes=0-3")["Body"].read()

    assert (part, server.object("k").data) == (b"\x00\x01\x03\x03", BODY)


def test_flip_of_what_is_stored(server: S3Server, s3: Any) -> None:
    """One bit of an object is wrong although its upload succeeded."""
    server.add(Fault("PutObject", "flip"))
    put(s3)
    stored = server.object("k").data

    assert stored is not None
    assert [index for index, byte in enumerate(stored) if byte != BODY[index]] == [len(BODY) // 2]
    with pytest.raises(errors.FlexibleChecksumError):
        s3.get_object(Bucket=BUCKET, Key="k")["Body"].read()


def test_error_in_200(server: S3Server, s3: Any) -> None:
    """A completion that answers 200 and means an error has completed nothing."""
    upload_id, parts = multipart(s3, "k", [b"x"])
    server.add(Fault("CompleteMultipartUpload", "error_in_200", code="InternalError"))
    with refused("InternalError"):
        complete(s3, "k", upload_id, parts)

    assert (server.objects, list(server.uploads)) == ({}, [upload_id])
    complete(s3, "k", upload_id, parts)
    assert server.object("k").data == b"x"


def test_trickles(server: S3Server, s3: Any) -> None:
    """Bodies go in and out at the rate that was set."""
    rate = len(BODY) * 5
    server.add(Fault("PutObject", "trickle_in", rate=rate))
    server.add(Fault("GetObject", "trickle_out", rate=rate))

    def get() -> None:
        assert s3.get_object(Bucket=BUCKET, Key="k")["Body"].read() == BODY

    assert 0.19 <= seconds(lambda: put(s3)) < 2
    assert 0.19 <= seconds(get) < 2
    assert server.object("k").data == BODY


def test_delay_and_what_comes_after(server: S3Server, s3: Any) -> None:
    """A delay ends by itself, and the request may meet the next fault."""
    server.add(Fault("PutObject", "delay", seconds=0.1))
    server.add(Fault("PutObject", "lost_reply"))

    def broken() -> None:
        with pytest.raises(BROKEN):
            put(s3)

    assert 0.1 <= seconds(broken) < 2
    assert [fault.action for fault, _ in server.fired] == ["delay", "lost_reply"]
    assert server.object("k").data == BODY


def test_call(server: S3Server, s3: Any) -> None:
    """A function of the test is called with the request, before it is served; it may even stop the server."""
    seen: list[Request] = []
    server.add(Fault("PutObject", "call", call=seen.append))
    server.add(Fault("PutObject", "call", key="other", call=lambda request: server.stop()))
    put(s3)
    with pytest.raises(BROKEN):
        put(s3, "other")

    assert [(request.key, request.status) for request in seen] == [("k", None)]
    assert list(server.objects) == ["k"]
    server.start()
    put(s3, "other")


@pytest.mark.parametrize("action", ["never", "delay", "trickle_in"])
@pytest.mark.parametrize("end", ["clear", "stop"])
def test_waits_are_ended(server: S3Server, s3: Any, action: Any, end: str) -> None:
    """What waits goes on at once when the faults are cleared, and ends when the server stops, with nothing stored."""
    server.add(Fault("PutObject", action, seconds=600, rate=1000))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(put, s3)
        server.wait_for("PutObject")
        if end == "clear":
            server.clear_faults()
            waiting.result(10)
        else:
            assert seconds(server.stop) < 10
            with pytest.raises(BROKEN):
                waiting.result()

    assert ("k" in server.objects) is (end == "clear")


def test_never_ends_when_the_client_leaves(server: S3Server) -> None:
    """A request that is not answered is given up with its client, and changes nothing."""
    server.add(Fault("PutObject", "never", times=None))
    with client(server.url, read_timeout=0.2) as s3, pytest.raises(errors.ReadTimeoutError):
        put(s3)
    server.stop()

    assert (server.objects, server.requests[0].status, server.requests[0].bytes_in) == ({}, None, len(BODY))


def test_client_that_leaves_in_the_body(server: S3Server, capfd: pytest.CaptureFixture[str]) -> None:
    """A body that ends too early leaves nothing, and nobody hears of it."""
    raw(server, b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly this").close()
    raw(server, b"PUT /bucket/k HTT").close()
    raw(server, b"").close()
    server.wait_for("PutObject")
    server.stop()

    assert server.objects == {}
    assert [(request.bytes_in, request.status) for request in server.requests] == [(0, None)]
    assert capfd.readouterr() == ("", "")


def test_reset_is_a_reset(server: S3Server) -> None:
    """A reset reaches the client as one, not as an end."""
    server.add(Fault("PutObject", "reset_before"))
    with (
        raw(server, b"PUT /bucket/k HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n") as connection,
        pytest.raises(ConnectionResetError),
    ):
        connection.recv(1)


def test_outage(server: S3Server, s3: Any) -> None:
    """While the server is stopped nobody can connect; afterwards it is where it was, with what it had."""
    put(s3)
    url = server.url
    server.stop()
    with pytest.raises(errors.EndpointConnectionError):
        put(s3, "lost")
    server.start()
    put(s3, "later")

    assert (server.url, sorted(server.objects)) == (url, ["k", "later"])


def test_outage_beside_a_child(server: S3Server, s3: Any) -> None:
    """A child process that has inherited the socket does not keep the port open through an outage."""
    listening = server._listener._socket
    assert listening is not None
    with subprocess.Popen(
        [sys.executable, "-c", "input()"],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        pass_fds=[listening.fileno()],
    ) as child:
        server.stop()
        with pytest.raises(errors.EndpointConnectionError):
            put(s3)
        server.start()
        put(s3)
        child.communicate(b"\n", 20)

    assert list(server.objects) == ["k"]


def test_nothing_is_left_behind() -> None:
    """When the block ends, so have its threads, and the port is free."""
    before = threading.active_count()
    with S3Server(BUCKET) as server, client(server.url) as s3:
        put(s3)
        port = int(server.url.rpartition(":")[2])

    assert threading.active_count() == before
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0
    with pytest.raises(RuntimeError, match="started"):
        _ = S3Server(BUCKET).url


def test_which_request_is_met(server: S3Server, s3: Any) -> None:
    """By key, by a function of it, by part, after some, for some, until they are cleared."""
    server.add(Fault("PutObject", "status", key="a", status=500))
    server.add(Fault("PutObject", "status", key=lambda key: key.endswith("z"), skip=1, times=2))
    server.add(Fault("UploadPart", "status", part=2, times=None))
    outcomes = []
    for key in ["b", "a", "a", "z", "yz", "xz", "z"]:
        try:
            put(s3, key)
        except errors.ClientError as error:
            outcomes.append((key, error.response["Error"]["Code"]))
    upload_id, _ = multipart(s3, "m", [b"1"])
    for _ in range(3):
        with refused("SlowDown"):
            s3.upload_part(Bucket=BUCKET, Key="m", UploadId=upload_id, PartNumber=2, Body=b"2")
    server.clear_faults()
    s3.upload_part(Bucket=BUCKET, Key="m", UploadId=upload_id, PartNumber=2, Body=b"2")

    assert outcomes == [("a", "InternalError"), ("yz", "SlowDown"), ("xz", "SlowDown")]
    assert [request.key for _, request in server.fired] == ["a", "yz", "xz", "m", "m", "m"]
    assert [request.part for request in server.requests if request.operation == "UploadPart"] == [1, 2, 2, 2, 2]


@given(st.lists(st.sampled_from(["a", "b"])), st.integers(0, 3), st.none() | st.integers(1, 3))
def test_count_of_faults(keys: list[str], skip: int, times: int | None) -> None:
    """A fault passes the first ``skip`` of its requests and befalls the next ``times``, whoever comes in between."""
    from rud_fakes._http.faults import FaultPlan

    plan = FaultPlan()
    plan.add(Fault("PutObject", "reset_before", key="a", skip=skip, times=times))
    met = [bool(plan.take(Request("PutObject", BUCKET, key, None, "PUT", {}, {}, False, 0.0))) for key in keys]
    of_a = [hit for hit, key in zip(met, keys, strict=True) if key == "a"]
    end = len(of_a) if times is None else skip + times

    assert of_a == [skip <= index < end for index in range(len(of_a))]
    assert not any(hit for hit, key in zip(met, keys, strict=True) if key == "b")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"action": "explode"}, "there is no action 'explode'"),
        ({"action": "trickle_in"}, "rate above 0"),
        ({"action": "call"}, "belong together"),
        ({"action": "never", "times": 0}, "times at least 1"),
    ],
)
def test_faults_that_say_nothing(given: dict[str, Any], words: str) -> None:
    """A fault that could never be met, or has nothing to do, is refused when it is made."""
    with pytest.raises(ValueError, match=words):
        Fault("PutObject", **given)


def test_waiting_for_what_does_not_come(server: S3Server, s3: Any) -> None:
    """Who waits for a request in vain is told what came instead."""
    put(s3)
    with pytest.raises(TimeoutError, match=r"1 requests of GetObject .* \['PutObject'\]"):
        server.wait_for("GetObject", timeout=0.01)


def test_log(server: S3Server, s3: Any) -> None:
    """The log has what a test asks about a request."""
    s3.list_objects_v2(Bucket=BUCKET, Prefix="p/")
    put(s3)
    listed, stored = server.requests

    assert (listed.operation, listed.query["prefix"], listed.method) == ("ListObjectsV2", "p/", "GET")
    assert (stored.bucket, stored.key, stored.status, stored.bytes_in) == (BUCKET, "k", 200, len(BODY))
    assert stored.headers["expect"] == "100-continue"
    assert listed.began <= stored.began <= time.monotonic()
