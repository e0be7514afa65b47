"""Who may do what at an S3 server, and by which way it is reached."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import trustme
from rud_fakes.s3 import Fault, S3Server
from rud_fakes.servers import S3Address, Versitygw, versitygw

from rud import Uploader
from rud.backends.s3 import S3ObjectStore
from rud.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    ConfigurationError,
    ObjectExistsError,
    ObjectNotFoundError,
    StoreError,
)
from rud.store import PutMode
from tests.support.contract import get, put
from tests.support.s3 import CREDENTIALS, PART, SMALL_PARTS, address_of, content, new_place

OPERATIONS: dict[str, Callable[[S3ObjectStore], object]] = {
    "put": lambda store: put(store, "k", b"x"),
    "create": lambda store: put(store, "k2", b"x", mode=PutMode.CREATE),
    "put in parts": lambda store: put(store, "k", content(PART + 1)),
    "create in parts": lambda store: put(store, "k3", content(PART + 1), mode=PutMode.CREATE),
    "get": lambda store: get(store, "k"),
    "head": lambda store: store.head("k"),
    "list": lambda store: list(store.list("")),
    "probe": lambda store: store.probe(),
}


def outcomes(store: S3ObjectStore) -> dict[str, type[BaseException] | None]:
    """What each operation came to: ``None``, or the class of its error."""

    def outcome(operation: Callable[[S3ObjectStore], object]) -> type[BaseException] | None:
        try:
            operation(store)
        except StoreError as error:
            return type(error)
        return None

    return {name: outcome(operation) for name, operation in OPERATIONS.items()}


def store_at(address: S3Address, bucket: str = "bucket") -> S3ObjectStore:
    return S3ObjectStore(bucket, "some/prefix", **address.backend_kwargs, transfer_config=SMALL_PARTS)


@pytest.fixture(scope="module")
def strict(rud_versitygw: Versitygw) -> Iterator[Versitygw]:
    """A versitygw whose bucket has an object, and policies."""
    with versitygw() as server:
        put(store_at(server.address), "k", b"there")
        yield server


def test_a_user_that_may_only_read(strict: Versitygw) -> None:
    """It gets, heads and lists; whatever writes is refused as a matter of rights, and by the probe before anything."""
    store = store_at(strict.add_user("reader", "readersecret", may="read"))

    assert outcomes(store) == {
        name: None if name in ("get", "head", "list") else AccessDeniedError for name in OPERATIONS
    }
    with pytest.raises(AccessDeniedError) as refused:
        store.probe()
    assert "readersecret" not in str(refused.value)


def test_a_user_that_may_only_write(strict: Versitygw) -> None:
    """It puts, creates and passes the probe, in one request and in parts; an object that it may not see is never said
    to be missing."""
    store = store_at(strict.add_user("writer", "writersecret", may="write"))

    assert outcomes(store) == {
        name: AccessDeniedError if name in ("get", "head", "list") else None for name in OPERATIONS
    }
    for size in (1, PART + 1):
        with pytest.raises(ObjectExistsError):
            put(store, "k", content(size), mode=PutMode.CREATE)
    assert "<UploadId>" not in strict.address.ask("GET", "/bucket?uploads=")[1]


@pytest.mark.parametrize(
    ("access_key", "secret_key"), [("rudtest", "not the secret"), ("nobody", "rudtestsecret")], ids=["secret", "key"]
)
def test_credentials_that_are_wrong(strict: Versitygw, s3_fake: S3Server, access_key: str, secret_key: str) -> None:
    """A wrong secret and an unknown key are refusals, of every operation, whose text has no secret and names no
    missing object."""
    for url in (strict.url, s3_fake.url):
        store = store_at(S3Address(url, access_key, secret_key))

        assert set(outcomes(store).values()) == {AccessDeniedError}
        with pytest.raises(AccessDeniedError) as refused:
            store.head("k")
        assert secret_key not in str(refused.value)


def test_a_bucket_that_is_missing(s3_server: S3Address) -> None:
    """Every operation says that the bucket is missing, and which; none takes it for a missing object."""
    store = store_at(s3_server, "rud-no-such-bucket")

    assert set(outcomes(store).values()) == {BucketNotFoundError}
    with pytest.raises(BucketNotFoundError, match="bucket"):
        store.probe()


def test_an_object_that_is_missing(s3_server: S3Address) -> None:
    """Where the bucket is there, a missing object is that, and deleting it no error."""
    store = new_place(s3_server).store()

    for operation in (store.head, lambda key: get(store, key)):
        with pytest.raises(ObjectNotFoundError, match="no such key"):
            operation("no such key")
    store.delete("no such key")


def test_a_bucket_of_another_region(rud_versitygw: Versitygw) -> None:
    """Where the service says in which region the bucket is, the request is made again for that one, and works."""
    with versitygw(region="eu-central-1") as real, S3Server("bucket", region="eu-central-1") as fake:
        for address in (real.address, address_of(fake, "eu-central-1")):
            elsewhere = store_at(replace(address, region="us-east-1"))
            elsewhere.probe()
            put(elsewhere, "k", b"x")

            assert get(store_at(address), "k")[0] == b"x"


@pytest.mark.parametrize(
    ("status", "code"),
    [(400, "AuthorizationHeaderMalformed"), (301, "PermanentRedirect"), (400, "IllegalLocationConstraintException")],
)
def test_a_bucket_of_a_region_that_nobody_tells(status: int, code: str) -> None:
    """Where it only refuses, that is a matter of configuration, and the text names the argument."""
    with S3Server("bucket") as server:
        server.add(Fault("CreateMultipartUpload", "status", status=status, code=code, times=None))

        with pytest.raises(ConfigurationError, match=rf"{code}.*region_name"):
            store_at(address_of(server)).probe()


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def https(authority: trustme.CA) -> Iterator[S3Server]:
    """A fake that speaks https, with a certificate of nobody's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with S3Server("bucket", tls=context, credentials=CREDENTIALS) as server:
        yield server


