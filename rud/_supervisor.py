"""The supervisor: the one thread that assigns work to workers, hears of its end, and replaces those that die or hang.

A step is: wait for something to happen, take every message, bury the dead, judge deadlines, start what may start. It
decides under the pool's lock and acts outside it. Nothing polls: every wait ends by a descriptor or at a time that is
known.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from rud._clock import Clock
from rud._frames import Message
from rud._links import Link
from rud._monitor import Monitor
from rud._retry import Destination
from rud._scheduler import Scheduler
from rud._settling import Settling
from rud._slots import Limits, Phase, Slot, restart_delay
from rud._transfer import Transfer
from rud._worker import error_from
from rud.errors import ObjectStoreTransientError, WorkerDiedError

logger = logging.getLogger("rud")

CRASH_LOOP = 4
"""Workers that die one after another before any is ready: from then on the waits raise."""

RECORD_AGAIN = 1.0
"""Seconds until an outcome that the log did not take is offered to it again: nobody tells of a disk that has room."""

POISON = 3
"""An upload that has killed this many workers is set aside."""


@dataclass(eq=False)
class Supervisor:
    """Everything that happens between the queues and the workers.

    ``monitor`` guards ``scheduler`` and ``destination`` (with the pool); the slots belong to this thread alone.
    ``hire`` makes a worker, ``wait`` returns when a worker or another thread has something for us or when the seconds
    are over.
    """

    monitor: Monitor
    scheduler: Scheduler
    destination: Destination
    settling: Settling
    hire: Callable[[], Link]
    wait: Callable[[float | None], None]
    clock: Clock
    chance: random.Random
    limits: Limits
    slots: list[Slot]
    threads: bool
    """Workers are threads: one that was given up may still be at work."""
    trouble: Exception | None = field(default=None, init=False)
    """Why no worker can be had; cleared by the first that is ready."""
    resting: bool = field(default=False, init=False)
    """A worker is idle and found nothing to do: whoever brings something has to wake us. Otherwise it is found when the
    next answer comes, and a wake-up would only take the interpreter from the caller."""
    _dying: list[Link] = field(default_factory=list, init=False)

    def step(self) -> None:
        """One round; returns when there is nothing to do before the next event."""
        before = self.clock.monotonic()
        timeout = self._until_next(before)
        self.wait(timeout)
        self._forgive_lateness(self.clock.monotonic() - before, timeout)
        heard = self._take_messages()
        if not heard:
            # Only when every pipe was found empty: a late parent must not kill a worker whose answer lies there.
            self._judge_deadlines()
        self._assign()

    def stop(self) -> None:
        """Let idle workers go, end the others, and see all of them end."""
        for slot in self.slots:
            if slot.link is None:
                continue
            if slot.phase is Phase.IDLE:
                slot.link.send({"do": "quit"})
            else:
                slot.link.kill()
            self._dying.append(slot.link)
            slot.link, slot.phase = None, Phase.DOWN
        if self.threads:
            return
        end = self.clock.monotonic() + self.limits.quit
        while self._dying and self.clock.monotonic() < end:
            self.wait(end - self.clock.monotonic())
            self._bury()
        for link in self._dying:
            link.kill()

    # Waiting

    def _until_next(self, now: float) -> float | None:
        times = [slot.deadline for slot in self.slots if slot.deadline is not None]
        times += [slot.start_at for slot in self.slots if slot.phase is Phase.DOWN]
        with self.monitor.lock:
            due = self.scheduler.next_due() if self.destination.open and self._idle() else None
            probe = self.destination.next_time() if self._idle() else None
        times += [time for time in (due, probe) if time is not None]
        if self.settling.unrecorded:
            times.append(now + RECORD_AGAIN)
        return max(0.0, min(times) - now) if times else None

    def _idle(self) -> Slot | None:
        return next((slot for slot in self.slots if slot.phase is Phase.IDLE), None)

    def _forgive_lateness(self, waited: float, timeout: float | None) -> None:
        """A stopped or starved parent must not blame its workers for the time that it slept itself."""
        late = waited - timeout if timeout is not None else 0.0
        if late > 1.0:
            for slot in self.slots:
                if slot.deadline is not None:
                    slot.deadline += late

    # Messages

    def _take_messages(self) -> bool:
        heard = False
        for slot in self.slots:
            if slot.link is None:
                continue
            # Asked before the messages are taken: what comes between the two is then still taken.
            ended = slot.link.ended
            for message in slot.link.receive():
                heard = True
                self._on_message(slot, message)
            if ended or slot.link.ended:
                for message in slot.link.receive():
                    self._on_message(slot, message)
                self._on_death(slot)
                heard = True
        self._bury()
        return heard

    def _bury(self) -> None:
        for link in self._dying:
            link.receive()
        self._dying = [link for link in self._dying if not link.ended]

    def _on_message(self, slot: Slot, message: Message) -> None:
        now = self.clock.monotonic()
        match message["re"]:
            case "log":
                logging.getLogger(message.get("name", "rud")).log(message["level"], "%s", message["text"])
            case "ready":
                self._on_ready(slot, message, now)
            case "probed":
                self._on_probed(slot, message, now)
            case "result" if slot.transfer is not None and message["id"] == slot.transfer.entry.id:
                self._on_result(slot, slot.transfer, message, now)
            case "progress" | "multipart" if slot.transfer and message["id"] == slot.transfer.entry.id:
                slot.read = message.get("read", slot.read)
                if "upload" in message:
                    slot.multipart = True
                    self.settling.multipart(slot.transfer.entry, message["upload"])
                slot.deadline = slot.limit(now, self.limits)
            case _:
                pass  # of an attempt that has been given up

    def _on_ready(self, slot: Slot, message: Message, now: float) -> None:
        slot.phase, slot.deadline, slot.deaths = Phase.IDLE, None, 0
        with self.monitor.lock:
            self.trouble = None
            if "error" in message:
                self._refused(error_from(message["error"]), now)
                self.monitor.notify_all()
                return
        slot.reads_body = message["capabilities"]["reads_body"] is True
        slot.ends_with_worker = message["capabilities"]["ends_with_worker"] is True and not self.threads

    def _refused(self, error: Exception, now: float) -> None:
        """The store could not be opened, or its bucket is missing."""
        if isinstance(error, ObjectStoreTransientError):
            self.destination.probe_failed(error, now, self.chance)
        else:
            self.destination.refuse(error, now)

    def _on_probed(self, slot: Slot, message: Message, now: float) -> None:
        slot.phase, slot.deadline = Phase.IDLE, None
        error = error_from(message["error"]) if "error" in message else None
        self.settling.judge(error, now)

    def _on_result(self, slot: Slot, transfer: Transfer, message: Message, now: float) -> None:
        slot.phase, slot.transfer, slot.deadline = Phase.IDLE, None, None
        if "error" in message:
            if "crc" in message:
                self.settling.bind_sum(transfer.entry, message["crc"])
            self.settling.attempt_failed(transfer, error_from(message["error"]), began=slot.began, now=now)
        else:
            self.settling.attempt_ended(transfer, message, now)

    # Deaths and deadlines

    def _on_death(self, slot: Slot) -> None:
        now = self.clock.monotonic()
        link, phase, transfer = slot.vacate()
        obituary = link.obituary()
        slot.start_at = now + restart_delay(slot.deaths)
        slot.deaths += 1
        logger.warning("a worker has died while %s: %s; it is replaced", phase.value, obituary)
        if phase is Phase.PROBING:
            with self.monitor.lock:
                self.destination.probe_lost(now)
        if transfer is not None:
            self.settling.attempt_vanished(transfer.entry)
            self._quiet(slot, transfer, now)
            self.settling.worker_lost(transfer, f"{obituary} after {slot.read} of {transfer.entry.size} bytes", POISON)
        elif slot.deaths >= CRASH_LOOP:
            with self.monitor.lock:
                self.trouble = WorkerDiedError(
                    f"{slot.deaths} workers died before they could work, the last: {obituary}"
                )
                self.monitor.notify_all()

    def _quiet(self, slot: Slot, transfer: Transfer, now: float) -> None:
        if not slot.ends_with_worker:
            with self.monitor.lock:
                self.scheduler.quiet(transfer, now + self.limits.late_window)

    def _judge_deadlines(self) -> None:
        now = self.clock.monotonic()
        for slot in self.slots:
            if slot.deadline is not None and slot.deadline <= now:
                self._give_up(slot, now)
        with self.monitor.lock:
            if self.destination.tick(now):
                logger.error(
                    "the destination has not answered for %.0f s: %s",
                    self.destination.outage_timeout, self.destination.trouble,
                )  # fmt: skip
                self.monitor.notify_all()

    def _give_up(self, slot: Slot, now: float) -> None:
        """A worker that shows no sign of life is ended; its attempt counts as one that failed for want of an answer."""
        link, phase, transfer = slot.vacate()
        logger.warning("a worker that was %s gave no sign of life in time and is replaced", phase.value)
        link.kill()
        self._dying.append(link)
        slot.start_at = now
        if phase is Phase.OPENING:
            slot.deaths += 1
            slot.start_at += restart_delay(slot.deaths)
        stalled = ObjectStoreTransientError.during(
            phase.value, transfer.entry.key if transfer else "", "no sign of life in time (stall_timeout)"
        )
        if phase is Phase.PROBING:
            self.settling.judge(stalled, now)
        if transfer is not None:
            self.settling.attempt_vanished(transfer.entry)
            with self.monitor.lock:
                self.scheduler.quiet(transfer, now + self.limits.late_window)
            self.settling.attempt_failed(transfer, stalled, began=slot.began, now=now)

    # Assigning

    def _assign(self) -> None:
        now = self.clock.monotonic()
        self.man_slots()
        self.settling.record()
        while (idle := self._idle()) is not None:
            with self.monitor.lock:
                probe = self.destination.probe_due(now)
                if probe:
                    self.destination.probe_started()
                transfer = self.scheduler.start(now) if self.destination.open else None
                self.resting = transfer is None
            if probe:
                idle.phase, idle.deadline = Phase.PROBING, now + self.limits.stall
                assert idle.link is not None
                idle.link.send({"do": "probe", "reopen": self.destination.reopen})
            elif transfer is not None:
                self._send(idle, transfer, now)
            else:
                return

    def man_slots(self) -> None:
        """A new worker wherever one is missing and due."""
        now = self.clock.monotonic()
        for slot in self.slots:
            if slot.phase is Phase.DOWN and slot.start_at <= now:
                self._hire(slot, now)

    def _hire(self, slot: Slot, now: float) -> None:
        try:
            slot.link = self.hire()
        except (OSError, RuntimeError) as error:  # no thread can be started while a newer Python ends
            slot.deaths += 1
            slot.start_at = now + restart_delay(slot.deaths)
            with self.monitor.lock:
                self.trouble = WorkerDiedError(f"no worker can be started: {error}")
                self.monitor.notify_all()
            return
        slot.phase, slot.deadline = Phase.OPENING, now + self.limits.opening

    def _send(self, slot: Slot, transfer: Transfer, now: float) -> None:
        job = self.settling.job_for(transfer)
        slot.phase, slot.transfer, slot.began, slot.read, slot.multipart = Phase.UPLOADING, transfer, now, 0, False
        slot.deadline = slot.limit(now, self.limits)
        assert slot.link is not None
        slot.link.send({"do": "upload", "job": job.to_wire()})
