"""The chart of the figures to reach."""

from __future__ import annotations

from pathlib import Path

from benchmarks.composer.figures import Reached

_THEIRS, _OURS = "#9a9a9a", "#1f6fb2"
_TO_MS = {"ms": 1.0, "s": 1e3}


def draw(reached: list[Reached], path: Path) -> None:
    """Two dots a line, on a logarithmic axis of time; the same file for the same figures."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "rud", "svg.fonttype": "none", "font.size": 10})
    from matplotlib import pyplot as plt

    timed = [
        (one.goal, one.ours.median * _TO_MS[one.goal.unit], one.theirs.median * _TO_MS[one.goal.unit])
        for one in reversed(reached)
        if one.goal.unit in _TO_MS and one.ours and one.theirs
    ]
    figure, axes = plt.subplots(figsize=(9.5, 0.42 * len(timed) + 1.2))
    for height, (_, ours, theirs) in enumerate(timed):
        axes.plot([ours, theirs], [height, height], color="#d8d8d8", linewidth=2, zorder=1)
        axes.scatter(theirs, height, color=_THEIRS, s=45, zorder=2)
        axes.scatter(ours, height, color=_OURS, s=45, zorder=3)
        words = f"÷ {theirs / ours:,.0f}" if theirs > 10 * ours else f"÷ {theirs / ours:.1f}"
        axes.annotate(words, (max(ours, theirs), height), xytext=(9, 0), textcoords="offset points", va="center")
    names = [f"{goal.work.replace('`', '')}\n{goal.kind}" for goal, _, _ in timed]
    axes.set_yticks(range(len(timed)), names, fontsize=8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value / 1e3:g} s" if value >= 1e3 else f"{value:g} ms")
    axes.set_xlabel("less is better")
    axes.margins(x=0.12)
    axes.grid(visible=True, axis="x", color="#eeeeee", zorder=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.scatter([], [], color=_THEIRS, label="Composer (or boto3 tuned, where named)")
    axes.scatter([], [], color=_OURS, label="rud")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=2, frameon=False)
    figure.savefig(path, format="svg", bbox_inches="tight", metadata={"Date": None})
    plt.close(figure)
