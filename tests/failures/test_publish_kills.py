"""Ranks die while they publish: a pointer names nothing but whole saves. ``tests.support.publish_kills`` does many."""

from __future__ import annotations

from pathlib import Path

import google_crc32c
import pytest

from rud._manifest import Shard, to_bytes
from tests.support.publish_kills import RANKS, SHARDS, judge, real, simulated


@pytest.mark.parametrize("first", range(0, 40, 10))
def test_simulated_ranks_die(first: int, tmp_path: Path) -> None:
    """At any request that a rank makes of the others' board."""
    published = []
    for seed in range(first, first + 10):
        verdict = simulated(seed, tmp_path)
        assert verdict.faults == []
        published.append(verdict.published)
    assert max(published) >= 0


@pytest.mark.parametrize("seed", [1, 2])
def test_real_ranks_are_killed(seed: int, tmp_path: Path) -> None:
    """By SIGKILL, in the midst of one save or another; the other ranks say who is lost."""
    assert real(seed, tmp_path).faults == []


def shards(save: int) -> dict[str, bytes]:
    return {f"{save}/{rank}-{number}": b"%d" % rank for rank in range(RANKS) for number in range(SHARDS)}


def pointer(objects: dict[str, bytes]) -> bytes:
    return to_bytes(
        Shard(key, len(data), f"{google_crc32c.value(data):08x}", int(key[2]), "1") for key, data in objects.items()
    )


def test_the_judge_can_say_no() -> None:
    """A pointer to a part of a save, to two saves, to what is not there or to other bytes is found out."""
    whole = shards(0)
    assert judge(pointer(whole), whole.get).faults == []
    assert judge(pointer(whole), whole.get).published == 0
    assert judge(pointer(dict(list(whole.items())[1:])), whole.get).faults
    mixed = {**dict(list(whole.items())[1:]), "1/0-0": b"0"}
    assert judge(pointer(mixed), mixed.get).faults
    assert judge(pointer(whole), dict(list(whole.items())[1:]).get).faults
    assert judge(pointer(whole), {**whole, "0/1-1": b"other"}.get).faults
