"""R: bytes come back as they went."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import tempfile
from pathlib import Path

from rud._body import Body
from rud.errors import IntegrityError, RudError
from rud_conformance import strategies
from rud_conformance.acts import Trickling, coded, expect, get, holds, names, put, same
from rud_conformance.harness import Limits
from rud_conformance.place import Place
from rud_conformance.registry import case
from rud_conformance.verdict import NotOfferedError


def _round_trip(place: Place, sizes: list[int]) -> None:
    for size in sizes:
        data = coded(size, salt=size)
        put(place.backend, f"size/{size}", data)
        same(data, get(place.backend, f"size/{size}"), f"an object of {size} bytes")
        same(size, place.backend.head(f"size/{size}").size, "its size")


def _small(limits: Limits) -> list[int]:
    return strategies.border_sizes(limits, most=1 << 16)


@case("R01", profile="smoke")
def empty(place: Place) -> None:
    """An object without bytes is stored, listed, and read as such."""
    put(place.backend, "empty", b"")
    holds(place.another(), {"empty": b""})


@case("R02", profile="smoke")
def around_parts(place: Place) -> None:
    """Bytes come back around every border of parts."""
    part = place.limits.part
    _round_trip(place, [part - 1, part, part + 1, 2 * part, 2 * part + 1])


@case("R03", profile="smoke")
def around_the_threshold(place: Place) -> None:
    """Bytes come back around the size at which one request becomes several, and nothing unfinished is left."""
    threshold, part = place.limits.threshold, place.limits.part
    whole_parts = (threshold // part + 1) * part
    _round_trip(place, [threshold - 1, threshold, threshold + 1, whole_parts])
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


@case("R04")
def many_parts(place: Place) -> None:
    """Twelve parts are put together in the order of their numbers, not of their names."""
    if place.limits.slow:
        place.note("with parts of megabytes three of them stand for twelve")
    _round_trip(place, [place.limits.part * (3 if place.limits.slow else 12) + 1])


@case("R05", profile="full")
def eleven_parts(place: Place) -> None:
    """Twelve parts of the real size."""
    _round_trip(place, [11 * place.limits.part + 3])


@case("R06", profile="smoke")
def not_text(place: Place) -> None:
    """Line ends, marks of byte order, NUL, 0x1A and what is no UTF-8 come back unchanged: nothing is text."""
    for number, data in enumerate(
        (b"a\r\nb\nc\r", b"\xef\xbb\xbfa", b"\0" * 40, b"a\0\0", b"\x1a", bytes(range(256)), b"\xff\xfe")
    ):
        put(place.backend, f"{number}", data)
        same(data, get(place.backend, f"{number}"), "the bytes")


@case("R07")
def compressed(place: Place) -> None:
    """What is compressed, or is named as if it were, is stored and read as it is."""
    packed = gzip.compress(b"hello" * 20, mtime=0)
    for name in ("x.gz", "x.json.gz", "x.zst", "x", "x.br"):
        put(place.backend, name, packed)
        same(packed, get(place.backend, name), f"the bytes of {name!r}")
        same(len(packed), place.backend.head(name).size, f"the size of {name!r}")
    put(place.backend, "plain.gz", b"not packed")
    same(b"not packed", get(place.backend, "plain.gz"), "the bytes of 'plain.gz'")


@case("R08", profile="smoke", given=strategies.sizes)
def every_block(place: Place, size: int) -> None:
    """Of an object whose blocks are all different none is swapped, repeated or left out."""
    _round_trip(place, [size])


@case("R09")
def sources(place: Place) -> None:
    """A file is uploaded alike by a path, a relative path, a link, a name that a shell would change, and read-only."""
    real = place.folder / "é\U0001f600 $HOME %d.bin"
    real.write_bytes(b"content")
    real.chmod(0o444)
    link = place.folder / "link"
    link.symlink_to(real)
    sources: list[str | Path] = [real, str(real), os.path.relpath(real), link]
    for number, given in enumerate(sources):
        place.store.upload_object(f"{number}", given)
        same(b"content", get(place.backend, f"{number}"), f"the upload of {type(given).__name__}")


@case("R10")
def source_untouched(place: Place) -> None:
    """The uploaded file is not changed, moved, or given another time or mode."""
    source = _file(place, coded(place.limits.threshold + 3))
    before = source.stat()
    place.store.upload_object("k", source)
    after = source.stat()
    for name in ("st_mtime_ns", "st_mode", "st_size", "st_ino"):
        same(getattr(before, name), getattr(after, name), name)


@case("R11")
def no_source(place: Place) -> None:
    """A file that is missing, or is a folder, is the caller's error, and nothing is stored or replaced."""
    put(place.backend, "k", b"old")
    error = expect(FileNotFoundError, lambda: place.store.upload_object("k", place.folder / "no"), "no such file")
    expect(IsADirectoryError, lambda: place.store.upload_object("k", place.folder), "a folder")
    if isinstance(error, RudError):
        raise AssertionError(f"a missing local file is told as an error of the store: {error}")
    holds(place.backend, {"k": b"old"})


