"""OpenSSH's server, for SFTP and nothing else."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rud_fakes.servers._child import Child
from rud_fakes.servers._programs import SSHD, MissingServerError
from rud_fakes.servers._server import Folder, Server

# Its own defaults let in ten at a time; no shell, and no way to another host.
_SETTINGS = """\
Port {port}
ListenAddress 127.0.0.1
HostKey {keys}/host
AuthorizedKeysFile {keys}/user.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PidFile none
MaxStartups 100
MaxSessions 100
DisableForwarding yes
Subsystem sftp internal-sftp
ForceCommand internal-sftp -d {objects}
"""


@dataclass(frozen=True, slots=True)
class SftpAddress:
    """A server for SFTP, and how to be let in: by a key, and by knowing the server's own."""

    port: int
    user: str
    key_file: Path
    """The private key, which only this server knows of."""
    known_hosts: Path
    """The server's own key, in the form of OpenSSH's ``known_hosts``."""
    folder: Path
    """Where a session begins; a bucket is a folder in it."""

    @property
    def backend_kwargs(self) -> dict[str, Any]:
        """Arguments for a store; none that comes with rud speaks this."""
        return {"host": "127.0.0.1", "port": self.port, "username": self.user, "key_filename": str(self.key_file)}

    @property
    def environment(self) -> dict[str, str]:
        """No client is led by variables."""
        return {}

    @property
    def options(self) -> list[str]:
        """Those of the commands ``sftp`` and ``ssh`` that lead them here, whatever this user has set."""
        settings = {
            "Port": self.port,
            "User": self.user,
            "IdentityFile": self.key_file,
            "UserKnownHostsFile": self.known_hosts,
            "IdentitiesOnly": "yes",
            "StrictHostKeyChecking": "yes",
            "BatchMode": "yes",
        }
        return ["-F", os.devnull, *(part for name in settings for part in ("-o", f"{name}={settings[name]}"))]

    def make_bucket(self, name: str) -> None:
        """Make the folder, if it is not there."""
        (self.folder / name).mkdir(exist_ok=True)


class Sshd(Server[SftpAddress]):
    """sshd with keys of its own, for whoever started it, and for SFTP only."""

    def __init__(self, folder: str | os.PathLike[str] | None, *, buckets: Sequence[str]) -> None:
        self._program = SSHD.find()
        self._folder = Folder("sshd", folder)
        super().__init__(Child("sshd", self._command, {}, ready=_greets), self._where, buckets)

    def _where(self, url: str) -> SftpAddress:
        keys = self._folder / "keys"
        port = urlsplit(url).port or 0
        return SftpAddress(port, getpass.getuser(), keys / "user", keys / "known_hosts", self._folder / "objects")

    def _command(self, port: int) -> list[str]:
        keys = self._folder / "keys"
        host = (keys / "host.pub").read_text(encoding="ascii")
        (keys / "known_hosts").write_text(f"[127.0.0.1]:{port} {host}", encoding="ascii")
        settings = _SETTINGS.format(port=port, keys=keys, objects=self._folder / "objects")
        (keys / "sshd_config").write_text(settings, encoding="utf-8")
        return [self._program, "-D", "-e", "-f", str(keys / "sshd_config")]

    @property
    def url(self) -> str:
        return f"sftp://127.0.0.1:{self._child.port}"

    def start(self) -> None:
        self._folder.make("keys", "objects")
        for name in ("host", "user"):
            _make_key(self._folder / "keys" / name)
        if os.geteuid() == 0:
            # sshd of Debian wants this folder of root, which is made when the system starts its own.
            os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        super().start()

    def stop(self) -> None:
        super().stop()
        self._folder.remove()


def _make_key(path: Path) -> None:
    if path.exists():
        return
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "rud", "-f", str(path)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise MissingServerError("sshd needs ssh-keygen, of OpenSSH's client, and it is not on the PATH") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"ssh-keygen made no key: {error.stderr.strip()}") from error


def _greets(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1.0) as client:
            return client.recv(4) == b"SSH-"
    except OSError:
        return False


def sshd(folder: str | os.PathLike[str] | None = None, *, buckets: Sequence[str] = ("bucket",)) -> Sshd:
    """sshd for SFTP, its keys and files in ``folder``, by default a temporary one that ``stop`` removes; it takes some
    0.1 s to start. Sessions begin in a folder that has one for each bucket.

    ``MissingServerError`` where sshd or ssh-keygen is not to be found.
    """
    return Sshd(folder, buckets=buckets)
