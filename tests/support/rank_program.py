"""One rank of a run of several: a program for ``processes.Program``, with a ``torch.distributed`` of ours.

What it does it says on stdout, a line each: ``began``, ``raised <error>``, ``met``, ``closed``. With ``hang``, the path
of a pipe, it hangs after it has begun until the pipe is opened for writing. The program ``publish`` publishes saves.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
import types
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rud import RemoteUploaderDownloader, State, Upload, Uploader
from rud.errors import RudError


class FolderStore:
    """What ``torch.distributed`` calls a store, in a folder."""

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self.folder = folder
        self._prefix = prefix

    def _path(self, key: str) -> Path:
        return self.folder / quote(f"{self._prefix}{key}", safe="")

    def set(self, key: str, value: str) -> None:
        hidden = self._path(key).with_suffix(f".{os.getpid()}.new")
        hidden.write_text(value)
        hidden.rename(self._path(key))

    def check(self, keys: list[str]) -> bool:
        if not self.folder.is_dir():
            raise RuntimeError("Connection reset by peer")
        return all(self._path(key).exists() for key in keys)

    def get(self, key: str) -> bytes:
        return self._path(key).read_bytes()


def distributed(folder: Path, rank: int, world_size: int) -> types.ModuleType:
    """As an initialised ``torch.distributed``, as far as anything of ours looks."""
    module: Any = types.ModuleType("torch.distributed")
    module.is_available = module.is_initialized = lambda: True
    module.get_rank, module.get_world_size = (lambda group=None: rank), (lambda group=None: world_size)
    module.group = types.SimpleNamespace(WORLD=types.SimpleNamespace(group_name="0"))
    module.distributed_c10d = types.SimpleNamespace(_get_default_store=lambda: FolderStore(folder))
    module.PrefixStore = lambda name, store: FolderStore(store.folder, f"{name}/")
    made: types.ModuleType = module
    return made


def say(*words: object) -> None:
    print(*words, flush=True)


def main(config: dict[str, Any]) -> None:
    rank = config["rank"]
    sys.modules["torch.distributed"] = distributed(Path(config["board"]), rank, config["world_size"])
    logger = RemoteUploaderDownloader(**config["logger"])
    state = State("run")
    try:
        logger.init(state, None)
        say("began")
        if config["hang"]:
            os.close(os.open(config["hang"], os.O_RDONLY))
        for name, path in config["files"].items():
            logger.upload_file(state, name, path, overwrite=False)
        for _ in range(config["batches"]):
            logger.batch_end(state, None)
        logger.fit_end(state, None)
        say("met")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told
        say("raised", type(error).__name__, error)
    with warnings.catch_warnings(action="ignore"), contextlib.suppress(Exception):
        logger.post_close()
    say("closed")


def publish(config: dict[str, Any]) -> None:
    """Save after save, each published; until one cannot be."""
    rank = config["rank"]
    module: Any = distributed(Path(config["board"]), rank, config["world_size"])
    sys.modules["torch.distributed"] = module
    with Uploader(**config["uploader"], process_group=module.group.WORLD) as uploader:
        for save in itertools.count():
            uploads: list[Upload] = []
            for number in range(config["shards"]):
                path = Path(f"{rank}-{number}")
                path.write_text(f"{save} {rank} {number}")
                uploads.append(uploader.upload(path, f"{save}/{rank}-{number}"))
            try:
                uploader.publish("latest", after=uploads).result()
            except RudError as error:
                say("raised", type(error).__name__, error)
                return
            say("published", save)


if __name__ == "__main__":
    {"rank": main, "publish": publish}[sys.argv[1]](json.loads(sys.argv[2]))