def test_https(https: S3Server, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the authority in ``AWS_CA_BUNDLE`` objects go and come over https, whole and in parts."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    store = store_at(address_of(https))
    store.probe()
    for size in (0, 7, PART, 2 * PART + 1):
        put(store, f"{size}", content(size))
        assert get(store, f"{size}")[0] == content(size)


def test_https_of_an_unknown_authority(https: S3Server) -> None:
    """Without it nothing is sent, and the text names the variable."""
    with pytest.raises(ConfigurationError, match=r"(?i)certificate.*AWS_CA_BUNDLE"):
        store_at(address_of(https)).probe()
    assert https.requests == []


def test_https_reaches_the_workers(
    https: S3Server, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The authority is known to worker processes as well."""
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "ca.pem"))
    (tmp_path / "file").write_bytes(b"content")
    arguments = address_of(https).backend_kwargs
    with Uploader("s3://bucket", backend_kwargs=arguments, upload_staging_folder=tmp_path / "staging") as uploader:
        uploader.upload(tmp_path / "file", "k")

    assert https.object("k").data == b"content"


@pytest.mark.parametrize("how", ["environment", "client_config"])
def test_a_proxy(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a proxy every request goes by it, and the endpoint's name is looked up by nobody here."""
    with S3Server("bucket", credentials=CREDENTIALS) as proxy:
        for name in ("NO_PROXY", "no_proxy"):
            monkeypatch.delenv(name)
        config = {}
        if how == "environment":
            monkeypatch.setenv("HTTP_PROXY", proxy.url)
        else:
            config = {"proxies": {"http": proxy.url}}
        elsewhere = S3Address("http://s3.rud.invalid", *next(iter(CREDENTIALS.items())))
        store = S3ObjectStore("bucket", **elsewhere.backend_kwargs, client_config=config, transfer_config=SMALL_PARTS)
        for size in (3, PART + 1):
            put(store, f"{size}", content(size))
            assert get(store, f"{size}")[0] == content(size)

        assert {one.via_proxy for one in proxy.requests} == {True}
