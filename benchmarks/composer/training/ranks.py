"""Two ranks by Composer's launcher: a worker is killed, with both classes; and shards of FSDP, saved and loaded."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

from benchmarks.composer.training.tools import Table, environment_of

RANKS = 2
SAVES = 3
SIZE = 8 << 20
"""Bytes that a checkpoint is filled up with, so that it is under way when a worker is killed."""
LIMIT = 240.0
LEFT = 8.0
"""Seconds after the end of a run in which processes of it may still end: a worker outlives its parent by five."""
_MARK = "RUD_TRAINING_RUN"


def drive(  # noqa: PLR0917 - as the drivers of the other parts
    part: str, folder: Path, bucket: str, environment: dict[str, str], server: Any, table: Table
) -> None:
    """``ranks`` or ``sharded``."""
    folder.mkdir(parents=True)
    if part == "ranks":
        for who, kill in (("rud", False), ("rud", True), ("composer", False), ("composer", True)):
            _killed(folder / f"{who}-{kill}", bucket, who, environment, server, table, kill=kill)
        return
    for how in ("logger", "uri"):
        here = folder / how
        here.mkdir()
        code, seconds, orphans, said = _launched(
            {"run": "sharded", "folder": str(here), "bucket": bucket, "how": how}, here, environment
        )
        notes = [line.removeprefix("note: ") for line in said.splitlines() if line.startswith("note: ")]
        note = "; ".join(notes) if code == 0 else said[-600:].replace("\n", " / ")
        table.add(f"sharded, {how}: saved, then loaded", code == 0 and not orphans, f"{note}; {seconds:.0f} s")


def _killed(  # noqa: PLR0917 - as drive
    folder: Path, bucket: str, who: str, environment: dict[str, str], server: Any, table: Table, *, kill: bool
) -> None:
    folder.mkdir()
    plan = {"run": "ranks", "folder": str(folder), "bucket": bucket, "who": who, "kill": kill}
    code, seconds, orphans, said = _launched(plan, folder, environment)
    prefix = f"{folder.name}/"
    stored = sum(key.startswith(prefix) for key in server.objects)
    note = f"exit {code}, {stored} of {RANKS * SAVES} stored, {orphans} orphans, {seconds:.0f} s"
    raised = sorted({line for line in said.splitlines() if line.startswith("raised: ")})
    ok = code == 0 and stored == RANKS * SAVES and not orphans
    if who == "composer":
        table.note(f"{RANKS} ranks, Composer's class{', a worker killed' if kill else ''}", "; ".join([note, *raised]))
    else:
        table.add(f"{RANKS} ranks, rud{', a worker killed' if kill else ''}", ok, "; ".join([note, *raised]))


def _launched(plan: dict[str, Any], folder: Path, environment: dict[str, str]) -> tuple[int | str, float, int, str]:
    """Exit code (or ``"hung"``), seconds, orphans, and what the ranks have said."""
    mark = uuid.uuid4().hex
    out = folder / "said"
    command = [str(Path(sys.executable).parent / "composer"), "-n", str(RANKS)]
    command += ["--stdout", f"{out}-{{rank}}", "--stderr", f"{out}-{{rank}}.err"]
    command += ["-m", "benchmarks.composer.training.program", json.dumps(plan)]
    root = str(Path(__file__).resolve().parents[3])
    began = time.monotonic()
    with (folder / "said-0").open("w") as first:
        process = subprocess.Popen(
            command,
            env={**environment_of(environment), "PYTHONPATH": root, _MARK: mark},
            stdout=first,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | str = process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            code = "hung"
    seconds = time.monotonic() - began
    deadline = time.monotonic() + LEFT
    while (left := _marked(mark)) and time.monotonic() < deadline and code != "hung":
        time.sleep(0.2)
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return code, seconds, len(left), "\n".join(path.read_text() for path in sorted(folder.glob("said*")))


def _marked(mark: str) -> list[int]:
    """The processes of a run, by what it has in its environment."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{_MARK}={mark}".encode() in path.read_bytes():
                found.append(int(path.parent.name))
    return found


