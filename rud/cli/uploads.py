"""``rud upload``."""

from __future__ import annotations

import argparse
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from rud._report import Report
from rud.cli import exits
from rud.cli.arguments import (
    add_backend_kwargs,
    add_json,
    add_timeout,
    add_workers,
    backend_kwargs,
    new_command,
    positive,
)
from rud.errors import ConfigurationError, OutageError, PoolError, UploadError, UploadTimeoutError

if TYPE_CHECKING:
    from rud.cli import Subparsers
    from rud.uploader import Uploader

EVERY = 0.25
"""Seconds between two looks at the counts."""


def add(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "upload",
        "upload files and folders",
        "Uploads files and folders. The key of a file PATH is its name; those of a folder are the folder's "
        "name and the path in it: `rud upload run/ckpt file:///store` makes ckpt/ep1/model.pt. Symbolic links are "
        "refused. What is not stored at the end is kept, and `rud resume` sends it.",
    )
    parser.add_argument("paths", nargs="+", metavar="PATH", help="a file, or a folder with all that is in it")
    parser.add_argument("uri", metavar="URI", help="where to, such as file:///data/store")
    parser.add_argument(
        "--overwrite", action=argparse.BooleanOptionalAction, default=True, help="replace objects that are there (yes)"
    )
    add_workers(parser)
    parser.add_argument("--threads", action="store_true", help="work in threads, not in processes")
    parser.add_argument("--attempts", type=positive, default=3, metavar="N", help="attempts at each upload (3)")
    parser.add_argument("--staging-folder", metavar="FOLDER", help="where files wait")
    parser.add_argument("--staging-mode", metavar="MODE", help="auto, reflink, link, move or copy")
    parser.add_argument("--max-staged-bytes", metavar="SIZE", help="how much may wait there, such as 20GiB")
    parser.add_argument("--fsync", action="store_true", default=None, help="what was accepted survives a loss of power")
    add_timeout(parser)
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Any) -> int:
    from rud import Uploader

    files = dict(_sources(args.paths))
    uploader = Uploader(
        args.uri,
        backend_kwargs=backend_kwargs(args),
        num_concurrent_uploads=args.workers,
        use_procs=not args.threads,
        num_attempts=args.attempts,
        upload_staging_folder=args.staging_folder,
        staging_mode=args.staging_mode,
        fsync=args.fsync,
        max_staged_bytes=args.max_staged_bytes,
        when_full="block",
    )
    why, refused = "", dict[str, str]()
    try:
        for key in files:
            uploader.get_uri(key)
        _accept(uploader, files, args, refused)
        why = _wait(uploader, args, len(files))
    except KeyboardInterrupt:
        why = "interrupted"
    finally:
        report = uploader.close(0.0)
    return _finish(args, report, why, refused)


def _accept(uploader: Uploader, files: dict[str, str], args: Any, refused: dict[str, str]) -> None:
    for number, (key, path) in enumerate(files.items(), start=1):
        try:
            uploader.upload(path, key, overwrite=args.overwrite)
        except OSError as error:
            refused[path] = str(error)
            args.screen.say(f"{path} was not accepted: {error}")
        args.screen.progress(f"accepted {number} of {len(files)}", number / len(files))


def _wait(uploader: Uploader, args: Any, count: int) -> str:
    """Until everything is stored or has failed (the library says of each why); else why not."""
    from rud._clock import SystemClock

    clock = SystemClock()
    end = None if args.timeout is None else clock.monotonic() + args.timeout
    while True:
        left = EVERY if end is None else end - clock.monotonic()
        try:
            uploader.drain(max(0.0, min(EVERY, left)), adopted=True)
            return ""
        except UploadError:
            continue
        except UploadTimeoutError:
            if left <= 0:
                return f"the time limit of {args.timeout:g} s was reached"
        except OutageError as error:
            return str(error.__cause__ or error)
        except PoolError as error:
            return str(error)
        counts = uploader.counts()
        args.screen.progress(str(counts), 1 - counts.spooled / max(count, counts.spooled))


def _finish(args: Any, report: Report, why: str, refused: dict[str, str]) -> int:
    code = exits.FAILED if refused else exits.code_for(report, why=why)
    text = str(report)
    if why:
        args.screen.say(f"left for later: {why}")
    if advice := report.advice():
        args.screen.say(advice)
    if refused:
        text += f" ({len(refused)} not accepted)"
    return exits.finish(args, code, text, **facts_of(report), why=why, refused=refused)


def facts_of(report: Report) -> dict[str, object]:
    """A report as ``--json`` has it."""
    names = ("stored", "superseded", "failed", "cancelled", "spooled", "folder")
    left = [{"id": f"{one.id:016x}", "key": one.key, "state": one.state, "reason": one.reason} for one in report.left]
    return {**{name: getattr(report, name) for name in names}, "left": left}


def _sources(paths: list[str]) -> Iterator[tuple[str, str]]:
    """Each key with its file, in the order of the keys; ``ConfigurationError`` for what cannot be uploaded."""
    found: dict[str, str] = {}
    for path in paths:
        name = os.path.basename(os.path.abspath(path))
        for inner, file in _files_at(path):
            key = "/".join(part for part in (name, inner) if part)
            if key in found:
                raise ConfigurationError(f"{found[key]} and {file} have the same key {key!r}; nothing was uploaded")
            found[key] = file
    if not found:
        raise ConfigurationError(f"there is no file in {', '.join(paths)}")
    yield from sorted(found.items())


def _files_at(path: str, inner: str = "") -> Iterator[tuple[str, str]]:
    try:
        mode = os.lstat(path).st_mode
        names = sorted(os.listdir(path)) if stat.S_ISDIR(mode) else []
    except OSError as error:
        raise ConfigurationError(f"{path}: {error.strerror}; nothing was uploaded") from None
    if stat.S_ISLNK(mode):
        target = os.path.realpath(path)
        raise ConfigurationError(f"{path} is a symbolic link, which is not followed; give {target} itself")
    if stat.S_ISDIR(mode):
        for name in names:
            yield from _files_at(os.path.join(path, name), f"{inner}/{name}" if inner else name)
    elif stat.S_ISREG(mode):
        yield inner, path
    else:
        raise ConfigurationError(f"{path} is neither a file nor a folder; nothing was uploaded")
