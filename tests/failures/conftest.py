"""What the scenarios start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.place import Place
from tests.support.s3_place import S3Place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    """A slow store, a staging folder, and an end to everything that was started there."""
    with Place(tmp_path) as made:
        yield made


@pytest.fixture(params=["process", "thread"])
def use_procs(request: pytest.FixtureRequest) -> bool:
    """Every scenario is gone through with both kinds of workers."""
    return bool(request.param == "process")


@pytest.fixture
def s3(tmp_path: Path) -> Iterator[S3Place]:
    """The same on an S3 server that fails as it is told."""
    with S3Place(tmp_path) as made:
        yield made
