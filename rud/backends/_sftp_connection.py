"""A connection to an SFTP server, by paramiko: made when it is needed, made anew when it was lost."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any

import paramiko
from paramiko.sftp import SFTP_NO_SUCH_FILE, SFTP_PERMISSION_DENIED

from rud.backends._sftp_arguments import Login, Place, key_of
from rud.backends._sftp_client import Client, StatusError
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


class SourceFailedError(Exception):
    """What the body of an upload has raised, which says nothing of the server."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


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
        except StatusError as error:
            raise _status(error, operation, key) from error
        except Exception as error:
            self.close()
            raise _translation(error, operation, key, self._place) from error
        except BaseException:
            self.close()
            raise

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
        except paramiko.SSHException as error:
            raise self._refused(ssh, error) from error
        except BaseException:
            ssh.close()
            raise
        self._ssh = ssh
        return self._sftp

    def _refused(self, ssh: paramiko.SSHClient, error: Exception) -> Exception:
        """``error``, or one that says that the server answers and does not let us in: paramiko has one class for that
        and for a connection that was lost meanwhile."""
        transport = ssh.get_transport()
        answers = transport is not None and transport.is_active() and transport.initial_kex_done
        ssh.close()
        if isinstance(error, paramiko.BadHostKeyException) or not answers or "timeout" in str(error).lower():
            return error
        who = self._place.username or "the user of this process"
        return _NotLetIn(f"{self._place.authority} does not let in {who}: {type(error).__name__}: {error}")

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
            # A key that was named is the one to use: servers count those that an agent offers before it. By its file
            # paramiko would tell of a key that was refused as of one that cannot be read.
            **({"pkey": key_of(self._login, self._place.password)} if self._login.key_file else {}),
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
        channel = transport.open_session(timeout=CONNECT_TIMEOUT)
        channel.settimeout(READ_TIMEOUT)
        channel.invoke_subsystem("sftp")
        return Client(channel)


class _NotLetIn(Exception):
    """The server's answer to who we are."""


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
    if isinstance(error, _NotLetIn):
        return AccessDeniedError.during(operation, key, str(error))
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
