"""What else sends files: commands and libraries alone, without a queue and without staging.

``python -m benchmarks.composer.peers ENDPOINT SOURCES SCRATCH``: prints one line of JSON, seconds by work and peer.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.composer.sink import BUCKET

_MIB = 1 << 20
_AT_ONCE = 8
_KEY = {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark", "region_name": "us-east-1"}
NOT_HERE = {"s5cmd": "its module is not to be had from the module proxy, and no command of that name is here"}


def _boto3(endpoint: str, **config: Any) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", endpoint_url=endpoint, config=Config(**config), **_KEY)


def put_object(endpoint: str, files: list[Path]) -> None:
    """boto3's plain request, one after the other."""
    client = _boto3(endpoint)
    for path in files:
        with path.open("rb") as file:
            client.put_object(Bucket=BUCKET, Key=f"put/{path.name}", Body=file)


def upload_file(endpoint: str, files: list[Path]) -> None:
    """boto3's managed transfer with its defaults, one after the other."""
    client = _boto3(endpoint)
    for path in files:
        client.upload_file(str(path), BUCKET, f"managed/{path.name}")


def tuned(endpoint: str, files: list[Path]) -> None:
    """boto3's managed transfer as fast as it goes: large parts, four at once, two files at once, no needless sums."""
    from boto3.s3.transfer import TransferConfig

    client = _boto3(endpoint, request_checksum_calculation="when_required", s3={"payload_signing_enabled": False})
    config = TransferConfig(
        multipart_threshold=64 * _MIB, multipart_chunksize=64 * _MIB, max_concurrency=4, io_chunksize=_MIB
    )
    with ThreadPoolExecutor(2) as pool:
        work = [
            pool.submit(client.upload_file, str(path), BUCKET, f"tuned/{path.name}", Config=config) for path in files
        ]
        for one in work:
            one.result()


def _obstore(endpoint: str) -> Any:
    from obstore.store import S3Store

    return S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=_KEY["aws_access_key_id"],
        secret_access_key=_KEY["aws_secret_access_key"],
        region=_KEY["region_name"],
        client_options={"allow_http": True},
    )


def obstore_sync(endpoint: str, files: list[Path]) -> None:
    """obstore, one file after the other."""
    import obstore

    store = _obstore(endpoint)
    for path in files:
        obstore.put(store, f"obstore/{path.name}", path)


def obstore_async(endpoint: str, files: list[Path]) -> None:
    """obstore, several files at once in one event loop."""
    import obstore

    async def all_of_them() -> None:
        store, limit = _obstore(endpoint), asyncio.Semaphore(_AT_ONCE)

        async def one(path: Path) -> None:
            async with limit:
                await obstore.put_async(store, f"obstore-async/{path.name}", path)

        await asyncio.gather(*map(one, files))

    asyncio.run(all_of_them())


def s5cmd(endpoint: str, files: list[Path]) -> None:
    """The command, once for all files; ``FileNotFoundError`` where there is none."""
    commands = "\n".join(f"cp {path} s3://{BUCKET}/s5cmd/{path.name}" for path in files)
    environment = {name.upper(): value for name, value in _KEY.items()} | {"AWS_REGION": _KEY["region_name"]}
    subprocess.run(
        ["s5cmd", "--endpoint-url", endpoint, "run"], input=commands, text=True, env=environment, check=True,
        stdout=subprocess.DEVNULL,
    )  # fmt: skip


def _cp(scratch: Path, files: list[Path]) -> None:
    target = scratch / "cp"
    target.mkdir()
    subprocess.run(["cp", *map(str, files), str(target)], check=True)
    shutil.rmtree(target)


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    """Measure them all."""
    endpoint, sources, scratch = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    works = {"small": sorted(sources.glob("small-*")), "large": sorted(sources.glob("large-*"))}
    senders = {
        "boto3 put_object": put_object,
        "boto3 upload_file, defaults": upload_file,
        "boto3 upload_file, tuned": tuned,
        "obstore, one at a time": obstore_sync,
        f"obstore, {_AT_ONCE} at once": obstore_async,
    }
    if shutil.which("s5cmd"):
        senders["s5cmd"] = s5cmd
    found: dict[str, dict[str, float]] = {"small": {}, "large": {}, "call": {}}
    for work, files in works.items():
        found[work]["cp to a folder"] = _seconds(partial(_cp, scratch, files))
        for name, sender in senders.items():
            sender(endpoint, files[:1])  # imports and first connections do not count
            found[work][name] = _seconds(partial(sender, endpoint, files))
    for name in ("small", "huge"):
        found["call"][f"shutil.copy2 of {name}, ms"] = 1e3 * _copy(sources / name, scratch / "copied")
    print(json.dumps(found), flush=True)


def _copy(source: Path, target: Path) -> float:
    shutil.copy2(source, target)
    target.unlink()
    try:
        return _seconds(lambda: shutil.copy2(source, target))
    finally:
        target.unlink()


if __name__ == "__main__":
    main()
