"""What generated cases are fed: plain values (text, bytes, numbers, tuples), so that a failure can be written down."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote, unquote

from hypothesis import strategies as st

from rud_conformance.harness import Limits

HOSTILE = ["a", "A", "a b", "a+b", "a%20b", "a%2Bb", "%41", "%", "é", "e\u0301", "ﬁ", "\U0001f600", " a", "a ", "a.",
           ".a", "~", "*?[", "\\", "C:\\x", "-rf", "\n", "\r", "\x7f", "\u200b", "500", "err503", "CON", "$(x)", "'\"",
           "<>&", "a" * 255, "a//b", "/a", "a/", "a/./b", "a/../b", "..", ".", "a/b", "a/b/c", "I", "ı", "İ",
           "\u202eabc", "\uffff", "?#", "=;:@,!", ".tmp", "a.part", "[a-c]", "^a$", "404/x"]  # fmt: skip
"""Segments and keys that some store has got wrong."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "percent": ("a", "%61", "%2561", "%", "%%", "a%", "a%2", "100%", "x%2Fy", "x%2fy"),
    "plus and space": ("a b", "a+b", "a%20b", "a%2Bb", "a%2bb", "a%252Bb"),
    "dots": ("x/y", "x/./y", "x/../y", "./x/y", "../x/y", "x/y/.", "x/y/..", "x/...", "..x", "x.."),
    "slashes": ("a/b", "a//b", "a///b", "a/b//", "a//b/"),
    "leading slash": ("a", "/a", "//a", "///a"),
    "trailing slash": ("d", "d/", "d//", "e/", "e/x"),
    "case": ("A", "a", "É", "é", "ß", "SS", "ss", "Straße", "STRASSE", "straße"),
    "Unicode": ("é", "e\u0301", "ﬁ", "fi", "I", "ı", "İ", "i", "K", "\u212a", "k", "Å", "\u212b", "A\u030a",
                "\U0001d49c", "\u202eab", "ab", "a\u200bb", "a\u00adb", "２", "2", "가", "\u1100\u1161"),
    "control characters": ("a", "a\n", "a\r", "a\r\n", "a\x01", "a\x7f", "a\x85", "a\u2028", "a\ufffe", "a\x1b[0m"),
    "of URLs": ("q", "q?", "q?uploads", "q#", "q#f", "q&a=b", "q;v", "q=", "q@v", "q:80", "q,", "q!", "q$"),
    "blanks": ("x", " x", "x ", "x\t", "\tx", "x\u3000", "x\u00a0", "x.", ".x", "x..", " "),
    "of shells and systems": ("n", "*", "n*", "'", '"', "<n>", "&amp;", "&", "a|b", "~", "~n", "$(n)", "`n`", "CON",
                "nul", "-n", "f[a]", "n]]>", "{n}", "%n"),
    "backslashes": ("a/b", "a\\b", "a\\\\b", "\\a", "a\\", "C:\\a", "C:a", "\\\\host\\a", "a:b"),
    "of unfinished files": ("f", "f.tmp", "f.part", "f~", ".f", "f.lock", ".f.swp", "f.crc", "f.rud", "tmp/f",
                ".rud-f"),
    "digits": ("500", "503", "err503", "404/x", "0", "00", "1e3", "NoSuchKey", "SlowDown", "Error"),
}  # fmt: skip
"""Keys that somebody who tidies up would take for one another, by what he would tidy."""

PLAIN = ("a", "Z9", "run-1_final.pt", "deep/er/and/deeper/x.bin", "a.b.c", "checkpoints/ep0-ba100-rank0.pt")
"""No store may refuse these."""


def _variant(key: str, kind: int) -> str:
    changes: tuple[Callable[[], str], ...] = (
        lambda: f"{key}/",
        key.swapcase,
        lambda: unicodedata.normalize("NFD", key),
        lambda: quote(key, safe=""),
        lambda: unquote(key),
        lambda: key.replace("/", "//", 1),
        lambda: f"{key} ",
        lambda: f"{key}.tmp",
        lambda: key[: len(key) // 2] or "x",
        lambda: f"/{key}",
        lambda: f"some/prefix/{key}",
        lambda: unicodedata.normalize("NFKC", key),
        lambda: key.replace(" ", "+"),
        lambda: f"{key}/{key}",
        lambda: key.strip() or "x",
        lambda: key[:-1] + chr(ord(key[-1]) ^ 1),
    )
    changed = changes[kind % len(changes)]()
    return changed if _can_be(changed) else "y"


def _can_be(key: str) -> bool:
    return bool(key) and "\0" not in key and not any(0xD800 <= ord(one) < 0xE000 for one in key)


def _text() -> st.SearchStrategy[str]:
    return st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)


