"""Keys from templates: parsed once, rendered for every file."""

from __future__ import annotations

import string
from dataclasses import dataclass, field
from typing import NoReturn

from rud._ranks import RankInfo
from rud.errors import ConfigurationError, InvalidKeyError

NUMBERS = ("rank", "local_rank", "world_size", "local_world_size", "node_rank")
VARIABLES = ("remote_file_name", "run_name", *NUMBERS)


@dataclass(frozen=True, slots=True)
class _Slot:
    """One variable of a template; ``width`` 0: as it is, else padded with zeros to so many digits."""

    name: str
    width: int = 0


@dataclass(frozen=True, slots=True)
class KeyTemplate:
    """How the key of a file is made: text in which ``{variable}`` stands for a value, ``{{`` and ``}}`` for braces.

    The variables are ``remote_file_name``, ``run_name``, ``rank``, ``local_rank``, ``world_size``, ``local_world_size``
    and ``node_rank``; the numbers may be padded with zeros (``{rank:04d}``). A template need not name
    ``remote_file_name``: then all files have one key, and the newest replaces the others.

    ``ConfigurationError`` when it is built: not text, unknown variable, a brace without its partner, any other format,
    or nothing but slashes.
    """

    template: str = "{remote_file_name}"
    _parts: tuple[str | _Slot, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_parts", _parse(self.template))

    @property
    def variables(self) -> frozenset[str]:
        """The variables that the template uses."""
        return frozenset(part.name for part in self._parts if isinstance(part, _Slot))

    def render(self, remote_file_name: str, run_name: str | None, rank: RankInfo) -> str:
        """The key: pure text, without the slashes that it would begin with.

        Values are data: braces in them stay as they are. ``ConfigurationError`` when the template uses a variable that
        has no value here; ``InvalidKeyError`` when nothing is left.
        """
        key = "".join(
            part if isinstance(part, str) else self._value(part, remote_file_name, run_name, rank)
            for part in self._parts
        ).lstrip("/")
        if not key:
            raise InvalidKeyError(
                f"the key of the remote file name {remote_file_name!r} is empty under the template {self.template!r}; "
                "give the file a name that is not empty and not only slashes"
            )
        return key

    def _value(self, slot: _Slot, remote_file_name: str, run_name: str | None, rank: RankInfo) -> str:
        if slot.name == "remote_file_name":
            return remote_file_name
        if slot.name == "run_name":
            if run_name is None:
                raise ConfigurationError(
                    f"the template {self.template!r} uses {{run_name}}, but this run has no name; "
                    "give a run name, or take {run_name} out of the template"
                )
            return run_name
        number: int | None = getattr(rank, slot.name)
        if number is None:
            raise ConfigurationError(
                f"the template {self.template!r} uses {{{slot.name}}}, which no launcher of this process tells; "
                f"set RUD_{slot.name.upper()} in the environment, or take it out of the template"
            )
        return str(number).zfill(slot.width)


def _parse(template: object) -> tuple[str | _Slot, ...]:
    if not isinstance(template, str):
        raise ConfigurationError(f"a template is text, not {type(template).__name__}: {template!r}")
    parts: list[str | _Slot] = []
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError:
        _refuse(template, "has a brace without its partner; write {{ or }} for a brace that is meant as it is")
    for text, name, spec, conversion in pieces:
        if text:
            parts.append(text)
        if name is not None:
            parts.append(_slot(template, name, spec or "", conversion))
    if not any(isinstance(part, _Slot) or part.strip("/") for part in parts):
        _refuse(template, "makes an empty key; the default is '{remote_file_name}'")
    return tuple(parts)


def _slot(template: str, name: str, spec: str, conversion: str | None) -> _Slot:
    if name not in VARIABLES:
        _refuse(template, f"uses the unknown variable {{{name}}}{_meant(name)}; known are {', '.join(VARIABLES)}")
    if conversion or (spec and (name not in NUMBERS or not _is_padding(spec))):
        shown = f"{{{name}{'!' + conversion if conversion else ''}{':' + spec if spec else ''}}}"
        _refuse(template, f"formats {shown}; only numbers can be formatted, padded with zeros: {{rank:04d}}")
    return _Slot(name, int(spec.removesuffix("d") or "0"))


def _is_padding(spec: str) -> bool:
    """``d``, or a width of at most two digits after a zero: no other format makes a number that is good in a key."""
    width = spec.removesuffix("d")
    return not width or (width[0] == "0" and len(width) <= 3 and width.isascii() and width.isdigit())


def _meant(name: str) -> str:
    import difflib

    near = difflib.get_close_matches(name.strip().lower(), VARIABLES, n=1)
    return f" (did you mean {{{near[0]}}}?)" if near else ""


def _refuse(template: str, fault: str) -> NoReturn:
    raise ConfigurationError(f"the template {template!r} {fault}")
