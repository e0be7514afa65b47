"""D and C: a download is whole and verified, or leaves everything as it was."""

from __future__ import annotations

import contextlib
import os
import stat
import threading
from pathlib import Path
from typing import Any

import google_crc32c

from rud.errors import (
    IntegrityError,
    ObjectNotFoundError,
    ObjectStoreTransientError,
    StoreError,
)
from rud_conformance import strategies
from rud_conformance.acts import coded, expect, get, got, holds, large, names, put, same
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.wire import Trouble


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _all_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


_TROUBLES = (Trouble("status", 503), Trouble("status", 403), Trouble("reset"), Trouble("short"), Trouble("flip"))


@case("D01", needs=("wire",), profile="smoke")
def nothing_new(place: Place) -> None:
    """A download that fails, at whatever request and however, leaves no file, no folder and no hidden rest."""
    put(place.backend, "k", coded(64))
    for trouble in (one for one in _TROUBLES if one.kind in place.wire.kinds):
        for n in range(2):
            place.wire.plan({n: trouble})
            destination = place.folder / "new" / "er" / "copy"
            try:
                place.store.download_object("k", destination)
            except StoreError:
                same([], _all_below(place.folder), f"what is left after request {n} met {trouble.kind}")
            else:
                same(coded(64), destination.read_bytes(), f"the bytes after request {n} met {trouble.kind}")
                _empty(place.folder)
            place.troubles += place.wire.clear()


def _empty(folder: Path) -> None:
    import shutil

    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


@case("D02", needs=("wire",), profile="smoke")
def old_file_stays(place: Place) -> None:
    """A download that fails leaves the file that it was to replace as it was: bytes, time and mode."""
    put(place.backend, "k", coded(64))
    copy = place.folder / "copy"
    before = _precious(copy)
    for trouble in (one for one in _TROUBLES if one.kind in place.wire.kinds):
        failed = False
        # Whichever request brings the bytes; those that only tell of them may be asked again, or be right all the same.
        for n in (1, 2):
            place.wire.plan({n: trouble})
            try:
                place.store.download_object("k", copy, overwrite=True)
            except StoreError:
                failed = True
                same({"copy": b"precious"}, _files(place.folder), "the files")
                same(before, _identity(copy), "it")
            else:
                before = _precious(copy)
            place.troubles += place.wire.clear()
        if not failed:
            raise AssertionError(f"a download under {trouble.kind} never failed")


def _precious(copy: Path) -> tuple[int, int, int]:
    copy.write_bytes(b"precious")
    copy.chmod(0o640)
    return _identity(copy)


def _identity(copy: Path) -> tuple[int, int, int]:
    found = copy.stat()
    return found.st_mtime_ns, found.st_mode, found.st_ino


class _InterruptError(BaseException):
    pass


@case("D03", profile="smoke")
def nothing_beside(place: Place) -> None:
    """After success, failure and an interrupt nothing lies beside the destination that was not there."""
    put(place.backend, "k", coded(large(place)))
    place.store.download_object("k", place.folder / "copy")
    same(["copy"], _all_below(place.folder), "the files after success")

    def interrupt(done: int, total: int) -> None:
        raise _InterruptError

    for error in (KeyboardInterrupt, SystemExit, LookupError):

        def stop(done: int, total: int, error: type[BaseException] = error) -> None:
            raise error

        expect(error, lambda stop=stop: place.store.download_object("k", place.folder / "other", callback=stop), "it")
        same(["copy"], _all_below(place.folder), f"the files after {error.__name__}")
    expect(_InterruptError, lambda: place.store.download_object("k", place.folder / "x", callback=interrupt), "it")
    same(["copy"], _all_below(place.folder), "the files after an interrupt")


@case("D04", profile="smoke")
def folders(place: Place) -> None:
    """Missing folders are made; when there is no such object none of them is left."""
    put(place.backend, "k", b"x")
    place.store.download_object("k", place.folder / "a" / "b" / "copy")
    same({"a/b/copy": b"x"}, _files(place.folder), "the files")
    expect(ObjectNotFoundError, lambda: place.store.download_object("no", place.folder / "c" / "d" / "copy"), "it")
    same(["a", "a/b", "a/b/copy"], _all_below(place.folder), "what is there")


