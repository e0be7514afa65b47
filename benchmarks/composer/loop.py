"""A numpy loop that stands for training: about 5 ms a step, on one thread of the linear algebra."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

WINDOW = 6.0
PERIOD = 2.0
_SIDE, _LAYERS = 192, 12


class Loop:
    """Its arrays are made once, as a model's are."""

    def __init__(self) -> None:
        random = np.random.default_rng(4)
        self._weights = [random.standard_normal((_SIDE, _SIDE)) / _SIDE**0.5 for _ in range(_LAYERS)]
        self._value = random.standard_normal((_SIDE, _SIDE))

    def step(self) -> None:
        """One batch."""
        for weights in self._weights:
            self._value = np.tanh(self._value @ weights)


def compute(seconds: float) -> None:
    """Train for about as long."""
    loop, over = Loop(), time.perf_counter() + seconds
    while time.perf_counter() < over:
        loop.step()


def steps_alone() -> dict[str, Any]:
    """Steps a second, with nothing to upload."""
    return _run(None)


def steps_beside(upload: Callable[[int], None]) -> dict[str, Any]:
    """Steps a second, and the part of the time that ``upload`` held the loop, with a call every ``PERIOD``."""
    return _run(upload)


def _run(upload: Callable[[int], None] | None) -> dict[str, Any]:
    loop = Loop()
    for _ in range(50):
        loop.step()
    began = time.perf_counter()
    steps, held, uploads = 0, 0.0, 0
    while (now := time.perf_counter()) < began + WINDOW:
        if upload and now >= began + uploads * PERIOD:
            upload(uploads)
            uploads += 1
            held += time.perf_counter() - now
        loop.step()
        steps += 1
    taken = time.perf_counter() - began
    return {"steps a second": steps / taken, "held part": held / taken, "uploads": uploads}
