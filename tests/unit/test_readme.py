"""The blocks of the README and of the guide are run; and the runner itself is tried on samples."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from rud_fakes.s3 import S3Server

from tests.support.blocks import SHELLS, Block, blocks

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
BLOCKS = [block for page in PAGES for block in blocks(page.read_text(encoding="utf-8"), str(page.relative_to(ROOT)))]
LIMIT = 100.0
"""Seconds for one block."""
CREDENTIALS = {"AKIAIOSFODNN7EXAMPLE": "a secret of nobody's"}
"""What blocks find in their environment, and the server asks for."""
BUCKET = "my-bucket"


@contextmanager
def store_of(block: Block) -> Iterator[dict[str, str]]:
    """The variables by which a block that speaks of ``s3://`` finds a server, with the bucket of all examples."""
    if "s3://" not in block.text + block.first:
        yield {}
        return
    ((access_key, secret_key),) = CREDENTIALS.items()
    with S3Server(BUCKET, credentials=CREDENTIALS) as server:
        yield {
            "S3_ENDPOINT_URL": server.url,
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_REGION": "us-east-1",
        }
        assert server.uploads == {}, "a multipart upload is left unfinished"


def run(block: Block, folder: Path) -> str:
    """Run it in ``folder`` as a stranger would, who has rud installed; what it printed. Fails the test if it fails."""
    with store_of(block) as variables:
        return run_with(variables, block, folder)


def run_with(variables: dict[str, str], block: Block, folder: Path) -> str:
    scratch = folder / "tmp"
    scratch.mkdir()
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)))
    environ = {**os.environ, "PATH": path, "HOME": str(folder), "TMPDIR": str(scratch), "PYTHONWARNINGS": "error"}
    environ |= variables
    if block.first:
        subprocess.run(["bash", "-euc", block.first], cwd=folder, env=environ, check=True, timeout=LIMIT)
    if block.language == "python":
        script = folder / "block.py"
        script.write_text(block.text, encoding="utf-8")
        command = [sys.executable, str(script)]
    else:
        command = ["bash", "-euo", "pipefail", "-c", block.script]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    if done.returncode:
        pytest.fail(
            f"the block at {block.page}:{block.line} ended with {done.returncode}\n{done.stdout}\n{done.stderr}",
            pytrace=False,
        )
    return done.stdout


RUNNABLE = [block for block in BLOCKS if block.reason is None and block.language in ("python", *SHELLS)]


@pytest.mark.parametrize("block", RUNNABLE, ids=lambda block: f"{block.page}:{block.line}")
def test_block_runs(block: Block, tmp_path: Path) -> None:
    """What the documentation shows does what it says, without a warning."""
    run(block, tmp_path)


def test_blocks_taken_out_have_a_reason() -> None:
    """A block that the tests do not run says why."""
    bare = [f"{block.page}:{block.line}" for block in BLOCKS if block.reason == ""]

    assert bare == []


def test_blocks_name_their_language() -> None:
    """No block is passed over because it does not say what it is."""
    nameless = [f"{block.page}:{block.line}" for block in BLOCKS if not block.language]

    assert nameless == []


SAMPLE = """\
Some text.

```python
print("a" * 3)
```

<!-- first: printf seven > seven.txt -->

```console
$ cat seven.txt && \\
  printf ' and more'
seven and more
```

1. In a list:

   ~~~bash
   echo "${HOME}"
   ~~~

<!-- not run by the tests: it needs another machine -->
```sh
exit 3
```

<!-- not run by the tests -->
```text
```
"""


def test_blocks_of_a_sample() -> None:
    """Fences of both kinds, in lists too, are found with their language, their text and their notes."""
    found = [(block.line, block.language, block.script, block.reason, block.first) for block in blocks(SAMPLE)]

    assert found == [
        (3, "python", 'print("a" * 3)\n', None, ""),
        (9, "console", "cat seven.txt && \\\n  printf ' and more'\n", None, "printf seven > seven.txt"),
        (17, "bash", 'echo "${HOME}"\n', None, ""),
        (22, "sh", "exit 3\n", "it needs another machine", ""),
        (27, "text", "", "", ""),
    ]


def test_a_note_counts_for_the_next_block_only() -> None:
    """Text between a note and a block parts them."""
    found = list(blocks("<!-- not run by the tests: why -->\nWords.\n```sh\nfalse\n```\n"))

    assert [block.reason for block in found] == [None]


def test_a_block_without_end_is_an_error() -> None:
    """A fence that is never closed does not swallow the rest of a page silently."""
    with pytest.raises(ValueError, match="page:1"):
        list(blocks("```python\nprint()\n"))


def test_a_block_that_speaks_of_s3_finds_a_bucket(tmp_path: Path) -> None:
    """The bucket of the examples is there, for whoever signs with what stands in the environment, and for that block
    only."""
    upload = (
        "```sh\nprintf seven > seven.txt && rud upload --json seven.txt s3://my-bucket/a && rud ls s3://my-bucket\n```"
    )
    other = '```sh\nprintf "${AWS_ACCESS_KEY_ID-nothing}"\n```'

    assert run(next(blocks(upload)), tmp_path).endswith("a/seven.txt\n")
    (tmp_path / "other").mkdir()
    assert run(next(blocks(other)), tmp_path / "other") == "nothing"


@pytest.mark.parametrize(("index", "printed"), [(0, "aaa\n"), (1, "seven and more")])
def test_run_gives_what_was_printed(index: int, printed: str, tmp_path: Path) -> None:
    """The runner runs Python and shell, after the line that makes what they need."""
    assert run(list(blocks(SAMPLE))[index], tmp_path) == printed


@pytest.mark.parametrize(
    "text", ["```python\n1 / 0\n```", "```console\n$ false | cat\n```", "```sh\nno-such-command\n```"]
)
def test_run_fails_when_the_block_does(text: str, tmp_path: Path) -> None:
    """An exception, a failure inside a pipe, a command that is not there: each fails the test."""
    with pytest.raises(pytest.fail.Exception, match="page:1"):
        run(next(blocks(text)), tmp_path)
