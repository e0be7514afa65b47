"""``rud env``."""

from __future__ import annotations

from pathlib import Path

import pytest

import rud as library
from rud._options import PARSERS
from rud.cli import exits
from tests.support.commands import Rud, runner


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str]) -> Rud:
    return runner(capfd)


def test_everything_that_matters(rud: Rud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Versions, ranks, the staging folder, and each option with where its value comes from."""
    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(tmp_path / "not made yet"))
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")

    told = rud("env", "--json").json

    assert told["versions"]["rud"].startswith(library.__version__)
    assert (told["ranks"]["rank"], told["ranks"]["seen"]) == (3, {"RANK": "3", "WORLD_SIZE": "8"})
    assert told["ranks"]["launcher"] == "torchrun or alike: RANK, WORLD_SIZE"
    assert set(told["options"]) == set(PARSERS)
    assert told["options"]["upload_staging_folder"] == f"{tmp_path}/not made yet (RUD_UPLOAD_STAGING_FOLDER)"
    assert told["options"]["stall_timeout"] == "30.0 (default)"
    assert told["staging"]["folder"] == f"{tmp_path}/not made yet"
    assert not (tmp_path / "not made yet").exists()


def test_text_has_the_same(rud: Rud) -> None:
    """Without ``--json`` it is a table for a person."""
    done = rud("env")

    assert done.code == exits.DONE
    assert all(name in done.out for name in (*PARSERS, "python", "world_size", "file system"))


def test_wrong_settings_are_all_named(rud: Rud, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not stop at the first wrong variable, and its exit code says that there is one."""
    monkeypatch.setenv("RUD_STALL_TIMEOUT", "soon")
    monkeypatch.setenv("RUD_FSYNC", "perhaps")
    monkeypatch.setenv("RANK", "3")

    done = rud("env", "--json")

    assert done.code == exits.USAGE
    assert all(name in " ".join(done.json["wrong"]) for name in ("RUD_STALL_TIMEOUT", "RUD_FSYNC", "RANK"))


def test_no_secrets(rud: Rud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables that are not ours are not shown."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")

    assert "s3cr3t" not in rud("env").out + rud("env", "--json").out


def test_variables_of_stores_are_named(rud: Rud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the variables that stores obey, it says which are set, and of none what it is."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t-value")
    monkeypatch.setenv("https_proxy", "http://me:s3cr3t-value@proxy")

    done = rud("env")

    assert "AWS_SECRET_ACCESS_KEY" in done.out
    assert "https_proxy" in done.out
    assert "s3cr3t-value" not in done.out + done.err
