"""A faulty Cloud Storage server: ``with GCSServer("bucket") as server``, then ``server.url`` is the endpoint."""

from __future__ import annotations

from rud_fakes._http.faults import Fault as Fault
from rud_fakes._http.log import Request as Request
from rud_fakes.gcs.server import GCSServer as GCSServer
from rud_fakes.gcs.state import Session as Session
from rud_fakes.gcs.state import StoredObject as StoredObject

__all__ = ["Fault", "GCSServer", "Request", "Session", "StoredObject"]
