"""N ranks, one of which fails or is killed: how long until all know. ``python -m benchmarks.ranks.failing [RANKS]``.

Needs torch with gloo; nothing else of the project's tests does.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path

from rud_fakes.s3 import Fault, S3Server

from rud import RemoteUploaderDownloader, State

CASES = ("denied", "killed")
PEER_TIMEOUT = 10.0
STATE = State("run")


def main(ranks: int) -> None:
    for case in CASES:
        with tempfile.TemporaryDirectory() as folder:
            print(f"{case}, {ranks} ranks:", flush=True)
            for line in _run(case, ranks, folder):
                print("  " + line, flush=True)


def _run(case: str, ranks: int, folder: str) -> list[str]:
    with socket.socket() as found, S3Server("bucket") as server:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
        found.close()
        server.add(Fault("PutObject", "status", key="rank-3/file", times=None, status=403, code="AccessDenied"))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
        shared |= {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINT_URL": server.url}
        command = [sys.executable, "-m", "benchmarks.ranks.failing", "rank", case, folder]
        children = [
            subprocess.Popen(command, env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)})
            for rank in range(ranks)
        ]
        for child in children:
            child.wait(300)
    told = [json.loads(path.read_text()) for path in sorted(Path(folder).glob("told-*.json"))]
    knew = float((Path(folder) / "knew").read_text())
    late = max(one["at"] for one in told) - knew
    first = f"{len(told)} ranks raised, the last {late:.2f} s after it was known or done"
    return [first, *sorted({one["error"] for one in told})]


def _rank(case: str, folder: str) -> None:
    from torch import distributed

    distributed.init_process_group("gloo")
    rank = distributed.get_rank()
    logger = RemoteUploaderDownloader(
        "s3://bucket/", file_path_format_string="rank-{rank}/{remote_file_name}", use_procs=False,
        upload_staging_folder=f"{folder}/staging-{rank}", peer_timeout=PEER_TIMEOUT, close_timeout=1.0,
    )  # fmt: skip
    logger.init(STATE, None)
    distributed.barrier()
    if rank == 3 and case == "killed":
        (Path(folder) / "knew").write_text(str(time.time()))
        os.kill(os.getpid(), signal.SIGKILL)
    if rank == 3:
        (Path(folder) / "file").write_bytes(b"x" * 1000)
        logger.upload_file(STATE, "file", f"{folder}/file", overwrite=True)
    try:
        _train(logger, batches=2000 if case == "denied" else 10)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
        now = time.time()
        (Path(folder) / f"told-{rank}.json").write_text(
            json.dumps({"at": now, "error": f"{type(error).__name__}: {error}"})
        )
        if rank == 3:
            (Path(folder) / "knew").write_text(str(now))
    finally:
        with contextlib.suppress(Exception), warnings.catch_warnings(action="ignore"):
            logger.post_close()


def _train(logger: RemoteUploaderDownloader, batches: int) -> None:
    for _ in range(batches):
        time.sleep(0.02)
        logger.batch_end(STATE, None)
    logger.fit_end(STATE, None)


if __name__ == "__main__":
    if sys.argv[1:2] == ["rank"]:
        _rank(*sys.argv[2:4])
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 8)
