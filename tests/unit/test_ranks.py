"""Ranks from the environment, launcher by launcher."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._ranks import LAUNCHERS, VARIABLES, RankInfo, explained
from rud.errors import ConfigurationError

TORCHRUN = {"RANK": "13", "WORLD_SIZE": "16", "LOCAL_RANK": "5", "LOCAL_WORLD_SIZE": "8", "GROUP_RANK": "1"}
COMPOSER = {"RANK": "13", "WORLD_SIZE": "16", "LOCAL_RANK": "5", "LOCAL_WORLD_SIZE": "8", "NODE_RANK": "1"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "1",
    "OMPI_COMM_WORLD_SIZE": "2",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
    "OMPI_COMM_WORLD_NODE_RANK": "1",
}
MPICH = {"PMI_RANK": "3", "PMI_SIZE": "4", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
LSF = {"JSM_NAMESPACE_RANK": "3", "JSM_NAMESPACE_SIZE": "4", "JSM_NAMESPACE_LOCAL_RANK": "1"}
SLURM = {"SLURM_PROCID": "5", "SLURM_NTASKS": "6", "SLURM_LOCALID": "1", "SLURM_NODEID": "2", "SLURM_JOB_NAME": "train"}
STEP = {"SLURM_STEP_NODELIST": "n[1-3]"}


RAY = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "NODE_RANK": "1"}


def ranks(environ: dict[str, str], modules: dict[str, object] | None = None) -> RankInfo:
    return RankInfo.from_environment(environ, modules or {})


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, RankInfo()),
        (TORCHRUN, RankInfo(13, 5, 16, 8, 1)),
        (COMPOSER, RankInfo(13, 5, 16, 8, 1)),
        (RAY, RankInfo(3, 1, 4, 2, 1)),
        ({**TORCHRUN, "NODE_RANK": "0"}, RankInfo(13, 5, 16, 8, 0)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, RankInfo(1, None, 2, None, None)),
        ({"RANK": "0", "WORLD_SIZE": "1"}, RankInfo(0, 0, 1, 1, 0, node_rank_derived=True)),
        (OPEN_MPI, RankInfo(1, 1, 2, 2, 0, node_rank_derived=True)),
        (MPICH, RankInfo(3, 1, 4, 2, 1, node_rank_derived=True)),
        (LSF, RankInfo(3, 1, 4, None, None)),
        ({**SLURM, **STEP}, RankInfo(5, 1, 6, None, 2)),
        ({**SLURM, **STEP, "SLURM_NTASKS_PER_NODE": "2"}, RankInfo(5, 1, 6, 2, 2)),
        (
            {**SLURM, **STEP, "SLURM_NTASKS_PER_NODE": "8", "SLURM_STEP_TASKS_PER_NODE": "3,1,2(x4)"},
            RankInfo(5, 1, 6, 2, 2),
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_launcher(environ: dict[str, str], expected: RankInfo) -> None:
    """Each launcher's variables give its five numbers; what it does not tell is unknown, or derived and marked so."""
    assert ranks(environ) == expected


@pytest.mark.parametrize(
    "environ",
    [SLURM, {**SLURM, **STEP, "SLURM_JOB_NAME": "bash"}, {**SLURM, **STEP, "SLURM_JOB_NAME": "interactive"}],
    ids=["batch script", "bash", "interactive"],
)
def test_slurm_outside_a_step_is_one_process(environ: dict[str, str]) -> None:
    """A batch script and an interactive shell see SLURM's variables, which are not about them."""
    assert ranks(environ) == RankInfo()


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({}, "a single process: no launcher has left its variables"),
        (
            SLURM,
            "a single process: SLURM's variables are there, but this is a batch script or a shell, no step of srun",
        ),
        ({**SLURM, **STEP}, "SLURM srun: SLURM_PROCID, SLURM_NTASKS, SLURM_LOCALID, SLURM_NODEID"),
        ({"TORCHELASTIC_RUN_ID": "none", **TORCHRUN}, "torchrun: RANK, WORLD_SIZE, LOCAL_RANK"),
        (RAY, "Composer's launcher, or Ray Train: RANK, WORLD_SIZE"),
        (OPEN_MPI, "Open MPI: OMPI_COMM_WORLD_RANK, OMPI_COMM_WORLD_SIZE"),
        (MPICH, "MPICH or Intel MPI: PMI_RANK, PMI_SIZE, MPI_LOCALRANKID, MPI_LOCALNRANKS"),
        (LSF, "LSF jsrun: JSM_NAMESPACE_RANK"),
        (
            {"RUD_RANK": "0", "RUD_WORLD_SIZE": "1", "RUD_NODE_RANK": "0"},
            "your own word: RUD_RANK, RUD_WORLD_SIZE, RUD",
        ),
        ({"RUD_NODE_RANK": "0"}, "a single process: no launcher has left its variables; your own word: RUD_NODE_RANK"),
    ],
)
def test_it_says_which_launcher_and_why(environ: dict[str, str], why: str) -> None:
    """For ``rud env``: the row of the table, and the variables that were there."""
    assert explained(environ, {})[1].startswith(why)


