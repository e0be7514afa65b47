"""A ``save_folder`` that is a URI: what Composer's checkpoint saver asks of its ``RemoteUploader``, done by rud."""

from __future__ import annotations

import contextlib
import enum
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from rud_fakes.runtime import InlineRuntime

from rud import RemoteUploaderDownloader, Uploader, _save_folder
from rud import remote_uploader_downloader as facade
from rud._save_folder import SaveFolderUploader
from rud.errors import ConfigurationError, RudError
from tests.support import scripted_store
from tests.support.scripted_store import SCRIPTS, Script

scripted_store.register()


class Status(enum.Enum):
    """As ``RemoteFilesExistingCheckStatus``."""

    EXIST = 1
    TIMEOUT = 2
    ERROR = 3


class Board:
    """One that the ranks of a test share."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def set(self, key: str, value: str) -> None:
        self.values[key] = value

    def has(self, keys: list[str]) -> bool:
        return all(key in self.values for key in keys)

    def get(self, key: str) -> str:
        return self.values[key]


class Clock:
    """Seconds pass when a wait lets them."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


Build = Callable[..., SaveFolderUploader]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def build(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Makes uploaders to ``scripted://BUCKET/runs`` whose ``init`` was called; they send when they are waited for."""
    built: list[SaveFolderUploader] = []
    monkeypatch.setattr(facade, "Uploader", lambda *args, **kwargs: Uploader(*args, **kwargs, _runtime=InlineRuntime()))

    def make(folder: str = f"scripted://{tmp_path.name}/runs/{{run_name}}", **options: Any) -> SaveFolderUploader:
        staging = tmp_path / f"staging-{len(built)}"
        options = {"upload_staging_folder": staging, "close_timeout": 1.0, "num_attempts": 1, **options}
        made: Any = SaveFolderUploader
        built.append(made(folder, verdicts=Status, use_procs=False, clock=clock, wait=clock.wait, **options))
        built[-1].init()
        return built[-1]

    yield make
    with warnings.catch_warnings(action="ignore"):
        for one in built:
            with contextlib.suppress(RudError):
                one.wait_and_close()
    SCRIPTS.pop(tmp_path.name, None)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    return SCRIPTS[tmp_path.name]


def save(uploader: SaveFolderUploader, tmp_path: Path, name: str, text: str = "weights") -> Any:
    path = tmp_path / "content"
    path.write_text(text)
    return uploader.upload_file_async(remote_file_name=name, file_path=path, overwrite=False)


def test_a_save_as_composer_makes_one(build: Build, tmp_path: Path) -> None:
    """A checkpoint, then, when it is stored, the symlink to it; autoresume finds it. Names count from the bucket."""
    uploader = build()
    save(uploader, tmp_path, "runs/r1/ep1.pt")
    check = uploader.check_remote_files_exist_async(remote_checkpoint_file_names=["runs/r1/ep1.pt"])
    uploader.check_workers()
    uploader.wait()
    assert check.result() is Status.EXIST
    save(uploader, tmp_path, "runs/r1/latest.pt.symlink", "runs/r1/ep1.pt").result()
    uploader.remote_backend.download_file("runs/r1/latest.pt", tmp_path / "copy.pt", progress_bar=False)
    uploader.wait_and_close()

    assert (tmp_path / "copy.pt").read_text() == "weights"


def test_what_is_not_stored_is_not_there(build: Build, tmp_path: Path, script: Script) -> None:
    """An object of that name from another save does not count, and looking makes no request."""
    uploader = build()
    save(uploader, tmp_path, "a").result()
    uploader.upload_file_async("a", tmp_path / "content", overwrite=True)
    check = uploader.check_remote_files_exist_async(["a"])
    script.unreadable = True
    assert not check.done()
    uploader.wait()

    assert check.done()
    assert check.result() is Status.EXIST


def test_failures_surface_where_composers_did(build: Build, tmp_path: Path) -> None:
    """An object that exists is a ``FileExistsError``, told once, and the symlink stays."""
    uploader = build()
    (tmp_path / "other").write_text("somebody else's")
    uploader.remote_backend.remote_backend.upload_object("a", tmp_path / "other")
    save(uploader, tmp_path, "a")
    check = uploader.check_remote_files_exist_async(["a"])
    with pytest.raises(FileExistsError):
        uploader.wait()
    uploader.check_workers()

    assert check.result() is Status.ERROR


def test_the_pointer_waits_for_the_shards_of_all_ranks(
    build: Build, tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each rank tells what it has stored at its batches; until all have, the answer is no; a rank that never does is
    waited for no longer than the saver says."""
    board = Board()
    monkeypatch.setattr(_save_folder, "board_of_saves", lambda: board)
    first, second = build(), build()
    save(first, tmp_path, "0.distcp")
    save(second, tmp_path, "1.distcp")
    first.wait()
    names = ["0.distcp", "1.distcp"]
    check = first.check_remote_files_exist_async(names, max_wait_time_in_seconds=5.0)
    late = first.check_remote_files_exist_async(names, max_wait_time_in_seconds=5.0)
    second.check_workers()
    assert not check.done()
    assert late.result() is Status.TIMEOUT
    assert clock.now > 5.0
    second.wait()

    assert check.result() is Status.EXIST


@pytest.mark.parametrize(
    ("folder", "uri"),
    [
        ("s3://bucket/some/{run_name}", "s3://bucket"),
        ("file:///runs/a", "file:///"),
        ("azure://container/runs", "libcloud://container"),
    ],
)
def test_the_bucket_counts(folder: str, uri: str) -> None:
    """The saver's names have the folder in them already."""
    root, arguments = _save_folder._root_of(folder, {})

    assert root == uri
    assert bool(arguments) == folder.startswith("azure")


def test_a_scheme_that_rud_has_not_is_refused() -> None:
    """It is not left to Composer's class in silence."""
    made: Any = SaveFolderUploader
    with pytest.raises(ConfigurationError, match="'wandb'"):
        made("wandb://entity/project", verdicts=Status)


@pytest.fixture
def saver(monkeypatch: pytest.MonkeyPatch) -> Iterator[types.ModuleType]:
    """Composer's module of the checkpoint saver, as far as it is looked at."""
    names = (
        "composer",
        "composer.loggers",
        "composer.callbacks",
        "composer.callbacks.checkpoint_saver",
        "composer.utils",
    )
    modules = {name: types.ModuleType(name) for name in names}
    loggers = {
        name: type(name, (), {"register": classmethod(lambda cls, other: other)})
        for name in ("LoggerDestination", "RemoteUploaderDownloader")
    }
    vars(modules["composer"]).update(loggers=modules["composer.loggers"])
    vars(modules["composer.loggers"]).update(loggers)
    vars(modules["composer.utils"]).update(RemoteFilesExistingCheckStatus=Status)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    yield modules["composer.callbacks.checkpoint_saver"]
    sys.modules.pop("rud.composer", None)


def test_it_takes_the_place_of_composers_class(saver: Any, tmp_path: Path) -> None:
    """After one call the saver builds ours, with the arguments that it gives and the options of the call."""
    import rud.composer

    with pytest.raises(ConfigurationError, match="staging_mode"):
        rud.composer.replace_remote_uploader(staging_mode="teleport")  # type: ignore[arg-type]  # what is to be refused
    assert not hasattr(saver, "RemoteUploader")
    rud.composer.replace_remote_uploader(use_procs=False, upload_staging_folder=tmp_path / "staging")
    uploader = saver.RemoteUploader(remote_folder=f"file://{tmp_path}/store", num_concurrent_uploads=1)
    uploader.init()
    name = f"{tmp_path}/store/ep1.pt".lstrip("/")
    save(uploader, tmp_path, name).result()
    uploader.wait_and_close()

    assert isinstance(uploader.remote_backend, RemoteUploaderDownloader)
    assert (tmp_path / "store" / "ep1.pt").read_text() == "weights"
    assert (tmp_path / "staging").exists()
