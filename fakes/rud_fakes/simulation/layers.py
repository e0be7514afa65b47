"""What a disk holds, and what only the kernel's memory does: a file system of two layers, without any system call.

Every file and folder has a synced state and the changes made since. ``power_cut`` keeps of these changes a subset that
a file system may keep: of a file's pages (or sectors: a torn page) any version since its sync, up to a length that the
file had; of a folder's names a prefix of its changes, a rename whole or not at all.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass, field

Change = tuple[int, int, bytes | None]
"""When, where, and the bytes; without bytes the file ends there from then on."""

SECTOR, PAGE = 512, 4096


@dataclass(eq=False, slots=True)
class File:
    """``mtime``: nanoseconds. ``spoilt``: a sync has failed, and no later one brings it to the disk."""

    synced: bytearray = field(default_factory=bytearray)
    changes: list[Change] = field(default_factory=list[Change])
    size: int = 0
    mtime: int = 0
    synced_mtime: int = 0
    spoilt: bool = False

    def write(self, when: int, offset: int, data: bytes) -> None:
        self.changes.append((when, offset, data))
        self.size = max(self.size, offset + len(data))

    def truncate(self, when: int, size: int) -> None:
        self.changes.append((when, size, None))
        self.size = size

    @property
    def content(self) -> bytes:
        """As every process sees it."""
        image = bytearray(self.synced)
        for _, offset, data in self.changes:
            _apply(image, offset, data)
        return bytes(image)

    def sync(self) -> None:
        if not self.spoilt:
            for _, offset, data in self.changes:
                _apply(self.synced, offset, data)
            self.changes.clear()
            self.synced_mtime = self.mtime

    def survivor(self, chance: random.Random) -> bytes:
        """What the disk may hold of it."""
        fate = chance.random()
        if not self.changes or fate < 0.1:
            return bytes(self.synced)
        if fate < 0.2:
            return self.content
        if fate < 0.4:
            return self._torn(chance)
        kept = chance.randint(0, len(self.changes))
        unit = SECTOR if chance.random() < 0.7 else PAGE
        size, versions = self._versions(unit, kept)
        image = self.synced[:size].ljust(size, b"\0")
        for number, choices in versions.items():
            if number * unit < size:
                image[number * unit : (number + 1) * unit] = chance.choice(choices).ljust(unit, b"\0")
        return bytes(image[:size])

    def _torn(self, chance: random.Random) -> bytes:
        """Everything but the end of what was appended last: not there, or zeros."""
        _, offset, data = self.changes[-1]
        whole = self.content
        if data is None or offset < len(self.synced) or offset + len(data) < len(whole):
            return whole
        end = chance.randint(offset // SECTOR, len(whole) // SECTOR) * SECTOR
        return whole[: max(end, offset)].ljust(chance.choice([0, len(whole)]), b"\0")

    def _versions(self, unit: int, kept: int) -> tuple[int, dict[int, list[bytes]]]:
        """How long it is after the first ``kept`` changes, and every content that each changed unit has had."""
        image, size = bytearray(self.synced), len(self.synced)
        versions: dict[int, list[bytes]] = {}
        for number, (_, offset, data) in enumerate(self.changes, 1):
            if data is None and number > kept:
                _apply(image, offset, data)
                continue
            last = offset + len(data) if data is not None else max(len(image), offset)
            units = range(offset // unit, -(-last // unit))
            before = {one: bytes(image[one * unit : (one + 1) * unit]) for one in units if one not in versions}
            _apply(image, offset, data)
            for one in units:
                now = bytes(image[one * unit : (one + 1) * unit])
                if data is None:
                    versions[one] = [now]
                else:
                    versions.setdefault(one, [before.get(one, b"")]).append(now)
            if number <= kept:
                size = len(image)
        return size, versions


def _apply(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del image[offset:]
        image.extend(bytes(offset - len(image)))
        return
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


@dataclass(slots=True)
class NameChange:
    """Names taken away and given in one step; one that leaves for another folder ``goes_to`` that."""

    when: int
    gone: str = ""
    name: str = ""
    node: Node | None = None
    goes_to: Folder | None = None


@dataclass(eq=False, slots=True)
class Folder:
    names: dict[str, Node] = field(default_factory=dict[str, "Node"])
    synced: dict[str, Node] = field(default_factory=dict[str, "Node"])
    changes: list[NameChange] = field(default_factory=list[NameChange])

    def change(self, change: NameChange) -> None:
        self.changes.append(change)
        _rename(self.names, change)

    def sync(self) -> None:
        changes, self.changes = self.changes, []
        self.synced = dict(self.names)
        for change in changes:
            if change.goes_to is not None:
                change.goes_to.sync()


Node = File | Folder


def _rename(names: dict[str, Node], change: NameChange) -> None:
    names.pop(change.gone, None)
    if change.node is not None:
        names[change.name] = change.node


class Layers:
    """The tree. Paths are relative to its root, with ``/`` between names."""

    def __init__(self) -> None:
        self.root = Folder()
        self._when = itertools.count(1)

    def find(self, path: str) -> Node | None:
        node: Node | None = self.root
        for name in path.split("/") if path else ():
            node = node.names.get(name) if isinstance(node, Folder) else None
        return node

    def file(self, path: str) -> File | None:
        node = self.find(path)
        return node if isinstance(node, File) else None

    def _place(self, path: str) -> tuple[Folder, str]:
        parent, _, name = path.rpartition("/")
        folder = self.find(parent)
        if not isinstance(folder, Folder):
            raise LookupError(f"{path}: the simulated disk knows no such folder")
        return folder, name

    def write(self, file: File, offset: int, data: bytes) -> None:
        file.write(next(self._when), offset, data)

    def truncate(self, file: File, size: int) -> None:
        file.truncate(next(self._when), size)

    def give_name(self, path: str, node: Node) -> None:
        """To a new file or folder, or a second one to a file."""
        folder, name = self._place(path)
        folder.change(NameChange(next(self._when), name=name, node=node))

    def take_name(self, path: str) -> None:
        folder, name = self._place(path)
        folder.change(NameChange(next(self._when), gone=name))

    def rename(self, old: str, new: str) -> None:
        (source, gone), (target, name) = self._place(old), self._place(new)
        node, when = source.names[gone], next(self._when)
        if target.names.get(name) is node:
            return  # POSIX: of two names of one file both stay
        if source is target:
            source.change(NameChange(when, gone, name, node))
        else:
            target.change(NameChange(when, name=name, node=node))
            source.change(NameChange(when, gone=gone, goes_to=target))

    def nodes(self, folder: Folder | None = None) -> Iterator[Node]:
        """Everything that has a name, or had one at its folder's last sync."""
        folder = folder or self.root
        yield folder
        changed = [change.node for change in folder.changes if change.node is not None]
        for node in dict.fromkeys([*folder.synced.values(), *folder.names.values(), *changed]):
            if isinstance(node, Folder):
                yield from self.nodes(node)
            else:
                yield node

    @property
    def used(self) -> int:
        """Bytes of all files that have a name."""
        return sum(file.size for file in set(_files(self.root)))

    def power_cut(self, chance: random.Random) -> Layers:
        """What the disk may hold when the power is back: all of it synced."""
        folders = list(dict.fromkeys(node for node in self.nodes() if isinstance(node, Folder)))
        cuts = _cuts(folders, chance)
        after = Layers()
        survivors: dict[Node, Node] = {self.root: after.root}
        for folder in folders:
            names = _kept_names(folder, cuts)
            for node in names.values():
                if node not in survivors:
                    survivors[node] = Folder() if isinstance(node, Folder) else _survivor(node, chance)
            there = survivors.setdefault(folder, Folder())
            assert isinstance(there, Folder)
            there.names = {name: survivors[node] for name, node in names.items()}
            there.synced = dict(there.names)
        return after


