"""Where the programs of servers are found, and how they get there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class MissingServerError(RuntimeError):
    """A server that a test needs is not on this machine; the text says where it was sought and how to get it."""


@dataclass(frozen=True, slots=True)
class Program(ABC):
    """A server at the version that is pinned here. ``variable``: of the environment, names another program.

    ``executable``: what it is called on the ``PATH``, where that is not ``name``. ``on_demand``: no test of ``.ci/run``
    needs it.
    """

    name: str
    version: str
    source: str
    """Of Go a package, of npm a package, of the system's package manager one of Debian."""
    variable: str
    executable: str = ""
    on_demand: bool = True

    @property
    def install_command(self) -> str:
        return f"python -m rud_fakes.servers install {self.name}"

    @property
    @abstractmethod
    def way(self) -> str:
        """How it is had, in words."""

    def cache(self, environ: Mapping[str, str] = os.environ) -> Path:
        """Where ``install`` puts it: a folder of its version in the user's cache."""
        cache = environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
        return Path(cache, "rud", "servers", f"{self.name}-{self.version}", self.name)

    def find(self, environ: Mapping[str, str] = os.environ) -> str:
        """Its path: what the variable names, else the first on ``PATH``, else the one in the cache."""
        if named := environ.get(self.variable):
            if shutil.which(named) is None:
                raise MissingServerError(
                    f"{self.variable} names {named!r}, which is no program; unset it, or: {self.install_command}"
                )
            return named
        found = self._on_path(environ) or self._in_cache(environ)
        if found is None:
            raise MissingServerError(
                f"{self.name} {self.version} is not on the PATH and not at {self.cache(environ)}. {self.way} by "
                f"`{self.install_command}`, or set {self.variable} to the program"
            )
        return found

    def _on_path(self, environ: Mapping[str, str]) -> str | None:
        return shutil.which(self.executable or self.name, path=environ.get("PATH"))

    def _in_cache(self, environ: Mapping[str, str]) -> str | None:
        return shutil.which(str(self.cache(environ)))

    def install(self, environ: Mapping[str, str] = os.environ) -> Path:
        """Build it into the cache, unless it is there. ``MissingServerError`` without what builds it, or when that
        fails (its output is on stderr).
        """
        cached = self.cache(environ)
        if found := self._in_cache(environ):
            return Path(found)
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Built beside its place and renamed: two installs at once do not meet, and half a program is never found.
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".building-") as scratch:
            os.replace(self._build(scratch, environ), cached)
        return Path(self._in_cache(environ) or cached)

    @abstractmethod
    def _build(self, scratch: str, environ: Mapping[str, str]) -> str:
        """Make it below ``scratch``, and tell what is to be put into the cache."""


class GoProgram(Program):
    """One that Go builds: some 150 s (MinIO: 400 s) and 1 to 2 GB of Go's own caches the first time, then 2 s."""

    @property
    def way(self) -> str:
        return "Build it with Go 1.25 or newer"

    def _build(self, scratch: str, environ: Mapping[str, str]) -> str:
        go = _tool("go", f"{self.name} is built by Go 1.25 or newer", environ)
        _run([go, "install", f"{self.source}@v{self.version}"], {**environ, "CGO_ENABLED": "0", "GOBIN": scratch})
        return os.path.join(scratch, self.name)


class NpmProgram(Program):
    """One of npm's packages, in a folder of its own: some 40 s and 190 MB."""

    @property
    def way(self) -> str:
        return "Have npm fetch it, with Node 20 or newer,"

    def _in_cache(self, environ: Mapping[str, str]) -> str | None:
        return shutil.which(str(self.cache(environ) / "node_modules" / ".bin" / self.executable))

    def _build(self, scratch: str, environ: Mapping[str, str]) -> str:
        npm = _tool("npm", f"{self.name} is a package of npm", environ)
        folder = os.path.join(scratch, self.name)
        quiet = ["--no-audit", "--no-fund", "--loglevel", "error"]
        _run([npm, "install", "--prefix", folder, *quiet, f"{self.source}@{self.version}"], environ)
        return folder


