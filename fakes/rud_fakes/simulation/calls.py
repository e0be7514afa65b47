"""The stand-ins for the system calls that change files, each as strict and as short as the one it stands for."""

from __future__ import annotations

import builtins
import contextlib
import errno
import fcntl
import io
import os
import shutil
from collections.abc import Callable, Iterator
from typing import Any

from rud_fakes.simulation.disk import Disk, Failure
from rud_fakes.simulation.layers import File, Folder

_OS = (
    "open", "close", "pwrite", "write", "ftruncate", "rename", "replace", "link", "unlink", "remove", "mkdir", "rmdir",
    "fsync", "fdatasync", "copy_file_range", "sendfile", "utime",
)  # fmt: skip
_BY_DESCRIPTOR = "_use_fd_functions"
_FCNTL = ("lockf", "flock", "fcntl", "ioctl")


class _Written(io.FileIO):
    """What ``open`` returns for a file to write: unbuffered, and by way of our calls."""

    def __init__(self, calls: Calls, path: str, mode: str) -> None:
        self._calls = calls
        super().__init__(path, mode, opener=lambda name, flags: calls.open(name, flags, 0o666))

    def write(self, data: Any, /) -> int:
        return self._calls.write(self.fileno(), bytes(data))

    def close(self) -> None:
        if not self.closed:
            self._calls.forget(self.fileno())
        super().close()


