"""S3 servers: what is asked of each of them, and the two that every run of the tests has."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote, urlsplit
from xml.sax.saxutils import escape

from rud_fakes.servers._child import Child
from rud_fakes.servers._programs import VERSITYGW, MissingServerError, check_moto
from rud_fakes.servers._server import Folder, Server

May = Literal["read", "write"]
"""``read``: get, head and list. ``write``: put, multipart uploads and their abort; not even a head."""

_ACTIONS: dict[May, tuple[str, ...]] = {
    "read": ("s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"),
    "write": ("s3:PutObject", "s3:AbortMultipartUpload"),
}


@dataclass(frozen=True, slots=True)
class S3Address:
    """An S3 server by plain http, and how to be let in."""

    url: str
    access_key: str
    secret_key: str = field(repr=False)
    region: str = "us-east-1"

    @classmethod
    def of(cls, url: str, region: str = "us-east-1") -> S3Address:
        """The server at ``http://KEY:SECRET@HOST:PORT``, which somebody else has started."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.username or not parts.password:
            raise ValueError("an S3 server is given as http://KEY:SECRET@HOST:PORT")
        return cls(
            f"http://{parts.netloc.rpartition('@')[2]}", unquote(parts.username), unquote(parts.password), region
        )

    @property
    def backend_kwargs(self) -> dict[str, Any]:
        """Arguments that lead an ``S3ObjectStore`` here."""
        return {
            "endpoint_url": self.url,
            "region_name": self.region,
            "aws_access_key_id": self.access_key,
            "aws_secret_access_key": self.secret_key,
        }

    @property
    def environment(self) -> dict[str, str]:
        """Variables that lead any S3 client here."""
        return {
            "S3_ENDPOINT_URL": self.url,
            "AWS_ENDPOINT_URL_S3": self.url,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def make_bucket(self, name: str) -> None:
        """Make the bucket, if it is not there."""
        body = "" if self.region == "us-east-1" else f"<LocationConstraint>{escape(self.region)}</LocationConstraint>"
        body = body and f"<CreateBucketConfiguration>{body}</CreateBucketConfiguration>"
        status, answer = self.ask("PUT", f"/{name}", body.encode())
        if status != 200 and "BucketAlreadyOwnedByYou" not in answer:
            raise RuntimeError(f"{self.url} did not make the bucket {name!r}: {status} {answer}")

    def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, str]:
        """One signed request, without a client's settings, retries and proxies; the status and the body of the answer.

        For buckets and their policies. Needs botocore, which comes with the extra ``s3``.
        """
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        request = AWSRequest(method=method, url=self.url + path, data=body)
        S3SigV4Auth(Credentials(self.access_key, self.secret_key), "s3", self.region).add_auth(request)
        connection = http.client.HTTPConnection(self.url.removeprefix("http://"), timeout=60.0)
        try:
            connection.request(method, path, body, dict(request.headers.items()))
            answer = connection.getresponse()
            return answer.status, answer.read().decode(errors="replace")
        finally:
            connection.close()


class OfS3(Server[S3Address]):
    """A server that speaks S3."""

    def __init__(self, child: Child, *, access_key: str, secret_key: str, region: str, buckets: Sequence[str]) -> None:
        super().__init__(child, lambda url: S3Address(url, access_key, secret_key, region), buckets)
        self.access_key = access_key
        self.secret_key = secret_key
        self.region = region


class Moto(OfS3):
    """Forgets everything when it ends, and lets everybody in; verifies no checksum (``versitygw`` does)."""


