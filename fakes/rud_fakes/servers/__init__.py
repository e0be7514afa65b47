"""Real servers as children of a test, on free ports of 127.0.0.1.

::

    with versitygw(buckets=("bucket",)) as server:
        store = S3ObjectStore("bucket", **server.backend_kwargs)

moto, versitygw, fake-gcs-server and sshd are what the tests of rud need; MinIO and azurite are there on demand.

A server is ready when ``start`` returns, and ends with the process that started it, whatever ends that. Nothing is
installed by a test: ``MissingServerError`` says what to run. As fixtures: ``pytest_plugins = ["rud_fakes.servers"]``.
"""

from __future__ import annotations

from rud_fakes.servers._azure import AzureAddress as AzureAddress
from rud_fakes.servers._azure import Azurite as Azurite
from rud_fakes.servers._azure import azurite as azurite
from rud_fakes.servers._gcs import FakeGcs as FakeGcs
from rud_fakes.servers._gcs import GCSAddress as GCSAddress
from rud_fakes.servers._gcs import fake_gcs as fake_gcs
from rud_fakes.servers._minio import Minio as Minio
from rud_fakes.servers._minio import minio as minio
from rud_fakes.servers._programs import PROGRAMS
from rud_fakes.servers._programs import MissingServerError as MissingServerError
from rud_fakes.servers._s3 import Moto as Moto
from rud_fakes.servers._s3 import S3Address as S3Address
from rud_fakes.servers._s3 import Versitygw as Versitygw
from rud_fakes.servers._s3 import moto as moto
from rud_fakes.servers._s3 import versitygw as versitygw
from rud_fakes.servers._server import Server as Server
from rud_fakes.servers._sftp import SftpAddress as SftpAddress
from rud_fakes.servers._sftp import Sshd as Sshd
from rud_fakes.servers._sftp import sshd as sshd

VARIABLES = (*(program.variable for program in PROGRAMS), "RUD_REQUIRE_SERVERS", "RUD_S3_SERVER")
"""Variables of the environment that are about servers, and may stay when a test run clears all others of ours."""

# pytest reads this name in a module that it is given as a plugin: the fixtures live where pytest may be imported.
pytest_plugins = ["rud_conformance.servers"]

__all__ = [
    "VARIABLES",
    "AzureAddress",
    "Azurite",
    "FakeGcs",
    "GCSAddress",
    "Minio",
    "MissingServerError",
    "Moto",
    "S3Address",
    "Server",
    "SftpAddress",
    "Sshd",
    "Versitygw",
    "azurite",
    "fake_gcs",
    "minio",
    "moto",
    "sshd",
    "versitygw",
]