@case("R12")
def source_changes(place: Place) -> None:
    """A file that shrinks, grows or is rewritten while it is sent is an error, or stored as it was at one time."""
    for change in ("shrink", "grow", "rewrite"):
        old = coded(4 * place.limits.part if not place.limits.slow else 9000)
        source = _file(place, old)

        def changed(done: int, total: int, source: Path = source, change: str = change, old: bytes = old) -> None:
            with open(source, "r+b") as file:
                if change == "shrink":
                    file.truncate(5)
                elif change == "grow":
                    file.seek(0, os.SEEK_END)
                    file.write(b"more")
                else:
                    file.write(b"\xff" * len(old))

        with contextlib.suppress(RudError, OSError):
            place.store.upload_object(change, source, callback=changed)
        if change in names(place.backend):
            found = get(place.backend, change)
            if found not in (old, source.read_bytes()):
                raise AssertionError(f"a file that changed ({change}) was stored as it never was")


@case("R13", profile="soak")
def wide_sizes(place: Place) -> None:
    """Sizes around the largest number of 31 or 32 bits are stored and told exactly."""
    if not place.limits.widths:
        raise NotOfferedError("the harness names no limits.widths")
    for width in place.limits.widths:
        for size in ((1 << width) - 1, 1 << width, (1 << width) + 1):
            with tempfile.TemporaryFile(dir=place.folder) as file:
                file.truncate(size)  # without a block on disk
                put(place.backend, "k", Body(file, size))
            told = (place.backend.head("k").size, [meta.size for meta in place.backend.list("k")])
            same((size, [size]), told, "the size by head and in the listing")
            place.backend.delete("k")


@case("R14")
def destinations(place: Place) -> None:
    """A download goes to a relative path, new nested folders, and names that shells would change, and makes no more."""
    put(place.backend, "k", b"content")
    nested = place.folder / "new" / "er" / "é $HOME.bin"
    place.store.download_object("k", nested)
    relative = os.path.relpath(place.folder / "relative")
    place.store.download_object("k", relative)
    there = sorted(str(path.relative_to(place.folder)) for path in place.folder.rglob("*") if path.is_file())
    same(sorted(["new/er/é $HOME.bin", "relative"]), there, "the files")
    same(b"content", nested.read_bytes(), "the bytes")


@case("R17")
def repeated(place: Place) -> None:
    """Uploading and downloading the same again changes nothing."""
    source = _file(place, b"content")
    for _ in range(3):
        place.store.upload_object("k", source)
        place.store.download_object("k", place.folder / "copy", overwrite=True)
        holds(place.backend, {"k": b"content"})
        same(b"content", (place.folder / "copy").read_bytes(), "the copy")


@case("R19", profile="smoke")
def short_reads(place: Place) -> None:
    """A source that hands out a byte at a time is stored whole."""
    for size in (5, place.limits.threshold + 3 if not place.limits.slow else 300):
        data = coded(size)
        put(place.backend, f"{size}", Trickling(io.BytesIO(data), size))
        same(data, get(place.backend, f"{size}"), "the bytes")


@case("R20", profile="smoke")
def answer_of_a_put(place: Place) -> None:
    """The etag that a put returns is the one that head tells, where it returns one; also of a put that replaces."""
    for size in (3, place.limits.threshold + 1):
        for data in (coded(size), b"x" * size):
            result = put(place.backend, f"{size}", data)
            if result.etag is not None:
                same(place.backend.head(f"{size}").etag, result.etag, "the etag")


@case("R21")
def other_bytes_than_declared(place: Place) -> None:
    """A source that ends early, or goes on for longer than it said, is refused and nothing is stored."""
    for size in (5, place.limits.threshold + 5):
        short = Trickling(io.BytesIO(coded(size - 2)), size) if size < 4096 else Body(io.BytesIO(coded(size - 2)), size)
        expect(
            (IntegrityError, EOFError), lambda short=short: put(place.backend, "k", short), "a source that ends early"
        )
        same([], names(place.backend), "the listing")
    if place.offers_unfinished():
        same(0, place.unfinished, "unfinished uploads")


def _file(place: Place, data: bytes) -> Path:
    path = place.folder / "source"
    path.write_bytes(data)
    return path