class Calls:
    """Of one disk. Each call: told before, perhaps failed, made, noted, told after."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        self._watch = disk.watch
        self._real: dict[str, Callable[..., Any]] = {
            **{name: getattr(os, name) for name in _OS if hasattr(os, name)},
            **{name: getattr(fcntl, name) for name in _FCNTL},
        }
        self._open = builtins.open

    @contextlib.contextmanager
    def installed(self) -> Iterator[None]:
        by_descriptor = getattr(shutil, _BY_DESCRIPTOR, False)
        try:
            for name in self._real:
                setattr(fcntl if name in _FCNTL else os, name, getattr(self, name))
            builtins.open = self.open_file
            # By paths, not by descriptors of folders: as strict, and one way less to follow.
            setattr(shutil, _BY_DESCRIPTOR, False)
            yield
        finally:
            setattr(shutil, _BY_DESCRIPTOR, by_descriptor)
            builtins.open = self._open
            for name, call in self._real.items():
                setattr(fcntl if name in _FCNTL else os, name, call)

    def _fail(self, call: str, path: str, length: int = 0) -> Failure | None:
        self._watch.before(call, path)
        return self._watch.failure(call, path, length)

    def _begin(self, call: str, path: str) -> None:
        failure = self._fail(call, path)
        if failure is not None:
            raise OSError(failure.errno, os.strerror(failure.errno), path)

    # Descriptors

    def open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        inside = self._disk.inside(path)
        if inside is None:
            return int(self._real["open"](path, flags, mode, dir_fd=dir_fd))
        pid = self._watch.pid()
        assert pid is not None
        creates = flags & os.O_CREAT and self._disk.layers.find(inside) is None
        cuts = flags & os.O_TRUNC and (file := self._disk.layers.file(inside)) is not None and file.size
        if creates or cuts:
            self._begin("open", inside)
        fd = int(self._real["open"](path, flags, mode))
        if creates:
            self._disk.layers.give_name(inside, File(mtime=os.fstat(fd).st_mtime_ns))
        node = self._disk.layers.find(inside)
        if isinstance(node, File) and flags & os.O_TRUNC and node.size:
            self._disk.layers.truncate(node, 0)
        if node is not None:
            self._disk.note_open(fd, inside, node, pid)
        if creates or cuts:
            self._watch.after("open", inside)
        return fd

    def open_file(self, file: Any, mode: str = "r", *args: Any, **more: Any) -> Any:
        if set(mode) & set("wxa+") and self._disk.inside(file) is not None:
            return _Written(self, file, mode.replace("b", ""))
        return self._open(file, mode, *args, **more)

    def close(self, fd: int) -> None:
        self.forget(fd)
        self._real["close"](fd)

    def forget(self, fd: int) -> None:
        opened = self._disk.opened.pop(fd, None)
        if opened is not None:
            self._disk.locks.closed(opened.node, opened.pid)

    # Content

    def pwrite(self, fd: int, data: Any, offset: int) -> int:
        opened = self._disk.opened.get(fd)
        if opened is None or not isinstance(opened.node, File) or self._watch.pid() is None:
            return int(self._real["pwrite"](fd, data, offset))
        content, failure = bytes(data), self._fail("pwrite", opened.path, len(data))
        room = self._room(opened.node, offset, len(content))
        if failure is None and room < len(content):
            if room == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            content = content[:room]  # a short write names no reason
        elif failure is not None:
            content = content[: failure.done]
        if content:
            self._real["pwrite"](fd, content, offset)
            self._disk.layers.write(opened.node, offset, content)
            opened.node.mtime = os.fstat(fd).st_mtime_ns
        if failure is not None:
            raise OSError(failure.errno, os.strerror(failure.errno))
        self._watch.after("pwrite", opened.path)
        return len(content)

    def _room(self, file: File, offset: int, length: int) -> int:
        if self._disk.capacity is None:
            return length
        grows = max(0, offset + length - file.size)
        left = max(0, self._disk.capacity - self._disk.layers.used)
        return length - max(0, grows - left)

    def write(self, fd: int, data: Any) -> int:
        if fd not in self._disk.opened or self._watch.pid() is None:
            return int(self._real["write"](fd, data))
        offset = os.lseek(fd, 0, os.SEEK_CUR)
        done = self.pwrite(fd, data, offset)
        os.lseek(fd, offset + done, os.SEEK_SET)
        return done

    def copy_file_range(self, src: int, dst: int, count: int, offset_src: int = 0, offset_dst: int = 0) -> int:
        if dst not in self._disk.opened or self._watch.pid() is None:
            return int(self._real["copy_file_range"](src, dst, count, offset_src, offset_dst))
        return self.pwrite(dst, os.pread(src, count, offset_src), offset_dst)

    def sendfile(self, out: int, *args: Any, **more: Any) -> int:
        if out not in self._disk.opened or self._watch.pid() is None:
            return int(self._real["sendfile"](out, *args, **more))
        source, offset, count = args
        return self.write(out, os.pread(source, count, offset))

    def ftruncate(self, fd: int, length: int) -> None:
        opened = self._disk.opened.get(fd)
        if opened is not None and isinstance(opened.node, File) and self._watch.pid() is not None:
            self._begin("ftruncate", opened.path)
            self._real["ftruncate"](fd, length)
            self._disk.layers.truncate(opened.node, length)
            self._watch.after("ftruncate", opened.path)
        else:
            self._real["ftruncate"](fd, length)

    def fsync(self, fd: int) -> None:
        opened = self._disk.opened.get(fd)
        if opened is None or self._watch.pid() is None:
            self._real["fsync"](fd)
            return
        failure = self._fail("fsync", opened.path)
        if failure is not None:
            if isinstance(opened.node, File):
                opened.node.spoilt = True
            raise OSError(failure.errno, os.strerror(failure.errno))
        opened.node.sync()
        self._watch.after("fsync", opened.path)

    fdatasync = fsync

    def utime(self, path: Any, times: Any = None, *, ns: tuple[int, int] | None = None, **more: Any) -> None:
        opened = self._disk.opened.get(path) if isinstance(path, int) else None
        if opened is None or ns is None or not isinstance(opened.node, File):
            self._real["utime"](path, times, **({"ns": ns} if ns else {}), **more)
            return
        self._begin("utime", opened.path)
        self._real["utime"](path, ns=ns)
        opened.node.mtime = ns[1]
        self._watch.after("utime", opened.path)

    # Names

    def _named(self, call: str, path: Any, more: dict[str, Any], note: Callable[[str], None]) -> None:
        inside = self._disk.inside(path)
        if inside is None:
            self._real[call](path, **more)
            return
        self._begin(call, inside)
        self._real[call](path, **more)
        note(inside)
        self._watch.after(call, inside)

    def unlink(self, path: Any, **more: Any) -> None:
        self._named("unlink", path, more, self._disk.layers.take_name)

    remove = unlink

    def rmdir(self, path: Any, **more: Any) -> None:
        self._named("rmdir", path, more, self._disk.layers.take_name)

    def mkdir(self, path: Any, mode: int = 0o777, **more: Any) -> None:
        def note(inside: str) -> None:
            self._disk.layers.give_name(inside, Folder())

        self._named("mkdir", path, {"mode": mode, **more}, note)

    def link(self, src: Any, dst: Any, **more: Any) -> None:
        inside, source = self._disk.inside(dst), self._disk.inside(src)
        if inside is None or source is None:
            self._real["link"](src, dst, **more)
            return
        self._begin("link", inside)
        self._real["link"](src, dst, **more)
        node = self._disk.layers.find(source)
        assert node is not None
        self._disk.layers.give_name(inside, node)
        self._watch.after("link", inside)

    def rename(self, src: Any, dst: Any, **more: Any) -> None:
        old, new = self._disk.inside(src), self._disk.inside(dst)
        if old is None or new is None:
            self._real["rename"](src, dst, **more)
            return
        self._begin("rename", new)
        self._real["rename"](src, dst, **more)
        self._disk.layers.rename(old, new)
        self._watch.after("rename", new)

    replace = rename

    # Locks

    def lockf(self, file: Any, operation: int, *args: Any) -> Any:
        fd = file if isinstance(file, int) else file.fileno()
        opened = self._disk.opened.get(fd)
        if opened is None:
            return self._real["lockf"](file, operation, *args)
        self._disk.locks.lock(opened.node, opened.pid)
        return None

    def flock(self, file: Any, operation: int) -> None:
        if file not in self._disk.opened:
            self._real["flock"](file, operation)

    def fcntl(self, file: Any, command: int, argument: Any = 0) -> Any:
        opened = self._disk.opened.get(file) if isinstance(file, int) else None
        if opened is None or command != fcntl.F_GETLK:
            return self._real["fcntl"](file, command, argument)
        return self._disk.locks.ask(opened.node, opened.pid)

    def ioctl(self, file: Any, *args: Any) -> Any:
        if file in self._disk.opened:  # no file system shares blocks here
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        return self._real["ioctl"](file, *args)
