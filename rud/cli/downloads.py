"""``rud download`` and ``rud ls``."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from rud.cli import exits
from rud.cli.arguments import add_backend_kwargs, add_json, backend_kwargs, new_command, positive
from rud.cli.screen import printable, size_in_words, time_in_words
from rud.errors import ConfigurationError

if TYPE_CHECKING:
    from rud.cli import Subparsers


def add_download(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "download",
        "download one object",
        "Downloads one object, verified, to a file that appears only when it is whole.",
    )
    parser.add_argument("uri", metavar="URI", help="the store, as it was given to upload")
    parser.add_argument("key", metavar="KEY", help="the object's key, as `rud ls URI` prints it")
    parser.add_argument("dest", metavar="DEST", nargs="?", default=".", help="a file, or a folder that is there (.)")
    parser.add_argument("--overwrite", action="store_true", help="replace DEST when it is there")
    parser.add_argument("--attempts", type=positive, default=3, metavar="N", help="attempts at it (3)")
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=download)


def download(args: Any) -> int:
    from rud.downloader import Downloader

    name = args.key.rstrip("/").rpartition("/")[2]
    into_a_folder = os.path.isdir(args.dest) or args.dest.endswith("/")
    dest = os.path.join(args.dest, name) if into_a_folder else args.dest

    def show(done: int, total: int) -> None:
        words = f"{size_in_words(done)} of {size_in_words(total)}"
        args.screen.progress(words, done / total if total else 1.0)

    with Downloader(args.uri, backend_kwargs=backend_kwargs(args), num_attempts=args.attempts) as downloader:
        if os.path.lexists(dest) and not args.overwrite:
            raise ConfigurationError(f"{dest} is there already; add --overwrite to replace it")
        meta = downloader.download(args.key, dest, overwrite=args.overwrite, callback=show)
    verified = "size and checksum" if meta.checksum is not None else "size"
    text = f"{dest}: {size_in_words(meta.size)}, {verified} verified"
    return exits.finish(args, exits.DONE, printable(text), key=args.key, path=dest, size=meta.size, verified=verified)


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
    from rud._object_store import ObjectStore
    from rud._registry import resolve

    with (
        ObjectStore(resolve(args.uri, backend_kwargs(args)).open()) as store,
        store.calling("list", args.prefix) as backend,
    ):
        found = list(backend.list(args.prefix))
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
