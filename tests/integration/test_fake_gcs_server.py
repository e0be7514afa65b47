"""fake-gcs-server as a child, and what it gets wrong: each quirk is looked for, so that its end is noticed, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from rud_fakes.servers import FakeGcs, fake_gcs

from tests.support.fake_gcs import QUANTUM, Client, client
from tests.support.processes import is_running

DATA = b"a" * QUANTUM + b"b" * QUANTUM


@pytest.fixture
def gcs(rud_fake_gcs: FakeGcs) -> Iterator[Client]:
    with client(rud_fake_gcs.url) as made:
        yield made


def test_it_comes_back_empty(rud_fake_gcs: FakeGcs) -> None:
    """After SIGKILL it is there again on its port, with its buckets and nothing in them; it goes with its block."""
    with fake_gcs(buckets=["bucket", "other"]) as server:
        before, pid = server.url, server.pid
        with client(server.url) as gcs:
            assert gcs.media("k", b"x").status == 200
        server.kill()
        server.start()

        assert server.url == before == server.environment["STORAGE_EMULATOR_HOST"]
        with client(server.url) as gcs:
            assert "items" not in gcs.list()
            assert gcs.ask("GET", "/storage/v1/b/other").status == 200
    assert not is_running(pid)
    assert not is_running(server.pid)


def test_quirk_a_question_completes_the_upload(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage answers 308 and goes on; here the object is there, cut short (fsouza/fake-gcs-server#2354)."""
    session = gcs.begin({"name": rud_prefix})
    gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{2 * QUANTUM}")

    assert gcs.chunk(session, b"", f"bytes */{2 * QUANTUM}").status == 200
    assert gcs.get(rud_prefix).json["size"] == str(QUANTUM)


def test_quirk_a_chunk_that_is_sent_twice_is_stored_twice(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage does not take again what it has."""
    session = gcs.begin({"name": rud_prefix})
    for _ in range(2):
        gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{2 * QUANTUM}")
    gcs.chunk(session, DATA[QUANTUM:], f"bytes {QUANTUM}-{2 * QUANTUM - 1}/{2 * QUANTUM}")

    assert gcs.get(rud_prefix).json["size"] == str(3 * QUANTUM)


def test_quirk_sums_of_chunks_are_not_verified(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage refuses the last chunk; neither the sum from the start nor that of the header is looked at here."""
    session = gcs.begin({"name": rud_prefix, "crc32c": "AAAAAA=="})
    gcs.chunk(session, DATA[:QUANTUM], f"bytes 0-{QUANTUM - 1}/{2 * QUANTUM}")
    last = gcs.chunk(
        session, DATA[QUANTUM:], f"bytes {QUANTUM}-{2 * QUANTUM - 1}/{2 * QUANTUM}", X_Goog_Hash="crc32c=AAAAAA=="
    )

    assert last.status == 200


def test_quirk_conditions_of_reads_and_deletes_are_not_looked_at(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage answers 412; here an object of another generation is told and removed."""
    gcs.media(rud_prefix, b"x")

    assert gcs.get(rud_prefix, "ifGenerationMatch=7").status == 200
    assert gcs.get(rud_prefix, "alt=media&ifGenerationMatch=7").status == 200
    assert gcs.delete(rud_prefix, "ifGenerationMatch=7").status in (200, 204)


def test_quirk_the_start_of_a_create_is_not_refused(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage answers 412 at once; here the last chunk does."""
    gcs.media(rud_prefix, b"x")
    begun = gcs.start({"name": rud_prefix}, "&ifGenerationMatch=0")

    assert begun.status == 200
    assert gcs.chunk(begun.headers["location"], b"y", "bytes 0-0/1").status == 412


def test_quirk_names_with_line_breaks_are_kept(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage refuses them."""
    assert gcs.media(f"{rud_prefix}%0A", b"x").status == 200


def test_quirk_a_session_that_was_cancelled_goes_on(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage answers 499 to what comes after; here it is stored."""
    session = gcs.begin({"name": rud_prefix})

    assert gcs.ask("DELETE", session).status == 499
    assert gcs.chunk(session, b"x", "bytes 0-0/1").status == 200


def test_quirk_the_etag_is_of_the_bytes(gcs: Client, rud_prefix: str) -> None:
    """Cloud Storage gives every generation one of its own."""
    assert gcs.media(rud_prefix, b"x").json["etag"] == gcs.media(rud_prefix, b"x").json["etag"]
