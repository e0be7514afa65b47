"""The two classes, built with the same arguments and driven by the same calls, as a trainer would."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.composer.sink import BUCKET

WHO = ("composer", "rud")
_CREDENTIALS = {"aws_access_key_id": "benchmark", "aws_secret_access_key": "benchmark", "region_name": "us-east-1"}


class Subject:
    """An uploader of either class, with what a ``Trainer`` hands to it: a state of a run, and a logger."""

    def __init__(
        self,
        who: str,
        endpoint: str,
        staging: Path,
        *,
        workers: int,
        use_procs: bool,
        credentials: dict[str, Any] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        kind, device = _class_of(who)
        self.state = SimpleNamespace(run_name="benchmark", device=device)
        self.uploader: Any = kind(
            f"s3://{BUCKET}",
            backend_kwargs={"endpoint_url": endpoint, **_CREDENTIALS, **(credentials or {})},
            num_concurrent_uploads=workers,
            use_procs=use_procs,
            upload_staging_folder=str(staging),
            **(options or {}),
        )

    def init(self) -> None:
        """What ``Trainer.__init__`` does."""
        self.uploader.init(self.state, None)

    def upload(self, path: Path, key: str, *, overwrite: bool = True) -> None:
        """What ``Logger.upload_file`` does."""
        self.uploader.upload_file(state=self.state, remote_file_name=key, file_path=path, overwrite=overwrite)

    def batch_end(self) -> None:
        """What ``fit`` does after each batch."""
        self.uploader.batch_end(self.state, None)

    def wait(self) -> None:
        """What ``fit`` does at its end."""
        self.uploader.fit_end(self.state, None)

    def close(self) -> None:
        """What ``Trainer.close`` does."""
        self.uploader.close(self.state, None)
        self.uploader.post_close()


def prepare(who: str) -> None:
    """Import all that a program which uses the class has imported before it builds one."""
    _class_of(who)


def _class_of(who: str) -> tuple[Any, Any]:
    if who == "composer":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            from composer.devices import DeviceCPU
            from composer.loggers import RemoteUploaderDownloader as Theirs
        return Theirs, DeviceCPU()
    from rud import RemoteUploaderDownloader as Ours

    return Ours, None
