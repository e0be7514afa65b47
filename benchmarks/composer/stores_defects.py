"""The defects of Composer's stores for S3 and Cloud Storage that are known, each shown by itself.

Beside the suite, because a case ends at the first thing that is wrong: what a defect looks like when nothing else is in
the way, and those of which our contract has no word.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from rud_fakes._http.faults import Fault

from benchmarks.composer.stores import ComposerGCS, ComposerS3
from benchmarks.composer.stores_harness import OnGCS, OnS3


@dataclass(frozen=True, slots=True)
class Defect:
    """``cases``: those of the suite that can see it. ``look``: it, by itself; what was seen, in words."""

    store: str
    words: str
    cases: tuple[str, ...]
    look: Callable[[Any], str]
    harness: str = ""
    """Whose results the cases are looked up in; the store's, unless it says so."""
    why_none: str = "see what was seen"


def told(act: Callable[[], object]) -> str:
    """What an act raises, or returns, in one line."""
    try:
        return f"returned {act()!r}"
    except Exception as error:  # noqa: BLE001 - whatever it is, is what was asked
        return f"{type(error).__name__}: {' '.join(str(error).split())[:90]}"


def _download(store: Any, key: str) -> object:
    with tempfile.TemporaryDirectory() as folder:
        return store.download_object(key, os.path.join(folder, "copy"))


def _s3(on: OnS3, prefix: str = "p") -> Any:
    return ComposerS3("bucket", prefix, **on.arguments()).theirs


def _gcs(on: OnGCS, bucket: str = "bucket") -> Any:
    return ComposerGCS(bucket, "p").theirs


def _refuse(on: Any, status: int, code: str, operation: str = "*", times: int | None = None) -> None:
    on.server.add(Fault(operation, "status", status=status, code=code, times=times))


def _denied_download(on: OnS3) -> str:
    on.server.put("p/k", b"there")
    _refuse(on, 403, "AccessDenied")
    return f"download of an object that is there and denied: {told(lambda: _download(_s3(on), 'k'))}"


def _denied_size(on: OnS3) -> str:
    on.server.put("p/k", b"there")
    _refuse(on, 403, "AccessDenied")
    return f"size of the same object: {told(lambda: _s3(on).get_object_size('k'))}"


def _size_by_get(on: OnS3) -> str:
    on.server.put("p/k", b"there")
    store, before = _s3(on), len(on.server.requests)
    store.get_object_size("k")
    return f"requests of a size: {', '.join(one.operation for one in on.server.requests[before:])}"


def _s3_listing(on: OnS3) -> str:
    on.server.put("p/k", b"there")
    store = _s3(on)
    names = store.list_objects()
    return f"listed: {names!r}; size of the first: {told(lambda: store.get_object_size(names[0]))}"


def _empty_page(on: OnS3) -> str:
    """By answers that botocore is handed: the server of the fakes makes no such page."""
    from botocore.stub import Stubber

    store = _s3(on)
    with Stubber(store.client) as stub:
        stub.add_response("list_objects_v2", {"Contents": [{"Key": "p/a"}], "IsTruncated": True, **_next("1")})
        stub.add_response("list_objects_v2", {"IsTruncated": True, **_next("2")})
        stub.add_response("list_objects_v2", {"Contents": [{"Key": "p/b"}], "IsTruncated": False})
        return f"a page of 'a', one of nothing, one of 'b': {told(store.list_objects)}"


def _next(token: str) -> dict[str, str]:
    return {"NextContinuationToken": token}


def _gcs_transient(on: OnGCS) -> str:
    on.server.put("p/k", b"there")
    store = _gcs(on)
    seen = []
    for status in (503, 504):
        _refuse(on, status, "backendError")
        seen.append(f"download answered {status}: {told(lambda: _download(store, 'k'))}")
        on.server.clear_faults()
    return "; ".join(seen)


def _gcs_callback(on: OnGCS) -> str:
    def upload() -> object:
        with tempfile.NamedTemporaryFile() as file:
            return _gcs(on).upload_object("k", file.name, callback=lambda done, of: None)

    return f"upload with a callback: {told(upload)}"


def _gcs_needs_the_bucket(on: OnGCS) -> str:
    before = len(on.server.requests)
    _gcs(on)
    made = ", ".join(one.operation for one in on.server.requests[before:])
    _refuse(on, 403, "forbidden", "GetBucket")
    return f"requests of building one: {made}; who may not make it: {told(lambda: _gcs(on))}"


def _gcs_missing_bucket(on: OnGCS) -> str:
    return f"a bucket that is not there: {told(lambda: _gcs(on, 'elsewhere'))}"


def _gcs_size(on: OnGCS) -> str:
    on.server.put("p/k", b"there")
    store, before = _gcs(on), len(on.server.requests)
    store.get_object_size("k")
    made = ", ".join(one.operation for one in on.server.requests[before:])
    on.server.add(Fault("GetObject", "status", skip=1, status=404, code="notFound"))
    return f"requests of a size: {made}; when it goes between the two: {told(lambda: store.get_object_size('k'))}"


def _gcs_listing(on: OnGCS) -> str:
    on.server.put("p/k", b"there")
    store = _gcs(on)
    names = store.list_objects()
    return f"listed: {names!r}; size of the first: {told(lambda: store.get_object_size(names[0]))}"


_PREFIX = ("S13", "L12", "N01")
_NO_PAGE = "the server of the fakes makes no such page"
_NO_WORD = "our contract has no callbacks: progress is seen by what is read of a body"
DEFECTS = (
    Defect("S3", "A refusal, 403, counts as a missing object.", ("E02", "A01"), _denied_download),
    Defect("S3", "A size is a GET of the whole, whose body is neither read nor closed.", ("S02",), _size_by_get),
    Defect("S3", "The same refusal has another class in another call.", ("E15", "E02"), _denied_size),
    Defect("S3", "Listed keys have the prefix that all calls add.", _PREFIX, _s3_listing, "S3, as it is"),
    Defect(
        "S3",
        "A page without entries throws all pages away.",
        ("L10",),
        _empty_page,
        why_none=_NO_PAGE,
    ),
    Defect("GCS", "Nothing may pass; a 504 is a `ValueError`.", ("E03", "E04", "E22"), _gcs_transient),
    Defect("GCS", "An upload with a callback raises.", (), _gcs_callback, why_none=_NO_WORD),
    Defect("GCS", "Building it asks for the bucket, which needs a right.", ("Z17",), _gcs_needs_the_bucket),
    Defect("GCS", "A missing bucket is reported as missing credentials.", ("E11",), _gcs_missing_bucket),
    Defect("GCS", "A size is two requests, and can be -1.", ("S02",), _gcs_size),
    Defect("GCS", "Listed keys have the prefix that all calls add.", _PREFIX, _gcs_listing, "GCS, as it is"),
)
"""As the analysis of Composer that this project started from lists them."""


def looks() -> list[str]:
    """What was seen of each, in their order; each on a server of its own."""
    seen = []
    for one in DEFECTS:
        on = OnS3() if one.store == "S3" else OnGCS()
        try:
            seen.append(one.look(on).replace(on.server.url, "http://SERVER"))
        finally:
            on.close()
    return seen
