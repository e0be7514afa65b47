"""The command on ``s3://``, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from rud_fakes.s3 import Fault, S3Server
from rud_fakes.servers import MissingServerError, Versitygw, versitygw

from rud._object_store import ObjectStore
from rud._registry import resolve
from rud.cli import exits
from tests.support.commands import Done, Rud, runner
from tests.support.dead_runs import Run, contents_of

NOWHERE = "http://127.0.0.1:9"
"""No server listens at the port of "discard"."""


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rud:
    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(tmp_path / "staging"))
    return runner(capfd)


@pytest.fixture(name="uri")
def fixture_uri(rud_versitygw: Versitygw, rud_prefix: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A prefix of its own on a server to which the environment leads."""
    for name, value in rud_versitygw.environment.items():
        monkeypatch.setenv(name, value)
    return f"s3://bucket/command/{rud_prefix}"


def keys_at(uri: str) -> list[str]:
    with ObjectStore(resolve(uri).open()) as store:
        return store.list_objects()


def verdicts(done: Done) -> dict[str, str]:
    return {one["step"]: one["verdict"] for one in done.json["steps"]}


def test_check(rud: Rud, uri: str, rud_versitygw: Versitygw) -> None:
    """With the right credentials every step is well; it says where they are from, and leaves nothing, half or whole."""
    done = rud("check", uri)

    assert (done.code, done.last) == (exits.DONE, "OK: it can be written, read, listed and cleaned up")
    assert "environment" in done.out
    assert f"endpoint_url: {rud_versitygw.url}" in done.out
    assert rud_versitygw.secret_key not in done.out + done.err
    assert keys_at("s3://bucket/command") == [key for key in keys_at("s3://bucket/command") if "rud-" not in key]
    assert "<Upload>" not in rud_versitygw.address.ask("GET", "/bucket?uploads=")[1]


def test_check_with_a_wrong_secret(rud: Rud, uri: str) -> None:
    """A wrong secret is refused at every step, and shown in none."""
    arguments = json.dumps({"aws_access_key_id": "rudtest", "aws_secret_access_key": "not the right one"})

    done = rud("check", "--json", uri, "--backend-kwargs", arguments)

    assert done.code == exits.FAILED
    assert [name for name, verdict in verdicts(done).items() if verdict == "refused"] == ["probe", "write", "list"]
    assert "are the credentials the right ones" in done.json["steps"][1]["advice"]
    assert "not the right one" not in done.out + done.err


def test_check_of_a_missing_bucket(rud: Rud, uri: str) -> None:
    """A bucket that is not there is named once, and nothing else is tried."""
    done = rud("check", "--json", "s3://no-such-bucket/x")

    assert done.code == exits.FAILED
    assert list(verdicts(done).values()) == ["ok", "failed", *["not tried"] * 6]
    assert "make it, or correct the URI" in done.json["steps"][1]["advice"]


@pytest.mark.parametrize("may", ["read", "write"])
def test_check_of_half_the_rights(rud: Rud, uri: str, rud_versitygw: Versitygw, tmp_path: Path, may: str) -> None:
    """Who may only read, or only write, hears which of the steps are refused, and what is left when it may not be
    removed."""
    user = rud_versitygw.add_user(f"may{may}", "secret-of-a-user", may=may)  # type: ignore[arg-type]  # of a list
    (tmp_path / "kwargs").write_text(json.dumps(user.backend_kwargs), encoding="utf-8")

    done = rud("check", "--json", uri, "--backend-kwargs", f"@{tmp_path}/kwargs")

    assert done.code == exits.FAILED
    refused = [name for name, verdict in verdicts(done).items() if verdict == "refused"]
    assert refused == (["probe", "write"] if may == "read" else ["read", "head", "list", "delete"])
    assert verdicts(done)["list" if may == "read" else "create"] == "ok"
    assert keys_at(uri) == [key for key in [done.json["left"]] if key]


def test_check_without_an_answer(rud: Rud, uri: str) -> None:
    """Where nobody listens it is trouble that may pass: exit code 3, and one sentence."""
    done = rud("check", "--json", uri, "--backend-kwargs", json.dumps({"endpoint_url": NOWHERE}))

    assert done.code == exits.LEFT
    assert list(verdicts(done).values()) == ["ok", "trouble", *["not tried"] * 6]
    assert NOWHERE in done.json["steps"][1]["text"]


