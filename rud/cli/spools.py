"""``rud status``, ``rud resume``, ``rud discard``: what dead runs have left, of whoever they were."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from rud.cli import exits
from rud.cli.arguments import add_backend_kwargs, add_json, add_timeout, add_workers, backend_kwargs, new_command
from rud.cli.screen import printable, size_in_words, time_in_words
from rud.cli.uploads import facts_of
from rud.errors import ConfigurationError, SpoolError

if TYPE_CHECKING:
    from rud._report import Report
    from rud._resume import FolderOutcome, ResumeOutcome
    from rud._spool import OwnerStatus, WaitingUpload
    from rud.cli import Subparsers

_FOLDER = "a staging folder, a spool root, or one owner folder (the default staging folder)"


# status

_SHOWN = 3
"""Uploads that are to be tried again which ``rud status`` tells of, a folder."""


def add_status(subparsers: Subparsers) -> None:
    parser = new_command(subparsers, "status", "what waits or has failed", "Looks, and changes nothing.")
    parser.add_argument("folder", nargs="?", metavar="FOLDER", help=_FOLDER)
    add_json(parser)
    parser.set_defaults(run=status)


def status(args: Any) -> int:
    owners = _statuses(args.folder)
    spooled, failed = sum(one.spooled for one in owners), sum(len(one.failed) for one in owners)
    if not args.json:
        for one in owners:
            print(printable("\n".join(_lines(one))))
    text = f"failed {failed}, spooled {spooled}"
    folders = [_owner_facts(one) for one in owners]
    return exits.finish(args, exits.DONE, text, failed=failed, spooled=spooled, folders=folders)


def _statuses(folder: str | None) -> list[OwnerStatus]:
    from rud._resume import owner_folders
    from rud._spool import scan

    wanted = owner_folders(folder)
    roots = sorted({os.path.dirname(os.path.dirname(os.path.dirname(path))) for path in wanted})
    found = {one.folder: one for root in roots for one in scan(root)}
    return [found[path] for path in wanted if path in found]


def _lines(one: OwnerStatus) -> list[str]:
    state = "running" if one.alive else "dead"
    where = ", ".join(f"{name} {value}" for name, value in one.destination.items() if value)
    lines = [
        one.folder,
        f"  process {one.pid} on {one.host} ({state}), rank {one.rank}, user {_user(one)}, {_since(one)}",
        f"  for {where or 'an unknown destination'}",
        f"  failed {len(one.failed)}, spooled {one.spooled} ({size_in_words(one.spooled_bytes)})",
    ]
    if one.spooled:
        waiting, since = len(one.waiting), time_in_words(one.oldest / 1e9)
        queued = one.spooled - one.in_flight - waiting
        lines.append(
            f"  in flight {one.in_flight}, to be tried again {waiting}, queued {queued}, the oldest since {since}"
        )
        lines += _tried_again(one.waiting)
    lines += [
        f"  failed {failed.id:016x} {failed.key!r}: {_reason(failed.reason)}; kept in {failed.folder}"
        for failed in one.failed
    ]
    lines += [f"  damaged: {line}" for line in one.damage]
    if one.spooled and not one.alive:
        lines.append(f"  next: rud resume {one.folder}")
    elif one.failed and not one.alive:
        lines.append(f"  next: rud resume --failed {one.folder}")
    return lines


def _tried_again(waiting: Sequence[WaitingUpload]) -> list[str]:
    """The first few of them: no screen has room for a thousand that fail alike."""
    first = sorted(waiting, key=lambda one: one.due)[:_SHOWN]
    lines = [
        f"  to be tried again {one.id:016x} {one.key!r}: {_attempts(one.tries)} failed, the next not before "
        f"{time_in_words(one.due / 1e9)}; {_reason(one.reason)}"
        for one in first
    ]
    return [*lines, f"  and {len(waiting) - _SHOWN} more (--json has all)"] if len(waiting) > _SHOWN else lines


def _attempts(count: int) -> str:
    return f"{count} attempt{'s' * (count > 1)}"


def _reason(reason: Any) -> str:
    text = str(reason.get("text") or reason.get("reason") or "no reason was kept")
    return f"{reason['class']}: {text}" if "class" in reason else text


def _since(one: OwnerStatus) -> str:
    return f"created {time_in_words(one.created / 1e9)}" if one.created else "created at an unknown time"


def _user(one: OwnerStatus) -> str:
    import pwd

    try:
        number = os.stat(one.folder).st_uid
    except OSError:
        return "unknown"
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _owner_facts(one: OwnerStatus) -> dict[str, object]:
    names = (
        "folder", "host", "pid", "alive", "rank", "created", "destination", "spooled", "spooled_bytes", "in_flight",
        "oldest", "damage",
    )  # fmt: skip
    failed = [
        {"id": f"{failed.id:016x}", "key": failed.key, "folder": failed.folder, "reason": dict(failed.reason)}
        for failed in one.failed
    ]
    waiting = [
        {"id": f"{one.id:016x}", "key": one.key, "tries": one.tries, "due": one.due, "reason": dict(one.reason)}
        for one in one.waiting
    ]
    facts = {name: getattr(one, name) for name in names}
    return {**facts, "user": _user(one), "waiting": waiting, "failed": failed}


# resume


def add_resume(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "resume",
        "send what dead runs have left",
        "Sends what is spooled in FOLDERs, and waits for it. It may be killed at any time and run again. Nothing fails "
        "for want of an answer: what cannot be sent now stays spooled.",
    )
    parser.add_argument("folders", nargs="*", metavar="FOLDER", help=_FOLDER)
    parser.add_argument("--failed", action="store_true", help="try again what has failed, too")
    parser.add_argument("--other-host", action="store_true", help="take folders of another host, whose run is dead")
    parser.add_argument(
        "--overwrite-newer", action="store_true", help="send also over objects that are newer, or may not be read"
    )
    add_workers(parser)
    add_timeout(parser)
    add_backend_kwargs(parser)
    add_json(parser)
    parser.set_defaults(run=resume)


def resume(args: Any) -> int:
    from rud._resume import owner_folders
    from rud._resume import resume as send

    folders = [folder for given in args.folders or [None] for folder in owner_folders(given)]
    folders = list(dict.fromkeys(folders))

    begun: dict[str, None] = {}

    def show(together: list[str], counts: Report) -> None:
        begun.update(dict.fromkeys(together))
        place = _place(list(begun).index(together[0]) + 1, len(together), len(folders))
        done = counts.stored + counts.superseded + counts.failed + counts.cancelled
        args.screen.progress(place + str(counts), done / max(1, done + counts.spooled))

    outcome = send(
        folders,
        failed=args.failed,
        other_host=args.other_host,
        overwrite_newer=args.overwrite_newer,
        backend_kwargs=backend_kwargs(args),
        workers=args.workers,
        timeout=args.timeout,
        on_progress=show,
    )
    named = {os.path.abspath(folder) for folder in args.folders}
    code = _resume_code(outcome, named)
    for one in outcome.folders:
        for line in _said(one):
            args.screen.say(line)
    total = outcome.total
    facts = [
        {"stop": one.stop, "why": one.why, "damage": one.damage, **facts_of(one.report), "folder": one.folder}
        for one in outcome.folders
    ]
    return exits.finish(args, code, str(total), **facts_of(total), folders=facts)


def _place(first: int, count: int, total: int) -> str:
    """Which of several folders it is at."""
    if total == 1:
        return ""
    which = f"folder {first}" if count == 1 else f"folders {first} to {first + count - 1}"
    return f"{which} of {total}: "


def _resume_code(outcome: ResumeOutcome, named: set[str]) -> int:
    """The worst that has happened; a running uploader sends its own, unless its folder was asked for by name."""
    total = outcome.total
    if total.failed or any(one.damage for one in outcome.folders):
        return exits.FAILED
    if outcome.stopped("configuration"):
        return exits.USAGE
    left = outcome.stopped("trouble", "time limit", "interrupted", "not taken")
    left += [one for one in outcome.stopped("in use") if one.folder in named]
    return exits.LEFT if left else exits.DONE


def _said(one: FolderOutcome) -> list[str]:
    lines = [f"{one.folder} is damaged: {line}" for line in one.damage]
    if one.stop == "in use":
        lines.append(f"{one.folder} was left as it is: {one.why}")
    elif one.stop:
        lines.append(f"{one.folder}: {one.report.spooled} left for later: {one.why}")
    if one.report.failed:
        lines.append(f"{one.folder}: {one.report.failed} failed; `rud status {one.folder}` says why")
    return lines


# discard


def add_discard(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "discard",
        "give up what waits or has failed",
        "Gives up uploads for good: those with an ID that `rud status` prints, or all of FOLDER. A running uploader's "
        "are left alone.",
    )
    parser.add_argument("folder", metavar="FOLDER", help="a staging folder, a spool root, or one owner folder")
    parser.add_argument("ids", nargs="*", metavar="ID", type=_id, help="one upload")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    add_json(parser)
    parser.set_defaults(run=discard)


def _id(text: str) -> int:
    try:
        return int(text, 16 if len(text) == 16 else 10)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no id as `rud status` prints them") from None


def discard(args: Any) -> int:
    owners = _statuses(args.folder)
    if not owners:
        return exits.finish(args, exits.DONE, "discarded 0", discarded=0, left=[])
    if not args.yes and not _agreed(owners, args):
        return exits.finish(args, exits.LEFT, "discarded 0: left as it is", discarded=0, left=[])
    return _discard(args, [one.folder for one in owners])


def _discard(args: Any, folders: list[str]) -> int:
    from rud._resume import give_back
    from rud._spool import discard as give_up

    count, left = 0, list[str]()
    for folder in folders:
        try:
            count += give_up(folder, args.ids or None)
        except SpoolError as error:
            left.append(str(error))
            args.screen.say(str(error))
        finally:
            give_back(folder)
    if args.ids and not count and not left:
        raise ConfigurationError(f"{args.folder} has no upload of these ids; `rud status {args.folder}` lists them")
    code = exits.LEFT if left else exits.DONE
    return exits.finish(args, code, f"discarded {count}", discarded=count, left=left)


def _agreed(owners: list[OwnerStatus], args: Any) -> bool:
    if args.json or not sys.stdin.isatty():
        raise ConfigurationError("nobody can be asked here; add --yes to discard without being asked")
    spooled, failed = sum(one.spooled for one in owners), sum(len(one.failed) for one in owners)
    what = f"{len(args.ids)} of " if args.ids else ""
    for one in owners:
        print(printable("\n".join(_lines(one))))
    print(f"This gives up {what}{spooled} spooled and {failed} failed uploads for good. Type yes to go on: ", end="")
    return sys.stdin.readline().strip().lower() == "yes"
