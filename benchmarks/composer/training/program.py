"""What a training process does: a small model, the same batches in the same order, its losses written down.

As a program it takes one argument, a plan in JSON: ``run`` and further arguments of the function of that name below.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

BATCHES = 4
"""In an epoch."""


def trainer(
    folder: Path, uploaders: list[Any], *, epochs: int = 3, callbacks: tuple[Any, ...] = (), **more: Any
) -> Any:
    """A ``Trainer`` that has not begun; it saves each epoch, and writes its losses to ``folder/losses.jsonl``."""
    import torch
    from composer import Trainer
    from composer.models import ComposerClassifier
    from composer.utils import dist
    from torch.utils.data import DataLoader, TensorDataset

    torch.manual_seed(1)
    inputs = torch.randn(BATCHES * 8 * dist.get_world_size(), 16)
    data = TensorDataset(inputs, (inputs.sum(1) > 0).long())
    module = torch.nn.Sequential(torch.nn.Linear(16, 32), torch.nn.ReLU(), torch.nn.Linear(32, 2))
    model = ComposerClassifier(module, num_classes=2)
    arguments: dict[str, Any] = {
        "save_interval": "1ep",
        "run_name": "run",
        "loggers": uploaders,
        **more,
    }
    return Trainer(
        model=model,
        train_dataloader=DataLoader(data, batch_size=8, sampler=dist.get_sampler(data, shuffle=False)),
        max_duration=f"{epochs}ep",
        optimizers=torch.optim.Adam(model.parameters(), lr=0.01),
        callbacks=[_losses(folder / "losses.jsonl"), *callbacks],
        device="cpu",
        progress_bar=False,
        load_progress_bar=False,
        seed=17,
        **arguments,
    )


def _losses(path: Path) -> Any:
    from composer import Callback

    class Losses(Callback):
        def batch_end(self, state: Any, logger: Any) -> None:
            with path.open("a") as file:
                print(json.dumps([int(state.timestamp.batch), float(state.loss)]), file=file)

    return Losses()


def _killed(uploader: Any, batch: int) -> Any:
    """Stop the workers before the checkpoint of the batch, and kill all of them and this process at the next one."""
    from composer import Callback

    class Killed(Callback):
        def batch_start(self, state: Any, logger: Any) -> None:
            if int(state.timestamp.batch) == batch - 1:
                self.kill(uploader, signal.SIGSTOP)

        def batch_end(self, state: Any, logger: Any) -> None:
            if int(state.timestamp.batch) == batch + 1:
                self.kill(uploader, signal.SIGKILL)
                os.kill(os.getpid(), signal.SIGKILL)

        @staticmethod
        def kill(uploader: Any, number: signal.Signals) -> None:
            for pid in uploader._uploader.worker_pids():  # noqa: SLF001 - a trainer has no other way to them
                os.kill(pid, number)

    return Killed()


def rud(uri: str, staging: Path, **options: Any) -> Any:
    """The logger under test."""
    from rud import RemoteUploaderDownloader

    return RemoteUploaderDownloader(uri, upload_staging_folder=staging, **options)


def train(
    folder: str, uri: str, save_folder: str, *, kill_at: int = 0, load_path: str = "", load_by_logger: bool = False
) -> None:
    """Train to the end; or be killed; or go on from a checkpoint. ``save_folder`` is below ``folder``."""
    here = Path(folder)
    os.chdir(here)
    uploader = rud(uri, here / "staging")
    more: dict[str, Any] = {"save_folder": save_folder, **({"load_path": load_path} if load_path else {})}
    if load_by_logger:
        more["load_object_store"] = uploader
    callbacks = (_killed(uploader, kill_at),) if kill_at else ()
    # What was loaded is in the folder already, under the same names.
    made = trainer(here, [uploader], callbacks=callbacks, save_overwrite=bool(load_path), **more)
    made.fit()
    made.close()


def main(plan: dict[str, Any]) -> None:
    warnings.simplefilter("ignore")
    from benchmarks.composer.training import checks, ranks

    runs = {"train": train, "checks": checks.run, "ranks": ranks.run, "sharded": ranks.sharded}
    runs[plan.pop("run")](**plan)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
