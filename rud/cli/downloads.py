"""``rud download`` and ``rud ls``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rud.cli import exits
from rud.cli.arguments import add_backend_kwargs, add_json, backend_kwargs, new_command, positive
from rud.cli.screen import printable, size_in_words, time_in_words
from rud.errors import ConfigurationError, ObjectNotFoundError
from rud.store import ObjectMeta

if TYPE_CHECKING:
    from rud.cli import Subparsers


def add_download(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "download",
        "download an object, or all below a prefix",
        "Downloads one object, verified, to a file that appears only when it is whole. A KEY that ends at a slash "
        "means everything below it, and DEST the folder that gets it; an empty one is everything in the store.",
    )
    parser.add_argument("uri", metavar="URI", help="the store, as it was given to upload")
    parser.add_argument("key", metavar="KEY", help="the object's key, as `rud ls URI` prints it, or PREFIX/")
    parser.add_argument("dest", metavar="DEST", nargs="?", default=".", help="a file, or a folder (.)")
    parser.add_argument("--overwrite", action="store_true", help="replace DEST when it is there")
    parser.add_argument("--attempts", type=positive, default=3, metavar="N", help="attempts at it (3)")
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=download)


def download(args: Any) -> int:
    return _download_folder(args) if args.key == "" or args.key.endswith("/") else _download_one(args)


def _download_one(args: Any) -> int:
    from rud.downloader import Downloader

    name = args.key.rpartition("/")[2]
    into_a_folder = os.path.isdir(args.dest) or args.dest.endswith("/")
    dest = os.path.join(args.dest, name) if into_a_folder else args.dest

    def show(done: int, total: int) -> None:
        args.screen.progress(f"{size_in_words(done)} of {size_in_words(total)}", done / total if total else 1.0)

    with Downloader(args.uri, backend_kwargs=backend_kwargs(args), num_attempts=args.attempts) as downloader:
        _refuse_what_is_there([dest], args)
        meta = downloader.download(args.key, dest, overwrite=args.overwrite, callback=show)
    verified = _verified([meta])
    text = f"{dest}: {size_in_words(meta.size)}, {verified} verified"
    return exits.finish(args, exits.DONE, printable(text), key=args.key, path=dest, size=meta.size, verified=verified)


def _download_folder(args: Any) -> int:
    from rud.downloader import Downloader

    found = _listed(args, args.key)
    paths = _paths_below(args.dest, args.key, [meta.key for meta in found])
    if not paths:
        raise ObjectNotFoundError.during("get", args.key, "there is no object below it")
    _refuse_what_is_there(list(paths.values()), args)
    sizes = {meta.key: meta.size for meta in found}
    total, done, got = sum(sizes[key] for key in paths), 0, list[ObjectMeta]()

    def show(in_file: int, _: int) -> None:
        words = f"{len(got) + 1} of {len(paths)}: {size_in_words(done + in_file)} of {size_in_words(total)}"
        args.screen.progress(words, (done + in_file) / total if total else 1.0)

    with Downloader(args.uri, backend_kwargs=backend_kwargs(args), num_attempts=args.attempts) as downloader:
        for key, path in paths.items():
            got.append(downloader.download(key, path, overwrite=args.overwrite, callback=show))
            done += got[-1].size
    verified = _verified(got)
    text = f"{args.dest}: {len(got)} files, {size_in_words(done)}, {verified} verified"
    facts: dict[str, object] = {"key": args.key, "path": args.dest, "files": len(got), "size": done}
    return exits.finish(args, exits.DONE, printable(text), **facts, verified=verified)


def _paths_below(folder: str, prefix: str, keys: list[str]) -> dict[str, str]:
    """The file for each key; ``ConfigurationError`` for one that cannot be a path below ``folder``."""
    paths: dict[str, str] = {}
    for key in keys:
        name = key[len(prefix) :]
        if not name or name.endswith("/"):
            continue  # Consoles make such objects, to have something to show as a folder.
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise ConfigurationError(
                f"the key {key!r} is no path below {folder}; nothing was downloaded: download it by itself"
            )
        paths[key] = os.path.join(folder, name)
    return paths


def _refuse_what_is_there(paths: list[str], args: Any) -> None:
    there = [] if args.overwrite else [path for path in paths if os.path.lexists(path)]
    if there:
        raise ConfigurationError(f"{there[0]} is there already; add --overwrite to replace it")


def _verified(metas: list[ObjectMeta]) -> str:
    return "size and checksum" if all(meta.checksum is not None for meta in metas) else "size"


def _listed(args: Any, prefix: str) -> list[ObjectMeta]:
    from rud._object_store import ObjectStore
    from rud._registry import resolve

    with (
        ObjectStore(resolve(args.uri, backend_kwargs(args)).open()) as store,
        store.calling("list", prefix) as backend,
    ):
        return list(backend.list(prefix))


def add_ls(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "ls",
        "list the objects of a store",
        "Lists the keys that begin with PREFIX, which need not end at a slash.",
    )
    parser.add_argument("uri", metavar="URI")
    parser.add_argument("prefix", metavar="PREFIX", nargs="?", default="")
    parser.add_argument("-l", "--long", action="store_true", help="with size and time of change")
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=ls)


def ls(args: Any) -> int:
    found = _listed(args, args.prefix)
    if args.json:
        objects = [{"key": meta.key, "size": meta.size, "last_modified": meta.last_modified} for meta in found]
        return exits.finish(args, exits.DONE, "", objects=objects)
    for meta in found:
        line = printable(meta.key)
        if args.long:
            when = "-" if meta.last_modified is None else time_in_words(meta.last_modified)
            line = f"{size_in_words(meta.size):>10}  {when:25}  {line}"
        print(line)
    return exits.DONE
