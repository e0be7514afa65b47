"""Application default credentials and tokens that end, over TLS; and HMAC keys."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from rud_fakes.gcs import Fault, GCSServer
from rud_fakes.s3 import S3Server

from rud import Uploader
from rud.backends import _gcs_json
from rud.backends.gcs import GCSObjectStore
from rud.errors import ConfigurationError, CredentialsExpiredError, IntegrityError, UploadExistsError
from tests.support.contract import get, put
from tests.support.gcs import CHUNK
from tests.support.s3 import content


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def private_key() -> str:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return pem.decode()


@pytest.fixture
def server(authority: trustme.CA) -> Iterator[GCSServer]:
    """Over TLS, and for who bears its token."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with GCSServer("bucket", tls=context, token="first-token") as made:
        yield made


@pytest.fixture
def account(
    server: GCSServer, authority: trustme.CA, private_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key file of a service account, and the authority that signed the server's certificate."""
    about = {
        "type": "service_account",
        "project_id": "project",
        "private_key_id": "1",
        "private_key": private_key,
        "client_email": "somebody@project.iam.gserviceaccount.com",
        "client_id": "1",
        "token_uri": f"{server.url}/token",
    }
    (tmp_path / "key.json").write_text(json.dumps(about))
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "authority.pem"))
    monkeypatch.setattr(_gcs_json, "RETRY_FOR", 0.0)


@pytest.fixture
def store(server: GCSServer, account: None) -> GCSObjectStore:
    return GCSObjectStore("bucket", endpoint_url=server.url)


def test_application_default_credentials(server: GCSServer, store: GCSObjectStore) -> None:
    """Everything is asked for with the token of the key file."""
    for size in (10, CHUNK + 1):
        put(store, "k", content(size))
        assert get(store, "k")[0] == content(size)
    store.list("")
    store.probe()
    store.delete("k")

    assert {one.status for one in server.requests} <= {200, 204, 308, 499}


def test_a_token_that_is_renewed_by_itself(server: GCSServer, store: GCSObjectStore) -> None:
    """The SDK fetches another when the service does not take the one it has, also in the middle of an upload."""
    put(store, "k", b"before")
    server.renew("second-token")
    put(store, "k", b"after")
    server.renew("third-token")
    put(store, "large", content(CHUNK + 1))

    assert server.object("k").data == b"after"
    assert server.object("large").data == content(CHUNK + 1)


def test_a_token_that_is_not_renewed(server: GCSServer, store: GCSObjectStore) -> None:
    """Credentials that were good and are refused now are expired: they are waited for; none of them is in the text."""
    put(store, "k", b"before")
    server.renew("second-token")
    server.add(Fault("Token", "status", status=400, code="invalid_grant", times=None))
    for operation in (lambda: put(store, "k", b"x"), lambda: store.head("k"), lambda: store.list(""), store.probe):
        with pytest.raises(CredentialsExpiredError) as caught:
            operation()
        assert not {"first-token", "second-token"} & set(str(caught.value).split())


def test_a_certificate_that_nobody_has_signed(
    server: GCSServer, store: GCSObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It will not get better by waiting, and the text says which setting it is."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")

    with pytest.raises(ConfigurationError, match="REQUESTS_CA_BUNDLE"):
        store.probe()


def test_a_key_file_that_is_none(server: GCSServer, account: None, tmp_path: Path) -> None:
    """The first request says so."""
    (tmp_path / "key.json").write_text('{"type": "nonsense"}')

    with pytest.raises(ConfigurationError, match="no Google Cloud credentials"):
        GCSObjectStore("bucket", endpoint_url=server.url).probe()


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    """What the S3-compatible interface of Cloud Storage is to us, and an HMAC key for it."""
    monkeypatch.setenv("GCS_KEY", "GOOG1EXAMPLE")
    monkeypatch.setenv("GCS_SECRET", "a-long-secret")
    with S3Server("bucket", region="auto", credentials={"GOOG1EXAMPLE": "a-long-secret"}) as made:
        yield made


LARGE = 16 * (1 << 20) + 1


def test_an_hmac_key(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that is offered works by it; no request has a header about checksums, which that interface does not
    know."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", s3.url)
    store, ids = GCSObjectStore("bucket", "some/prefix"), list[str]()
    store.prepare()
    store.probe()
    for size in (10, LARGE):
        put(store, "k", content(size), entry_id="id", on_multipart=ids.append)
        data, meta = get(store, "k", 3)
        assert (data == content(size)[3:], meta.size, meta.checksum) == (True, size, None)
        assert (store.head("k").entry_id, store.head("k").checksum) == ("id", None)
    assert [meta.key for meta in store.list("")] == ["k"]
    store.abort("k", ids[0])
    store.abort("k", None)
    store.delete("k")

    assert (s3.objects, s3.uploads) == ({}, {})
    asked = {name for one in s3.requests for name in (*one.headers, *one.query) if "checksum" in name.lower()}
    assert asked == set()
    assert store.uri("k") == "gs://bucket/some/prefix/k"


def test_other_bytes_than_declared_are_refused_here(s3: S3Server) -> None:
    """Where the service is told no sum, ours is compared before the object is there."""
    store = GCSObjectStore("bucket", endpoint_url=s3.url)
    for size in (10, LARGE):
        with pytest.raises(IntegrityError):
            put(store, "k", content(size), checksum=1)

    assert (s3.objects, s3.uploads) == ({}, {})


def test_a_create_by_an_hmac_key(s3: S3Server, tmp_path: Path) -> None:
    """An uploader looks before it puts, as for every store that cannot decide; what is there stays as it is."""
    s3.put("taken", b"somebody's")
    (tmp_path / "file").write_bytes(b"content")
    arguments: dict[str, Any] = {"backend_kwargs": {"endpoint_url": s3.url}, "use_procs": False}
    with Uploader("gs://bucket", upload_staging_folder=tmp_path / "staging", **arguments) as uploader:
        uploader.upload(tmp_path / "file", "free", overwrite=False).result(60)
        with pytest.raises(UploadExistsError):
            uploader.upload(tmp_path / "file", "taken", overwrite=False).result(60)

    assert (s3.object("free").data, s3.object("taken").data) == (b"content", b"somebody's")
