"""What Composer's ``Trainer`` asks of a logger of files, one trainer after another in one process."""

from __future__ import annotations

import json
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.composer.training.tools import Table, run_program

CHECKS: list[Callable[[Path, str], str]] = []


def drive(folder: Path, bucket: str, environment: dict[str, str], server: Any, table: Table) -> None:
    """All of them, in a process of their own."""
    folder.mkdir(parents=True)
    done = run_program({"run": "checks", "folder": str(folder), "bucket": bucket}, environment)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    for what, ok, note in lines:
        table.add(what, ok, note)
    if len(lines) < len(CHECKS) or done.returncode:
        table.add("the process of the checks", ok=False, note=done.stderr[-500:])
    table.add("no multipart upload is left unfinished", not server.uploads)


def run(folder: str, bucket: str) -> None:
    """In that process: a line in JSON for each."""
    for check in CHECKS:
        here = Path(folder, check.__name__)
        here.mkdir()
        os.chdir(here)
        what = " ".join((check.__doc__ or "").split())
        try:
            note, ok = check(here, f"s3://{bucket}/{check.__name__}"), True
        except Exception:  # noqa: BLE001 - whatever it is, it is the answer
            note, ok = traceback.format_exc(limit=-2).replace("\n", " / ").replace("|", "¦"), False
        print(json.dumps([what, ok, note]), flush=True)
    sys.stdout.flush()
    # Trainers of failed runs, and what Composer keeps of them, are not waited for.
    os._exit(0)


def _check(function: Callable[[Path, str], str]) -> Callable[[Path, str], str]:
    CHECKS.append(function)
    return function


def _trained(here: Path, uri: str, name: str = "first", *, options: dict[str, Any] | None = None, **more: Any) -> Any:
    from benchmarks.composer.training.program import rud, trainer

    uploader = rud(uri, here / f"staging-{name}", **(options or {}))
    made = trainer(here, [uploader], save_folder=f"ck-{name}/{{run_name}}", epochs=2, **more)
    return made, uploader


def _keys(uri: str) -> list[str]:
    from rud import ObjectStore
    from rud._registry import resolve

    return ObjectStore(resolve(uri).open()).list_objects()


@_check
def arrive(here: Path, uri: str) -> str:
    """Checkpoints, the symlink file and a file uploaded after the end of training are stored."""
    made, _ = _trained(here, uri)
    made.fit()
    (here / "late").write_text("late")
    made.logger.upload_file("late/{run_name}", here / "late")
    made.close()
    keys = _keys(uri)
    assert keys == [
        "ck-first/run/ep1-ba4-rank0.pt",
        "ck-first/run/ep2-ba8-rank0.pt",
        "ck-first/run/latest-rank0.pt.symlink",
        "late/run",
    ], keys
    return ", ".join(keys)


@_check
def loaded(here: Path, uri: str) -> str:
    """``load_object_store=``, and autoresume when the folder is gone, go on from the checkpoint."""
    import torch

    made, _ = _trained(here, uri)
    made.fit()
    made.close()
    weights = {name: value.clone() for name, value in made.state.model.state_dict().items()}
    from benchmarks.composer.training.program import rud, trainer

    uploader = rud(uri, here / "staging-second")
    latest = "ck-first/run/latest-rank0.pt"
    second = trainer(here, [uploader], load_path=latest, load_object_store=uploader)
    assert int(second.state.timestamp.batch) == 8
    same = second.state.model.state_dict()
    assert all(torch.equal(same[name], value) for name, value in weights.items())
    second.close()
    shutil.rmtree(here / "ck-first")
    third, _ = _trained(here, uri, autoresume=True)
    assert int(third.state.timestamp.batch) == 8
    third.close()
    return "both at batch 8, the weights equal"


@_check
def overwriting(here: Path, uri: str) -> str:
    """A checkpoint that exists is a ``FileExistsError`` out of ``fit``; with ``save_overwrite`` it is replaced."""
    made, _ = _trained(here, uri)
    made.fit()
    made.close()
    shutil.rmtree(here / "ck-first")
    again, _ = _trained(here, uri)
    where = ""
    try:
        again.fit()
    except FileExistsError as error:
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        where = next(name for name in frames if name in ("batch_end", "epoch_end", "fit_end"))
    again.close()
    assert where
    shutil.rmtree(here / "ck-first")
    third, _ = _trained(here, uri, save_overwrite=True)
    third.fit()
    third.close()
    return f"raised by {where}"


@_check
def template(here: Path, uri: str) -> str:
    """A ``file_path_format_string`` is refused together with ``save_latest_filename``, as Composer's, and else used."""
    options = {"file_path_format_string": "rank-{rank}/{remote_file_name}"}
    try:
        _trained(here, uri, "refused", options=options)
    except ValueError as error:
        refused = str(error)
    assert "file_path_format_string" in refused
    made, _ = _trained(here, uri, options=options, save_latest_filename=None)
    made.fit()
    made.close()
    keys = _keys(uri)
    assert keys == ["rank-0/ck-first/run/ep1-ba4-rank0.pt", "rank-0/ck-first/run/ep2-ba8-rank0.pt"], keys
    return "ValueError; " + ", ".join(keys)


