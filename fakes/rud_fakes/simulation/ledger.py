"""What was offered to be uploaded, and what was said to it: written by whoever offers, never by the library."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal

Answer = Literal["offered", "accepted", "refused", "unknown"]
"""``"unknown"``: its process died, or a sync failed, before there was an answer."""

NUMBER = 8
"""Characters: the content begins with its number."""


@dataclass(eq=False, slots=True)
class Offer:
    """One call of ``upload``. ``losable``: the power was cut and no sync was asked for."""

    number: int
    key: str
    content: bytes
    overwrite: bool
    after: tuple[Offer, ...]
    fsync: bool
    source: str
    answer: Answer = "offered"
    entry_id: str = ""
    cancelled: bool = False
    cancelled_at: float = 0.0
    unsure: bool = False
    """Its process died before it had said that it was cancelled, or before that could be recorded."""
    losable: bool = False


@dataclass(eq=False)
class Ledger:
    offers: list[Offer] = field(default_factory=list[Offer])
    repeats: dict[int, int] = field(default_factory=dict[int, int])
    """For each number how often it may have been sent again because of a death."""

    def offer(
        self, key: str, size: int, *, overwrite: bool, after: tuple[Offer, ...], fsync: bool, source: str
    ) -> Offer:
        number = len(self.offers) + 1
        head = f"{number:0{NUMBER}d} {key}\n".encode()
        content = head + random.Random(number).randbytes(max(0, size - len(head)))
        one = Offer(number, key, content, overwrite, after, fsync, source)
        self.offers.append(one)
        return one

    def of(self, content: bytes) -> Offer | None:
        """Whose content it begins as."""
        head = content[:NUMBER]
        number = int(head) if head.isdigit() else 0
        return self.offers[number - 1] if 0 < number <= len(self.offers) else None

    def excuse(self, one: Offer) -> None:
        self.repeats[one.number] = self.repeats.get(one.number, 0) + 1

    def power_cut(self) -> None:
        for one in self.offers:
            one.losable = one.losable or not one.fsync

    @property
    def accepted(self) -> int:
        return sum(one.answer == "accepted" for one in self.offers)
