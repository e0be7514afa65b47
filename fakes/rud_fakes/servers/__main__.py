"""``python -m rud_fakes.servers list | install NAME``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence

from rud_fakes.servers._programs import PROGRAMS, MissingServerError, check_moto


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or all there but what is only on demand. 1: something is missing; the text says what to do."""
    parser = argparse.ArgumentParser(prog="python -m rud_fakes.servers", description="The servers that the tests use.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what is found where")
    install = commands.add_parser("install", help="build servers into the cache")
    install.add_argument("servers", nargs="+", choices=[program.name for program in PROGRAMS], metavar="server")
    given = parser.parse_args(arguments)
    if given.command == "list":
        return _list()
    try:
        for program in PROGRAMS:
            if program.name in given.servers:
                sys.stdout.write(f"{program.name}: {program.install()}\n")
    except MissingServerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _list() -> int:
    def moto() -> str:
        check_moto()
        return "installed beside this Python"

    rows: list[tuple[str, Callable[[], str]]] = [("moto", moto)]
    rows += [(program.name, program.find) for program in PROGRAMS]
    on_demand = {program.name for program in PROGRAMS if program.on_demand}
    missing = False
    for name, find in rows:
        note = " (on demand)" if name in on_demand else ""
        try:
            sys.stdout.write(f"{name}{note}: {find()}\n")
        except MissingServerError as error:
            sys.stdout.write(f"{name}{note}: {error}\n")
            missing |= name not in on_demand
    return int(missing)


if __name__ == "__main__":
    sys.exit(main())
