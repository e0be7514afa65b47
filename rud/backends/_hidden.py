"""An object that is being written: a hidden file beside its place, which takes it whole or leaves nothing."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType
from typing import Self

import google_crc32c

from rud._body import CHUNK
from rud.backends._folders import make_folder, remove_empty, sync, sync_folders, temporary_name, translated
from rud.errors import IntegrityError, ObjectExistsError, ObjectStoreTransientError, StoreError
from rud.store import PutMode, Source

_LINKS_REFUSED = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EINVAL})
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC


class HiddenFile:
    """The file that is to become ``folders`` / ``name`` below ``root``; used with ``with``.

    Attributes: ``temporary`` (its hidden name), ``descriptor`` (open for writing). What goes wrong in its methods is
    raised as an error of ours that names ``key``.
    """

    def __init__(self, root: str, folders: Sequence[bytes], name: bytes, key: str) -> None:
        self._root = root
        self._folders = folders
        self._name = name
        self._key = key
        self._published = False
        self.temporary = temporary_name()
        with translated("put", key):
            self._folder, self.descriptor = self._begin()

    def _begin(self) -> tuple[int, int]:
        while True:
            folder = make_folder(self._root, self._folders, self._key)
            try:
                return folder, os.open(self.temporary, _NEW, 0o666, dir_fd=folder)
            except FileNotFoundError:
                # The folder was empty and was removed after it was opened.
                os.close(folder)
            except BaseException:
                os.close(folder)
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.close(self.descriptor)
        if not self._published:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self._folder)
            remove_empty(self._root, self._folders)
        os.close(self._folder)

    def refuse_taken(self) -> None:
        """Raise what a create will raise, before the bytes are copied; ``publish`` is what decides."""
        with translated("put", self._key), suppress(FileNotFoundError):
            status = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
            if not stat.S_ISDIR(status.st_mode):
                raise ObjectExistsError.during("put", self._key, "an object of that key exists")

    def copy(self, source: Source) -> int:
        """Write all of ``source``, whose own errors come out unchanged; its CRC32C."""
        crc = 0
        written = 0
        while chunk := source.read(CHUNK):
            crc = google_crc32c.extend(crc, chunk)
            written += len(chunk)
            with translated("put", self._key):
                view = memoryview(chunk)
                while view:
                    view = view[os.write(self.descriptor, view) :]
        if written != len(source):
            raise IntegrityError.during("put", self._key, f"the source gave {written} of {len(source)} bytes")
        return crc

    def publish(self, mode: PutMode, *, durable: bool) -> None:
        """Take the place of the object."""
        with translated("put", self._key):
            if durable:
                sync(self.descriptor)
            try:
                self._place(mode)
            except FileNotFoundError as error:
                reason = "its unfinished file was removed by somebody else"
                raise ObjectStoreTransientError.during("put", self._key, reason) from error
            self._published = True
            if durable:
                sync_folders(self._root, self._folders)

    def _place(self, mode: PutMode) -> None:
        take = self._link if mode is PutMode.CREATE else self._rename
        try:
            take()
        except (IsADirectoryError, FileExistsError) as error:
            if not self._is_folder():
                raise ObjectExistsError.during("put", self._key, "an object of that key exists") from error
            self._remove_folder()
            take()

    def _rename(self) -> None:
        os.rename(self.temporary, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)

    def _link(self) -> None:
        where = {"src_dir_fd": self._folder, "dst_dir_fd": self._folder}
        try:
            os.link(self.temporary, self._name, **where, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _LINKS_REFUSED:
                raise
            os.close(os.open(self._name, _NEW, 0o666, dir_fd=self._folder))
            self._rename()
        else:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self._folder)

    def _is_folder(self) -> bool:
        return stat.S_ISDIR(os.stat(self._name, dir_fd=self._folder, follow_symlinks=False).st_mode)

    def _remove_folder(self) -> None:
        # An empty folder holds no object: a killed put may have left it.
        try:
            os.rmdir(self._name, dir_fd=self._folder)
        except OSError as error:
            reason = "there are objects whose keys begin with it and '/', and a file cannot also be a folder"
            raise StoreError.during("put", self._key, reason) from error
