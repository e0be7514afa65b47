"""The training run of ``rud demo``: a small model, real checkpoints, uploads in the background; it can be killed.

A logistic regression over hashed features, fitted by Adagrad on examples that are drawn anew for each step from a
hidden truth. What a step does follows from its number alone, so that a run which goes on from a checkpoint ends where
an undisturbed one would.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
import os
import random
import signal
import sys
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rud.upload import Upload
from rud.uploader import Uploader

SLOTS = 1 << 20
"""Weights of the model: 4 MiB of them, and as much of Adagrad's own."""
VOCABULARY = 20_000
BATCH = 32
FEATURES = 12
RATE = 0.3


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to do. ``kill_at``, ``crash_at``: the checkpoint after which it kills its worker, or itself."""

    store: str
    work: str
    checkpoints: int
    steps: int
    """Between two checkpoints."""
    kill_at: int = 0
    crash_at: int = 0
    backend_kwargs: Mapping[str, Any] | None = None

    @property
    def staging(self) -> str:
        return os.path.join(self.work, "staging")

    @property
    def ledger(self) -> str:
        """A line for each accepted file: key, size, SHA-256."""
        return os.path.join(self.work, "ledger.jsonl")

    @property
    def destination(self) -> str | Path:
        return self.store if "://" in self.store else Path(self.store)

    def to_json(self) -> str:
        return json.dumps(asdict(self))


@dataclass(slots=True)
class Model:
    """All that a checkpoint keeps."""

    weights: array[float] = field(default_factory=lambda: array("f", bytes(4 * SLOTS)))
    squares: array[float] = field(default_factory=lambda: array("f", bytes(4 * SLOTS)))
    losses: list[float] = field(default_factory=list[float])
    """The mean over the steps before each checkpoint."""

    def step(self, number: int) -> float:
        """One step of Adagrad on a batch; the mean loss before it."""
        chance = random.Random(number)
        return sum(self._learn(chance) for _ in range(BATCH)) / BATCH

    def _learn(self, chance: random.Random) -> float:
        weights, squares = self.weights, self.squares
        words = [int(VOCABULARY * chance.random() ** 3) for _ in range(FEATURES)]
        slots = [word * 2_654_435_761 % SLOTS for word in words]
        truth = sum(math.sin(word) for word in words) > 0
        guess = 1 / (1 + math.exp(-max(-30.0, min(30.0, sum(weights[slot] for slot in slots)))))
        slope = guess - truth
        for slot in slots:
            squares[slot] += slope * slope
            weights[slot] -= RATE * slope / math.sqrt(squares[slot] + 1e-8)
        return -math.log(max(1e-12, guess if truth else 1 - guess))

    def save(self, folder: Path) -> None:
        """A new folder that is whole as soon as it is there."""
        hidden = folder.with_name("." + folder.name)
        hidden.mkdir(parents=True, exist_ok=True)
        for name, values in (("weights.bin", self.weights), ("adagrad.bin", self.squares)):
            (hidden / name).write_bytes(values.tobytes())
        (hidden / "log.json").write_text(json.dumps({"losses": self.losses}), encoding="utf-8")
        hidden.rename(folder)

    @classmethod
    def restored(cls, folder: Path) -> Model:
        model = cls(array("f"), array("f"), json.loads((folder / "log.json").read_text(encoding="utf-8"))["losses"])
        model.weights.frombytes((folder / "weights.bin").read_bytes())
        model.squares.frombytes((folder / "adagrad.bin").read_bytes())
        return model


def train(plan: Plan) -> None:
    """The loop, from the last checkpoint that is there."""
    saved = sorted(Path(plan.work, "checkpoints").glob("step-*"))
    model = Model.restored(saved[-1]) if saved else Model()
    tell("start", step=len(saved) * plan.steps)
    with Uploader(
        plan.destination,
        backend_kwargs=plan.backend_kwargs,
        upload_staging_folder=plan.staging,
        staging_mode="auto",
    ) as uploader:
        for number in range(len(saved) + 1, plan.checkpoints + 1):
            model.losses.append(_epoch(model, number, plan, uploader))
            folder = Path(plan.work, "checkpoints", f"step-{number * plan.steps:05}")
            model.save(folder)
            size = upload(uploader, folder, plan, kill=number == plan.kill_at)
            tell("checkpoint", number=number, size=size, loss=model.losses[-1])
            if number == plan.crash_at:
                os.killpg(os.getpgrp(), signal.SIGKILL)
        uploader.drain(adopted=True)


def _epoch(model: Model, number: int, plan: Plan, uploader: Uploader) -> float:
    total = 0.0
    for done in range(plan.steps):
        step = (number - 1) * plan.steps + done
        total += model.step(step)
        if done % 25 == 0:
            tell("step", step=step, loss=total / (done + 1), counts=str(uploader.counts()))
    return total / plan.steps


def upload(uploader: Uploader, folder: Path, plan: Plan, *, kill: bool) -> int:
    """The files of a checkpoint, and after them, once they are stored, the note that names it. Their bytes."""
    files = {f"{folder.name}/{file.name}": file for file in sorted(folder.iterdir())}
    pointer = Path(plan.work, "latest.json")
    pointer.write_text(json.dumps({"checkpoint": folder.name, "files": list(files)}), encoding="utf-8")
    lines = [_line(key, file) for key, file in (*files.items(), ("latest.json", pointer))]
    uploads = [uploader.upload(file, key) for key, file in files.items()]
    if kill:
        kill_a_worker(uploader, uploads)
    uploader.upload(pointer, "latest.json", after=uploads)
    with open(plan.ledger, "a", encoding="utf-8") as ledger:
        ledger.writelines(lines)
    return sum(file.stat().st_size for file in files.values())


def _line(key: str, file: Path) -> str:
    """For the ledger: what is accepted."""
    content = file.read_bytes()
    return json.dumps({"key": key, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}) + "\n"


def kill_a_worker(uploader: Uploader, uploads: list[Upload]) -> None:
    """The first one, while it holds one of ``uploads`` if that can be seen in time."""
    busy = any(any(accepted.running() for accepted in uploads) for _ in range(20_000))
    for pid in uploader.worker_pids()[:1]:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            tell("killed", pid=pid, busy=busy)


def tell(event: str, **facts: object) -> None:
    """To whoever shows the run: one JSON object a line, in one write, since two threads do it."""
    os.write(sys.stdout.fileno(), (json.dumps({"event": event, **facts}) + "\n").encode())


class _Teller(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        tell("log", text=record.getMessage())


def main() -> None:
    """The plan comes by stdin: its arguments may hold secrets."""
    logging.getLogger("rud").addHandler(_Teller(logging.WARNING))
    train(Plan(**json.loads(sys.stdin.readline())))
