"""A faulty S3 server for tests: ``with S3Server("bucket") as server``, then ``server.url`` is the endpoint."""

from __future__ import annotations

from rud_fakes._http.faults import Fault as Fault
from rud_fakes._http.log import Request as Request
from rud_fakes.s3.server import S3Server as S3Server
from rud_fakes.s3.state import StoredObject as StoredObject
from rud_fakes.s3.state import StoredPart as StoredPart
from rud_fakes.s3.state import Upload as Upload

__all__ = ["Fault", "Request", "S3Server", "StoredObject", "StoredPart", "Upload"]
