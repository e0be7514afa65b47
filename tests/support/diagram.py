"""The state diagram of ``DESIGN.md``, from the table: ``python -m tests.support.diagram`` prints it."""

from __future__ import annotations

from rud._transfer import TERMINAL, TRANSITIONS, UploadState


def diagram() -> str:
    """A Mermaid state diagram with one line for each way of the table."""
    lines = ["stateDiagram-v2", f"    [*] --> {UploadState.HELD.value}"]
    for state, ways in TRANSITIONS.items():
        lines += [f"    {state.value} --> {target.value}: {event.value}" for event, target in ways.items()]
    lines += [f"    {state.value} --> [*]" for state in UploadState if state in TERMINAL]
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())
