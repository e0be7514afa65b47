"""Objects as files on an SFTP server, by paramiko."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar

from rud._body import CHUNK
from rud.backends import _sftp_arguments as arguments_of
from rud.backends._folders import is_temporary, segments_of, temporary_name
from rud.errors import (
    ObjectExistsError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreClosedError,
    StoreError,
)
from rud.store import (
    Arguments,
    Backend,
    Capabilities,
    ObjectMeta,
    OnMultipart,
    PutMode,
    PutResult,
    Sink,
    Source,
)

if TYPE_CHECKING:
    from rud.backends._sftp_client import Client
    from rud.backends._sftp_connection import Connection


class SFTPObjectStore(Backend):
    """Objects as files below a folder of the server ``bucket``.

    ``bucket`` or ``host``: a name, ``user@host:port``, or ``sftp://user@host:port/folder``; with ``//`` after the
    server the folder is absolute, else it is below the one in which sessions begin. ``port`` (22), ``username``
    (whoever runs this), ``password``, ``prefix`` or ``cwd`` (the folder, made by the first put), ``connect_kwargs``
    (further arguments of ``paramiko.SSHClient.connect``, ``passphrase`` for one).

    ``key_filename``: a private key, else the file that the variable ``key_filename_environ``
    (``COMPOSER_SFTP_KEY_FILE``) names, else the keys of the agent and of ``~/.ssh``. ``known_hosts_filename``: the
    servers' own keys, else the file that ``known_hosts_filename_environ`` (``COMPOSER_SFTP_KNOWN_HOSTS_FILE``) names,
    else ``~/.ssh/known_hosts``. A server that is not there is not talked to, unless ``missing_host_key_policy`` is
    ``"WarningPolicy"`` or ``"AutoAddPolicy"`` instead of ``"RejectPolicy"``.

    A key is the path of its file, kept exactly or refused. A file is written under a hidden name beside its own
    (``.rud-put-`` and 16 random digits) and renamed (``posix-rename@openssh.com``); for ``PutMode.CREATE`` it gets its
    name by a hard link, or, where the server makes none, after an empty file was made of that name that only one can
    make. When the answer to that was lost, it looks whether it was done. The hidden names of more than 1 MiB are
    announced as multipart uploads, so that ``abort`` can remove what a killed put has left. ``a`` and ``a/b`` cannot
    both be objects. Symbolic links are no objects. Requests wait 60 s for an answer; a lost connection is made anew by
    the next operation. Nothing is done by a shell.

    The connection is made by the first request; a wrong argument is a ``ConfigurationError`` of the constructor, and so
    are a file that is not there and a key whose passphrase is missing.
    """

    public_arguments: ClassVar[frozenset[str]] = frozenset({"port", "username", "cwd"})

    def __init__(
        self,
        bucket: str = "",
        prefix: str = "",
        *,
        host: str = "",
        port: int = arguments_of.PORT,
        username: str | None = None,
        password: str | None = None,
        known_hosts_filename: str | os.PathLike[str] | None = None,
        known_hosts_filename_environ: str | None = arguments_of.KNOWN_HOSTS_ENVIRON,
        key_filename: str | os.PathLike[str] | None = None,
        key_filename_environ: str | None = arguments_of.KEY_ENVIRON,
        missing_host_key_policy: str = "RejectPolicy",
        cwd: str | None = None,
        connect_kwargs: Mapping[str, Any] | None = None,
    ) -> None:
        self._place = arguments_of.place_of(
            bucket, prefix, host, port=port, username=username, password=password, cwd=cwd
        )
        self._login = arguments_of.login_of(
            missing_host_key_policy,
            known_hosts=known_hosts_filename,
            known_hosts_environ=known_hosts_filename_environ,
            key_file=key_filename,
            key_environ=key_filename_environ,
            connect_kwargs=connect_kwargs,
        )
        if self._login.key_file is not None:
            arguments_of.key_of(self._login, self._place.password)
        self._root = self._place.folder
        self._closed = False

    @classmethod
    def resolve_arguments(cls, arguments: Arguments) -> Arguments:
        """A ``host`` that is a URI taken apart, so that all that it says of the place is part of the destination."""
        return arguments_of.whole(arguments)

    def prepare(self) -> None:
        """Imports paramiko."""
        _ = self._connection

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            create=True,
            entry_ids="SFTP keeps no metadata with files",
            checksums="SFTP keeps no checksum with files",
            ranges=True,
            fsync=True,
            reads_body=True,
            ends_with_worker="a request that has arrived whole is carried out, though its sender is gone",
            processes=True,
        )

    def put(
        self,
        key: str,
        source: Source,
        *,
        mode: PutMode,
        checksum: int | None,
        entry_id: str | None,
        durable: bool,
        on_multipart: OnMultipart,
    ) -> PutResult:
        path = self._path("put", key)
        from rud.backends import _sftp_files as files

        name = temporary_name()
        temporary = files.joined(files.above(path), name)
        with self._connection.client("put", key) as client:
            if mode is PutMode.CREATE and files.is_file(files.kind_of(client, path)):
                raise ObjectExistsError.during("put", key, "an object of that key exists")
        if len(source) > CHUNK:
            on_multipart(name)
        try:
            with self._connection.client("put", key) as client:
                files.write(client, key, temporary, source, checksum, durable=durable)
            self._take_place(key, temporary, path, mode, len(source))
        except BaseException:
            # Also over a new connection: nobody else knows the name of a small one.
            with contextlib.suppress(Exception), self._connection.client("put", key) as client:
                self._remove(client, temporary)
            raise
        if durable:
            with self._connection.client("put", key) as client:
                files.sync_folders(client, key, files.above(path), self._root)
        return PutResult()

    def _take_place(self, key: str, temporary: str, path: str, mode: PutMode, size: int) -> None:
        from rud.backends import _sftp_files as files

        try:
            with self._connection.client("put", key) as client:
                files.place(client, key, temporary, path, mode)
        except ObjectStoreTransientError:
            # The answer may be all that was lost, and the next attempt would take its own object for somebody else's.
            with self._connection.client("put", key) as client:
                if mode is not PutMode.CREATE or not files.was_created(client, temporary, path, size):
                    raise
                files.remove(client, temporary)

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        path = self._path("get", key)
        if start < 0:
            raise ValueError(f"start is an offset from the beginning, not {start}")
        from rud.backends import _sftp_files as files

        with contextlib.ExitStack() as opened:
            with self._connection.client("get", key) as client:
                self._checked("get", key, client, path)
                file = client.open(path, "rb")
                opened.callback(file.close)
                found = file.stat()
            size = found.st_size or 0
            chunks = client.read(file, start, size)
            while start < size:
                with self._connection.client("get", key):
                    chunk = next(chunks, b"")
                    if not chunk:
                        raise ObjectStoreTransientError.during("get", key, f"it ends after {start} of {size} bytes")
                start += len(chunk)
                sink.write(chunk)
            return files.meta_of(key, found)

    def head(self, key: str) -> ObjectMeta:
        path = self._path("head", key)
        from rud.backends import _sftp_files as files

        with self._connection.client("head", key) as client:
            return files.meta_of(key, self._checked("head", key, client, path))

    @staticmethod
    def _checked(operation: str, key: str, client: Client, path: str) -> Any:
        from rud.backends import _sftp_files as files

        found = files.kind_of(client, path)
        if found is None or files.is_folder(found):
            raise ObjectNotFoundError.during(operation, key, "there is no file of that name")
        if not files.is_file(found):
            raise StoreError.during(operation, key, "a symbolic link, pipe or device lies there, which is no object")
        return found

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        self._check_open("list", prefix)
        from rud.backends import _sftp_files as files

        with self._connection.client("list", prefix) as client:
            return iter(list(files.walk(client, self._root, prefix)))

    def delete(self, key: str) -> None:
        path = self._path("delete", key)

        with self._connection.client("delete", key) as client, contextlib.suppress(ObjectNotFoundError):
            self._checked("delete", key, client, path)
            self._remove(client, path)

    def abort(self, key: str, upload_id: str | None) -> None:
        path = self._path("abort", key)
        from rud.backends import _sftp_files as files

        if upload_id is None or not is_temporary(upload_id):
            return
        with self._connection.client("abort", key) as client:
            self._remove(client, files.joined(files.above(path), upload_id))

    def _remove(self, client: Client, path: str) -> None:
        from rud.backends import _sftp_files as files

        files.remove(client, path)
        files.remove_empty(client, files.above(path), self._root)

    def probe(self) -> None:
        """Makes and removes a hidden empty file, and the folder, if it is not there yet."""
        self._check_open("probe", "")
        from rud.backends import _sftp_files as files

        with self._connection.client("probe", "") as client:
            made = files.make_folders(client, "", self._root)
            temporary = files.joined(self._root, temporary_name())
            client.end(client.open(temporary, "wbx"))
            client.remove(temporary)
            # Not those that somebody else has put something into.
            with contextlib.suppress(OSError):
                for folder in made:
                    client.rmdir(folder)

    def uri(self, key: str) -> str:
        segments_of(key, self._root)
        folder = f"{self._root.rstrip('/')}/" if self._root else ""
        return f"sftp://{self._place.authority}/{folder}{key}"

    def close(self) -> None:
        self._closed = True
        if "_connection" in self.__dict__:
            self._connection.close()

    @cached_property
    def _connection(self) -> Connection:
        from rud.backends._sftp_connection import Connection

        return Connection(self._place, self._login)

    def _path(self, operation: str, key: str) -> str:
        self._check_open(operation, key)
        segments_of(key, self._root)
        return f"{self._root.rstrip('/')}/{key}" if self._root else key

    def _check_open(self, operation: str, key: str) -> None:
        if self._closed:
            raise StoreClosedError.during(operation, key, "the store was closed")
