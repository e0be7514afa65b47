"""Where the programs of servers are found, and how they get there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


class MissingServerError(RuntimeError):
    """A server that a test needs is not on this machine; the text says where it was sought and how to get it."""


@dataclass(frozen=True, slots=True)
class Program:
    """A server that Go builds, at the version that is pinned here. ``variable``: of the environment, names another."""

    name: str
    version: str
    module: str
    variable: str

    @property
    def install_command(self) -> str:
        return f"python -m rud_fakes.servers install {self.name}"

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
        cached = self.cache(environ)
        found = shutil.which(self.name, path=environ.get("PATH")) or shutil.which(str(cached))
        if found is None:
            raise MissingServerError(
                f"{self.name} {self.version} is not on the PATH and not at {cached}. Build it with Go 1.25 or newer by "
                f"`{self.install_command}`, or set {self.variable} to the program"
            )
        return found

    def install(self, environ: Mapping[str, str] = os.environ) -> Path:
        """Build it into the cache, unless it is there: some 150 s and 1.2 GB of Go's own caches the first time, then
        2 s. ``MissingServerError`` without Go, or when the build fails (its output is on stderr).
        """
        cached = self.cache(environ)
        if shutil.which(str(cached)):
            return cached
        go = shutil.which("go", path=environ.get("PATH"))
        if go is None:
            raise MissingServerError(f"{self.name} is built by Go 1.25 or newer, and there is no `go` on the PATH")
        cached.parent.mkdir(parents=True, exist_ok=True)
        # Built beside its place and renamed: two installs at once do not meet, and half a program is never found.
        with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".building-") as scratch:
            command = [go, "install", f"{self.module}@v{self.version}"]
            done = subprocess.run(command, env={**environ, "CGO_ENABLED": "0", "GOBIN": scratch}, check=False)
            if done.returncode:
                raise MissingServerError(f"`{' '.join(command)}` ended with {done.returncode}; its reason is above")
            os.replace(os.path.join(scratch, self.name), cached)
        return cached


VERSITYGW = Program("versitygw", "1.8.0", "github.com/versity/versitygw/cmd/versitygw", "RUD_VERSITYGW")
FAKE_GCS_SERVER = Program("fake-gcs-server", "1.56.1", "github.com/fsouza/fake-gcs-server", "RUD_FAKE_GCS_SERVER")
PROGRAMS = (VERSITYGW, FAKE_GCS_SERVER)


def check_moto() -> None:
    """``MissingServerError`` unless moto and what its server needs can be imported."""
    from importlib.util import find_spec

    if missing := [name for name in ("moto", "flask", "flask_cors") if find_spec(name) is None]:
        raise MissingServerError(
            f"moto's server needs {', '.join(missing)}, which cannot be imported here; "
            "from a clone: pip install -e '.[test]'"
        )