class Versitygw(OfS3):
    """Keeps its objects as files, verifies signatures and checksums, and decides conditions atomically."""

    def __init__(
        self,
        folder: str | os.PathLike[str] | None,
        *,
        access_key: str,
        secret_key: str,
        region: str,
        buckets: Sequence[str],
    ) -> None:
        self._program = VERSITYGW.find()
        self._folder = Folder("versitygw", folder)
        self._users: dict[str, May] = {}
        # By the environment: arguments can be read by everybody on the machine.
        environment = {"ROOT_ACCESS_KEY_ID": access_key, "ROOT_SECRET_ACCESS_KEY": secret_key, "VGW_REGION": region}
        super().__init__(
            Child("versitygw", self._command, environment),
            access_key=access_key,
            secret_key=secret_key,
            region=region,
            buckets=buckets,
        )

    def _command(self, port: int) -> list[str]:
        users = ["--iam-dir", str(self._folder / "users"), "--iam-cache-disable"]
        objects = str(self._folder / "objects")
        return [self._program, "--port", f"127.0.0.1:{port}", "--quiet", *users, "posix", objects]

    def start(self) -> None:
        self._folder.make("users", "objects")
        _check_attributes(os.fspath(self._folder))
        super().start()

    def folder_of(self, bucket: str) -> Path:
        """Where the objects of ``bucket`` lie as files; a file that is put there is an object."""
        return self._folder / "objects" / bucket

    def stop(self) -> None:
        super().stop()
        self._folder.remove()

    def add_user(self, access_key: str, secret_key: str, *, may: May) -> S3Address:
        """Let in somebody who may only read, or only write, in every bucket of ``buckets``; how to come in as that."""
        root = {"ADMIN_ACCESS_KEY_ID": self.access_key, "ADMIN_SECRET_ACCESS_KEY": self.secret_key}
        command = [self._program, "admin", "--endpoint-url", self.url, "--region", self.region, "create-user"]
        command += ["--access", access_key, "--secret", secret_key, "--role", "user"]
        done = subprocess.run(command, env=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"versitygw did not add the user {access_key!r}: {(done.stdout + done.stderr).strip()}")
        self._users[access_key] = may
        for bucket in self.buckets:
            status, answer = self.address.ask("PUT", f"/{bucket}?policy", self._policy(bucket).encode())
            if status >= 300:
                raise RuntimeError(f"versitygw did not take the policy of the bucket {bucket!r}: {status} {answer}")
        return S3Address(self.url, access_key, secret_key, self.region)

    def _policy(self, bucket: str) -> str:
        rules = [
            {
                "Effect": "Allow",
                "Principal": {"AWS": [user]},
                "Action": [action],
                "Resource": f"arn:aws:s3:::{bucket}" if "Bucket" in action else f"arn:aws:s3:::{bucket}/*",
            }
            for user, may in self._users.items()
            for action in _ACTIONS[may]
        ]
        return json.dumps({"Version": "2012-10-17", "Statement": rules})


def moto(*, buckets: Sequence[str] = ("bucket",), region: str = "us-east-1") -> Moto:
    """moto in server mode, in a process of its own; it takes some 4 s to start.

    ``MissingServerError`` where moto is not installed.
    """
    check_moto()

    def command(port: int) -> list[str]:
        return [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(port)]

    child = Child("moto", command, os.environ)
    return Moto(child, access_key="rudtest", secret_key="rudtestsecret", region=region, buckets=buckets)


def versitygw(
    folder: str | os.PathLike[str] | None = None,
    *,
    buckets: Sequence[str] = ("bucket",),
    access_key: str = "rudtest",
    secret_key: str = "rudtestsecret",
    region: str = "us-east-1",
) -> Versitygw:
    """versitygw over ``folder``, by default a temporary one that ``stop`` removes; it takes some 0.1 s to start.

    ``MissingServerError`` where the program is not to be found, or the folder's file system has no extended attributes
    of users, in which it keeps what it knows of an object.
    """
    return Versitygw(folder, access_key=access_key, secret_key=secret_key, region=region, buckets=buckets)


def _check_attributes(folder: str) -> None:
    # macOS always has them, and gives Python no way to ask.
    if not hasattr(os, "setxattr"):
        return
    try:
        os.setxattr(folder, "user.rud.probe", b"1")
        os.removexattr(folder, "user.rud.probe")
    except OSError as error:
        raise MissingServerError(
            f"versitygw needs extended attributes of users, and {folder} has none ({error.strerror}): "
            "give it a folder on another file system, or set TMPDIR to one (ext4, XFS and Btrfs have them)"
        ) from error