@case("D05", profile="smoke")
def not_overwritten(place: Place) -> None:
    """Without ``overwrite`` a file that is there is left as it is, whether the object is there or not."""
    put(place.backend, "k", b"new")
    copy = place.folder / "copy"
    copy.write_bytes(b"old")
    expect(FileExistsError, lambda: place.store.download_object("k", copy), "a download")
    expect(FileExistsError, lambda: place.store.download_object("no", copy), "a download of what is not there")
    same({"copy": b"old"}, _files(place.folder), "the files")
    place.store.download_object("k", copy, overwrite=True)
    same({"copy": b"new"}, _files(place.folder), "the files")


@case("D06")
def appears_meanwhile(place: Place) -> None:
    """Without ``overwrite`` a file that somebody else makes during the download stays, and nothing is beside it."""
    put(place.backend, "k", coded(large(place)))
    copy = place.folder / "copy"

    def rival(done: int, total: int) -> None:
        if not copy.exists():
            copy.write_bytes(b"theirs")

    expect(FileExistsError, lambda: place.store.download_object("k", copy, callback=rival), "a download")
    same({"copy": b"theirs"}, _files(place.folder), "the files")


@case("D07", needs=("wire",))
def cut_short(place: Place) -> None:
    """A body that ends before the size that was announced is transient, and never a short file."""
    put(place.backend, "k", coded(64))
    place.needs_kind("short")
    for below in ("copy", "new/copy"):
        place.all_fail(Trouble("short"))
        expect(
            ObjectStoreTransientError, lambda below=below: place.store.download_object("k", place.folder / below), "it"
        )
        place.met()
        same([], _all_below(place.folder), "what is there")


@case("D08", needs=("wire", "checksums"), profile="smoke")
def wrong_byte(place: Place) -> None:
    """A body of which one bit is wrong is found out, of one part and of several: no file of it is published."""
    place.needs_kind("flip")
    for size in (5, place.limits.threshold + 5):
        put(place.backend, "k", coded(size))
        place.all_fail(Trouble("flip"))
        expect(
            (IntegrityError, ObjectStoreTransientError),
            lambda: place.store.download_object("k", place.folder / "x"),
            "it",
        )
        place.met()
        same([], _all_below(place.folder), "what is there")


@case("D09")
def replaced_meanwhile(place: Place) -> None:
    """When the object is replaced between the look at it and the get, the file is all of one, or there is none."""
    old, new = b"old" * 10, b"new" * 12
    put(place.backend, "k", old)
    other, inner = place.another(), place.another()
    head = inner.head

    def head_and_replace(key: str) -> Any:
        meta = head(key)
        put(other, "k", new)
        return meta

    setattr(inner, "head", head_and_replace)  # noqa: B010  # of this instance alone
    store = place.harness.store(inner)
    copy = place.folder / "copy"
    try:
        store.download_object("k", copy)
    except ObjectStoreTransientError:
        same([], _all_below(place.folder), "what is there")
        return
    found = copy.read_bytes()
    if found not in (old, new):
        raise AssertionError("the file is of neither version")
    if place.backend.head("k").etag is not None:
        same(new, found, "what get has read after the object was replaced")


@case("D10")
def to_one_destination(place: Place) -> None:
    """Downloads of two objects to one file at once: it is always one of them, whole, and nothing lies beside it."""
    size = 200000 if not place.limits.slow else 2000
    for name in "ab":
        put(place.backend, name, name.encode() * size)
    copy = place.folder / "copy"
    errors: list[BaseException] = []
    stores = [place.another_store() for _ in range(4)]

    def run(number: int) -> None:
        try:
            for _ in range(5):
                stores[number].download_object("ab"[number % 2], copy, overwrite=True)
                found = copy.read_bytes()
                if found not in (b"a" * size, b"b" * size):
                    raise AssertionError("the destination was a mixture")
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    same([], [repr(error) for error in errors], "what went wrong")
    same(["copy"], _all_below(place.folder), "what is there")


@case("D11")
def links(place: Place) -> None:
    """A symbolic link at the destination is replaced, to a file, a folder or nowhere: nothing is written through it."""
    put(place.backend, "k", b"new")
    (place.folder / "outside").mkdir()
    (place.folder / "outside" / "file").write_bytes(b"precious")
    for name, target in (("to-file", "outside/file"), ("to-folder", "outside"), ("to-nowhere", "outside/none")):
        link = place.folder / name
        link.symlink_to(place.folder / target)
        expect(FileExistsError, lambda link=link: place.store.download_object("k", link), f"a download {name}")
        place.store.download_object("k", link, overwrite=True)
        same((False, b"new"), (link.is_symlink(), link.read_bytes()), f"the destination {name}")
    same({"file": b"precious"}, _files(place.folder / "outside"), "what the links led to")