def _files(folder: Folder) -> Iterator[File]:
    for node in folder.names.values():
        if isinstance(node, Folder):
            yield from _files(node)
        else:
            yield node


def _cuts(folders: list[Folder], chance: random.Random) -> dict[Folder, int]:
    """Up to when each folder's changes were kept: all to the same moment, as a journal does, or each to its own."""
    moments = sorted(change.when for folder in folders for change in folder.changes)
    if chance.random() < 0.5:
        cuts = dict.fromkeys(folders, chance.choice([0, *moments]))
    else:
        cuts = {folder: chance.choice([0, *(change.when for change in folder.changes)]) for folder in folders}
    while _keep_renames_whole(cuts):
        pass
    return cuts


def _keep_renames_whole(cuts: dict[Folder, int]) -> bool:
    """Of a rename from one folder to another both sides are kept or none; whether that has changed anything."""
    changed = False
    for folder, cut in list(cuts.items()):
        for change in folder.changes:
            target = change.goes_to
            if target is None or target not in cuts:
                continue
            synced = all(other.when != change.when for other in target.changes)
            kept = cut >= change.when, synced or cuts[target] >= change.when
            if any(kept) and not all(kept):
                cuts[folder] = max(cuts[folder], change.when)
                cuts[target] = cuts[target] if synced else max(cuts[target], change.when)
                changed = True
    return changed


def _kept_names(folder: Folder, cuts: dict[Folder, int]) -> dict[str, Node]:
    names = dict(folder.synced)
    for change in folder.changes:
        if change.when <= cuts[folder]:
            _rename(names, change)
    return names


def _survivor(file: File, chance: random.Random) -> File:
    content = bytearray(file.survivor(chance))
    mtime = file.mtime if chance.random() < 0.5 else file.synced_mtime
    return File(content, size=len(content), mtime=mtime, synced_mtime=mtime)
