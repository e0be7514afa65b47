"""How a value stands in a table."""

from __future__ import annotations

from collections.abc import Iterable

from benchmarks.composer.figures import Value

Row = tuple[str, ...]


def number(value: float) -> str:
    """Three digits that count."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 1 or not value else f"{value:.2g}"


def cell(value: Value | None, unit: str = "") -> str:
    """The median, and in brackets the lowest and the highest."""
    if value is None:
        return "–"
    spread = "" if value.lowest == value.highest else f" ({number(value.lowest)}–{number(value.highest)})"
    return f"{number(value.median)}{f' {unit}' if unit else ''}{spread}"


def ratio(value: float | None) -> str:
    """``1/12``, or ``1.2`` when it is not below one."""
    if value is None:
        return "–"
    return f"1/{number(1 / value)}" if value < 1 else number(value)


def table(heads: Row, rows: Iterable[Row]) -> str:
    """As Markdown has it."""
    return "\n".join("| " + " | ".join(line) + " |" for line in (heads, ("---",) * len(heads), *rows))
