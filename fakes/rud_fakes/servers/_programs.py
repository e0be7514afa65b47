"""Where the programs of servers are found, and how they get there."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

VERSITYGW = "1.8.0"
_MODULE = "github.com/versity/versitygw/cmd/versitygw"
_INSTALL = "python -m rud_fakes.servers install versitygw"


class MissingServerError(RuntimeError):
    """A server that a test needs is not on this machine; the text says where it was sought and how to get it."""


def versitygw_cache(environ: Mapping[str, str] = os.environ) -> Path:
    """Where ``install_versitygw`` puts the program: a folder of its version in the user's cache."""
    cache = environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(cache, "rud", "servers", f"versitygw-{VERSITYGW}", "versitygw")


def find_versitygw(environ: Mapping[str, str] = os.environ) -> str:
    """Its path: what ``RUD_VERSITYGW`` names, else the first on ``PATH``, else the one in the cache."""
    if named := environ.get("RUD_VERSITYGW"):
        if shutil.which(named) is None:
            raise MissingServerError(f"RUD_VERSITYGW names {named!r}, which is no program; unset it, or: {_INSTALL}")
        return named
    cached = versitygw_cache(environ)
    found = shutil.which("versitygw", path=environ.get("PATH")) or shutil.which(str(cached))
    if found is None:
        raise MissingServerError(
            f"versitygw {VERSITYGW} is not on the PATH and not at {cached}. Build it with Go 1.25 or newer by "
            f"`{_INSTALL}`, or set RUD_VERSITYGW to the program"
        )
    return found


def install_versitygw(environ: Mapping[str, str] = os.environ) -> Path:
    """Build the pinned version into the cache, unless it is there: some 150 s and 800 MB of Go's own caches the first
    time, then 2 s. ``MissingServerError`` without Go, or when the build fails (its output is on stderr).
    """
    cached = versitygw_cache(environ)
    if shutil.which(str(cached)):
        return cached
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise MissingServerError("versitygw is built by Go 1.25 or newer, and there is no `go` on the PATH")
    cached.parent.mkdir(parents=True, exist_ok=True)
    # Built beside its place and renamed: two installs at once do not meet, and half a program is never found.
    with tempfile.TemporaryDirectory(dir=cached.parent, prefix=".building-") as scratch:
        command = [go, "install", f"{_MODULE}@v{VERSITYGW}"]
        done = subprocess.run(command, env={**environ, "CGO_ENABLED": "0", "GOBIN": scratch}, check=False)
        if done.returncode:
            raise MissingServerError(f"`{' '.join(command)}` ended with {done.returncode}; its reason is above")
        os.replace(os.path.join(scratch, "versitygw"), cached)
    return cached


def check_moto() -> None:
    """``MissingServerError`` unless moto and what its server needs can be imported."""
    from importlib.util import find_spec

    if missing := [name for name in ("moto", "flask", "flask_cors") if find_spec(name) is None]:
        raise MissingServerError(
            f"moto's server needs {', '.join(missing)}, which cannot be imported here; "
            "from a clone: pip install -e '.[test]'"
        )