@pytest.mark.parametrize("command", ["check", "ls", "upload", "download"])
def test_no_credentials(rud: Rud, uri: str, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials each command says which variables to set, and nothing is left."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "file").touch()
    arguments = {"upload": [tmp_path / "file", uri], "download": [uri, "key", tmp_path / "copy"]}

    done = rud(command, *arguments.get(command, [uri]))

    assert done.code == exits.USAGE
    assert "set AWS_ACCESS_KEY_ID" in done.out + done.err
    assert not [path for path in (tmp_path / "staging").rglob("*") if path.is_file()]


def test_there_and_back(rud: Rud, uri: str, tmp_path: Path) -> None:
    """A folder goes up, is listed, and comes back the same, as a whole and one by one."""
    contents = {"a/x": b"1" * 300_000, "b": b"", "c d": b"3"}
    for name, content in contents.items():
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    sent = rud("upload", "--threads", tmp_path / "run", uri)

    assert (sent.code, sent.last) == (exits.DONE, "stored 3, failed 0, spooled 0")
    assert rud("ls", uri).out == "run/a/x\nrun/b\nrun/c d\n"
    assert rud("download", uri, "run/", tmp_path / "copy").code == exits.DONE
    assert contents_of(tmp_path / "copy") == contents
    assert rud("download", uri, "run/c d", tmp_path / "one").code == exits.DONE
    assert (tmp_path / "one").read_bytes() == b"3"
    assert rud("download", uri, "run/none", tmp_path / "none").code == exits.FAILED


def test_upload_with_arguments_from_a_file(
    rud: Rud, uri: str, rud_versitygw: Versitygw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``--backend-kwargs @FILE`` leads worker processes to the store as well; no secret of it gets into the spool."""
    for name in rud_versitygw.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    (tmp_path / "kwargs").write_text(json.dumps(rud_versitygw.backend_kwargs), encoding="utf-8")
    (tmp_path / "file").write_bytes(b"1")

    done = rud("upload", tmp_path / "file", uri, "--backend-kwargs", f"@{tmp_path}/kwargs")

    assert (done.code, done.last) == (exits.DONE, "stored 1, failed 0, spooled 0")
    assert rud("ls", uri, "--backend-kwargs", f"@{tmp_path}/kwargs").out == "file\n"


def test_resume(rud: Rud, uri: str, rud_versitygw: Versitygw, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A dead run's uploads go to the endpoint that it had, with credentials of now, and to no other endpoint."""
    run = Run(tmp_path, {"a": b"1", "b": b"2" * 500_000}, uri=uri)
    folder = run.die()
    facts = (folder / "owner.json").read_text(encoding="utf-8")

    assert json.loads(facts)["destination"]["endpoint_url"] == rud_versitygw.url
    assert f"endpoint_url {rud_versitygw.url}" in rud("status", folder).out
    elsewhere = rud("resume", folder, "--backend-kwargs", json.dumps({"endpoint_url": NOWHERE}))
    assert (elsewhere.code, elsewhere.last) == (exits.USAGE, "stored 0, failed 0, spooled 2")
    assert f"but the arguments lead to scheme 's3', bucket 'bucket', prefix {uri[12:]!r}" in elsewhere.err

    for name in rud_versitygw.environment:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    nobody = rud("resume", folder)
    assert (nobody.code, nobody.last) == (exits.USAGE, "stored 0, failed 0, spooled 2")
    assert "set AWS_ACCESS_KEY_ID" in nobody.err

    secrets = {name: value for name, value in rud_versitygw.backend_kwargs.items() if name.startswith("aws_")}
    assert not any(secret in facts for secret in secrets.values())
    done = rud("resume", folder, "--backend-kwargs", json.dumps(secrets))
    assert (done.code, done.last) == (exits.DONE, "stored 2, failed 0, spooled 0")
    with ObjectStore(resolve(uri, rud_versitygw.backend_kwargs).open()) as store:
        assert store.list_objects() == ["a", "b"]


def test_demo(uri: str, tmp_path: Path) -> None:
    """The main job on S3: a worker and the run are killed, nothing is lost, and nothing is left in the bucket."""
    process = subprocess.run(
        [sys.executable, "-m", "rud", "demo", "--checkpoints", "4", "--steps", "60", "--store", f"{uri}/demo"],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert process.returncode == exits.DONE, process.stdout + process.stderr
    assert "OK: 13 files, 1 worker killed, 1 crash resumed, 0 lost" in process.stdout
    assert keys_at(uri) == []
    assert list(tmp_path.iterdir()) == []


def test_outage(rud: Rud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a server that is down does not take is left for later, and sent once it is back."""
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("RUD_OUTAGE_TIMEOUT", "0.1")
    with started(tmp_path / "data") as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        folder = Run(tmp_path, {"a": b"1", "b": b"2" * 500_000}, uri="s3://bucket/x").die()
        server.kill()
        down = rud("resume", folder)
        server.start()
        up = rud("resume", folder)

        assert (down.code, down.last) == (exits.LEFT, "stored 0, failed 0, spooled 2")
        assert "Could not connect to the endpoint" in down.err
        assert (up.code, up.last) == (exits.DONE, "stored 2, failed 0, spooled 0")
        assert keys_at("s3://bucket/x") == ["a", "b"]


def started(folder: Path) -> Versitygw:
    """A server of this test's own, which it may kill; skips or fails as the shared one does."""
    try:
        return versitygw(folder)
    except MissingServerError as error:
        if os.environ.get("RUD_REQUIRE_SERVERS") == "1":
            pytest.fail(str(error), pytrace=False)
        pytest.skip(str(error))


@pytest.fixture(name="fake")
def fixture_fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """A server that fails as it is told, to which the environment leads."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "KEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "SECRET")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    with S3Server("bucket", credentials={"KEY": "SECRET"}) as server:
        monkeypatch.setenv("S3_ENDPOINT_URL", server.url)
        yield server


def test_check_with_expired_credentials(rud: Rud, fake: S3Server) -> None:
    """Credentials that have expired are told from wrong ones, and nothing else is tried with them."""
    fake.expire("KEY")

    done = rud("check", "--json", "s3://bucket/x")

    assert done.code == exits.FAILED
    assert list(verdicts(done).values()) == ["ok", "refused", *["not tried"] * 6]
    assert done.json["steps"][1]["advice"] == "renew the credentials"


def test_check_whose_answer_is_lost(rud: Rud, fake: S3Server) -> None:
    """An object that was stored without an answer is removed, although the check ends there."""
    fake.add(Fault("PutObject", "lost_reply", times=None))

    done = rud("check", "--json", "s3://bucket/x")

    assert done.code == exits.LEFT
    assert [verdicts(done)[step] for step in ("write", "read", "delete")] == ["trouble", "not tried", "ok"]
    assert (dict(fake.objects), done.json["left"]) == ({}, "")


def test_download_that_is_cut(rud: Rud, fake: S3Server, tmp_path: Path) -> None:
    """An answer that ends early is gone on with, and the file is whole."""
    content = bytes(range(256)) * 4000
    fake.put("x/a/b", content)
    fake.add(Fault("GetObject", "truncate", bytes=300_000, times=1))

    assert rud("download", "s3://bucket/x", "a/", tmp_path / "copy").code == exits.DONE
    assert contents_of(tmp_path / "copy") == {"b": content}
    assert fake.fired


def test_download_of_other_bytes(rud: Rud, fake: S3Server, tmp_path: Path) -> None:
    """A bit that is not as it was stored is found out by the object's checksum."""
    (tmp_path / "a").write_bytes(b"1" * 1000)
    rud("upload", "--threads", "--staging-folder", tmp_path / "staging", tmp_path / "a", "s3://bucket/x")
    fake.add(Fault("GetObject", "flip", times=None))

    done = rud("download", "--attempts", "1", "s3://bucket/x", "a", tmp_path / "copy")

    assert done.code == exits.FAILED
    assert "CRC32C" in done.err
    assert not (tmp_path / "copy").exists()