@_check
def two(here: Path, uri: str) -> str:
    """Two loggers in one trainer store everything twice, to S3 and to a folder."""
    from benchmarks.composer.training.program import rud, trainer

    both = [rud(uri, here / "one"), rud(f"file://{here}/store", here / "two")]
    made = trainer(here, both, save_folder="ck/{run_name}", epochs=2)
    made.fit()
    made.close()
    assert _keys(uri) == _keys(f"file://{here}/store")
    assert len(_keys(uri)) == 3
    return f"{len(_keys(uri))} objects each"


@_check
def observer(here: Path, uri: str) -> str:
    """``OOMObserver`` with a URI of the same bucket: Composer adds no uploader of its own."""
    from composer.callbacks import OOMObserver
    from composer.loggers import RemoteUploaderDownloader as Theirs

    from benchmarks.composer.training.program import rud, trainer

    bucket = uri.removeprefix("s3://").partition("/")[0]
    uploader = rud(f"s3://{bucket}", here / "staging")
    made = trainer(
        here,
        [uploader],
        epochs=1,
        callbacks=(OOMObserver(remote_file_name=f"s3://{bucket}/oom/rank{{rank}}_oom"),),
    )
    found = [one for one in made.logger.destinations if isinstance(one, Theirs)]
    made.close()
    assert found == [uploader]
    return "one logger of files in the trainer, ours"


@_check
def state_key(here: Path, uri: str) -> str:
    """A checkpoint has the logger's state under the name of its class, as with Composer's."""
    import torch

    made, _ = _trained(here, uri)
    made.fit()
    made.close()
    state = torch.load(here / "ck-first/run/ep1-ba4-rank0.pt", weights_only=False)["state"]
    keys = [name for name, value in state["callbacks"].items() if value == {}]
    assert "RemoteUploaderDownloader" in state["callbacks"], list(state["callbacks"])
    return f"callbacks: {', '.join(keys)}"


@_check
def subclass(here: Path, uri: str) -> str:
    """``rud.composer.RemoteUploaderDownloader``, the real subclass, does the same."""
    from composer.loggers import LoggerDestination

    from benchmarks.composer.training.program import trainer
    from rud.composer import RemoteUploaderDownloader

    assert issubclass(RemoteUploaderDownloader, LoggerDestination)
    made = trainer(
        here,
        [RemoteUploaderDownloader(uri, upload_staging_folder=here / "staging")],
        save_folder="ck/{run_name}",
        epochs=1,
    )
    made.fit()
    made.close()
    assert len(_keys(uri)) == 2
    return "2 objects"


@_check
def composers_store(here: Path, uri: str) -> str:
    """Composer's own ``S3ObjectStore`` as a backend, by ``composer://``."""
    bucket = uri.removeprefix("s3://").partition("/")[0]
    store = {"store": "composer.utils.object_store:S3ObjectStore", "arguments": {"bucket": bucket}}
    made, uploader = _trained(here, "composer://mine/wrapped", options={"backend_kwargs": store, "use_procs": False})
    made.fit()
    uploader.download_file("ck-first/run/latest-rank0.pt", here / "copy.pt", progress_bar=False)
    made.close()
    assert (here / "copy.pt").read_bytes() == (here / "ck-first/run/ep2-ba8-rank0.pt").read_bytes()
    return ", ".join(_keys(f"s3://{bucket}/wrapped"))


@_check
def uri_save_folder(here: Path, uri: str) -> str:
    """``save_folder`` is a URI: after ``replace_remote_uploader`` rud uploads, and autoresume finds it."""
    import time

    import rud.composer
    from benchmarks.composer.training.program import trainer

    rud.composer.replace_remote_uploader(upload_staging_folder=str(here / "staging"))
    began = time.monotonic()
    made = trainer(here, [], save_folder=f"{uri}/{{run_name}}", epochs=2)
    made.fit()
    made.close()
    took = time.monotonic() - began
    keys = _keys(uri)
    assert keys == ["run/ep1-ba4-rank0.pt", "run/ep2-ba8-rank0.pt", "run/latest-rank0.pt.symlink"], keys
    again = trainer(here, [], save_folder=f"{uri}/{{run_name}}", epochs=3, autoresume=True)
    assert int(again.state.timestamp.batch) == 8
    again.fit()
    again.close()
    assert "run/ep3-ba12-rank0.pt" in _keys(uri)
    return f"{', '.join(keys)}, in {took:.1f} s; resumed at batch 8"
