"""Arguments that several commands take."""

from __future__ import annotations

import argparse
import json
import os
import textwrap
from typing import TYPE_CHECKING, Any

from rud._options import parse_seconds
from rud.cli.exits import TABLE
from rud.errors import ConfigurationError

if TYPE_CHECKING:
    from rud.cli import Subparsers

_EXAMPLE = """an object such as '{"region": "eu-1"}'"""


def new_command(subparsers: Subparsers, name: str, summary: str, description: str) -> argparse.ArgumentParser:
    """A sub-command whose help ends with the table of exit codes."""
    parser: argparse.ArgumentParser = subparsers.add_parser(
        name,
        help=summary,
        description=textwrap.fill(description, 100),
        epilog=TABLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return parser


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end, and no progress")


def add_backend_kwargs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--backend-kwargs", metavar="JSON", help="further arguments of the store, as a JSON object, or @FILE with one"
    )


def add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", type=seconds, metavar="SECONDS", help="end after so long; the rest stays spooled")


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--workers", type=positive, default=1, metavar="N", help="uploads at a time (1)")


def positive(text: str) -> int:
    """A type for argparse: a whole number of at least 1."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def seconds(text: str) -> float:
    """A type for argparse: seconds above 0."""
    try:
        return parse_seconds(text)
    except ConfigurationError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def backend_kwargs(args: Any) -> dict[str, Any] | None:
    """What ``--backend-kwargs`` says. ``ConfigurationError`` shows none of it: it may hold secrets."""
    text: str | None = args.backend_kwargs
    if text is None:
        return None
    where = "--backend-kwargs"
    if text.startswith("@"):
        where = text[1:]
        try:
            with open(os.path.expanduser(where), encoding="utf-8") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the file {where!r} of --backend-kwargs cannot be read: {error}") from None
    try:
        value = json.loads(text)
    except ValueError as error:
        place = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else "encoding"
        raise ConfigurationError(f"{where} is no JSON ({place}); give {_EXAMPLE}") from None
    if not isinstance(value, dict):
        raise ConfigurationError(f"{where} is a JSON {type(value).__name__}; give {_EXAMPLE}")
    return value
