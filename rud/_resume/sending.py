"""Take over the owner folders of one destination, send what is in them, let go of them.

Together, because what one run has left may have to wait for what another one has: that one took it over, accepted a
newer upload of a key, and died, too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rud._clock import Clock
from rud._object_store import ObjectStore
from rud._options import Options
from rud._pool import PoolOptions, WorkerPool
from rud._registry import StoreSpec, resolve
from rud._report import Report
from rud._resume.folders import facts_of, failed_in, give_back, waiting_in
from rud._runtime import ThreadedRuntime
from rud._slots import Limits
from rud._spool import Adoption, Outcome, Spool
from rud._spool.failed import kept
from rud._spool.owner import is_alive, owned_here
from rud.errors import ConfigurationError, OutageError, PoolError, SpoolError, UploadTimeoutError

Stop = Literal["", "in use", "not taken", "configuration", "trouble", "time limit", "interrupted"]
"""What kept a folder from being dealt with; ``""``: nothing did."""

Progress = Callable[[list[str], Report], object]
"""Told the folders that are sent together, and their counts."""


@dataclass(frozen=True, slots=True)
class FolderOutcome:
    """What has become of one owner folder. ``report``: ``failed`` and ``spooled`` are what lies there now."""

    folder: str
    report: Report = field(default_factory=Report)
    stop: Stop = ""
    why: str = ""
    """In words, when it was stopped."""
    damage: tuple[str, ...] = ()
    """One line for each place of the log or payload that is not as it was accepted."""


@dataclass(frozen=True, slots=True)
class How:
    options: Options
    failed: bool
    other_host: bool
    force: bool
    backend_kwargs: Mapping[str, Any] | None
    workers: int
    clock: Clock
    end: float | None
    """On the clock: when the time limit is reached."""
    on_progress: Progress | None
    interval: float

    def left(self, most: float) -> float:
        """Seconds until the time limit, at most ``most``."""
        return most if self.end is None else max(0.0, min(most, self.end - self.clock.monotonic()))


def resume_together(folders: list[str], facts: Mapping[str, Any], how: How) -> dict[str, FolderOutcome]:
    """What has become of each of ``folders``, which are of one destination and one rank. ``facts``: of any of them."""
    outcomes: dict[str, FolderOutcome] = {}
    for folder in folders:
        if owned_here(folder) or is_alive(folder):
            own = facts_of(folder)
            why = f"process {own.get('pid')} of {own.get('host')} is running and sends it itself"
            outcomes[folder] = FolderOutcome(folder, stop="in use", why=why)
    ours = [folder for folder in folders if folder not in outcomes]
    if ours:
        outcomes |= _take_and_send(ours, facts, how)
    return outcomes


def _take_and_send(folders: list[str], facts: Mapping[str, Any], how: How) -> dict[str, FolderOutcome]:
    stop: Stop
    try:
        return _send(folders, facts, spec_for(facts.get("destination", {}), how.backend_kwargs), how)
    except ConfigurationError as error:
        stop, why = "configuration", str(error)
    except KeyboardInterrupt:
        stop, why = "interrupted", "interrupted"
    except OSError as error:
        stop, why = "not taken", str(error)
    finally:
        for folder in folders:
            give_back(folder)
    return {folder: not_done(folder, stop, why) for folder in folders}


def spec_for(destination: Mapping[str, Any], backend_kwargs: Mapping[str, Any] | None) -> StoreSpec:
    """The store that an owner folder is for; ``ConfigurationError`` when the arguments lead to another, or nowhere."""
    try:
        scheme, bucket, prefix = (destination[name] for name in ("scheme", "bucket", "prefix"))
    except KeyError:
        raise ConfigurationError("its owner.json is damaged, or does not say where it was to go") from None
    public = {name: value for name, value in destination.items() if name not in ("scheme", "bucket", "prefix")}
    arguments = {**public, **({"prefix": prefix} if prefix else {}), **(backend_kwargs or {})}
    # A folder may have characters that a URI may not.
    as_path = scheme == "file" and str(Path(bucket)) == bucket
    spec = resolve(Path(bucket) if as_path else f"{scheme}://{bucket}", arguments)
    if spec.destination != destination:
        found = _words(spec.destination)
        raise ConfigurationError(f"it is for {_words(destination)}, but the arguments lead to {found}")
    return spec


def _words(destination: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {value!r}" for name, value in destination.items() if value not in ("", None))


def _send(folders: list[str], facts: Mapping[str, Any], spec: StoreSpec, how: How) -> dict[str, FolderOutcome]:
    with ObjectStore(spec.open()) as store:
        if (reason := store.backend.capabilities.processes) is not True:
            raise ConfigurationError(
                f"{spec.uri} cannot be reached from another process: {reason}; `rud discard {folders[0]}` gives it up"
            )
        runtime = ThreadedRuntime(use_procs=True)
        spool = Spool.for_resume(folders[0], clock=runtime.clock, fsync=how.options.fsync, run_job=runtime.run_job)
        try:
            found = {folder: _take(spool, folder, how) for folder in folders}
            pool = WorkerPool(spec, spool, runtime, _pool_options(how, facts, store), store.get_uri)
        except BaseException:
            spool.close()
            raise
        together = Adoption()
        for one in found.values():
            together.add(one)
        together.entries.sort(key=lambda entry: entry.accepted_ns)
        if together.entries:
            report, stop, why = _work(pool, folders, together, how)
        else:
            spool.close()
            runtime.close()
            report, stop, why = Report(), "", ""
    return {folder: _outcome(folder, one, report, stop, why) for folder, one in found.items()}


def _take(spool: Spool, folder: str, how: How) -> Adoption:
    try:
        found = spool.adopt_folder(folder, other_host=how.other_host, wait=how.left(10.0))
    except OSError as error:
        return Adoption(skipped=[str(error)])
    if how.failed and not found.skipped:
        _retake(spool, folder, found)
    return found


def _work(pool: WorkerPool, folders: list[str], found: Adoption, how: How) -> tuple[Report, Stop, str]:
    stop: Stop = "interrupted"
    why = "interrupted"
    try:
        pool.adopt(found)
        pool.start()
        stop, why = _wait(pool, folders, how)
    except KeyboardInterrupt:
        pass
    finally:
        report = pool.close(0.0)
    return report, stop, why


def _wait(pool: WorkerPool, folders: list[str], how: How) -> tuple[Stop, str]:
    while True:
        try:
            pool.drain_adopted(how.left(how.interval))
            return "", ""
        except UploadTimeoutError:
            if how.left(1.0) == 0.0:
                return "time limit", "the time limit was reached"
        except OutageError as error:
            return "trouble", str(error.__cause__ or error)
        except PoolError as error:
            return "trouble", str(error)
        if how.on_progress is not None:
            how.on_progress(folders, pool.counts())


def _pool_options(how: How, facts: Mapping[str, Any], store: ObjectStore) -> PoolOptions:
    options = how.options
    return PoolOptions(
        workers=how.workers,
        limits=Limits(stall=options.stall_timeout),
        outage_timeout=options.outage_timeout,
        orphan_grace=options.orphan_grace,
        durable=options.fsync,
        rank=int(facts.get("rank", 0)),
        patient=True,
        force=how.force,
        ends_with_worker=store.backend.capabilities.ends_with_worker is True,
    )


def _retake(spool: Spool, folder: str, found: Adoption) -> None:
    for name in kept(folder):
        try:
            entry = spool.retake(os.path.join(folder, "failed", name))
        except SpoolError as error:
            found.damage.append(str(error))
        else:
            found.entries.append(entry)
            found.successors[int(name, 16)] = entry.id  # what comes after it waits for it again


def _outcome(folder: str, found: Adoption, report: Report, stop: Stop, why: str) -> FolderOutcome:
    if found.skipped:
        return not_done(folder, "not taken", _reason(found.skipped[0], folder))
    ended = Counter(entry.outcome for entry in found.entries)
    here = {entry.id for entry in found.entries}
    mine = Report(
        stored=ended[Outcome.STORED],
        superseded=ended[Outcome.SUPERSEDED],
        cancelled=ended[Outcome.CANCELLED],
        failed=failed_in(folder),
        spooled=ended[None],
        left=tuple(left for left in report.left if left.id in here),
        folder=folder if os.path.isdir(folder) else "",
    )
    if not mine.spooled:
        stop, why = "", ""
    elif not stop:
        unread = next((left.reason for left in mine.left if left.state == "spooled"), "")
        stop, why = "trouble", unread or "not everything could be sent"
    return FolderOutcome(folder, mine, stop, why, tuple(found.damage))


def not_done(folder: str, stop: Stop, why: str) -> FolderOutcome:
    waiting, damage = waiting_in(folder)
    report = Report(spooled=len(waiting), failed=failed_in(folder), left=waiting, folder=folder)
    return FolderOutcome(folder, report, stop, why, damage)


def _reason(line: str, folder: str) -> str:
    return line.removeprefix(f"{folder} was left as it is: ").partition("; to upload it:")[0]
