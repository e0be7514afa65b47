"""``rud demo``: the main job on real files, with a worker and the whole run killed on the way, verified at the end."""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from rud._ranks import VARIABLES
from rud.cli import exits
from rud.cli.arguments import add_backend_kwargs, add_json, backend_kwargs, new_command
from rud.cli.folders import left_as_found
from rud.cli.screen import size_in_words
from rud.errors import ConfigurationError, StoreError

if TYPE_CHECKING:
    from rud._registry import StoreSpec
    from rud.cli import Subparsers
    from rud.cli.screen import Screen
    from rud.cli.training import Plan

STEPS = 2_000
"""Between two checkpoints: eight of them take some ten seconds."""

NEXT = """
What to type next:

  rud upload FOLDER file:///data/store     upload a folder
  rud status                               what waits, or has failed
  rud --help

and in a training loop:

  from rud import Uploader

  with Uploader("file:///data/store") as uploader:
      for epoch in range(3):
          ...
          uploader.upload("model.pt", f"run1/ep{epoch}.pt")
"""


def add(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "demo",
        "a training run that is killed, and loses nothing",
        "Trains a small model for some ten seconds, saves checkpoints and uploads them in the background; "
        "kills one of its workers, then itself; goes on from its last checkpoint; and verifies every byte at the end.",
    )
    parser.add_argument("--checkpoints", type=_checkpoints, default=8, metavar="N", help="how many are saved (8)")
    parser.add_argument("--steps", type=int, default=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--store", metavar="URI", help="upload there, below a prefix of its own (a temporary folder)")
    parser.add_argument("--folder", metavar="FOLDER", help="where the temporary folder is made")
    parser.add_argument("--keep", action="store_true", help="leave everything as it is at the end")
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def _checkpoints(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) >= 4):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 4")
    return int(text)


@dataclass(slots=True)
class Show:
    """What the demo has seen so far."""

    screen: Screen
    quiet: bool
    steps: int
    killed: int = 0
    problems: list[str] = field(default_factory=list[str])

    def say(self, text: str) -> None:
        self.screen.clear()
        if not self.quiet:
            print(text, flush=True)

    def event(self, fact: Mapping[str, Any]) -> None:
        match fact["event"]:
            case "step":
                text = f"{fact['step']}/{self.steps} loss {fact['loss']:.3f}; {fact['counts']}"
                self.screen.progress(text, fact["step"] / self.steps)
            case "checkpoint":
                size = size_in_words(fact["size"])
                self.say(f"checkpoint {fact['number']}: loss {fact['loss']:.3f}, {size} accepted")
            case "killed":
                self.killed += 1
                self.say(f"killed worker process {fact['pid']}{', which held an upload' * fact['busy']}")
            case "start" if fact["step"]:
                self.say(f"a new run goes on at step {fact['step']}")
            case "log":
                self.screen.say(fact["text"])


def run(args: Any) -> int:
    from rud.cli.training import Plan

    base = _base(args.folder)
    work = tempfile.mkdtemp(prefix="rud-demo-", dir=base)
    name = os.path.basename(work)
    store = os.path.join(work, "store") if args.store is None else f"{args.store.rstrip('/')}/{name}"
    plan = Plan(store, work, args.checkpoints, args.steps, backend_kwargs=backend_kwargs(args))
    show = Show(args.screen, args.json, args.checkpoints * args.steps)
    try:
        spec = _proven(plan)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    with left_as_found(spec):
        files, crashes = _performed(plan, spec, show, args)
    well = not show.problems
    lost = len(show.problems)
    killed = f"{show.killed} worker{'s' * (show.killed != 1)} killed"
    text = f"{'OK' if well else 'NOT OK'}: {files} files, {killed}, {crashes} crash resumed, {lost} lost"
    for problem in show.problems:
        args.screen.say(problem)
    code = exits.DONE if well else exits.FAILED
    facts = {"files": files, "killed": show.killed, "crashes": crashes, "lost": lost, "problems": show.problems}
    return exits.finish(args, code, text + (f"\n{NEXT}" if well else ""), **facts)


def _performed(plan: Plan, spec: StoreSpec, show: Show, args: Any) -> tuple[int, int]:
    """``_perform``, and nothing is left of it, unless it is wanted or tells of a problem."""
    try:
        show.say(f"a training run saves checkpoints in {plan.work} and uploads them to {plan.store}")
        return _perform(plan, spec, show)
    finally:
        if args.keep or show.problems:
            show.say(f"everything is kept in {plan.work}" + (f" and {plan.store}" if args.store else ""))
        else:
            _clean(plan, spec if args.store is not None else None, show)


