"""Which process of how many this is, from what its launcher left in the environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from rud.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class RankInfo:
    """The place of this process in its run. ``RankInfo()`` is a process alone.

    ``rank`` of ``world_size`` over the whole run; ``local_rank`` of ``local_world_size`` on this node; ``node_rank`` of
    the node. ``None``: the launcher does not tell, and guessing would name files wrongly. ``node_rank_derived``: no
    launcher said it; it is ``rank // local_world_size``, which agrees with the local rank.

    ``ConfigurationError`` when the numbers contradict each other.
    """

    rank: int = 0
    local_rank: int | None = 0
    world_size: int = 1
    local_world_size: int | None = 1
    node_rank: int | None = 0
    node_rank_derived: bool = False

    def __post_init__(self) -> None:
        fault = self._contradiction()
        if fault:
            raise ConfigurationError(f"{fault}: {self}")

    def _contradiction(self) -> str:
        numbers = (self.rank, self.local_rank, self.world_size, self.local_world_size, self.node_rank)
        if any(number is not None and number < 0 for number in numbers):
            return "ranks and sizes cannot be negative"
        for what, rank, size in (
            ("rank", self.rank, self.world_size),
            ("local rank", self.local_rank, self.local_world_size),
            ("node rank", self.node_rank, self.world_size),
        ):
            if rank is not None and size is not None and rank >= size:
                return f"the {what} {rank} is not below the size {size}"
        if self.local_world_size is not None and self.local_world_size > self.world_size:
            return f"the local size {self.local_world_size} is above the size {self.world_size}"
        return ""

    @classmethod
    def from_environment(
        cls, environ: Mapping[str, str] = os.environ, modules: Mapping[str, Any] = sys.modules
    ) -> RankInfo:
        """What the first of these says: ``RUD_RANK`` and ``RUD_WORLD_SIZE``; an initialised ``torch.distributed``;
        ``RANK`` and ``WORLD_SIZE`` (torchrun, Composer, Ray, Kubeflow); Open MPI; PMI (MPICH); LSF; a SLURM step; an
        initialised mpi4py or JAX; else one process. ``RUD_LOCAL_RANK``, ``RUD_LOCAL_WORLD_SIZE`` and ``RUD_NODE_RANK``
        replace or complete it. Nothing is imported: ``modules`` are those that the program has imported already.

        ``ConfigurationError`` names the variables seen when one of a pair is missing, when one is not a whole number,
        when they contradict each other, or when ``RANK`` and ``WORLD_SIZE`` contradict ``torch.distributed``.
        """
        return _Reader(environ, modules).read()[0]


def explained(
    environ: Mapping[str, str] = os.environ, modules: Mapping[str, Any] = sys.modules
) -> tuple[RankInfo, str]:
    """``RankInfo.from_environment``, and which launcher was taken for the one that started this process, and why."""
    return _Reader(environ, modules).read()


@dataclass(frozen=True, slots=True)
class _Launcher:
    """The names that one launcher gives to the five numbers; of several for the node the first that is set counts."""

    title: str
    rank: str
    world_size: str
    local_rank: str
    local_world_size: str
    nodes: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return (self.rank, self.world_size, self.local_rank, self.local_world_size, *self.nodes)


OURS = _Launcher(
    "your own word", "RUD_RANK", "RUD_WORLD_SIZE", "RUD_LOCAL_RANK", "RUD_LOCAL_WORLD_SIZE", ("RUD_NODE_RANK",)
)
TORCHRUN = _Launcher(
    "torchrun or alike", "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", ("NODE_RANK", "GROUP_RANK")
)
# OMPI_COMM_WORLD_NODE_RANK is left out on purpose: it counts the processes of a node, not the nodes.
OPEN_MPI = _Launcher(
    "Open MPI",
    "OMPI_COMM_WORLD_RANK",
    "OMPI_COMM_WORLD_SIZE",
    "OMPI_COMM_WORLD_LOCAL_RANK",
    "OMPI_COMM_WORLD_LOCAL_SIZE",
)
PMI = _Launcher("MPICH or Intel MPI", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS")
LSF = _Launcher(
    "LSF jsrun", "JSM_NAMESPACE_RANK", "JSM_NAMESPACE_SIZE", "JSM_NAMESPACE_LOCAL_RANK", "JSM_NAMESPACE_LOCAL_SIZE"
)
SLURM = _Launcher(
    "SLURM srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE", ("SLURM_NODEID",)
)
SLURM_TASKS = "SLURM_STEP_TASKS_PER_NODE"
LAUNCHERS = (OURS, TORCHRUN, OPEN_MPI, PMI, LSF, SLURM)

VARIABLES = frozenset(name for launcher in LAUNCHERS for name in launcher.names) | {SLURM_TASKS}
"""Every variable that is read for the ranks, except those that tell a SLURM step from a batch script."""


class _Reader:
    def __init__(self, environ: Mapping[str, str], modules: Mapping[str, Any]) -> None:
        self._environ = environ
        self._modules = modules
        self._why = ""

    def read(self) -> tuple[RankInfo, str]:
        try:
            found = self._launched(OURS) or self._torch() or self._from_variables() or self._from_modules()
            info = self._completed(found or RankInfo())
            return info, self._why or self._why_alone()
        except ConfigurationError as error:
            seen = ", ".join(f"{name}={self._environ[name]!r}" for name in sorted(VARIABLES) if name in self._environ)
            raise ConfigurationError(f"{error}; seen: {seen or 'no variable'}") from None

    def _why_alone(self) -> str:
        if SLURM.rank in self._environ:
            return (
                "a single process: SLURM's variables are there, but this is a batch script or a shell, no step of srun"
            )
        return "a single process: no launcher has left its variables"

    def _from_variables(self) -> RankInfo | None:
        for launcher in (TORCHRUN, OPEN_MPI, PMI, LSF):
            found = self._launched(launcher)
            if found:
                return found
        return self._launched(SLURM) if self._is_slurm_step() else None

    def _launched(self, launcher: _Launcher) -> RankInfo | None:
        rank, world_size = self._number(launcher.rank), self._number(launcher.world_size)
        if rank is None and world_size is None:
            return None
        if rank is None or world_size is None:
            there, missing = launcher.rank, launcher.world_size
            if rank is None:
                there, missing = missing, there
            raise ConfigurationError(f"{there} is set but {missing} is not; set both, or RUD_RANK and RUD_WORLD_SIZE")
        nodes = [number for name in launcher.nodes if (number := self._number(name)) is not None]
        self._why = f"{self._title(launcher)}: {', '.join(name for name in launcher.names if name in self._environ)}"
        return _info(
            rank,
            world_size,
            self._number(launcher.local_rank),
            self._tasks_of_node(nodes) if launcher is SLURM else self._number(launcher.local_world_size),
            nodes[0] if nodes else None,
        )

    def _title(self, launcher: _Launcher) -> str:
        if launcher is TORCHRUN and "TORCHELASTIC_RUN_ID" in self._environ:
            return "torchrun"
        if launcher is TORCHRUN and "NODE_RANK" in self._environ:
            return "Composer's launcher, or Ray Train"
        return launcher.title

    def _tasks_of_node(self, nodes: list[int]) -> int | None:
        """SLURM's ``2(x3),1`` is two tasks on each of three nodes, then one: the step's own figure, where
        ``SLURM_NTASKS_PER_NODE`` may still be the whole job's."""
        text = self._environ.get(SLURM_TASKS)
        if text is None or not nodes:
            return self._number(SLURM.local_world_size)
        node = nodes[0]
        for part in text.split(","):
            match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", part, re.ASCII)
            if match is None:
                raise ConfigurationError(f"{SLURM_TASKS} is {text!r}, which is not a list such as '2(x3),1'")
            node -= int(match[2] or 1)
            if node < 0:
                return int(match[1])
        return None

    def _torch(self) -> RankInfo | None:
        distributed = self._modules.get("torch.distributed")
        if distributed is None or not distributed.is_available() or not distributed.is_initialized():
            return None
        rank, world_size = int(distributed.get_rank()), int(distributed.get_world_size())
        for name, number in ((TORCHRUN.rank, rank), (TORCHRUN.world_size, world_size)):
            if self._number(name) not in (None, number):
                raise ConfigurationError(f"torch.distributed says {rank} of {world_size}, which contradicts {name}")
        launched = self._launched_alike(rank, world_size)
        more = f"; the local numbers by {self._why}" if launched else ""
        self._why = f"torch.distributed, which is initialised{more}"
        return launched or _info(rank, world_size, None, None, None)

    def _launched_alike(self, rank: int, world_size: int) -> RankInfo | None:
        """What the environment says, where it speaks of the same process: torch knows of no local ranks."""
        if (TORCHRUN.rank in self._environ) != (TORCHRUN.world_size in self._environ):
            return None
        launched = self._from_variables()
        return launched if launched and (launched.rank, launched.world_size) == (rank, world_size) else None

    def _from_modules(self) -> RankInfo | None:
        # Local ranks would cost mpi4py a collective call, in which a rank that builds no uploader would be missing.
        mpi = self._modules.get("mpi4py.MPI")
        if mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized():
            self._why = "mpi4py, which is initialised"
            return _info(int(mpi.COMM_WORLD.Get_rank()), int(mpi.COMM_WORLD.Get_size()), None, None, None)
        jax = self._modules.get("jax")
        # Asked before jax.distributed is initialised, process_index() would claim the accelerators.
        is_initialized = getattr(getattr(jax, "distributed", None), "is_initialized", None)
        if jax is not None and is_initialized is not None and is_initialized():
            self._why = "jax.distributed, which is initialised"
            return _info(int(jax.process_index()), int(jax.process_count()), None, None, None)
        return None

    def _completed(self, found: RankInfo) -> RankInfo:
        local_rank, local_world_size = self._number(OURS.local_rank), self._number(OURS.local_world_size)
        node_rank = self._number(OURS.nodes[0])
        said = found.node_rank if node_rank is None and not found.node_rank_derived else node_rank
        if local_rank is None and local_world_size is None and node_rank is None:
            return found
        own = (OURS.local_rank, OURS.local_world_size, *OURS.nodes)
        if not self._why.startswith(OURS.title):
            named = ", ".join(name for name in own if name in self._environ)
            self._why = f"{self._why or self._why_alone()}; {OURS.title}: {named}"
        return _info(
            found.rank,
            found.world_size,
            found.local_rank if local_rank is None else local_rank,
            found.local_world_size if local_world_size is None else local_world_size,
            said,
        )

    def _is_slurm_step(self) -> bool:
        # Batch scripts and interactive shells see SLURM_PROCID too; there it is not theirs.
        names = ("bash", "interactive")
        return "SLURM_STEP_NODELIST" in self._environ and self._environ.get("SLURM_JOB_NAME") not in names

    def _number(self, name: str) -> int | None:
        text = self._environ.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit()):
            _refuse_number(name, text)
        return int(text)


def _refuse_number(name: str, text: str) -> NoReturn:
    raise ConfigurationError(f"{name} is {text!r}, which is not a whole number of 0 or more")


def _info(
    rank: int, world_size: int, local_rank: int | None, local_world_size: int | None, node_rank: int | None
) -> RankInfo:
    if world_size == 1:
        local_rank, local_world_size = local_rank or 0, local_world_size or 1
    info = RankInfo(rank, local_rank, world_size, local_world_size, node_rank)
    if node_rank is None and local_world_size and local_rank == rank % local_world_size:
        return replace(info, node_rank=rank // local_world_size, node_rank_derived=True)
    return info
