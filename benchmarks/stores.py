"""64 MiB up and down: each store of ours beside the bare SDK that it is made of, on a real server of this machine."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from rud_fakes.servers import MissingServerError, fake_gcs, versitygw

from benchmarks.report import Row
from benchmarks.tools import make_file, seconds
from rud import ObjectStore
from rud._registry import resolve

_SIZE = 64 << 20
_PAIRS = 7
_SLOWER = 1 / 0.9
"""At least nine tenths of the SDK's speed."""

Copy = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class Contest:
    """The same object, sent and fetched by ``ours`` and by the functions of a ``peer``."""

    ours: ObjectStore
    peer: str
    up: Copy
    down: Copy
    has_to_win: bool = True
    """A copy by the kernel neither reads nor sums what it copies: nothing to be measured by."""


def run(folder: Path) -> Iterator[Row]:
    for name, prepare in _CONTESTS.items():
        with ExitStack() as stack:
            try:
                contest = prepare(folder / name, stack)
            except MissingServerError as error:
                yield Row(f"64 MiB, {name}", None, "s", why=str(error))
                continue
            yield from _both_ways(name, contest, folder)


def _both_ways(name: str, contest: Contest, folder: Path) -> Iterator[Row]:
    source, target = make_file(folder / f"{name}-source", _SIZE), folder / f"{name}-target"

    def up(path: Path) -> None:
        contest.ours.upload_object("ours", path)

    def down(path: Path) -> None:
        contest.ours.download_object("ours", path, overwrite=True)

    limit = _SLOWER if contest.has_to_win else None
    for way, ours, theirs, path in (("up", up, contest.up, source), ("down", down, contest.down, target)):
        mine, peers = _side_by_side(ours, theirs, path)
        more = {"each s": mine, "peer each s": peers}
        yield Row(f"64 MiB {way}, {name}", median(mine), "s", None, median(peers), contest.peer, limit, more)
    if target.read_bytes() != source.read_bytes():
        raise AssertionError(f"{name}: what came back is not what was sent")


def _side_by_side(ours: Copy, theirs: Copy, path: Path) -> tuple[list[float], list[float]]:
    """Seconds of each, in turns; the first of each, which opens connections, is not counted."""
    mine, peers = list[float](), list[float]()
    for turn in range(_PAIRS + 1):
        for times, copy in [(mine, ours), (peers, theirs)][:: 1 if turn % 2 else -1]:
            times.append(seconds(partial(copy, path)))
    return mine[1:], peers[1:]


def _opened(stack: ExitStack, uri: str, arguments: dict[str, Any]) -> ObjectStore:
    return stack.enter_context(ObjectStore(resolve(uri, arguments).open()))


def _file(folder: Path, stack: ExitStack) -> Contest:
    folder.mkdir()
    ours = _opened(stack, f"file://{folder}", {})
    return Contest(
        ours,
        "shutil.copyfile",
        lambda at: shutil.copyfile(at, folder / "theirs"),
        lambda at: shutil.copyfile(folder / "theirs", at),
        has_to_win=False,
    )


def _s3(_: Path, stack: ExitStack) -> Contest:
    import boto3
    from botocore.config import Config

    server = stack.enter_context(versitygw(buckets=("bucket",)))
    make: Any = boto3.client
    client = make("s3", **server.backend_kwargs, config=Config(s3={"addressing_style": "path"}))
    return Contest(
        _opened(stack, "s3://bucket", server.backend_kwargs),
        "boto3",
        lambda at: client.upload_file(str(at), "bucket", "theirs"),
        lambda at: client.download_file("bucket", "theirs", str(at)),
    )


def _gs(_: Path, stack: ExitStack) -> Contest:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.storage import Client

    server = stack.enter_context(fake_gcs(buckets=("bucket",)))
    make: Any = Client
    nobody: Any = AnonymousCredentials
    client = make(project="test", credentials=nobody(), client_options={"api_endpoint": server.url})
    blob = client.bucket("bucket").blob("theirs")
    return Contest(
        _opened(stack, "gs://bucket", server.backend_kwargs),
        "google-cloud-storage",
        lambda at: blob.upload_from_filename(str(at)),
        lambda at: blob.download_to_filename(str(at)),
    )


def _libcloud(_: Path, stack: ExitStack) -> Contest:
    from libcloud.storage.providers import get_driver

    server = stack.enter_context(versitygw(buckets=("bucket",)))
    host, port = server.url.removeprefix("http://").split(":")
    arguments = {
        "key": server.access_key,
        "secret": server.secret_key,
        "region": server.region,
        "host": host,
        "port": int(port),
        "secure": False,
    }
    make: Any = get_driver("s3")
    driver = make(**arguments)
    bucket = driver.get_container("bucket")
    given = {"provider": "s3", "container": "bucket", "provider_kwargs": arguments}
    return Contest(
        _opened(stack, "libcloud://bucket", given),
        "apache-libcloud",
        lambda at: _streamed(driver, bucket, at),
        lambda at: driver.get_object("bucket", "theirs").download(str(at), overwrite_existing=True),
    )


def _streamed(driver: Any, bucket: Any, path: Path) -> None:
    """In parts, as everything larger than a single request may be has to be sent."""
    with path.open("rb") as file:
        driver.upload_object_via_stream(file, bucket, "theirs")


_CONTESTS: dict[str, Callable[[Path, ExitStack], Contest]] = {
    "file": _file,
    "s3 on versitygw": _s3,
    "gs on fake-gcs-server": _gs,
    "libcloud s3 on versitygw": _libcloud,
}