def _base(folder: str | None) -> str | None:
    if folder is not None:
        try:
            os.makedirs(folder, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"{folder} cannot be made: {error.strerror}") from None
    return folder if folder is None else os.path.abspath(folder)


def _proven(plan: Plan) -> StoreSpec:
    """The store, once it has said that it may be written; nobody waits for a training run to hear that it may not."""
    from rud._object_store import ObjectStore
    from rud._registry import resolve

    spec = resolve(plan.destination, plan.backend_kwargs)
    try:
        with ObjectStore(spec.open()) as store, store.calling("probe", "") as backend:
            if (reason := backend.capabilities.processes) is not True:
                raise ConfigurationError(f"the demo works in several processes, and {spec.uri} does not: {reason}")
            backend.probe()
    except StoreError as error:
        error.add_note(f"`rud check {spec.uri}` tries it step by step")
        raise
    return spec


def _perform(plan: Plan, spec: StoreSpec, show: Show) -> tuple[int, int]:
    """Files stored and verified, and crashes resumed."""
    from rud._resume import owner_folders, resume
    from rud._spool import scan

    crash_at = plan.checkpoints // 2 + 1
    status = _train(replace(plan, kill_at=crash_at // 2 + 1, crash_at=crash_at), show)
    if status != -signal.SIGKILL:
        show.problems.append(f"the first run should have been killed, but it ended with status {status}")
        return 0, 0
    waiting = sum(one.spooled for one in scan(plan.staging))
    show.say(f"killed the whole run; not yet known to be stored, and in its spool: {waiting}")
    status = _train(plan, show)
    if status != 0:
        show.problems.append(f"the second run ended with status {status}")
    outcome = resume(owner_folders(plan.staging), backend_kwargs=plan.backend_kwargs)
    show.say(f"rud resume, for what is still spooled: {outcome.total}")
    show.problems += [f"{one.folder}: {one.why}" for one in outcome.folders if one.stop or one.report.failed]
    if show.killed != 1:
        show.problems.append(f"{show.killed} workers were killed, not 1")
    return _verify(plan, spec, show), 1


def _train(plan: Plan, show: Show) -> int:
    """Run the training in a process group of its own, which it may kill; its exit status."""
    path = [os.path.abspath(entry or os.curdir) for entry in sys.path]
    boot = f"import sys; sys.path[:] = {path!r}; from rud.cli.training import main; main()"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", boot],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env={
            name: value for name, value in os.environ.items() if not name.startswith("RUD_") and name not in VARIABLES
        },
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(plan.to_json() + "\n")
                process.stdin.close()
            for line in process.stdout:
                if line.endswith("\n"):  # the last one of a killed run may be cut
                    show.event(json.loads(line))
            return process.wait()
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise


def _ledger(plan: Plan) -> dict[str, tuple[int, str]]:
    """Key, size and sum of what was accepted; the last of a key counts."""
    with open(plan.ledger, encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    return {line["key"]: (line["size"], line["sha256"]) for line in lines}


def _verify(plan: Plan, spec: StoreSpec, show: Show) -> int:
    from rud._object_store import ObjectStore

    ledger = _ledger(plan)
    copy = os.path.join(plan.work, "copy")
    with ObjectStore(spec.open()) as store:
        for number, (key, expected) in enumerate(ledger.items(), start=1):
            show.screen.progress(f"verifying {number} of {len(ledger)}", number / len(ledger))
            try:
                store.download_object(key, copy, overwrite=True)
            except StoreError as error:
                show.problems.append(str(error))
                continue
            with open(copy, "rb") as file:
                found = os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").hexdigest()
            if found != expected:
                show.problems.append(f"{key} has {found}, but {expected} was accepted")
        show.problems += [f"{key} was never accepted" for key in store.list_objects() if key not in ledger]
    return len(ledger)


def _clean(plan: Plan, remote: StoreSpec | None, show: Show) -> None:
    """Remove what was made, once the last worker has ended."""
    from rud._object_store import ObjectStore
    from rud._resume import owner_folders
    from rud._spool.owner import wait_for_workers

    if os.path.isdir(plan.staging):
        for folder in owner_folders(plan.staging):
            wait_for_workers(folder, 10.0)
    if remote is not None:
        try:
            with ObjectStore(remote.open()) as store:
                for key in store.list_objects():
                    store.delete_object(key)
        except StoreError as error:
            show.screen.say(f"what was stored below {remote.uri} could not be removed: {error}")
    shutil.rmtree(plan.work, ignore_errors=True)