def run(folder: str, bucket: str, who: str, *, kill: bool) -> None:
    """One rank: saves of its own, by the logger, and on rank 1 a worker that is killed while it holds the second."""
    from benchmarks.composer.training.program import rud, trainer

    here, uri = Path(folder), f"s3://{bucket}"
    rank = os.environ["RANK"]
    if who == "rud":
        uploader = rud(uri, here / "staging")
    else:
        from composer.loggers import RemoteUploaderDownloader

        uploader = RemoteUploaderDownloader(uri)
    callbacks = (_saves(here, rank, uploader if kill and rank == "1" else None),)
    made = trainer(here, [uploader], epochs=SAVES, callbacks=callbacks, save_folder=None)
    try:
        made.fit()
    except Exception as error:
        print(f"raised: {type(error).__name__} on rank {rank}", flush=True)
        raise
    made.close()


def _saves(here: Path, rank: str, killed: Any) -> Any:
    import torch
    from composer import Callback

    class Saves(Callback):
        def epoch_end(self, state: Any, logger: Any) -> None:
            epoch = int(state.timestamp.epoch)
            name = f"{here.name}/rank{rank}/ep{epoch}.pt"
            path = here / f"rank{rank}-ep{epoch}.pt"
            torch.save({"state": state.model.state_dict(), "more": torch.zeros(SIZE, dtype=torch.uint8)}, path)
            logger.upload_file(name, path, overwrite=False)
            if killed is not None and epoch == 1:
                # So that its worker is up, whoever's it is.
                _until_stored(killed, name)
            if killed is not None and epoch == 2:
                os.kill(_workers(killed)[0], signal.SIGKILL)

    return Saves()


def _until_stored(uploader: Any, name: str) -> None:
    for _ in range(900):
        try:
            uploader.remote_backend.get_object_size(name)
        except FileNotFoundError:
            time.sleep(0.1)
        else:
            return


def _workers(uploader: Any) -> list[int]:
    if hasattr(uploader, "_workers"):
        return [worker.pid for worker in uploader._workers]  # noqa: SLF001 - neither class shows them
    return list(uploader._uploader.worker_pids())  # noqa: SLF001 - as above


def sharded(folder: str, bucket: str, how: str) -> None:
    """One rank of FSDP: its shards are saved by the logger, or to a URI ``save_folder``, and loaded again."""
    import torch

    from benchmarks.composer.training.program import rud, trainer

    # Composer's FSDP asks torch for the current GPU, without one too; FSDP itself takes a CPU.
    vars(torch.cuda)["current_device"] = lambda: torch.device("cpu")
    here = Path(folder)
    os.chdir(here)
    fsdp = {"fsdp": {"sharding_strategy": "FULL_SHARD", "state_dict_type": "sharded"}}
    if how == "uri":
        from rud.composer import replace_remote_uploader

        replace_remote_uploader(upload_staging_folder=str(here / "staging"))
        save_folder, uploaders = f"s3://{bucket}/sharded-uri/{{run_name}}", []
    else:
        save_folder, uploaders = "sharded-logger/{run_name}", [rud(f"s3://{bucket}", here / "staging")]
    made = trainer(here, uploaders, epochs=2, save_folder=save_folder, parallelism_config=fsdp)
    made.fit()
    weights = {name: _whole(value).clone() for name, value in made.state.model.state_dict().items()}
    made.close()
    again = [rud(f"s3://{bucket}", here / "staging-again")]
    load: dict[str, Any] = {"load_path": f"sharded-{how}/run/ep2-ba8", "load_object_store": again[0]}
    second = trainer(here, again, epochs=2, parallelism_config=fsdp, **load)
    assert int(second.state.timestamp.batch) == 8
    loaded = second.state.model.state_dict()
    assert all(torch.equal(_whole(loaded[name]), value) for name, value in weights.items())
    second.close()
    if os.environ["RANK"] == "0":
        print("note: at batch 8 after loading, the weights equal", flush=True)


def _whole(value: Any) -> Any:
    """The part of a tensor that this rank has."""
    return value.to_local() if hasattr(value, "to_local") else value
