"""Harnesses for the stores that come with rud: examples for authors, and what the suite is tested on.

``"rud_conformance.harnesses:Memory"`` names the first of them to ``--rud-backend``. Those on a server start it, on a
free port of ``127.0.0.1``, and end it when they are closed. ``AtRoot``: the whole bucket instead of a prefix in it.
"""

from __future__ import annotations

from rud_conformance.harnesses.gcs import FakeGCS as FakeGCS
from rud_conformance.harnesses.gcs import FakeGCSAtRoot as FakeGCSAtRoot
from rud_conformance.harnesses.gcs import GCSByHmac as GCSByHmac
from rud_conformance.harnesses.gcs import GCSOnFakeGcsServer as GCSOnFakeGcsServer
from rud_conformance.harnesses.gcs import GCSOnFakeGcsServerAtRoot as GCSOnFakeGcsServerAtRoot
from rud_conformance.harnesses.local import Folder as Folder
from rud_conformance.harnesses.local import Memory as Memory
from rud_conformance.harnesses.local import MemoryAtRoot as MemoryAtRoot
from rud_conformance.harnesses.local import Wired as Wired
from rud_conformance.harnesses.local import WiredAtRoot as WiredAtRoot
from rud_conformance.harnesses.s3 import S3 as S3
from rud_conformance.harnesses.s3 import FakeS3 as FakeS3
from rud_conformance.harnesses.s3 import FakeS3AtRoot as FakeS3AtRoot
from rud_conformance.harnesses.s3 import S3OnMoto as S3OnMoto
from rud_conformance.harnesses.s3 import S3OnMotoAtRoot as S3OnMotoAtRoot
from rud_conformance.harnesses.s3 import S3OnVersitygw as S3OnVersitygw
from rud_conformance.harnesses.s3 import S3OnVersitygwAtRoot as S3OnVersitygwAtRoot
