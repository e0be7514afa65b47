"""Each point of the fault server with each action that it allows, by a plan: what an upload to S3 comes to.

The faults strike once or a few times, so that everything is stored in the end; what nothing can be done about is
refused by its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.faults.points import SERVER_POINTS
from rud_fakes.faults.runtime import Injector, fired, missed, parse
from rud_fakes.runtime import InlineRuntime

from rud import ConfigurationError, Downloader, OutageError, Upload, UploadError
from tests.support.s3 import ONE_TRY, PART, SMALL_PARTS, content
from tests.support.s3_place import S3Place

IMPATIENT = {**ONE_TRY, "read_timeout": 0.4}
"""So that an answer which never comes is not waited for."""


@dataclass(frozen=True, slots=True)
class Row:
    """``rule``: of the plan. ``size``: of the upload. ``raises``: what the upload fails with; ``""``: it is stored."""

    rule: str
    size: int = 1000
    create: bool = False
    raises: str = ""

    @property
    def point(self) -> str:
        return parse(self.rule).rules[0].at

    @property
    def action(self) -> str:
        return parse(self.rule).rules[0].actions[0][0]


ROWS = [
    Row("http.request.head[op=PutObject]#1=reset"),
    Row("http.request.head[op=PutObject]#1=status(417)"),
    Row("http.request.body[op=PutObject]#1=reset(500)"),
    Row("http.request.body[op=UploadPart]#2=reset(70000)", PART + 1000),
    Row("http.request.body[op=PutObject]#1=stall(0.2)"),
    Row("http.request.body[op=PutObject]#1=stall"),
    Row("http.request.body[op=PutObject]#1=trickle(5000)"),
    Row("http.response.none[op=PutObject]#1=lost"),
    Row("http.response.none[op=PutObject]#1=lost", create=True),
    Row("http.response.none[op=CompleteMultipartUpload]#1=lost", PART + 1000, create=True),
    Row("http.response.none_not_stored[op=PutObject]#1=reset"),
    Row("http.response[op=PutObject]#1=status(429)"),
    Row("http.response[op=PutObject]#1=status(500)"),
    Row("http.response[op=PutObject]#1=status(502)"),
    Row("http.response[op=PutObject]*2=status(503,SlowDown)"),
    Row("http.response[op=PutObject]#1=status(504)"),
    Row("http.response[op=PutObject]#1=status(408)"),
    Row("http.response[op=PutObject]#1=status(503,SlowDown,0)"),
    Row("http.response[op=PutObject]#1=delay(0.2)"),
    Row("http.response[op=PutObject]#1=stall"),
    Row("http.response.200error[op=CompleteMultipartUpload]#1=error200(InternalError)", PART + 1000),
    Row("http.response.truncated[op=GetObject]#1=truncate(100)"),
    Row("http.response.trickle[op=GetObject]#1=trickle(5000)"),
    Row("http.response.duplicate[op=PutObject]#1=duplicate"),
    Row("auth.expired[op=PutObject]#1=status(400,ExpiredToken)"),
    Row("auth.skew[op=PutObject]#1=status(403,RequestTimeTooSkewed)"),
    Row("auth.denied_read[op=HeadObject]#1=status(403,AccessDenied); http.response[op=PutObject]#1=status(500)"),
    Row("store.checksum[op=GetObject]#1=flip(0)"),
    Row("store.part[op=CompleteMultipartUpload]#1=status(404,NoSuchUpload)", PART + 1000),
    Row("store.part[op=CompleteMultipartUpload]#1=status(400,InvalidPart)", PART + 1000, raises="InvalidPart"),
    Row("store.stale_head[op=HeadObject]*1=status(404); http.response.none[op=PutObject]#1=lost"),
    Row("store.late_put[op=PutObject]#1=delay(0.9)"),
    Row("store.precondition[op=PutObject]#1=status(409,ConditionalRequestConflict)", create=True),
    Row("store.quota[op=PutObject]#1=status(400,EntityTooLarge)", raises="EntityTooLarge"),
    Row("store.redirect[op=PutObject]#1=status(307,TemporaryRedirect)"),
    Row("store.gone[op=PutObject]#1=status(404,NoSuchBucket)"),
    Row("store.slow[op=PutObject]=delay(0.05)"),
]


def test_every_point_and_action_of_the_server_has_a_row() -> None:
    """Whatever a plan may do at a point of the server is done here."""
    assert {(row.point, row.action) for row in ROWS} == {
        (name, action) for name, one in SERVER_POINTS.items() for action in one.point.actions
    }


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.rule.replace("[", "-").replace("]", "-"))
def test_every_point_of_the_server(s3: S3Place, tmp_path: Path, row: Row) -> None:
    """I4, I7, I16: what was accepted is stored with its bytes, or has failed by the name of what the server said; what
    comes back is whole; and every fault of the plan has struck."""
    plan = parse(row.rule)
    s3.server.obey(Injector(plan, tmp_path / "state").befalls)
    data, arguments = content(row.size), {"client_config": IMPATIENT, "transfer_config": SMALL_PARTS}
    runtime = InlineRuntime()
    uploader = s3.uploader(_runtime=runtime, use_procs=False, backend_kwargs=arguments)
    upload = uploader.upload(s3.binary_file("k", data), "k", overwrite=not row.create)

    assert row.raises in _end(upload, runtime)
    assert row.raises or s3.server.objects["k"].data == data
    assert s3.server.uploads == {}
    if "GetObject" in row.rule:
        _bring_back(s3, tmp_path / "back", arguments)
        assert (tmp_path / "back").read_bytes() == data
    assert missed(plan, fired(tmp_path / "state")) == []


def _end(upload: Upload, runtime: InlineRuntime) -> str:
    """What the upload has failed with. What holds a whole destination back is raised by waits, and passes."""
    for _ in range(5):
        try:
            upload.result(600)
        except (ConfigurationError, OutageError):
            runtime.clock.advance(30)  # by then it is probed again
            runtime.settle()
        except UploadError as error:
            return str(error)
        else:
            return ""
    raise AssertionError("it never ends")


def _bring_back(s3: S3Place, path: Path, arguments: dict[str, Any]) -> None:
    given = s3.config(backend_kwargs=arguments)
    with Downloader(given["uri"], backend_kwargs=given["backend_kwargs"], wait=lambda _: None) as downloader:
        downloader.download("k", path)
