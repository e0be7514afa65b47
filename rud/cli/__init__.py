"""The command ``rud``: it parses and prints; what it does is the library's.

Another package adds a command by an entry point in the group ``rud.commands``: a name, and ``module:function`` of a
function that is given the sub-parsers, adds its own, and sets ``run`` on it (``args`` in, the exit code out). It is
imported only when its command is asked for; ``rud --help`` has its name alone.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from rud.cli import check, demo, downloads, env, exits, spools, uploads, verify
from rud.cli.screen import Screen
from rud.errors import ConfigurationError

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # its only name

__all__ = ["main"]

COMMANDS = "rud.commands"
"""The entry-point group of commands of other packages."""

_BUILT_IN: dict[str, Callable[[Subparsers], None]] = {
    "demo": demo.add,
    "upload": uploads.add,
    "download": downloads.add_download,
    "ls": downloads.add_ls,
    "check": check.add,
    "verify": verify.add,
    "status": spools.add_status,
    "resume": spools.add_resume,
    "discard": spools.add_discard,
    "env": env.add,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; its exit code, one of ``rud.cli.exits``. ``argv`` without the program's name."""
    given = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parser(given[0] if given else "").parse_args(given)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else exits.DONE
    with Screen(quiet=getattr(args, "json", False)) as screen:
        args.screen = screen
        return exits.guarded(lambda: _run(args), json=getattr(args, "json", False), screen=screen)


def _run(args: argparse.Namespace) -> int:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a key may have what the locale cannot encode
    try:
        return int(args.run(args))
    except ModuleNotFoundError as error:
        if sys.platform == "win32" and error.name in ("fcntl", "pwd"):
            raise ConfigurationError(
                "this command needs a POSIX system: use Linux, macOS, or WSL on Windows"
            ) from error
        raise


def _parser(command: str) -> argparse.ArgumentParser:
    import rud

    parser = argparse.ArgumentParser(
        prog="rud",
        description="Uploads the files of a training run to an object store, and loses none that it has accepted.",
        epilog=exits.TABLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"rud {rud.__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in _BUILT_IN.values():
        add(subparsers)
    if command not in _BUILT_IN:
        _add_others(subparsers, command)
    return parser


def _add_others(subparsers: Subparsers, command: str) -> None:
    from importlib.metadata import entry_points

    for point in entry_points(group=COMMANDS):
        if point.name != command:
            subparsers.add_parser(point.name, help=f"of another package: rud {point.name} --help tells more")
            continue
        try:
            point.load()(subparsers)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with it, rud itself goes on
            print(f"rud: the command {point.name!r} of another package cannot be loaded: {error!r}", file=sys.stderr)
