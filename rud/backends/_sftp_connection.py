"""A connection to an SFTP server, by paramiko: made when it is needed, made anew when it was lost."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko.message import Message
from paramiko.sftp import (
    CMD_EXTENDED,
    SFTP_EOF,
    SFTP_NO_SUCH_FILE,
    SFTP_OK,
    SFTP_OP_UNSUPPORTED,
    SFTP_PERMISSION_DENIED,
)

from rud.backends._sftp_arguments import Login, Place
from rud.errors import (
    AccessDeniedError,
    ConfigurationError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    RudError,
    StoreError,
)

CONNECT_TIMEOUT = 10.0
"""Seconds: for the connection, and for each step of letting us in."""

READ_TIMEOUT = 60.0
"""Seconds without an answer: paramiko by itself waits without end."""

_LOG = "rud.sftp"
"""Where paramiko reports; by itself it prints a traceback for each connection that it cannot make."""

_ERRNO = {SFTP_NO_SUCH_FILE: errno.ENOENT, SFTP_PERMISSION_DENIED: errno.EACCES}


class StatusError(OSError):
    """What the server answered: ``code`` is the protocol's (draft-ietf-secsh-filexfer-02, section 7)."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(_ERRNO.get(code, 0), text)
        self.code = code

    @property
    def is_unsupported(self) -> bool:
        return bool(self.code == SFTP_OP_UNSUPPORTED)


class SourceFailedError(Exception):
    """What the body of an upload has raised, which says nothing of the server."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Client(paramiko.SFTPClient):
    """Paramiko's, with the codes of errors, and three extensions of OpenSSH's that it has no name for."""

    def _convert_status(self, msg: Message) -> None:
        code, text = msg.get_int(), msg.get_text()
        if code == SFTP_EOF:
            raise EOFError(text)
        if code != SFTP_OK:
            raise StatusError(code, text)

    def link(self, old: str, new: str) -> None:
        """A hard link ``new``; an error if there is something of that name."""
        self._extended("hardlink@openssh.com", old.encode(), new.encode())

    def sync(self, file: paramiko.SFTPFile) -> None:
        """Return when ``file``, which may be a folder, would survive a loss of power."""
        self._extended("fsync@openssh.com", file.handle)

    def _extended(self, *arguments: object) -> None:
        untyped: Any = self
        untyped._request(CMD_EXTENDED, *arguments)  # noqa: SLF001  # of its own class


class Connection:
    """To ``place``; one thread at a time."""

    def __init__(self, place: Place, login: Login) -> None:
        self._place = place
        self._login = login
        self._ssh: Any = None
        self._sftp: Client | None = None

    @contextlib.contextmanager
    def client(self, operation: str, key: str) -> Iterator[Client]:
        """The client, connected; what goes wrong within is raised as one of ours, and a connection that is no good is
        left."""
        try:
            yield self._connected()
        except RudError:
            raise
        except SourceFailedError as failed:
            raise failed.error from None
        except Exception as error:
            translated = _translation(error, operation, key, self._place)
            if not isinstance(error, StatusError):
                self.close()
            raise translated from error

    def close(self) -> None:
        ssh, self._ssh, self._sftp = self._ssh, None, None
        if ssh is not None:
            ssh.close()

    def _connected(self) -> Client:
        if self._sftp is not None and self._ssh.get_transport().is_active():
            return self._sftp
        self.close()
        ssh = paramiko.SSHClient()
        try:
            self._sftp = self._opened(ssh)
        except BaseException:
            ssh.close()
            raise
        self._ssh = ssh
        return self._sftp

    def _opened(self, ssh: paramiko.SSHClient) -> Client:
        logging.getLogger(_LOG).addHandler(logging.NullHandler())
        ssh.set_log_channel(_LOG)
        ssh.load_system_host_keys(self._login.known_hosts)
        policy = _Refuse if self._login.policy == "RejectPolicy" else getattr(paramiko, self._login.policy)
        ssh.set_missing_host_key_policy(policy())
        arguments = {
            "timeout": CONNECT_TIMEOUT,
            "banner_timeout": CONNECT_TIMEOUT,
            "auth_timeout": CONNECT_TIMEOUT,
            "key_filename": self._login.key_file,
            # A key that was named is the one to use: servers count those that an agent offers before it.
            "allow_agent": self._login.key_file is None,
            "look_for_keys": self._login.key_file is None,
            **self._login.connect_kwargs,
        }
        ssh.connect(
            self._place.host,
            self._place.port,
            username=self._place.username or None,
            password=self._place.password,
            **arguments,
        )
        transport = ssh.get_transport()
        assert transport is not None
        made: Any = Client.from_transport(transport)
        made.get_channel().settimeout(READ_TIMEOUT)
        client: Client = made
        return client


class _Refuse(paramiko.MissingHostKeyPolicy):
    """A server that nobody has vouched for is not talked to."""

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise ConfigurationError(
            f"the key of the server {hostname} is not among the known hosts ({key.get_name()} {key.fingerprint}): if "
            f"it is the right one, add what `ssh-keyscan {_scanned(hostname)}` prints to the file of known hosts, or "
            "name another by known_hosts_filename"
        )


def _scanned(hostname: str) -> str:
    host, _, port = hostname.removeprefix("[").partition("]:")
    return f"-p {port} {host}" if port else host


def _translation(error: Exception, operation: str, key: str, place: Place) -> RudError:
    if isinstance(error, paramiko.BadHostKeyException):
        return ConfigurationError(
            f"the server {error.hostname} has another key than the known hosts say: either it was set up anew, and its "
            "line is to be replaced, or somebody is in between"
        )
    if isinstance(error, paramiko.AuthenticationException):
        who = place.username or "the user of this process"
        reason = f"{place.authority} does not let in {who}: {type(error).__name__}: {error}"
        return AccessDeniedError.during(operation, key, reason)
    if isinstance(error, StatusError):
        return _status(error, operation, key)
    may_pass = paramiko.SSHException, EOFError, ConnectionError, TimeoutError, socket.gaierror
    lost = isinstance(error, OSError) and not error.errno  # as paramiko says "Socket is closed"
    if isinstance(error, may_pass) or lost:
        said = f"the connection to {place.authority} was lost or not made: {type(error).__name__}: {error}"
        return ObjectStoreTransientError.during(operation, key, said)
    if isinstance(error, OSError):
        said = f"{place.authority}: {os.strerror(error.errno or 0)}: {error}"
        return ObjectStoreTransientError.during(operation, key, said)
    return StoreError.during(operation, key, f"{type(error).__name__}: {error}")


def _status(error: StatusError, operation: str, key: str) -> RudError:
    said = f"the server says {error.strerror!r} (SFTP status {error.code})"
    if error.code == SFTP_NO_SUCH_FILE:
        return ObjectNotFoundError.during(operation, key, said)
    if error.code == SFTP_PERMISSION_DENIED:
        return AccessDeniedError.during(operation, key, said)
    if error.is_unsupported:
        return StoreError.during(operation, key, said)
    # A full disk is told in these words, as everything is that the protocol has no word for.
    return ObjectStoreTransientError.during(operation, key, said)
