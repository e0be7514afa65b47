"""Credentials that expire, are renewed, or are not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from rud_fakes.s3 import S3Server

from rud import Uploader
from rud.backends.s3 import S3ObjectStore
from rud.errors import (
    CredentialsExpiredError,
    OutageError,
)
from tests.support.contract import get, put
from tests.support.s3 import CREDENTIALS


class Shared:
    """A shared credentials file with a token, which somebody else renews."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, token: str) -> None:
        ((access_key, secret_key),) = CREDENTIALS.items()
        self.path.write_text(
            f"[default]\naws_access_key_id = {access_key}\naws_secret_access_key = {secret_key}\n"
            f"aws_session_token = {token}\n"
        )


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shared:
    made = Shared(tmp_path / "credentials")
    made.write("first-token")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(made.path))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return made


@pytest.fixture
def expiring() -> Iterator[S3Server]:
    with S3Server("bucket", credentials=CREDENTIALS) as server:
        yield server


def test_an_expired_token(expiring: S3Server, shared: Shared) -> None:
    """It is told apart from a refusal; a store that is opened anew reads the file again, and goes on."""
    store = S3ObjectStore("bucket", endpoint_url=expiring.url)
    put(store, "k", b"before")
    expiring.expire("first-token")
    for operation in (
        lambda: put(store, "k", b"x"),
        lambda: get(store, "k"),
        lambda: store.head("k"),
        store.probe,
        lambda: store.list(""),
    ):
        with pytest.raises(CredentialsExpiredError) as expired:
            operation()
        assert "first-token" not in str(expired.value)
    shared.write("second-token")

    put(S3ObjectStore("bucket", endpoint_url=expiring.url), "k", b"after")

    assert expiring.object("k").data == b"after"


@pytest.mark.parametrize("use_procs", [True, False], ids=["process", "thread"])
def test_a_token_that_is_renewed(expiring: S3Server, shared: Shared, tmp_path: Path, *, use_procs: bool) -> None:
    """A token that expires between uploads costs no upload: all are stored, each at its first charged attempt."""
    with Uploader(
        "s3://bucket",
        backend_kwargs={"endpoint_url": expiring.url},
        num_attempts=1,
        use_procs=use_procs,
        upload_staging_folder=tmp_path / "staging",
    ) as uploader:
        for number in range(20):
            (tmp_path / "file").write_text(f"content {number}")
            uploader.upload(tmp_path / "file", f"{number}")
            if number == 9:
                uploader.drain()
                shared.write("second-token")
                expiring.expire("first-token")

    assert {key: stored.data for key, stored in expiring.objects.items()} == {
        f"{number}": f"content {number}".encode() for number in range(20)
    }


def test_a_token_that_is_not_renewed(expiring: S3Server, shared: Shared, tmp_path: Path) -> None:
    """The waits raise, nothing has failed, and what was accepted is stored when the token is there at last."""
    expiring.expire("first-token")
    uploader = Uploader(
        "s3://bucket",
        backend_kwargs={"endpoint_url": expiring.url},
        use_procs=False,
        num_attempts=1,
        outage_timeout=0.5,
        upload_staging_folder=tmp_path / "staging",
    )
    (tmp_path / "file").write_bytes(b"content")
    uploader.upload(tmp_path / "file", "k")
    with pytest.raises(OutageError, match=r"(?i)expired"):
        uploader.drain(60)
    assert (uploader.counts().failed, uploader.counts().spooled) == (0, 1)
    shared.write("second-token")
    # Not a wait of the uploader: those raise at once until the destination has answered.
    refused = sum(one.operation == "PutObject" for one in expiring.requests)
    expiring.wait_for("PutObject", refused + 1, timeout=60)
    uploader.drain(60)
    uploader.close()

    assert expiring.object("k").data == b"content"
