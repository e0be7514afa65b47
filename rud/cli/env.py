"""``rud env``: what rud sees of this machine, for a report or a puzzled person. No secrets."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rud._options import PARSERS, Options, from_environment, variable
from rud._ranks import VARIABLES, explained
from rud.cli import exits
from rud.cli.arguments import add_json, new_command
from rud.cli.screen import printable, size_in_words
from rud.errors import ConfigurationError

if TYPE_CHECKING:
    from rud.cli import Subparsers

_OF_STORES = ("AWS_", "S3_", "GCS_", "GOOGLE_", "STORAGE_EMULATOR_")
_OF_NETWORK = frozenset({"http_proxy", "https_proxy", "all_proxy", "no_proxy"})
"""Variables that stores obey: those that are set are named, and none is shown."""


def add(subparsers: Subparsers) -> None:
    parser = new_command(
        subparsers,
        "env",
        "versions, options, ranks, staging folder",
        "Says what rud sees of this machine. There are no secrets in it.",
    )
    add_json(parser)
    parser.set_defaults(run=run)


def run(args: Any) -> int:
    wrong: list[str] = []
    sections: dict[str, dict[str, object]] = {
        "versions": _versions(),
        "ranks": _ranks(wrong),
        "options": _options(wrong),
        "staging": _staging(),
        "stores": _stores(),
    }
    if not args.json:
        for title, facts in sections.items():
            print(title)
            for name, value in facts.items():
                print(printable(f"  {name:22} {value}"))
    for text in wrong:
        args.screen.say(text)
    return exits.finish(args, exits.USAGE if wrong else exits.DONE, "", **sections, wrong=wrong)


def _versions() -> dict[str, object]:
    import rud

    return {
        "rud": f"{rud.__version__} ({os.path.dirname(rud.__file__)})",
        "python": f"{platform.python_version()} ({sys.executable})",
        "platform": platform.platform(),
        **{name: _version(name) for name in ("google-crc32c", "boto3")},
    }


def _version(distribution: str) -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(distribution)
    except PackageNotFoundError:
        return "not installed"


def _ranks(wrong: list[str]) -> dict[str, object]:
    seen = {name: os.environ[name] for name in sorted(VARIABLES) if name in os.environ}
    try:
        info, why = explained()
        return {**asdict(info), "launcher": why, "seen": seen}
    except ConfigurationError as error:
        wrong.append(str(error))
        return {"seen": seen}


def _options(wrong: list[str]) -> dict[str, object]:
    shown: dict[str, object] = {}
    for name, parser in PARSERS.items():
        try:
            value = from_environment(name, parser)
        except ConfigurationError as error:
            wrong.append(str(error))
            shown[name] = f"wrong ({variable(name)})"
            continue
        source = "default" if value is None else variable(name)
        shown[name] = f"{getattr(Options(), name) if value is None else value} ({source})"
    return shown


def _staging() -> dict[str, object]:
    from rud._spool import home

    folder = home.staging_folder(None)
    there = folder
    while not os.path.isdir(there):
        there = os.path.dirname(there)
    kind = home.file_system(there) or "unknown"
    if kind in home.IN_MEMORY:
        kind += " (in memory: it does not survive a restart of the machine)"
    return {"folder": folder, "file system": kind, "free": size_in_words(shutil.disk_usage(there).free)}


def _stores() -> dict[str, object]:
    from importlib.metadata import entry_points

    from rud._registry import ENTRY_POINTS

    others = {point.name: point.value for point in entry_points(group=ENTRY_POINTS)}
    seen = sorted(name for name in os.environ if name.startswith(_OF_STORES) or name.lower() in _OF_NETWORK)
    return {
        "file": "built in",
        "gs": "built in, needs google-cloud-storage",
        "s3": "built in, needs boto3",
        **others,
        "variables set": ", ".join(seen) or "none",
    }