@case("D12")
def to_a_folder(place: Place) -> None:
    """A folder at the destination is an ``IsADirectoryError``, and stays."""
    put(place.backend, "k", b"x")
    (place.folder / "there").mkdir()
    for destination in (place.folder / "there", f"{place.folder}/there/", f"{place.folder}/new/"):
        for overwrite in (False, True):
            expect(
                IsADirectoryError,
                lambda destination=destination, overwrite=overwrite: place.store.download_object(
                    "k", destination, overwrite=overwrite
                ),
                f"a download to {destination}",
            )
    same(["there"], _all_below(place.folder), "what is there")


@case("D14", needs=("wire", "downloader", "ranges"))
def goes_on(place: Place) -> None:
    """A ``Downloader`` whose connection breaks goes on from where it was, and the bytes are those of the object."""
    place.needs_kind("short")
    data = coded(64 if not place.limits.slow else 3 << 20)
    put(place.backend, "k", data)
    place.wire.plan({1: Trouble("short")})
    meta = place.downloader.download("k", place.folder / "copy")
    place.met()
    same((data, len(data)), ((place.folder / "copy").read_bytes(), meta.size), "the bytes and the size")
    same(["copy"], _all_below(place.folder), "what is there")


@case("D15", needs=("wire", "downloader", "ranges"))
def range_not_heeded(place: Place) -> None:
    """When the service sends the whole object instead of the rest, the file is right all the same."""
    place.needs_kind("short", "whole")
    data = coded(64)
    put(place.backend, "k", data)
    place.wire.plan({0: Trouble("whole")})
    same(data[5:], get(place.backend, "k", 5), "the bytes from 5, when all were sent")
    place.met()
    place.wire.plan({1: Trouble("short"), 3: Trouble("whole")})
    place.downloader.download("k", place.folder / "copy")
    place.met(at_least=2)
    same(data, (place.folder / "copy").read_bytes(), "the bytes")


@case("D16", profile="smoke")
def empty(place: Place) -> None:
    """The download of an object without bytes makes an empty file."""
    put(place.backend, "k", b"")
    place.store.download_object("k", place.folder / "copy")
    same({"copy": b""}, _files(place.folder), "the files")


@case("D17", profile="smoke")
def missing(place: Place) -> None:
    """The download of what is not there is a ``FileNotFoundError``, makes nothing and removes nothing."""
    copy = place.folder / "copy"
    copy.write_bytes(b"old")
    expect(ObjectNotFoundError, lambda: place.store.download_object("no", copy, overwrite=True), "a download")
    expect(FileNotFoundError, lambda: place.store.download_object("no", place.folder / "new"), "a download")
    same({"copy": b"old"}, _files(place.folder), "the files")


@case("D18", needs=("ranges",), profile="smoke", given=strategies.ranges)
def ranges(place: Place, drawn: tuple[int, int]) -> None:
    """A get from byte ``start`` gives the rest of the object; from its end on, nothing; below 0, ``ValueError``."""
    size, start = drawn
    put(place.backend, "k", coded(size))
    data, meta = got(place.backend, "k", start)
    same(coded(size)[start:], data, f"the bytes from {start} of {size}")
    same(size, meta.size, "the size of the object")
    expect(ValueError, lambda: get(place.backend, "k", -1), "a get from -1")


@case("D19", needs=("wire",))
def clean_end(place: Place) -> None:
    """A body that ends too early as if it were whole is transient, and never a short file."""
    place.needs_kind("short_clean")
    put(place.backend, "k", coded(64))
    place.all_fail(Trouble("short_clean"))
    expect(ObjectStoreTransientError, lambda: place.store.download_object("k", place.folder / "copy"), "a download")
    place.met()
    same([], _all_below(place.folder), "what is there")


@case("D20", needs=("wire", "downloader", "checksums"))
def again_from_the_start(place: Place) -> None:
    """A ``Downloader`` that received a wrong byte begins anew, and the bytes are right in the end."""
    place.needs_kind("flip")
    put(place.backend, "k", coded(64))
    place.wire.plan({1: Trouble("flip")})
    place.downloader.download("k", place.folder / "copy")
    place.met()
    same(coded(64), (place.folder / "copy").read_bytes(), "the bytes")