def test_it_says_that_torch_decided() -> None:
    """And where the local numbers come from, which torch has not."""
    assert explained({}, torch(1, 2))[1] == "torch.distributed, which is initialised"
    assert explained(OPEN_MPI, torch(1, 2))[1].startswith(
        "torch.distributed, which is initialised; the local numbers by Open MPI: OMPI"
    )


def test_order_of_the_launchers() -> None:
    """Where several speak, the one nearest to the user's own words counts."""
    environ = {**SLURM, **STEP, **MPICH, **OPEN_MPI, **TORCHRUN, "RUD_RANK": "2", "RUD_WORLD_SIZE": "3"}
    found = [ranks(environ).rank]
    for launcher in LAUNCHERS[:4]:
        environ = {name: value for name, value in environ.items() if name not in launcher.names}
        found.append(ranks(environ).rank)

    assert found == [2, 13, 1, 3, 5]


def test_node_rank_is_not_derived_against_the_local_rank() -> None:
    """Ranks dealt out node by node do not follow one another on a node: no node rank is better than a wrong one."""
    by_node = {**MPICH, "PMI_RANK": "1", "MPI_LOCALRANKID": "0"}

    assert ranks(by_node).node_rank is None


def test_own_variables_complete_what_a_launcher_does_not_tell() -> None:
    """RUD_NODE_RANK and its like add to what was found, and replace it."""
    environ = {"RANK": "3", "WORLD_SIZE": "4", "RUD_LOCAL_RANK": "1", "RUD_LOCAL_WORLD_SIZE": "2"}

    assert ranks(environ) == RankInfo(3, 1, 4, 2, 1, node_rank_derived=True)
    assert ranks({**environ, "RUD_NODE_RANK": "3"}) == RankInfo(3, 1, 4, 2, 3)
    assert ranks({**COMPOSER, "RUD_LOCAL_RANK": "0"}) == RankInfo(13, 0, 16, 8, 1)


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"RANK": "3"}, "RANK is set but WORLD_SIZE is not"),
        ({"WORLD_SIZE": "3", **MPICH}, "WORLD_SIZE is set but RANK is not"),
        ({"PMI_RANK": "3"}, "PMI_RANK is set but PMI_SIZE is not"),
        ({"RUD_WORLD_SIZE": "3", **TORCHRUN}, "RUD_WORLD_SIZE is set but RUD_RANK is not"),
        ({"RANK": "", "WORLD_SIZE": "2"}, "RANK is '', which is not a whole number"),
        ({**TORCHRUN, "LOCAL_RANK": "five"}, "LOCAL_RANK is 'five'"),
        ({**TORCHRUN, "RANK": "-1"}, "RANK is '-1'"),
        ({**TORCHRUN, "RANK": "1.0"}, "RANK is '1.0'"),
        ({**TORCHRUN, "RANK": "١"}, "not a whole number"),
        ({**TORCHRUN, "RUD_NODE_RANK": "x"}, "RUD_NODE_RANK is 'x'"),
        ({**TORCHRUN, "RANK": "16"}, "the rank 16 is not below the size 16"),
        ({**TORCHRUN, "LOCAL_RANK": "8"}, "the local rank 8 is not below the size 8"),
        ({**TORCHRUN, "LOCAL_WORLD_SIZE": "17"}, "the local size 17 is above the size 16"),
        ({**TORCHRUN, "GROUP_RANK": "16"}, "the node rank 16 is not below"),
        ({**SLURM, **STEP, "SLURM_STEP_TASKS_PER_NODE": "2(x"}, "SLURM_STEP_TASKS_PER_NODE is '2(x'"),
    ],
)
def test_wrong_variables_are_refused(environ: dict[str, str], words: str) -> None:
    """Half a pair, what is no number and what contradicts itself is refused, with every variable that was seen."""
    with pytest.raises(ConfigurationError) as caught:
        ranks(environ)

    assert words in str(caught.value)
    for name in environ.keys() & VARIABLES:
        assert f"{name}={environ[name]!r}" in str(caught.value)


