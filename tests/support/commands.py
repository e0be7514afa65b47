"""Running the command ``rud`` inside the test's own process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from rud.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def last(self) -> str:
        """The last line of its output."""
        return self.out.splitlines()[-1] if self.out else ""

    @property
    def json(self) -> dict[str, Any]:
        """Its one object, with ``--json``."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        assert value["exit"] == self.code
        return value


Rud = Callable[..., Done]


def runner(capfd: pytest.CaptureFixture[str]) -> Rud:
    """``rud("ls", uri)``: runs it, and tells how it ended."""

    def rud(*arguments: object) -> Done:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capfd.readouterr()
        return Done(code, out, err)

    return rud
