"""A trainer that does to its loggers what Composer's does: the same events, calls and handling of errors, in the same
order."""

from __future__ import annotations

import contextlib
import enum
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any


class Event(enum.Enum):
    """Those of Composer's events that make a run."""

    INIT = "init"
    BEFORE_LOAD = "before_load"
    AFTER_LOAD = "after_load"
    FIT_START = "fit_start"
    EPOCH_START = "epoch_start"
    BATCH_START = "batch_start"
    BATCH_END = "batch_end"
    BATCH_CHECKPOINT = "batch_checkpoint"
    EPOCH_END = "epoch_end"
    EPOCH_CHECKPOINT = "epoch_checkpoint"
    FIT_END = "fit_end"
    EVAL_STANDALONE_START = "eval_standalone_start"
    EVAL_STANDALONE_END = "eval_standalone_end"
    PREDICT_START = "predict_start"
    PREDICT_END = "predict_end"


class Trainer:
    """``INIT`` is dispatched when it is built. ``swallowed``: what ``close`` has logged instead of raising it."""

    def __init__(self, loggers: list[Any], run_name: str, folder: Path, *, save_overwrite: bool = False) -> None:
        from rud import Logger

        self.loggers = loggers
        self.state = SimpleNamespace(run_name=run_name, device=None)
        self.logger = Logger(self.state, loggers)
        self.swallowed: list[Exception] = []
        self._folder = folder
        self._save_overwrite = save_overwrite
        self.dispatch("init", "before_load", "after_load")

    def dispatch(self, *events: str) -> None:
        for event in events:
            for logger in self.loggers:
                logger.run_event(Event(event), self.state, self.logger)

    def fit(self, epochs: int = 2, batches: int = 4) -> None:
        """Metrics every batch, a checkpoint and a symlink to it after every epoch."""
        self.dispatch("fit_start")
        for logger in self.loggers:
            logger.log_hyperparameters({"epochs": epochs})
        for epoch in range(1, epochs + 1):
            self.dispatch("epoch_start")
            for batch in range(batches):
                self.dispatch("batch_start")
                for logger in self.loggers:
                    logger.log_metrics({"loss": 1.0}, step=batch)
                self.dispatch("batch_end", "batch_checkpoint")
            self.dispatch("epoch_end")
            self._save(epoch, epoch * batches)
            self.dispatch("epoch_checkpoint")
        self.dispatch("fit_end")

    def _save(self, epoch: int, batch: int) -> None:
        assert [logger.state_dict() for logger in self.loggers] == [{}] * len(self.loggers)
        checkpoint = self._folder / f"ep{epoch}.pt"
        checkpoint.write_text(f"weights of epoch {epoch}")
        name = f"ckpts/{{run_name}}/ep{epoch}-ba{batch}-rank{{rank}}.pt"
        self.logger.upload_file(name, checkpoint, overwrite=self._save_overwrite)
        checkpoint.unlink()
        link = self._folder / f"latest.{epoch}.symlink"
        link.write_text(f"ckpts/{self.state.run_name}/ep{epoch}-ba{batch}-rank0.pt")
        self.logger.upload_file("ckpts/{run_name}/latest-rank{rank}.pt.symlink", link, overwrite=True)

    def close(self) -> None:
        well = []
        for logger in self.loggers:
            with self._swallowing():
                logger.close(self.state, self.logger)
                well.append(logger)
        for logger in well:
            with self._swallowing():
                logger.post_close()

    @contextlib.contextmanager
    def _swallowing(self) -> Any:
        try:
            yield
        except Exception as error:  # noqa: BLE001 - as Composer does
            self.swallowed.append(error)


def get_file(path: str, destination: Path, logger: Any) -> None:
    """As Composer loads a checkpoint from a logger: it reads symlink files itself, and looks for one when the name is
    not there."""

    def ask(name: str, into: Path) -> None:
        logger.download_file(remote_file_name=name, destination=str(into), progress_bar=False, overwrite=False)

    if path.endswith(".symlink"):
        with tempfile.TemporaryDirectory() as folder:
            link = Path(folder, "file.symlink")
            ask(path, link)
            target = link.read_text()
        get_file(target, destination, logger)
        return
    try:
        ask(path, destination)
    except FileNotFoundError as error:
        try:
            get_file(path + ".symlink", destination, logger)
        except FileNotFoundError as second:
            raise error from second
