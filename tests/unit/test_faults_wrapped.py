"""Any object that stores things, under a plan."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from rud_fakes.faults import PlanError, StatusError, firings, unfired, wrap


class Shelf:
    """A store of somebody's, who has never heard of us."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.colour = "green"

    def put(self, key: str, data: bytes) -> None:
        self.kept[key] = data

    def get(self, key: str) -> bytes:
        return self.kept[key]

    def list(self, prefix: str) -> list[str]:
        return [key for key in self.kept if key.startswith(prefix)]


class Bucket:
    """The same under other names."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes) -> None:  # noqa: N803  # as boto3 has them
        self.kept[Key] = Body


def test_without_a_firing_it_is_the_store() -> None:
    """What it returns, raises and has is the store's own; what a plan has yet to do is told."""
    shelf = wrap(Shelf(), "http.response[key=other]=status(503)")
    shelf.put("a", b"x")

    assert (shelf.get("a"), shelf.list(""), shelf.colour) == (b"x", ["a"], "green")
    with pytest.raises(KeyError):
        shelf.get("b")
    assert firings(shelf) == []
    assert unfired(shelf) == ["rule r1 at http.response has fired 0 times; expected: >=1"]


@pytest.mark.parametrize(
    ("plan", "error", "kept"),
    [
        ("http.response[op=put]=status(503,SlowDown)", StatusError, []),
        ("http.request.head[key=a]=reset", ConnectionResetError, []),
        ("http.request.body=reset(1)", ConnectionResetError, []),
        ("http.response.none_not_stored=reset", ConnectionResetError, []),
        ("http.response.none=lost", ConnectionError, ["a"]),
        ("http.response=stall", TimeoutError, []),
        ("store.slow=delay(1.5); http.response.200error=error200(InternalError)", StatusError, []),
    ],
)
def test_a_call_fails_as_a_request_would(plan: str, error: type[Exception], kept: list[str]) -> None:
    """What is done when the call fails is what a server would have done."""
    slept: list[float | None] = []
    shelf = wrap(Shelf(), plan, sleep=slept.append)
    with pytest.raises(error):
        shelf.put("a", b"x")

    assert list(shelf.kept) == kept
    assert slept == ([1.5] if "delay" in plan else [None] if "stall" in plan else [])
    assert unfired(shelf) == []


def test_bytes_are_flipped_where_they_are() -> None:
    """In what is stored, and in what is given back; one bit each time."""
    stored, given = wrap(Shelf(), "store.checksum[op=put]=flip(0)"), wrap(Shelf(), "store.checksum[op=get]=flip(0)")
    for shelf in (stored, given):
        shelf.put("a", b"xxx")

    assert (stored.kept["a"], given.kept["a"], given.get("a")) == (b"xyx", b"xxx", b"xyx")


def test_an_answer_that_ends_too_early_is_no_answer() -> None:
    """A get that was cut fails; nothing half comes back."""
    shelf = wrap(Shelf(), "http.response.truncated=truncate(1)")
    shelf.put("a", b"xxx")
    with pytest.raises(ConnectionError, match="too early"):
        shelf.get("a")


def test_names_keys_and_errors_are_the_projects_own() -> None:
    """Methods are mapped by name, the key is found by its argument's, and a status raises what the project knows."""

    class SlowDown(Exception):
        pass

    def error(status: int, code: str) -> Exception:
        return SlowDown(f"{status} {code}")

    plan = "http.response[op=put,key=ep1]#1=status(503,SlowDown)"
    bucket = wrap(Bucket(), plan, names={"put": "put_object"}, key="Key", error=error)
    bucket.put_object(Bucket="b", Key="ep0", Body=b"")
    with pytest.raises(SlowDown, match="503 SlowDown"):
        bucket.put_object(Bucket="b", Key="ep1", Body=b"")
    bucket.put_object(Bucket="b", Key="ep1", Body=b"")

    assert list(bucket.kept) == ["ep0", "ep1"]


@pytest.mark.parametrize(
    ("plan", "why"),
    [
        ("worker.idle=kill", "a point of the library"),
        ("http.response.trickle=trickle(9)", "no wire"),
        ("http.response[key=a]=sttus(503)", "did you mean 'status'"),
    ],
)
def test_what_an_object_cannot_do_is_refused(plan: str, why: str) -> None:
    """A plan that needs a process or a wire is refused when the object is wrapped."""
    make: Callable[[], object] = lambda: wrap(Shelf(), plan)  # noqa: E731 - one line
    with pytest.raises(PlanError, match=why):
        make()
