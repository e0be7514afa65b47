"""Finding the folders of dead owners, taking those that are ours to take, and taking failed entries up again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from rud import _faultpoints
from rud._spool import adoption, failed, files, owner
from rud._spool.adoption import Adoption
from rud._spool.entry import Outcome, SpoolEntry, entry_header
from rud._spool.ids import Ids
from rud._spool.options import SpoolOptions
from rud._spool.owner import NotTakenError, Owner
from rud._spool.records import Kind
from rud._spool.settling import Settling
from rud.errors import SpoolError


class Takeover:
    """``owners`` are the folders that were taken over and are held to the end."""

    def __init__(self, options: SpoolOptions, ids: Ids, settling: Settling) -> None:
        self.owners: dict[str, Owner] = {}
        self._options = options
        self._ids = ids
        self._settling = settling

    def adopt(self, root: str, destination: Mapping[str, str], rank: int) -> Adoption:
        result = Adoption()
        for name in files.names_in(root):
            folder = os.path.join(root, name)
            if name.startswith(".") or not os.path.isdir(folder) or owner.owned_here(folder):
                continue
            result.add(self._adopt_if_ours(folder, destination, rank))
        result.entries.sort(key=lambda entry: entry.id)
        return result

    def _adopt_if_ours(self, folder: str, destination: Mapping[str, str], rank: int) -> Adoption:
        try:
            if owner.is_alive(folder):
                return Adoption()
            facts = owner.read_facts(folder)
            why = _why_not_here(facts) or _why_not_ours(facts, destination, rank)
            return _skipped(folder, why) if why else self._take(folder)
        except NotTakenError as error:
            return _skipped(folder, str(error)) if os.path.isdir(folder) else Adoption()

    def adopt_folder(self, folder: str, *, other_host: bool, wait: float) -> Adoption:
        try:
            why = "" if other_host else _why_not_here(owner.read_facts(folder))
            if why:
                return _skipped(folder, why)
            if not owner.is_alive(folder):
                owner.wait_for_workers(folder, wait)
            return self._take(folder)
        except NotTakenError as error:
            return _skipped(folder, str(error))

    def _take(self, folder: str) -> Adoption:
        taken = owner.take(folder)
        try:
            result = adoption.recover(
                taken,
                segment_bytes=self._options.segment_bytes,
                fsync=self._options.fsync,
                ids=self._ids,
                settling=self._settling,
            )
        except BaseException as error:
            taken.abandon()
            if isinstance(error, OSError | ValueError | LookupError | TypeError):
                raise NotTakenError(f"it cannot be read ({type(error).__name__}: {error})") from error
            raise
        if adoption.is_empty(taken):
            taken.end()
        else:
            self.owners[folder] = taken
        return result

    def retake(self, failed_folder: str, own: Owner | None) -> SpoolEntry:
        folder = os.path.dirname(os.path.dirname(failed_folder))
        holder = own if own is not None and folder == own.folder else self.owners.get(folder)
        if holder is None:
            raise SpoolError(f"{failed_folder} is not in a folder that was taken over")
        facts, payload = adoption.retake_facts(failed_folder)
        name = str(self._ids.next())
        entry = SpoolEntry(
            id=self._ids.next(),
            key=str(facts["key"]),
            size=int(facts["size"]),
            overwrite=bool(facts["overwrite"]),
            crc=facts["crc"],
            path=os.path.join(holder.big, name),
            offset=0,
            mtime_ns=int(facts["mtime_ns"]),
            after=(),
            owner=holder,
            adopted=True,
        )
        self._append_retake(holder, entry, payload, {"file": name, "retakes": int(facts["id"])})
        if _faultpoints.active is not None:
            _faultpoints.hit("retake.accepted")
        files.remove_tree(failed_folder)
        return entry

    def _append_retake(self, holder: Owner, entry: SpoolEntry, payload: str, more: Mapping[str, object]) -> None:
        try:
            failed.place(payload, entry.path)
            with holder.log.lock:
                holder.log.need_folder_sync(holder.big)
                position = holder.log.append(Kind.ACCEPTED, {**entry_header(entry), **more}, entry=entry)
        except OSError as error:
            files.gone(entry.path)
            raise SpoolError(
                f"{entry.key!r} could not be taken up again: {error.strerror}", errno=error.errno
            ) from error
        try:
            if self._options.fsync:
                holder.log.sync(position)
        except SpoolError:
            self._settling.settle(entry, Outcome.CANCELLED)
            raise


def _why_not_here(facts: Mapping[str, Any]) -> str:
    if facts.get("host") == owner.host_name():
        return ""
    return f"it is of host {facts.get('host')} (add --other-host if that host is gone)"


def _why_not_ours(facts: Mapping[str, Any], destination: Mapping[str, str], rank: int) -> str:
    if facts.get("destination") != destination:
        return "it is for another destination"
    return "" if facts.get("rank") == rank else f"it is of rank {facts.get('rank')}"


def _skipped(folder: str, why: str) -> Adoption:
    return Adoption(skipped=[f"{folder} was left as it is: {why}; to upload it: rud resume {folder}"])
