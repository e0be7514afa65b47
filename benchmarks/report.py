"""One figure, the table of them, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

_HEADS = ("work", "to reach", "measured", "peer", "ratio", "ok")


@dataclass(frozen=True, slots=True)
class Row:
    """One figure. It is reached when ``measured`` is at most ``limit``, and at most ``ratio_limit`` times ``peer``.

    Without limits it is for information; with ``measured=None`` it cannot be taken here, and ``why`` says why not.
    """

    work: str
    measured: float | None
    unit: str
    limit: float | None = None
    peer: float | None = None
    peer_name: str = ""
    ratio_limit: float | None = None
    more: dict[str, Any] = field(default_factory=dict)
    why: str = ""

    @property
    def ratio(self) -> float | None:
        """Of what was measured to the peer."""
        return self.measured / self.peer if self.measured is not None and self.peer else None

    @property
    def ok(self) -> bool | None:
        """Whether it is reached; ``None`` when there is nothing to reach, or when it cannot be taken here."""
        pairs = ((self.measured, self.limit), (self.ratio, self.ratio_limit))
        judged = [value <= limit for value, limit in pairs if value is not None and limit is not None]
        return all(judged) if judged else None

    def cells(self) -> tuple[str, ...]:
        """The row as it is printed."""
        reach = [f"≤ {_number(self.limit)} {self.unit}"] if self.limit is not None else []
        reach += [f"≤ {self.ratio_limit:g} × peer"] if self.ratio_limit is not None else []
        return (
            self.work,
            " and ".join(reach) or "–",
            f"not here: {self.why}" if self.measured is None else f"{_number(self.measured)} {self.unit}",
            "–" if self.peer is None else f"{_number(self.peer)} {self.unit}  {self.peer_name}",
            "–" if self.ratio is None else f"{self.ratio:.2f}",
            {True: "yes", False: "NO", None: "–"}[self.ok],
        )

    def to_json(self) -> dict[str, Any]:
        """Everything, with the verdict."""
        return {**asdict(self), "ratio": self.ratio, "ok": self.ok}


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def table(rows: list[Row]) -> str:
    """All rows, in columns."""
    lines = [_HEADS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADS))]
    texts = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
    return "\n".join([texts[0], "-" * max(map(len, texts)), *texts[1:]])


def machine(folder: str) -> dict[str, Any]:
    """What the figures depend on."""
    return {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processors": os.cpu_count(),
        "load": [round(one, 2) for one in os.getloadavg()],
        "file system": _file_system(folder),
    }


def _file_system(folder: str) -> str:
    found = subprocess.run(["df", "-T", folder], capture_output=True, text=True, check=False).stdout.splitlines()
    return found[1].split()[1] if len(found) > 1 else "unknown"
