"""The code blocks of a Markdown page, and the notes in HTML comments that say how to run them.

``<!-- not run by the tests: REASON -->`` before a block takes it out; ``<!-- first: COMMAND -->`` is a line of shell
that makes what the block takes for granted. As a command, ``blocks.py PAGE``, it prints the shell blocks that
``.ci/run`` runs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

SHELLS = ("console", "bash", "sh")
RUN_BY_CI = ".ci/run runs it"
_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<language>[^`]*)$")
_NOTE = re.compile(r"^ *<!-- (?P<kind>not run by the tests|first):?(?P<text>.*?)-->$")


@dataclass(frozen=True)
class Block:
    """One block: where it stands, what it says, and what its notes say; ``reason`` ``None``: it is to be run."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None = None
    first: str = ""

    @property
    def script(self) -> str:
        """The shell's part of a block: of a ``console`` block the lines after ``$ ``, else all of it."""
        if self.language != "console":
            return self.text
        lines: list[str] = []
        continued = False
        for line in self.text.splitlines():
            if line.startswith("$ ") or continued:
                lines.append(line if continued else line[2:])
                continued = line.endswith("\\")
        return "\n".join(lines) + "\n"


def blocks(text: str, page: str = "page") -> Iterator[Block]:
    """Every fenced block of ``text``, in order; ``ValueError`` for one that does not end."""
    lines = iter(enumerate(text.splitlines(), start=1))
    notes: dict[str, str] = {}
    for number, line in lines:
        note = _NOTE.match(line)
        fence = _FENCE.match(line)
        if note:
            notes[note["kind"]] = note["text"].strip()
        elif fence:
            body = _body(lines, fence, f"{page}:{number}")
            yield Block(
                page, number, fence["language"].strip(), body, notes.get("not run by the tests"), notes.get("first", "")
            )
            notes = {}
        elif line.strip():
            notes = {}


def _body(lines: Iterator[tuple[int, str]], fence: re.Match[str], where: str) -> str:
    body: list[str] = []
    for _, line in lines:
        if line.strip() == fence["fence"]:
            return "".join(f"{line}\n" for line in body)
        body.append(line.removeprefix(fence["indent"]))
    raise ValueError(f"{where}: the block does not end")


if __name__ == "__main__":
    for block in blocks(Path(sys.argv[1]).read_text(encoding="utf-8"), sys.argv[1]):
        if block.reason == RUN_BY_CI:
            print(block.script, end="")
