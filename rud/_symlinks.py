"""Symlink files: objects whose name ends in ``.symlink`` and whose text is the name of another.

Composer's saver keeps ``latest-rank0.pt.symlink`` so. Whoever may write to the bucket may write such a file, so where
it leads is checked.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from rud._destination import check_destination
from rud._object_store import StrPath
from rud._source import ProgressCallback, open_regular
from rud.downloader import Downloader
from rud.errors import InvalidKeyError, ObjectNotFoundError, StoreError
from rud.store import check_key

SUFFIX = ".symlink"
MOST_STEPS = 8
"""Composer makes one, by hand a few more may come about."""
MOST_BYTES = 4096
"""The longest name that any store keeps has 1,024 bytes; what is larger is a checkpoint under a wrong name."""

Read = Callable[[str], bytes]


def download(
    downloader: Downloader,
    name: str,
    destination: StrPath,
    *,
    key_of: Callable[[str], str],
    overwrite: bool,
    callback: ProgressCallback | None,
) -> None:
    """Fetch what ``name`` means; ``key_of`` makes the key of a name. Raises as ``Downloader.download`` and ``follow``.

    A ``destination`` that ends in ``.symlink`` gets the object as it is: Composer asks so, and follows the text itself.
    Else ``name`` is followed, and one that is not there is looked for as a symlink file.
    """
    path = os.fspath(destination)
    check_destination(path, overwrite=overwrite)

    def fetch(name: str) -> None:
        downloader.download(key_of(name), path, overwrite=overwrite, callback=callback)

    def read(name: str) -> bytes:
        return _read(downloader, key_of(name))

    if path.endswith(SUFFIX):
        fetch(name)
    elif name.endswith(SUFFIX):
        fetch(follow(name, read))
    else:
        try:
            fetch(name)
        except ObjectNotFoundError as error:
            try:
                fetch(follow(name + SUFFIX, read))
            except ObjectNotFoundError as second:
                raise error from second


def leads_to(name: str, path: StrPath) -> str | None:
    """The name in the symlink file ``path`` that is about to be stored as ``name``; ``None`` when it is no such file.

    What is no name is no error here: it is uploaded as it is, and refused by who follows it.
    """
    if not name.endswith(SUFFIX):
        return None
    try:
        with open_regular(os.fspath(path)) as file:
            return _target(name, file.read(MOST_BYTES))
    except (OSError, ValueError):  # no file, a pipe, no name
        return None


def follow(name: str, read: Read) -> str:
    """The first name on the way from ``name`` that is no symlink file; ``read`` gives the content of one.

    ``InvalidKeyError`` when one leads elsewhere than to a name below the prefix of the store; ``StoreError`` when the
    way is a circle or has more than ``MOST_STEPS`` steps.
    """
    way = [name]
    while way[-1].endswith(SUFFIX):
        target = _target(way[-1], read(way[-1]))
        shown = " → ".join(map(repr, [*way, target]))
        if target in way:
            raise StoreError.during("get", name, f"symlink files lead in a circle: {shown}")
        if len(way) > MOST_STEPS:
            raise StoreError.during("get", name, f"more than {MOST_STEPS} symlink files lead to each other: {shown}")
        way.append(target)
    return way[-1]


def _target(name: str, content: bytes) -> str:
    try:
        target = content.decode().removesuffix("\n").removesuffix("\r")
        check_key(target)
    except ValueError as error:  # bytes that are no text, and names that are no keys
        raise InvalidKeyError(f"the symlink file {name!r} does not contain the name of an object: {error}") from None
    if any(character < " " or character == "\x7f" for character in target):
        fault = "has a control character in it"
    elif target.startswith("/"):
        fault = "is absolute"
    elif "://" in target:
        fault = "is a URI"
    elif not {".", ".."}.isdisjoint(target.replace("\\", "/").split("/")):
        fault = "has a '.' or '..' in it"
    else:
        return target
    raise InvalidKeyError(
        f"the symlink file {name!r} leads to {target!r}, which {fault}: only names in the same store are followed"
    )


def _read(downloader: Downloader, key: str) -> bytes:
    """The content of an object that is small, or none of it."""
    import tempfile

    def refuse_large(_: int, total: int) -> None:
        if total > MOST_BYTES:
            raise StoreError.during("get", key, f"it is no symlink file: it has {total} bytes, not a name")

    with tempfile.TemporaryDirectory(prefix="rud-") as folder:
        path = os.path.join(folder, "content")
        downloader.download(key, path, callback=refuse_large)
        with open(path, "rb") as file:
            return file.read()
