"""Programs on a host that refuses: ``python tests/support/limited.py NAME CONFIG``. What came of it is said as JSON."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from typing import Any

from rud_fakes.runtime import InlineRuntime

from rud import SpoolError, Uploader
from tests.support import scripted_store

Config = dict[str, Any]


def spools(config: Config) -> None:
    """Accepts ``files`` (key to path), sends one after each of ``ends``, and dies; whatever was refused is told."""
    scripted_store.register()
    runtime = InlineRuntime(stepped=True)
    uploader = Uploader(
        "scripted://limited", use_procs=False, upload_staging_folder=config["staging"], fsync=True, staging_mode="copy",
        _runtime=runtime,
    )  # fmt: skip
    accepted, refused = list[str](), list[str]()
    for key, path in config["files"].items():
        try:
            uploader.upload(path, key)
        except SpoolError:
            refused.append(key)
        else:
            accepted.append(key)
        if key in config["ends"]:
            runtime.settle()
            runtime.links[0].work()
            runtime.settle()
    stored = [key for key, _ in scripted_store.SCRIPTS["limited"].journal]
    print(json.dumps({"accepted": accepted, "refused": refused, "stored": stored}), flush=True)
    os._exit(0)


def has_few_descriptors(config: Config) -> None:
    """Uploads before, while and after no descriptor is left."""
    path = config.pop("path")
    uploader = Uploader(**config)
    uploader.upload(path, "before").result(20)
    limit, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    held = list[int]()
    with contextlib.suppress(OSError):
        while True:
            held.append(os.dup(0))
    refused = ""
    try:
        uploader.upload(path, "while")
    except OSError as error:
        refused = type(error).__name__
    for descriptor in held:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    uploader.upload(path, "after").result(20)
    print(json.dumps({"refused": refused, "closed": str(uploader.close(10))}), flush=True)


def main() -> None:
    import rud
    from tests.support.place import BACKEND

    rud.register_backend("slow", BACKEND)
    {one.__name__: one for one in (spools, has_few_descriptors)}[sys.argv[1]](json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
