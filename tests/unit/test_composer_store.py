"""``composer://``: a store class of Composer's as a backend, by a stand-in with the same methods."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import pytest
from rud_conformance.harness import Address, Harness
from rud_conformance.suite import ConformanceSuite

from rud import ObjectStore, RemoteUploaderDownloader, State, Uploader
from rud._registry import resolve
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
    UnsupportedOperationError,
)

MODULE = "tests.support.composer_store"


def arguments(folder: Path | str, kind: str = "FolderStore") -> dict[str, Any]:
    """Of the backend."""
    return {"store": f"{MODULE}:{kind}", "arguments": {"folder": str(folder)}}


class Deleting(Harness):
    """A store that can also delete: what a case has put has to go again."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="rud-")

    def address(self, scope: str) -> Address:
        return f"composer://stand-in/{scope}", arguments(self._folder, "DeletingStore")

    def close(self) -> None:
        shutil.rmtree(self._folder)


class TestStandIn(ConformanceSuite):
    """The contract holds, as far as it is declared."""

    harness = Deleting
    profile = "smoke"


@pytest.mark.parametrize("use_procs", [False, True])
def test_files_go_there_and_back(tmp_path: Path, *, use_procs: bool) -> None:
    """The documented logger stores by it, in this process or in workers, and fetches again what it has stored."""
    source = tmp_path / "model.pt"
    source.write_bytes(b"w" * 300_000)
    logger = RemoteUploaderDownloader(
        "composer://runs/team",
        backend_kwargs=arguments(tmp_path / "store"),
        use_procs=use_procs,
        upload_staging_folder=tmp_path / "staging",
    )
    logger.init(State("run"), None)
    logger.upload_file(State("run"), "ep1.pt", source, overwrite=True)
    logger.fit_end(State("run"), None)
    logger.download_file("ep1.pt", tmp_path / "copy.pt")
    logger.post_close()

    assert (tmp_path / "copy.pt").read_bytes() == source.read_bytes()
    assert ObjectStore(resolve("composer://x", arguments(tmp_path / "store")).open()).list_objects() == ["team/ep1.pt"]


def test_an_object_that_exists_is_left_alone(tmp_path: Path) -> None:
    """``overwrite=False`` looks before it puts, which is all that such a store can do."""
    (tmp_path / "file").write_text("new")
    store = ObjectStore(resolve("composer://x", arguments(tmp_path / "store")).open())
    store.upload_object("taken", tmp_path / "file")
    with Uploader(
        "composer://x",
        backend_kwargs=arguments(tmp_path / "store"),
        use_procs=False,
        upload_staging_folder=tmp_path / "staging",
    ) as uploader:
        error = uploader.upload(tmp_path / "file", "taken", overwrite=False).exception()

    assert isinstance(error, FileExistsError)


@pytest.mark.parametrize(
    ("trouble", "expected"),
    [
        ("transient", ObjectStoreTransientError),
        ("reset", ObjectStoreTransientError),
        ("denied", AccessDeniedError),
        ("odd", StoreError),
    ],
)
def test_errors_are_classed_by_their_class(tmp_path: Path, trouble: str, expected: type[StoreError]) -> None:
    """Composer's error of its own name may pass, and so may a broken connection; the rest is for good."""
    store = ObjectStore(resolve("composer://x", arguments(tmp_path)).open())
    with pytest.raises(ObjectNotFoundError):
        store.get_object_size("nobody")
    (tmp_path / "trouble").write_text(trouble)
    with pytest.raises(StoreError) as caught:
        store.get_object_size("nobody")

    assert type(caught.value) is expected


def test_what_it_cannot_do_it_says(tmp_path: Path) -> None:
    """A store without ``delete_object`` deletes nothing."""
    with pytest.raises(UnsupportedOperationError, match="FolderStore has no method to delete"):
        ObjectStore(resolve("composer://x", arguments(tmp_path)).open()).delete_object("a")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "'store'"),
        ({"store": "UCObjectStore"}, "store says where a class is"),
        ({"store": "a.b:"}, "store says where a class is"),
        ({"store": "a:B", "arguments": "path"}, "arguments are a dict"),
    ],
)
def test_wrong_arguments_are_refused(given: dict[str, Any], says: str) -> None:
    """In one sentence, when it is built."""
    with pytest.raises(ConfigurationError, match=says):
        resolve("composer://x", given).open()


def test_a_class_that_cannot_be_built_is_told_without_its_arguments(tmp_path: Path) -> None:
    """The first request says that it cannot be built; the text has none of the arguments."""
    store = ObjectStore(
        resolve("composer://x", {"store": f"{MODULE}:FolderStore", "arguments": {"key": "s3cret"}}).open()
    )
    with pytest.raises(ConfigurationError, match="FolderStore cannot be built: TypeError") as caught:
        store.list_objects()

    assert "s3cret" not in str(caught.value)
