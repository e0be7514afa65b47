"""The ranks that an initialised ``torch.distributed`` knows. Nothing is imported: it is there already, or not."""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

from rud._clock import SystemClock
from rud._peers import Board, Peers
from rud.errors import ConfigurationError


def of_logger(rank: int, world_size: int, *, timeout: float, modules: Mapping[str, Any] = sys.modules) -> Peers | None:
    """The other ranks of this run, by an initialised ``torch.distributed``; ``None`` where there is none.

    Each call speaks under a name of its own, so that two loggers of a run do not meet: all ranks have to begin theirs
    in the same order. ``ConfigurationError`` when torch says something else about this rank.
    """
    number = next(_LOGGERS)
    distributed = _initialised(modules)
    if distributed is None:
        return None
    theirs = int(distributed.get_rank()), int(distributed.get_world_size())
    if theirs != (rank, world_size):
        raise ConfigurationError(
            f"this rank takes itself for {rank} of {world_size}, and torch.distributed for {theirs[0]} of {theirs[1]}: "
            "all ranks have to agree on how many they are; `rud env` prints the variables"
        )
    if world_size == 1:
        return None
    wait = threading.Event().wait
    board = _TorchBoard(distributed, f"rud/logger/{number}")
    return Peers(board, rank, world_size, clock=SystemClock(), wait=wait, timeout=timeout)


def board_of_saves(modules: Mapping[str, Any] = sys.modules) -> Board | None:
    """Where the ranks tell each other which files of a checkpoint are stored; ``None`` for one that is alone. A board
    of its own for each call, as ``of_logger``."""
    number = next(_SAVERS)
    distributed = _initialised(modules)
    if distributed is None or int(distributed.get_world_size()) == 1:
        return None
    return _TorchBoard(distributed, f"rud/saves/{number}")


def of_group(
    group: Any, *, timeout: float, wait: Callable[[float], object], modules: Mapping[str, Any] = sys.modules
) -> Peers | None:
    """The ranks of ``group``, a process group of ``torch.distributed``; ``None`` for ``None``.

    All of them have to build their uploaders of one group in the same order. ``ConfigurationError`` when
    ``torch.distributed`` is not initialised, or ``group`` is none of its groups.
    """
    if group is None:
        return None
    distributed = _initialised(modules)
    if distributed is None:
        raise ConfigurationError(
            "process_group was given, but torch.distributed is not initialised: initialise it first"
        )
    try:
        rank, world_size = int(distributed.get_rank(group)), int(distributed.get_world_size(group))
        name = group.group_name
    except (AttributeError, TypeError, ValueError, RuntimeError) as error:
        raise ConfigurationError(
            f"process_group is {group!r}, which is no group of torch.distributed: {error}"
        ) from None
    if rank < 0:
        raise ConfigurationError("process_group is a group that this rank is no member of")
    board = _TorchBoard(distributed, f"rud/{name}/{next(_UPLOADERS.setdefault(name, itertools.count()))}")
    return Peers(board, rank, world_size, clock=SystemClock(), wait=wait, timeout=timeout)


def _initialised(modules: Mapping[str, Any]) -> Any:
    distributed = modules.get("torch.distributed")
    if distributed is None or not distributed.is_available() or not distributed.is_initialized():
        return None
    return distributed


_LOGGERS = itertools.count()
_SAVERS = itertools.count()
_UPLOADERS: dict[str, itertools.count[int]] = {}


class _TorchBoard:
    """The store by which the ranks found each other; ``PrefixStore`` keeps our words apart from others'."""

    def __init__(self, distributed: Any, name: str) -> None:
        store = distributed.distributed_c10d._get_default_store()  # noqa: SLF001 - torch has no other way to it
        self._store = distributed.PrefixStore(name, store)

    def set(self, key: str, value: str) -> None:
        # An empty value is one that some of torch's stores do not tell from none.
        self._store.set(key, f"={value}")

    def has(self, keys: list[str]) -> bool:
        return bool(self._store.check(keys))

    def get(self, key: str) -> str:
        return str(self._store.get(key).decode())[1:]
