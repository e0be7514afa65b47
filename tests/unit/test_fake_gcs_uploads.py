"""The faulty Cloud Storage server: resumable uploads."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.gcs import Fault, GCSServer

from tests.support.fake_gcs import QUANTUM, Client, client, crc32c

DATA = bytes(range(256)) * (3 * QUANTUM // 256) + b"the end"
TOTAL = len(DATA)


@pytest.fixture
def server() -> Iterator[GCSServer]:
    with GCSServer("bucket") as made:
        yield made


@pytest.fixture
def gcs(server: GCSServer) -> Iterator[Client]:
    with client(server.url) as made:
        yield made


def test_chunks(gcs: Client, server: GCSServer) -> None:
    """308 says how far it has come, the last chunk makes the object, which is not seen before, and the session says so
    ever after."""
    session = gcs.begin({"name": "a/b", "metadata": {"m": "v"}})
    first = gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{TOTAL}")
    assert (first.status, first.reached, server.objects) == (308, QUANTUM, {})
    assert [(one.key, bytes(one.data)) for one in server.sessions] == [("a/b", DATA[:QUANTUM])]
    last = gcs.chunk(session, DATA[QUANTUM:], f"bytes {QUANTUM}-{TOTAL - 1}/{TOTAL}")

    assert (last.status, last.json["size"], last.json["metadata"]) == (200, str(TOTAL), {"m": "v"})
    assert server.object("a/b").data == DATA
    assert server.sessions == []
    for again in (
        gcs.chunk(session, b"", f"bytes */{TOTAL}"),
        gcs.chunk(session, DATA[QUANTUM:], f"bytes {QUANTUM}-{TOTAL - 1}/{TOTAL}"),
    ):
        assert (again.status, again.json) == (200, last.json)
    assert [one.operation for one in server.requests] == [
        "StartUpload",
        "UploadChunk",
        "UploadChunk",
        "QueryUpload",
        "UploadChunk",
    ]
    assert {one.key for one in server.requests[1:]} == {"a/b"}


def test_a_question_changes_nothing(gcs: Client, server: GCSServer) -> None:
    """However it is asked, before the first chunk and after it."""
    session = gcs.begin({"name": "k"})
    for reached in (0, QUANTUM):
        if reached:
            gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/*")
        for size in ("*", str(TOTAL)):
            answer = gcs.chunk(session, b"", f"bytes */{size}")
            assert (answer.status, answer.reached) == (308, reached)
            assert ("range" in answer.headers) == bool(reached)
    assert server.objects == {}


def test_all_of_it_at_once(gcs: Client, server: GCSServer) -> None:
    """With its size, or without a range at all."""
    gcs.chunk(gcs.begin({"name": "a"}), DATA, f"bytes 0-{TOTAL - 1}/{TOTAL}")
    gcs.ask("PUT", gcs.begin({"name": "b"}), DATA)
    gcs.chunk(gcs.begin({"name": "empty"}), b"", "bytes */0")

    assert {name: one.data for name, one in server.objects.items()} == {"a": DATA, "b": DATA, "empty": b""}


def test_a_size_that_is_told_at_the_end(gcs: Client, server: GCSServer) -> None:
    """Chunks of an unknown whole are taken until one says how much it is."""
    session = gcs.begin({"name": "k"})
    gcs.chunk(session, DATA[: 2 * QUANTUM], f"bytes 0-{2 * QUANTUM - 1}/*")
    gcs.chunk(session, DATA[2 * QUANTUM :], f"bytes {2 * QUANTUM}-{TOTAL - 1}/{TOTAL}")

    assert server.object("k").data == DATA


def test_what_it_has_is_not_taken_again(gcs: Client, server: GCSServer) -> None:
    """A chunk that is sent twice, or begins before what is there, is stored once."""
    session = gcs.begin({"name": "k"})
    for _ in range(2):
        answer = gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{TOTAL}")
        assert (answer.status, answer.reached) == (308, QUANTUM)
    gcs.chunk(session, DATA, f"bytes 0-{TOTAL - 1}/{TOTAL}")

    assert server.object("k").data == DATA


def test_multiples_of_256_kib(gcs: Client, server: GCSServer) -> None:
    """Of any chunk but the last what is beyond the last multiple is not kept."""
    session = gcs.begin({"name": "k"})
    sizes = [(QUANTUM - 1, 0), (QUANTUM + 5, QUANTUM), (2 * QUANTUM + 1, 2 * QUANTUM)]
    for size, reached in sizes:
        assert gcs.chunk(session, DATA[:size], f"bytes 0-{size - 1}/{TOTAL}").reached == reached


@pytest.mark.parametrize("takes", [QUANTUM, QUANTUM + 1, 2 * QUANTUM])
def test_a_server_that_takes_little(takes: int) -> None:
    """It keeps that much of each chunk, also of the last, and says so."""
    with GCSServer("bucket", takes=takes) as server, client(server.url) as gcs:
        session, reached = gcs.begin({"name": "k"}), 0
        while (answer := gcs.chunk(session, DATA[reached:], f"bytes {reached}-{TOTAL - 1}/{TOTAL}")).status == 308:
            assert answer.reached == reached + takes // QUANTUM * QUANTUM
            reached = answer.reached
        assert server.object("k").data == DATA


@pytest.mark.parametrize(
    ("data", "content_range"),
    [
        (DATA[:QUANTUM], f"bytes {QUANTUM}-{2 * QUANTUM - 1}/{TOTAL}"),
        (b"abc", "bytes 0-9/10"),
        (DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/9"),
        (b"abc", "bytes 5-2/10"),
        (b"abc", "nonsense"),
        (b"abc", "bytes 0-2"),
    ],
)
def test_chunks_that_are_refused(gcs: Client, server: GCSServer, data: bytes, content_range: str) -> None:
    """One that leaves a gap, whose body is not as long as it says, or that makes no sense; the session goes on."""
    session = gcs.begin({"name": "k"})
    assert gcs.chunk(session, data, content_range).status == 400

    assert gcs.chunk(session, b"", "bytes */*").reached == 0
    assert gcs.chunk(session, DATA, f"bytes 0-{TOTAL - 1}/{TOTAL}").status == 200
    assert server.object("k").data == DATA


def test_another_size_than_at_the_start(gcs: Client, server: GCSServer) -> None:
    """It is refused."""
    begun = gcs.start({"name": "k"}, X_Upload_Content_Length="10")

    assert gcs.chunk(begun.headers["location"], b"abc", "bytes 0-2/3").status == 400
    assert server.objects == {}


@pytest.mark.parametrize("declared", ["start", "end"])
@pytest.mark.parametrize("right", [True, False])
def test_sums(gcs: Client, server: GCSServer, declared: str, *, right: bool) -> None:
    """Of the whole, declared at the start or with the last chunk; a wrong one ends the session and stores nothing."""
    value = crc32c(DATA) if right else "AAAAAA=="
    session = gcs.begin({"name": "k", **({"crc32c": value} if declared == "start" else {})})
    gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{TOTAL}")
    headers = {"X_Goog_Hash": f"crc32c={value}"} if declared == "end" else {}
    last = gcs.chunk(session, DATA[QUANTUM:], f"bytes {QUANTUM}-{TOTAL - 1}/{TOTAL}", **headers)

    assert last.status == (200 if right else 400)
    assert (list(server.objects), server.sessions) == (["k"] if right else [], [])
    if not right:
        assert gcs.chunk(session, b"", "bytes */*").status == 404


def test_a_condition_at_both_ends(gcs: Client, server: GCSServer) -> None:
    """It is looked at when the session begins, and again before the object is stored."""
    session = gcs.begin({"name": "k"}, "&ifGenerationMatch=0")
    server.put("k", b"there")

    assert gcs.start({"name": "k"}, "&ifGenerationMatch=0").status == 412
    assert gcs.chunk(session, DATA, f"bytes 0-{TOTAL - 1}/{TOTAL}").status == 412
    assert server.object("k").data == b"there"


def test_a_session_that_is_cancelled(gcs: Client, server: GCSServer) -> None:
    """499 says that it was, and is the answer to everything after; an unknown one is 404."""
    session = gcs.begin({"name": "k"})
    assert gcs.ask("DELETE", session).status == 499
    assert gcs.chunk(session, DATA, f"bytes 0-{TOTAL - 1}/{TOTAL}").status == 499
    assert gcs.ask("DELETE", session).status == 499
    assert (server.objects, server.sessions) == ({}, [])

    open_one = gcs.begin({"name": "k"})
    server.end_sessions()
    for address in (open_one, session + "x"):
        assert gcs.chunk(address, b"", "bytes */*").status == 404
        assert gcs.ask("DELETE", address).status == 404


def test_a_reply_that_is_lost(gcs: Client, server: GCSServer) -> None:
    """The chunk was taken all the same."""
    session = gcs.begin({"name": "k"})
    server.add(Fault("UploadChunk", "lost_reply"))
    with pytest.raises(ConnectionError):
        gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{TOTAL}")
    with client(server.url) as other:
        assert other.chunk(session, b"", f"bytes */{TOTAL}").reached == QUANTUM


def test_a_flip_is_of_what_is_stored(gcs: Client, server: GCSServer) -> None:
    """One bit is wrong, and the sums are those of what was sent."""
    session = gcs.begin({"name": "k", "crc32c": crc32c(DATA)})
    server.add(Fault("UploadChunk", "flip"))
    gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{TOTAL}")
    told = gcs.chunk(session, DATA[QUANTUM:], f"bytes {QUANTUM}-{TOTAL - 1}/{TOTAL}").json

    assert told["crc32c"] == crc32c(DATA) != crc32c(server.object("k").data)


def test_a_session_needs_no_token() -> None:
    """Its address is enough; to begin it is not."""
    with GCSServer("bucket", token="secret") as server, client(server.url) as gcs:
        assert gcs.start({"name": "k"}).status == 401
        session = gcs.start({"name": "k"}, Authorization="Bearer secret").headers["location"]
        assert gcs.chunk(session, b"abc", "bytes 0-2/3").status == 200


@given(
    cuts=st.lists(st.integers(0, 3), min_size=1, max_size=6), back=st.lists(st.integers(0, 2), min_size=6, max_size=6)
)
def test_any_way_to_send_it(cuts: list[int], back: list[int]) -> None:
    """Whatever pieces are sent, from wherever at or before what it has, the object is the whole, once."""
    with GCSServer("bucket") as server, client(server.url) as gcs:
        session, reached = gcs.begin({"name": "k"}), 0
        for size, again in zip(cuts, back, strict=False):
            begin = max(0, reached - again * QUANTUM)
            end = min(begin + (1 + size) * QUANTUM, 3 * QUANTUM)
            if begin < end:
                reached = gcs.chunk(session, DATA[begin:end], f"bytes {begin}-{end - 1}/{TOTAL}").reached
        gcs.chunk(session, DATA[reached:], f"bytes {reached}-{TOTAL - 1}/{TOTAL}")

        assert server.object("k").data == DATA