def torch(rank: int, world_size: int, *, initialised: bool = True, available: bool = True) -> dict[str, object]:
    distributed = SimpleNamespace(is_available=lambda: available)
    if available:
        distributed.is_initialized = lambda: initialised
        distributed.get_rank = lambda: rank
        distributed.get_world_size = lambda: world_size
    return {"torch": SimpleNamespace(), "torch.distributed": distributed}


@pytest.mark.parametrize(
    ("environ", "modules", "expected"),
    [
        ({}, torch(1, 2), RankInfo(1, None, 2, None, None)),
        (TORCHRUN, torch(13, 16), RankInfo(13, 5, 16, 8, 1)),
        (OPEN_MPI, torch(1, 2), RankInfo(1, 1, 2, 2, 0, node_rank_derived=True)),
        (OPEN_MPI, torch(3, 4), RankInfo(3, None, 4, None, None)),
        ({"WORLD_SIZE": "2"}, torch(1, 2), RankInfo(1, None, 2, None, None)),
        (TORCHRUN, torch(0, 1, initialised=False), RankInfo(13, 5, 16, 8, 1)),
        (TORCHRUN, torch(0, 1, available=False), RankInfo(13, 5, 16, 8, 1)),
        ({**TORCHRUN, "RUD_RANK": "0", "RUD_WORLD_SIZE": "1"}, torch(13, 16), RankInfo(0, 0, 1, 1, 0, True)),
    ],
)
def test_torch(environ: dict[str, str], modules: dict[str, object], expected: RankInfo) -> None:
    """An initialised torch.distributed counts before the environment, which adds the local numbers where it agrees."""
    assert ranks(environ, modules) == expected


@pytest.mark.parametrize("environ", [TORCHRUN, {"WORLD_SIZE": "4"}])
def test_torch_against_the_environment_is_refused(environ: dict[str, str]) -> None:
    """Two sources that contradict each other are not chosen between."""
    with pytest.raises(ConfigurationError, match=r"torch.distributed says 1 of 2, which contradicts .*WORLD_SIZE="):
        ranks(environ, torch(1, 2))


def test_mpi4py_and_jax_when_initialised() -> None:
    """They are asked only when the program has initialised them; otherwise asking would itself start something."""
    world = SimpleNamespace(Get_rank=lambda: 1, Get_size=lambda: 2)
    mpi = SimpleNamespace(Is_initialized=lambda: True, Is_finalized=lambda: False, COMM_WORLD=world)
    ended = SimpleNamespace(Is_initialized=lambda: True, Is_finalized=lambda: True, COMM_WORLD=world)
    jax = SimpleNamespace(
        distributed=SimpleNamespace(is_initialized=lambda: True), process_index=lambda: 2, process_count=lambda: 3
    )
    idle = SimpleNamespace(distributed=SimpleNamespace(is_initialized=lambda: False))

    assert ranks({}, {"mpi4py.MPI": mpi}) == RankInfo(1, None, 2, None, None)
    assert ranks({}, {"mpi4py.MPI": ended}) == RankInfo()
    assert ranks({}, {"jax": jax}) == RankInfo(2, None, 3, None, None)
    assert ranks({}, {"jax": idle}) == RankInfo()
    assert ranks({}, {"jax": SimpleNamespace()}) == RankInfo()


def test_reads_the_real_environment() -> None:
    """Without arguments it is this process that is asked about, and nothing is imported for it."""
    code = (
        "import sys; from rud._ranks import RankInfo; print(RankInfo.from_environment().rank); "
        "print(any(name in sys.modules for name in ('torch', 'mpi4py', 'jax')))"
    )
    environ = {**os.environ, "RANK": "3", "WORLD_SIZE": "4"}
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["3", "False"]


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.one_of(st.integers(-1, 4).map(str), st.text(max_size=2))))
def test_any_environment_is_understood_or_refused_in_words(environ: dict[str, str]) -> None:
    """Whatever stands in the variables, the answer is consistent numbers or our own error."""
    found = refusal = None
    try:
        found = ranks({**environ, **STEP})
    except ConfigurationError as error:
        refusal = str(error)

    assert (found is not None and 0 <= found.rank < found.world_size) or (refusal is not None and "; seen: " in refusal)
