"""A store with the methods of Composer's ``ObjectStore``, in a folder, for tests that have no Composer."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from collections.abc import Callable
from pathlib import Path


class ObjectStoreTransientError(RuntimeError):
    """Of the same name as Composer's, and of no class of ours."""


class FolderStore:
    """Objects are files of ``folder``, each with its name in another file beside it. While ``folder/trouble`` has the
    name of an error in it, calls raise that."""

    def __init__(self, folder: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.closed = 0

    def upload_object(
        self, object_name: str, filename: str | Path, callback: Callable[[int, int], None] | None = None
    ) -> None:
        self._fail()
        hidden = self.folder / f".{uuid.uuid4()}"
        shutil.copyfile(filename, hidden)
        path = self._path(object_name)
        os.replace(hidden, path)
        path.with_suffix(".name").write_bytes(object_name.encode())

    def get_object_size(self, object_name: str) -> int:
        self._fail()
        return self._there(object_name).stat().st_size

    def download_object(
        self,
        object_name: str,
        filename: str | Path,
        overwrite: bool = False,  # noqa: FBT001, FBT002 - Composer's signature
        callback: Callable[[int, int], None] | None = None,
    ) -> None:
        self._fail()
        shutil.copyfile(self._there(object_name), filename)

    def list_objects(self, prefix: str | None = None) -> list[str]:
        self._fail()
        names = (path.read_bytes().decode() for path in self.folder.glob("*.name"))
        return [name for name in names if name.startswith(prefix or "")]

    def close(self) -> None:
        self.closed += 1

    def _there(self, name: str) -> Path:
        if not self._path(name).exists():
            raise FileNotFoundError(f"Object {name} not found")
        return self._path(name)

    def _path(self, name: str) -> Path:
        return self.folder / hashlib.sha256(name.encode()).hexdigest()

    def _fail(self) -> None:
        trouble = self.folder / "trouble"
        if trouble.exists():
            raise {
                "transient": ObjectStoreTransientError("slow down"),
                "reset": ConnectionResetError("reset by peer"),
                "denied": PermissionError("not yours"),
                "odd": ValueError("no idea"),
            }[trouble.read_text()]


class DeletingStore(FolderStore):
    """One that can also delete."""

    def delete_object(self, object_name: str) -> None:
        self._path(object_name).with_suffix(".name").unlink(missing_ok=True)
        self._path(object_name).unlink(missing_ok=True)