_SBIN = ("/usr/sbin", "/sbin")
"""Where servers are, which is not on everybody's PATH."""

_NOT_TO_BE_RUN = Path("/etc/ssh/sshd_not_to_be_run")
"""While it is there, Debian starts no sshd of its own."""


class SystemProgram(Program):
    """One that the system's package manager installs: for root, by apt-get, some 15 s; to others we say how."""

    @property
    def way(self) -> str:
        return f"Install it (Debian: {self._by_hand})"

    @property
    def _by_hand(self) -> str:
        return f"apt-get install --no-install-recommends {self.source}"

    def _on_path(self, environ: Mapping[str, str]) -> str | None:
        return shutil.which(self.name, path=os.pathsep.join((environ.get("PATH", os.defpath), *_SBIN)))

    def install(self, environ: Mapping[str, str] = os.environ) -> Path:
        if found := self._on_path(environ):
            return Path(found)
        apt = shutil.which("apt-get", path=environ.get("PATH"))
        if apt is None or os.geteuid() != 0:
            raise MissingServerError(
                f"{self.name} comes with the system, and nothing was installed: as root, `{self._by_hand}` on Debian; "
                "macOS has it"
            )
        # A test needs the program, not an open port of this machine.
        _NOT_TO_BE_RUN.parent.mkdir(parents=True, exist_ok=True)
        _NOT_TO_BE_RUN.touch()
        quiet = {**environ, "DEBIAN_FRONTEND": "noninteractive"}
        command = [apt, "install", "-qq", "-y", "--no-install-recommends", self.source]
        try:
            _run(command, quiet)
        except MissingServerError:
            _run([apt, "update", "-qq"], quiet)  # its lists may be old, or not there
            _run(command, quiet)
        return Path(self.find(environ))

    def _build(self, scratch: str, environ: Mapping[str, str]) -> str:
        raise NotImplementedError


def _tool(name: str, why: str, environ: Mapping[str, str]) -> str:
    found = shutil.which(name, path=environ.get("PATH"))
    if found is None:
        raise MissingServerError(f"{why}, and there is no `{name}` on the PATH")
    return found


def _run(command: list[str], environ: Mapping[str, str]) -> None:
    done = subprocess.run(command, env=environ, check=False)
    if done.returncode:
        raise MissingServerError(f"`{' '.join(command)}` ended with {done.returncode}; its reason is above")


VERSITYGW = GoProgram(
    "versitygw", "1.8.0", "github.com/versity/versitygw/cmd/versitygw", "RUD_VERSITYGW", on_demand=False
)
FAKE_GCS_SERVER = GoProgram(
    "fake-gcs-server", "1.56.1", "github.com/fsouza/fake-gcs-server", "RUD_FAKE_GCS_SERVER", on_demand=False
)
# MinIO has no tag that Go's proxy would give out: the state of that day.
MINIO = GoProgram("minio", "0.0.0-20260212201848-7aac2a2c5b7c", "github.com/minio/minio", "RUD_MINIO")
# The newest that Node 20 runs.
AZURITE = NpmProgram("azurite", "3.35.0", "azurite", "RUD_AZURITE", executable="azurite-blob")
SSHD = SystemProgram("sshd", "of OpenSSH", "openssh-server", "RUD_SSHD", on_demand=False)
PROGRAMS: tuple[Program, ...] = (VERSITYGW, FAKE_GCS_SERVER, MINIO, AZURITE, SSHD)


def check_moto() -> None:
    """``MissingServerError`` unless moto and what its server needs can be imported."""
    from importlib.util import find_spec

    if missing := [name for name in ("moto", "flask", "flask_cors") if find_spec(name) is None]:
        raise MissingServerError(
            f"moto's server needs {', '.join(missing)}, which cannot be imported here; "
            "from a clone: pip install -e '.[test]'"
        )
