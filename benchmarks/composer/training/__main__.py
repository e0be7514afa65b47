"""``python -m benchmarks.composer.training [killed checks ranks sharded]``; 1 when something is not as it should be."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from rud_fakes.s3 import S3Server

from benchmarks.composer.training import checks, killed, ranks
from benchmarks.composer.training.tools import Table

PARTS = ("killed", "checks", "ranks", "sharded")
BUCKET = "my-bucket"
CREDENTIALS = {"AKIAIOSFODNN7EXAMPLE": "a secret of nobody's"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.composer.training", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--folder", default=tempfile.gettempdir())
    arguments = parser.parse_args()
    table = Table()
    began = time.monotonic()
    ((access_key, secret_key),) = CREDENTIALS.items()
    with (
        tempfile.TemporaryDirectory(prefix="rud-", dir=arguments.folder) as made,
        S3Server(BUCKET, credentials=CREDENTIALS) as server,
    ):
        folder = Path(made)
        environment = {
            "S3_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        print("| | what | |\n| --- | --- | --- |", flush=True)
        for part in arguments.parts or PARTS:
            if part == "killed":
                uris = {"S3": f"s3://{BUCKET}", "folder": f"file://{folder / 'store'}"}
                killed.run(folder / "killed", uris, environment, table)
            elif part == "checks":
                checks.drive(folder / "checks", BUCKET, environment, server, table)
            else:
                ranks.drive(part, folder / part, BUCKET, environment, server, table)
    print(f"\n{time.monotonic() - began:.0f} s")
    return 0 if table.complete else 1


if __name__ == "__main__":
    sys.exit(main())
