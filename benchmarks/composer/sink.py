"""The sink server as a child: an S3 that drops what it is sent, and tells when it arrived."""

from __future__ import annotations

import json
import subprocess
import urllib.parse
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_SOURCE = Path(__file__).parent / "sink"
BUCKET = "bench"


@dataclass(frozen=True, slots=True)
class Arrival:
    """An object became visible: ``when`` in nanoseconds since the epoch, by the clock that ``time.time_ns`` reads."""

    key: str
    size: int
    when: int


@dataclass(frozen=True, slots=True)
class Observer:
    """Asks a sink what has arrived, from whichever process."""

    endpoint: str

    def arrivals(self, prefix: str = "", *, count: int = 0, seconds: float = 0.0) -> list[Arrival]:
        """Objects whose key begins with ``prefix``, in order; waits until there are ``count``, ``seconds`` at most."""
        asked = urllib.parse.urlencode({"prefix": f"{BUCKET}/{prefix}", "count": count, "seconds": seconds})
        found = self._ask(f"arrivals?{asked}", seconds + 10)
        return [Arrival(one["key"].removeprefix(f"{BUCKET}/"), one["size"], one["when"]) for one in found]

    def expect(self, prefix: str, count: int, seconds: float = 120.0) -> list[Arrival]:
        """As ``arrivals``; ``TimeoutError`` when there are fewer."""
        found = self.arrivals(prefix, count=count, seconds=seconds)
        if len(found) < count:
            raise TimeoutError(f"{len(found)} of {count} objects {prefix}* have arrived after {seconds:.0f} s")
        return found

    def requests(self) -> dict[str, int]:
        """How many requests of each kind there were."""
        found: dict[str, int] = self._ask("requests", 10)
        return found

    def clear(self) -> None:
        """Forget everything."""
        self._ask("clear", 10)

    def _ask(self, what: str, seconds: float) -> Any:
        with urllib.request.urlopen(f"{self.endpoint}/-/{what}", timeout=seconds) as reply:
            text = reply.read()
        return json.loads(text) if text else None


class Sink:
    """Builds it with ``go`` into ``folder``, and runs it until the ``with`` block ends."""

    def __init__(self, folder: Path) -> None:
        binary = folder / "sink"
        subprocess.run(["go", "build", "-o", str(binary), "."], cwd=_SOURCE, check=True)
        self._process = subprocess.Popen([str(binary)], stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.observer = Observer(f"http://{self._process.stdout.readline().strip()}")

    @property
    def pid(self) -> int:
        """Of the server."""
        return self._process.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