def keys(limits: Limits) -> st.SearchStrategy[str]:
    """One key: hostile, two of them joined, or free text."""
    drawn = _keys()
    return drawn if limits.keeps is None else drawn.filter(limits.keeps)


def _keys() -> st.SearchStrategy[str]:
    pool = st.sampled_from(HOSTILE)
    return st.one_of(pool, st.builds("{}/{}".format, pool, pool), st.builds("{}{}".format, pool, pool), _text())


def key_and_data(limits: Limits) -> st.SearchStrategy[tuple[str, bytes]]:
    return st.tuples(keys(limits), st.binary(max_size=40))


def family(limits: Limits) -> st.SearchStrategy[tuple[str, ...]]:
    """A key, and what tidying would make of it, in some order."""

    def spread(drawn: tuple[str, Sequence[int], Any]) -> tuple[str, ...]:
        key, kinds, random = drawn
        found = list(dict.fromkeys([key, *(_variant(key, kind) for kind in kinds)]))
        found = [one for one in found if limits.keeps is None or limits.keeps(one)]
        random.shuffle(found)
        return tuple(found)

    kinds = st.lists(st.integers(0, 15), min_size=1, max_size=3)
    return st.tuples(keys(limits), kinds, st.randoms(use_true_random=False)).map(spread)


def border_sizes(limits: Limits, *, most: int) -> list[int]:
    """Sizes at which something changes, up to ``most``."""
    part, threshold = limits.part, limits.threshold
    found = {
        0,
        1,
        2,
        threshold - 1,
        threshold,
        threshold + 1,
        part - 1,
        part,
        part + 1,
        2 * part - 1,
        2 * part,
        2 * part + 1,
    }
    found |= {threshold + part - 1, threshold + part, threshold + part + 1, 3 * part + 3, 11 * part + 3}
    return sorted(size for size in found if 0 <= size <= most)


def sizes(limits: Limits) -> st.SearchStrategy[int]:
    """One border of sizes that is not megabytes away."""
    return st.sampled_from(border_sizes(limits, most=1 << 16))


def keys_and_prefix(limits: Limits) -> st.SearchStrategy[tuple[tuple[str, ...], str, int]]:
    """Keys, one of them (or foreign text), and how much of it is the prefix."""
    foreign = st.sampled_from(["zz", "a", "a/", "/", ".", "%", "a*", "[a", "^", "A", "é"])
    listed = st.lists(keys(limits), min_size=1, max_size=7, unique=True).map(tuple)
    chosen = listed.flatmap(lambda these: st.tuples(st.just(these), st.one_of(st.sampled_from(these), foreign)))
    return st.builds(lambda pair, cut: (pair[0], pair[1], cut), chosen, st.integers(0, 6))


def ranges(limits: Limits) -> st.SearchStrategy[tuple[int, int]]:
    """A size, and where to start."""
    return sizes(limits).flatmap(lambda size: st.tuples(st.just(size), st.integers(0, size + 2)))


FEW = ("a", "a/b", "a b", "a+b", "b", "b/", "é", "e\u0301", "A", "500")
"""Keys of the state machines: they meet each other again and again."""


def steps(limits: Limits) -> st.SearchStrategy[tuple[tuple[Any, ...], ...]]:
    """For ``machines.semantics``: each is the name of a rule and its arguments."""
    few = [key for key in FEW if limits.keeps is None or limits.keeps(key)]
    key = st.one_of(st.sampled_from(few), keys(limits))
    size = sizes(limits)
    step = st.one_of(
        st.tuples(st.just("put"), key, size),
        st.tuples(st.just("create"), key, size),
        st.tuples(st.just("delete"), key),
        st.tuples(st.just("read"), key, st.integers(0, 40)),
        st.tuples(st.just("list"), key, st.integers(0, 3)),
        st.tuples(st.just("swap")),
        st.tuples(st.just("upload"), st.sampled_from(few), size),
        st.tuples(st.just("download"), st.sampled_from(few)),
    )
    return st.lists(step, min_size=1, max_size=20).map(tuple)


def troubled_steps(limits: Limits) -> st.SearchStrategy[tuple[tuple[Any, ...], ...]]:
    """For ``machines.faults``: rule, key, size, which request fails, how."""
    kinds = ("none", "status", "reset", "lost", "status_after")
    step = st.tuples(
        st.sampled_from(("put", "create", "delete", "read", "list")),
        st.sampled_from(FEW[:4]),
        sizes(limits),
        st.integers(0, 5),
        st.sampled_from(kinds),
    )
    return st.lists(step, min_size=1, max_size=12).map(tuple)
