"""An environment in which Composer's class and ours run side by side: same interpreter, same boto3.

Composer's own requirements, as they are: with ``uv`` that is well under two minutes and 5.4 GiB. Dropping the CUDA
libraries (PyPI's torch is linked to them) would save 3.4 GiB and need a C compiler and stand-in libraries; an incumbent
that was tampered with is no incumbent, so it is not done.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COMPOSER = "mosaicml==0.32.1"
_ROOT = Path(__file__).resolve().parents[2]


def python_of(folder: Path) -> Path:
    """The interpreter of the environment that lies in ``folder``."""
    return folder / "bin" / "python"


def make(folder: Path) -> None:
    """Make it in ``folder``, with this Python's version; what is there already is completed."""
    python = python_of(folder)
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-q", "uv"], check=True)
    command = [
        str(python),
        "-m",
        "uv",
        "pip",
        "install",
        "--python",
        str(python),
        COMPOSER,
        "-e",
        f"{_ROOT}[s3,gcs,conformance,bench]",
    ]
    subprocess.run(command, check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    check = [str(python), "-W", "ignore", "-c", "import composer.loggers, rud, obstore"]
    subprocess.run(check, env=environment, check=True)
    print(f"ready: {python} -m benchmarks.composer run")
