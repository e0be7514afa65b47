"""The command on ``gs://``, against fake-gcs-server."""

from __future__ import annotations

from pathlib import Path

import pytest
from rud_fakes.servers import FakeGcs

from rud.cli import exits
from tests.support.commands import Rud, runner


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rud:
    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(tmp_path / "staging"))
    return runner(capfd)


@pytest.fixture(name="uri")
def fixture_uri(rud_fake_gcs: FakeGcs, rud_prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of its own on a server to which the environment leads."""
    for name, value in rud_fake_gcs.environment.items():
        monkeypatch.setenv(name, value)
    return f"gs://bucket/command/{rud_prefix}"


def test_check(rud: Rud, uri: str, rud_fake_gcs: FakeGcs) -> None:
    """Every step is well; it says where it led and that it sent no credentials, and leaves nothing."""
    done = rud("check", uri)

    assert (done.code, done.last) == (exits.DONE, "OK: it can be written, read, listed and cleaned up")
    assert f"endpoint_url: {rud_fake_gcs.url}" in done.out
    assert "credentials: nowhere" in done.out
    assert rud_fake_gcs.address.ask("GET", "/storage/v1/b/bucket/o?prefix=command")[1].count('"name"') == 0


def test_check_of_a_bucket_that_is_not_there(rud: Rud, uri: str) -> None:
    """It is said once, and nothing else is tried."""
    done = rud("check", "--json", "gs://rud-nowhere/k")

    assert done.code == exits.FAILED
    assert [one["verdict"] for one in done.json["steps"]] == ["ok", "failed", *["not tried"] * 6]
    assert "make it, or correct the URI" in done.json["steps"][1]["advice"]


def test_there_and_back(rud: Rud, uri: str, tmp_path: Path) -> None:
    """A file goes up by worker processes, is listed and comes back."""
    (tmp_path / "file").write_bytes(b"content")
    assert rud("upload", str(tmp_path / "file"), uri).code == exits.DONE
    assert "file" in rud("ls", uri).out
    assert rud("download", uri, "file", str(tmp_path / "back")).code == exits.DONE

    assert (tmp_path / "back").read_bytes() == b"content"
