"""``Logger`` and ``State``: what the documentation's examples need of a trainer, for use without one."""

from __future__ import annotations

import contextlib
import string
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, Protocol

from rud._names import NUMBERS
from rud._ranks import RankInfo


@dataclass(frozen=True, slots=True)
class State:
    """The state of a run, as far as a logger of files reads it."""

    run_name: str
    device: None = None


class Destination(Protocol):
    """What a logger hands files to: ``RemoteUploaderDownloader``, or any logger of Composer's."""

    def upload_file(self, state: Any, remote_file_name: str, file_path: Path, *, overwrite: bool) -> object: ...
    def can_upload_files(self) -> bool: ...


class Logger:
    """Hands files to ``destinations`` (one or several), with ``state``."""

    def __init__(self, state: Any, destinations: Destination | Sequence[Destination] = ()) -> None:
        self._state = state
        self.destinations = tuple(destinations) if isinstance(destinations, Sequence) else (destinations,)

    def upload_file(self, remote_file_name: str, file_path: str | PathLike[str], *, overwrite: bool = False) -> None:
        """Upload ``file_path`` as ``remote_file_name`` by every destination; raises what the first one raises that
        fails.

        In ``remote_file_name`` the variables ``{run_name}``, ``{rank}``, ``{local_rank}``, ``{world_size}``,
        ``{local_world_size}`` and ``{node_rank}`` are replaced, ``{{`` and ``}}`` stand for braces, and what is unknown
        stays as it is. ``file_path`` is taken literally.
        """
        name = _formatted(remote_file_name, self._state.run_name)
        for destination in self.destinations:
            destination.upload_file(
                state=self._state, remote_file_name=name, file_path=Path(file_path), overwrite=overwrite
            )

    def has_file_upload_destination(self) -> bool:
        """Whether any destination takes files."""
        return any(destination.can_upload_files() for destination in self.destinations)


def _formatted(name: str, run_name: str) -> str:
    if "{" not in name and "}" not in name:
        return name
    rank = RankInfo.from_environment()
    numbers = {number: getattr(rank, number) for number in NUMBERS}
    known = {key: value for key, value in {"run_name": run_name, **numbers}.items() if value is not None}
    try:
        pieces = list(string.Formatter().parse(name))
    except ValueError:
        # A brace without its partner: nothing in the name can be meant as a variable for sure.
        return name
    return "".join(
        text + ("" if field is None else _value(known, field, spec or "", how)) for text, field, spec, how in pieces
    )


def _value(known: dict[str, Any], field: str, spec: str, conversion: str | None) -> str:
    if field in known and conversion is None:
        with contextlib.suppress(ValueError):  # a format that the value does not have
            return format(known[field], spec)
    return f"{{{field}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
