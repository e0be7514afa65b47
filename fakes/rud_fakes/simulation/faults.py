"""What may go wrong in a simulated world, how often, and each kind by a chance of its own.

Which kinds there are and how often each strikes is drawn from the seed. To leave one out changes nothing of what the
others draw, so that a failing seed can be reduced to the kinds that it needs.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field

KINDS: dict[str, tuple[float, ...]] = {
    "kill": (1.0,),
    "power": (1.0,),
    "orphan": (0.5, 1.0),
    "worker": (0.01, 0.05),
    "stall": (0.005, 0.02),
    "spawn": (0.1, 0.4),
    "refuse": (0.02, 0.2, 0.5),
    "throttle": (0.02, 0.1),
    "reply": (0.02, 0.1, 0.3),
    "vanish": (0.02, 0.1),
    "late": (0.5, 1.0),
    "deny": (0.01,),
    "expire": (0.01,),
    "outage": (0.02, 0.1),
    "space": (0.05, 0.3),
    "disk": (0.001, 0.01),
    "sync": (0.01, 0.1),
    "clock": (0.5,),
    "second": (0.5,),
}
"""Each kind of fault and the rates it may have: of a request, a call, a step or a run."""

MEANING = {
    "kill": "SIGKILL of a process at any call or request",
    "power": "the machine loses power at any call or request",
    "orphan": "a worker outlives its parent by up to orphan_grace seconds",
    "worker": "SIGKILL of a worker during a request",
    "stall": "a request is never answered",
    "spawn": "a worker cannot be started",
    "refuse": "503, nothing was done",
    "throttle": "429 with Retry-After",
    "reply": "the request is carried out and its reply is lost",
    "vanish": "the request is lost on its way",
    "late": "what a dead sender has sent arrives up to 9.9 s later",
    "deny": "403 for good",
    "expire": "the credentials expire",
    "outage": "nothing answers for a while",
    "space": "the disk is full for a while",
    "disk": "a call fails: EIO, EDQUOT, EACCES; a write after some of its bytes",
    "sync": "fsync fails and what was to be synced is lost",
    "clock": "the clock of the machine has jumped when it starts again",
    "second": "another process uses the same staging folder",
}


@dataclass(eq=False)
class Faults:
    """``healed``: nothing goes wrong any more."""

    seed: int
    without: Collection[str] = ()
    rates: dict[str, float] = field(default_factory=dict[str, float], init=False)
    fired: Counter[str] = field(default_factory=Counter[str], init=False)
    healed: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        draw = random.Random(f"{self.seed}/rates")
        for kind, rates in KINDS.items():
            rate = draw.choice(rates)
            if draw.random() < 0.5 and kind not in self.without:
                self.rates[kind] = rate
        self._chances = {kind: random.Random(f"{self.seed}/{kind}") for kind in KINDS}

    def chance(self, kind: str) -> random.Random:
        """For everything else that a fault of this kind has to draw."""
        return self._chances[kind]

    def strikes(self, kind: str) -> bool:
        """Whether one strikes now."""
        rate = self.rates.get(kind)
        if rate is None or self.healed or self._chances[kind].random() >= rate:
            return False
        self.fired[kind] += 1
        return True
