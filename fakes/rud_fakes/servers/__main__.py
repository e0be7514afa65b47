"""``python -m rud_fakes.servers list | install versitygw``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rud_fakes.servers._programs import MissingServerError, check_moto, find_versitygw, install_versitygw


def main(arguments: Sequence[str] | None = None) -> int:
    """0: done, or all there. 1: something is missing; the text says what to do."""
    parser = argparse.ArgumentParser(prog="python -m rud_fakes.servers", description="The servers that the tests use.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what is found where")
    commands.add_parser("install", help="build a server into the cache").add_argument("server", choices=["versitygw"])
    if parser.parse_args(arguments).command == "list":
        return _list()
    try:
        sys.stdout.write(f"versitygw: {install_versitygw()}\n")
    except MissingServerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _list() -> int:
    missing = 0
    try:
        check_moto()
        sys.stdout.write("moto: installed beside this Python\n")
    except MissingServerError as error:
        sys.stdout.write(f"moto: {error}\n")
        missing = 1
    try:
        sys.stdout.write(f"versitygw: {find_versitygw()}\n")
    except MissingServerError as error:
        sys.stdout.write(f"versitygw: {error}\n")
        missing = 1
    return missing


if __name__ == "__main__":
    sys.exit(main())
