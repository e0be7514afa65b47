"""A store of somebody else's, in an environment of its own: what the documentation tells its author works."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "tests" / "third_party"
RIGHT = '{_META} WHERE substr(key, 1, ?) = ? ORDER BY key", (len(begins), begins)'
WRONG = '{_META} WHERE key LIKE ? ORDER BY key", (begins.decode() + "%",)'
"""A mistake that is made with SQL: the prefix becomes a pattern."""
LIMIT = 100
"""Seconds for one command."""


class Environment:
    """A virtual environment with the wheels of rud and of the package, in which an author works on ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        clean = {name: text for name, text in os.environ.items() if not name.startswith(("PYTHON", "PYTEST"))}
        self._environ = {**clean, "PYTHONWARNINGS": "error", "SQLITE_STORE_FOLDER": str(folder), "COLUMNS": "200"}

    def install(self) -> None:
        for project in (ROOT, PACKAGE):
            self.done(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", self.folder / "dist", at=project)
        self.done(sys.executable, "-m", "venv", self.folder / "venv")
        wheels = sorted((self.folder / "dist").glob("*.whl"))
        self.done(self.python, "-W", "ignore", "-m", "pip", "install", "-q", "--no-index", "--no-deps", *wheels)
        # What the two depend on, which an author would have from an index: as it is installed here, behind theirs.
        tools = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
        (self.packages / "zz_dependencies.pth").write_text("\n".join(sorted(tools)), encoding="utf-8")

    @property
    def packages(self) -> Path:
        return next((self.folder / "venv" / "lib").iterdir()) / "site-packages"

    def run(self, *command: str | Path, at: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command],
            cwd=at or self.folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=LIMIT,
        )

    def done(self, *command: str | Path, at: Path | None = None) -> str:
        ended = self.run(*command, at=at)
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def pytest(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        plain = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly"]
        return self.run(self.python, "-m", "pytest", *plain, "--rud-profile", "smoke", *arguments)

    @contextmanager
    def with_a_bug(self) -> Iterator[None]:
        """The same backend, one mistake put in."""
        module = self.packages / "sqlite_store" / "__init__.py"
        text = module.read_text(encoding="utf-8")
        assert text.count(RIGHT) == 1
        module.write_text(text.replace(RIGHT, WRONG), encoding="utf-8")
        yield
        module.write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    made = Environment(tmp_path_factory.mktemp("third-party"))
    made.install()
    return made


def test_nothing_comes_from_the_sources(environment: Environment) -> None:
    """What is tried below is what is in the wheels."""
    code = "import rud, rud_conformance, sqlite_store as s; print(rud.__file__, rud_conformance.__file__, s.__file__)"
    places = environment.done(environment.python, "-c", code).split()

    assert [Path(place).is_relative_to(environment.packages) for place in places] == [True] * 3


def test_the_suite_passes(environment: Environment) -> None:
    """A class with a harness, in a file of tests, is the suite, and the store keeps the contract."""
    ended = environment.pytest(PACKAGE / "test_sqlite_store.py")

    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout.splitlines()[-1]


def test_the_suite_without_a_file(environment: Environment) -> None:
    """The harness's name is enough, and what is required was tried."""
    chosen = ["--pyargs", "rud_conformance", "-k", "O0 or L0", "--rud-require", "create"]
    ended = environment.pytest(*chosen, "--rud-backend", "sqlite_store.conformance:SqliteStore")

    assert ended.returncode == 0, ended.stdout
    assert " passed" in ended.stdout.splitlines()[-1]


def test_a_bug_is_found_and_shown_again(environment: Environment) -> None:
    """With one mistake in the store the suite fails, and the program that it prints fails by itself for that reason;
    without the mistake the same program is content."""
    script = environment.folder / "again.py"
    with environment.with_a_bug():
        ended = environment.pytest(PACKAGE / "test_sqlite_store.py", "-k", "L02", "--junitxml", "report.xml")
        assert ended.returncode == 1, ended.stdout
        lines = ended.stdout.splitlines()
        told = next(line for line in lines if line.startswith("L02 fail: "))
        first = lines.index(next(line for line in lines if line.startswith("# L02: ")))
        last = lines.index(next(line for line in lines if line.startswith("replay('L02'")))
        script.write_text("\n".join(lines[first : last + 1]) + "\n", encoding="utf-8")

        again = environment.run(environment.python, script)

    assert again.returncode == 1, again.stdout
    assert told.removeprefix("L02 fail: ") in again.stderr
    assert environment.run(environment.python, script).returncode == 0


def test_its_uris_are_like_others(environment: Environment) -> None:
    """By the entry point alone the command uploads to the scheme, with workers of its own, lists it and reads back."""
    rud = environment.python.with_name("rud")
    (environment.folder / "model.pt").write_bytes(b"weights" * 1000)

    environment.done(rud, "upload", "model.pt", "sqlite://objects/run-1")
    listed = environment.done(rud, "ls", "sqlite://objects/run-1")
    environment.done(rud, "download", "sqlite://objects/run-1", "model.pt", "copy.pt")

    assert listed.split()[-1] == "model.pt"
    assert (environment.folder / "copy.pt").read_bytes() == b"weights" * 1000
