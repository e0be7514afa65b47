"""Which operation of the JSON API a request is."""

from __future__ import annotations

import re
from urllib.parse import unquote

from rud_fakes._http.dialect import Head, Target

UNKNOWN = "Unknown"
_UPLOAD = re.compile(r"(?:/resumable)?/upload/storage/v1/b/([^/]+)/o")
_OBJECTS = re.compile(r"(?:/download)?/storage/v1/b/([^/]+)/o(?:/([^/]+))?")
_BUCKET = re.compile(r"/storage/v1/b(?:/([^/]+))?")
_UPLOADS = {"media": "UploadMedia", "multipart": "UploadMultipart", "resumable": "StartUpload"}
_SESSION = {"PUT": "UploadChunk", "POST": "UploadChunk", "DELETE": "CancelUpload"}


def recognise(head: Head) -> Target:
    """The target of ``head``, by path, method and query. The key of an upload is not in its path; of one that is in its
    body nothing is known here."""
    if found := _UPLOAD.fullmatch(head.path):
        return Target(_upload(head), unquote(found[1]), head.parameters.get("name", ""))
    if found := _OBJECTS.fullmatch(head.path):
        operation = _object(head) if found[2] else {"GET": "ListObjects"}.get(head.method, UNKNOWN)
        return Target(operation, unquote(found[1]), unquote(found[2] or ""))
    if found := _BUCKET.fullmatch(head.path):
        names = {"GET": "GetBucket"} if found[1] else {"POST": "CreateBucket"}
        return Target(names.get(head.method, UNKNOWN), unquote(found[1] or ""))
    return Target("Token" if (head.method, head.path) == ("POST", "/token") else UNKNOWN)


def _upload(head: Head) -> str:
    if "upload_id" not in head.parameters:
        return _UPLOADS.get(head.parameters.get("uploadType", ""), UNKNOWN) if head.method == "POST" else UNKNOWN
    if head.headers.get("content-range", "").startswith("bytes */"):
        return "QueryUpload"
    return _SESSION.get(head.method, UNKNOWN)


def _object(head: Head) -> str:
    if head.method == "GET":
        return "GetMedia" if head.parameters.get("alt") == "media" else "GetObject"
    return {"DELETE": "DeleteObject"}.get(head.method, UNKNOWN)