@case("D21", needs=("wire", "downloader"))
def gives_up(place: Place) -> None:
    """A ``Downloader`` gives up after its attempts with the last error, and at once when it is for good."""
    put(place.backend, "k", b"x")
    for trouble, error in ((Trouble("status", 503), ObjectStoreTransientError), (Trouble("status", 403), StoreError)):
        place.all_fail(trouble)
        before = len(place.wire.requests())
        expect(error, lambda: place.downloader.download("k", place.folder / "copy"), f"a download under {trouble}")
        asked = len(place.wire.requests()) - before
        place.met()
        if not (2 <= asked <= 6 if trouble.status == 503 else asked <= 2):
            raise AssertionError(f"a download answered {trouble.status} made {asked} requests")
    same([], _all_below(place.folder), "what is there")


@case("D22")
def mode(place: Place) -> None:
    """A new file has the mode that the umask allows, a replaced one keeps its own."""
    put(place.backend, "k", b"x")
    (place.folder / "like").write_bytes(b"")
    place.store.download_object("k", place.folder / "new")
    expected, found = ((place.folder / name).stat().st_mode for name in ("like", "new"))
    same(oct(stat.S_IMODE(expected)), oct(stat.S_IMODE(found)), "the mode of a new file")
    for before in (0o600, 0o444, 0o755):
        path = place.folder / f"{before:o}"
        path.write_bytes(b"old")
        path.chmod(before)
        place.store.download_object("k", path, overwrite=True)
        same(oct(before), oct(stat.S_IMODE(path.stat().st_mode)), "the mode of a replaced file")


@case("D23")
def shape_of_the_key(place: Place) -> None:
    """Where a download goes does not depend on how the key looks."""
    for number, key in enumerate(("a/b/c", "a\\b", "C:x", "a b")):
        try:
            put(place.backend, key, b"x")
        except ValueError:
            continue
        place.store.download_object(key, place.folder / f"{number}")
    there = _all_below(place.folder)
    same(True, set(there) <= {"0", "1", "2", "3"}, f"whether only the destinations were made: {there}")


@case("D24")
def keeps_what_was_replaced_whole(place: Place) -> None:
    """A file that is replaced is never empty or half: whoever has it open goes on reading the old one."""
    put(place.backend, "k", coded(1 << 16))
    copy = place.folder / "copy"
    copy.write_bytes(b"old" * 1000)
    seen: list[bytes] = []

    def look(done: int, total: int) -> None:
        if done < total:
            seen.append(copy.read_bytes())

    with open(copy, "rb") as opened:
        place.store.download_object("k", copy, overwrite=True, callback=look)
        same(b"old" * 1000, opened.read(), "what the open file reads")
    same(True, all(one == b"old" * 1000 for one in seen), "whether it was the old one until the end")
    same(False, os.path.exists(f"{copy}.tmp"), "whether there is something beside it")


@case("C01", needs=("wire", "checksums"), profile="smoke")
def altered_on_the_way(place: Place) -> None:
    """Bytes that are altered on their way to the service are refused by it, in one request and in a part."""
    place.needs_kind("flip_in")
    put(place.backend, "k", b"old")
    for size in (5, place.limits.threshold + 5):
        place.all_fail(Trouble("flip_in"))
        expect(
            (IntegrityError, ObjectStoreTransientError), lambda size=size: put(place.backend, "k", coded(size)), "a put"
        )
        place.met()
        same(b"old", get(place.backend, "k"), "the bytes")


@case("C03", needs=("checksums",), profile="smoke")
def one_sum(place: Place) -> None:
    """An object has the checksum of its bytes, in however many parts it went: equal bytes have equal sums."""
    for size in (place.limits.threshold, place.limits.threshold + 1, 2 * place.limits.part + 1):
        data = coded(size)
        put(place.backend, "k", data)
        same(int(google_crc32c.value(data)), place.backend.head("k").checksum, f"the checksum of {size} bytes")
        place.store.download_object("k", place.folder / f"{size}", overwrite=True)


@case("C04", needs=("raw",), profile="smoke")
def without_a_sum(place: Place) -> None:
    """What somebody else has stored, without a checksum of ours, is downloaded without a false alarm."""
    for size in (0, 5, 3000):
        place.raw.put(f"k{size}", coded(size))
        place.store.download_object(f"k{size}", place.folder / f"{size}")
        same(coded(size), (place.folder / f"{size}").read_bytes(), "the bytes")


@case("C06", needs=("wire",))
def altered_and_refused_once(place: Place) -> None:
    """After bytes were altered on their way the same instance stores the right ones."""
    place.needs_kind("flip_in")
    place.all_fail(Trouble("flip_in"))
    with contextlib.suppress(StoreError):
        put(place.backend, "k", coded(9))
    place.met()
    put(place.backend, "k", coded(9))
    holds(place.another(), {"k": coded(9)})
    same(["k"], names(place.backend), "the listing")
