"""What a simulated world has come to, by the ledger, the store's history and the files that are left alone."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from rud._spool.files import names_in
from rud.store import PutMode
from rud_fakes.simulation.ledger import Ledger, Offer
from rud_fakes.simulation.store import Bucket, Put
from rud_fakes.simulation.world import Process

INLINE = 1024
"""Bytes: what is larger is a file of its own in the spool."""


@dataclass(slots=True)
class Left:
    """What lies in the staging folder when all is over."""

    kept: set[int] = field(default_factory=set[int])
    """Numbers of failed uploads that are kept with their payload and reason."""
    problems: list[str] = field(default_factory=list[str])


def judge(ledger: Ledger, bucket: Bucket, root: str, *, ordered: bool, full: bool) -> list[str]:
    """What must not be, a line each. ``root``: of the owner folders. ``ordered``: no two owners had the same rank.
    ``full``: the disk has refused something, perhaps the note that an upload has failed."""
    left = look(ledger, root)
    applied = {one.number for put in bucket.history if (one := ledger.of(put.content)) is not None}
    bad = {one.number for one in ledger.offers if one.cancelled or one.unsure or one.number in left.kept}
    problems = [*bucket.problems, *left.problems, *_bytes(ledger, bucket.history)]
    if ordered:
        problems += _order(ledger, bucket.history)
        problems += _dependencies(ledger, bucket.history, bad if full else set())
    problems += _lost(ledger, applied, left.kept)
    problems += _unwanted(ledger, bucket)
    problems += _duplicates(ledger, bucket)
    unfiled = {one.number for one in ledger.offers if full and one.number not in applied}
    problems += _parts(ledger, bucket, bad | unfiled)
    return problems


def _bytes(ledger: Ledger, history: list[Put]) -> Iterator[str]:
    for put in history:
        one = ledger.of(put.content)
        if one is not None and one.key == put.key and one.content == put.content:
            if one.overwrite and put.mode is PutMode.CREATE:
                yield f"{one.number} was sent as a create"
        elif not any(_may_be_torn(other, put) for other in ledger.offers):
            yield f"{put.key!r} was given bytes that nobody offered: {put.content[:30]!r}"


def _may_be_torn(one: Offer, put: Put) -> bool:
    """A large file of which only size and time were known when the power was cut."""
    return one.losable and one.key == put.key and len(one.content) == len(put.content) > INLINE


def _order(ledger: Ledger, history: list[Put]) -> Iterator[str]:
    """The newest stays (I5): over one run, and what it has taken over. Of a put that arrives after the end of its run
    another one knows nothing."""
    newest: dict[str, tuple[int, Process | None]] = {}
    for put in history:
        one = ledger.of(put.content)
        if one is None:
            continue
        there, run = newest.get(one.key, (0, None))
        if one.number < there and not (put.posthumous and run is not put.run):
            yield f"older after newer: {put.key!r} had {there}, then {one.number} at {put.at:.3f}"
        if one.number > there:
            newest[one.key] = one.number, put.run


def _dependencies(ledger: Ledger, history: list[Put], excused: set[int]) -> Iterator[str]:
    shown: dict[str, int] = defaultdict(int)
    for put in history:
        one = ledger.of(put.content)
        if one is None:
            continue
        for needed in one.after:
            if shown[needed.key] < needed.number and not needed.losable and not _heir_in(ledger, needed, excused):
                yield f"{one.number} was stored before {needed.number}, which it comes after"
        shown[one.key] = max(shown[one.key], one.number)


def _lost(ledger: Ledger, applied: set[int], kept: set[int]) -> Iterator[str]:
    """An accepted upload is stored or kept; or a later one of its key is stored, or overwrites and is kept or
    cancelled."""
    ends: dict[str, int] = defaultdict(int)
    for one in ledger.offers:
        withdrawn = one.number in kept or one.cancelled or one.unsure
        if one.number in applied or (one.overwrite and withdrawn):
            ends[one.key] = one.number
    for one in ledger.offers:
        ended = one.number in applied or one.number in kept or one.cancelled or one.unsure
        if ended or one.losable or (one.overwrite and ends[one.key] > one.number):
            continue
        if one.answer == "accepted":
            yield f"LOST: {one.number} {one.key!r}, which was accepted as {one.entry_id}"
        elif one.answer == "unknown" and not os.path.exists(one.source):
            yield f"LOST: {one.number} {one.key!r}: its source was moved, and nothing has it"


def _unwanted(ledger: Ledger, bucket: Bucket) -> Iterator[str]:
    """What was refused is never sent; nor what was cancelled, but by an attempt of which nobody knew the end."""
    for put in bucket.history:
        one = ledger.of(put.content)
        if one is not None and one.answer == "refused":
            yield f"{one.number} was refused, and stored"
        if one is None or not one.cancelled or one.losable or one.unsure or put.at <= one.cancelled_at:
            continue
        if put.content not in bucket.unknown:
            yield f"{one.number} was cancelled at {one.cancelled_at:.3f}, and stored at {put.at:.3f}"


def _duplicates(ledger: Ledger, bucket: Bucket) -> Iterator[str]:
    unknown = Counter(one.number for content in bucket.unknown if (one := ledger.of(content)) is not None)
    if bucket.capabilities.entry_ids is not True:
        return
    for number, times in Counter(one.number for put in bucket.history if (one := ledger.of(put.content))).items():
        excused = unknown[number] + ledger.repeats.get(number, 0)
        if times > 1 + excused and not ledger.offers[number - 1].losable:
            yield f"{number} was stored {times} times, {excused} of them may be repeats"


def _parts(ledger: Ledger, bucket: Bucket, bad: set[int]) -> Iterator[str]:
    """A multipart upload is left only with an upload that failed, and may be tried again, or was withdrawn (``bad``);
    or by a create that found its own object there, and could not end it."""
    for upload_id, put in bucket.parts.items():
        one = ledger.of(put.content)
        if one is None or not (one.losable or put.mode is PutMode.CREATE or _heir_in(ledger, one, bad)):
            yield f"the multipart upload {upload_id} of {put.content[:8]!r} {put.key!r} is left in the store"


def _heir_in(ledger: Ledger, one: Offer, numbers: set[int]) -> bool:
    """It, or one that may stand for it, is among ``numbers``."""
    return any(other.number in numbers for other in ledger.offers[one.number - 1 :] if other.key == one.key)


def look(ledger: Ledger, root: str) -> Left:
    """The staging folder: failed uploads have to be whole; anything else may be left only where a log is damaged."""
    left = Left()
    for name in sorted(os.listdir(root)):
        folder = os.path.join(root, name)
        for failure in names_in(os.path.join(folder, "failed")) if not name.startswith(".") else ():
            _look_at_failed(ledger, os.path.join(folder, "failed", failure), left)
    return left


def _look_at_failed(ledger: Ledger, folder: str, left: Left) -> None:
    name = os.path.basename(folder)
    try:
        with open(os.path.join(folder, "payload"), "rb") as file:
            content = file.read()
    except FileNotFoundError:
        content = b""
    one = ledger.of(content) or _by_id(ledger, folder)
    if one is None or name.startswith("unreadable"):
        return
    if one.content == content and os.path.exists(os.path.join(folder, "reason.json")):
        left.kept.add(one.number)
    elif not one.losable and one.answer == "accepted":
        left.problems.append(f"{one.number} ({one.answer}) was set aside, and its payload is not what was accepted")


def _by_id(ledger: Ledger, folder: str) -> Offer | None:
    try:
        with open(os.path.join(folder, "entry.json"), encoding="utf-8") as file:
            key, number = (entry := json.load(file))["key"], f"{entry['id']:016x}"
    except (OSError, ValueError):
        return None
    return next((one for one in ledger.offers if one.entry_id == number), None) or next(
        (one for one in ledger.offers if one.key == key and one.answer == "unknown"), None
    )
