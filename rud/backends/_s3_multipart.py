"""A multipart upload of S3, from its creation to its completion or abort."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from rud.backends._parts import part_size_for, send_parts
from rud.backends._s3_errors import code_of, translated
from rud.backends._s3_requests import Requests
from rud.backends._s3_values import only_if, result_of, sending
from rud.errors import AccessDeniedError, ObjectNotFoundError, StoreError, UnsupportedOperationError
from rud.store import Arguments, PutMode, PutResult, Section, Source


@dataclass(frozen=True, slots=True)
class Multipart:
    """One that was begun for the object ``name``; ``key`` is what errors call it."""

    requests: Requests
    key: str
    name: str
    upload_id: str

    @classmethod
    def begin(cls, requests: Requests, key: str, name: str, about: Arguments, *, operation: str = "put") -> Multipart:
        with translated(operation, key):
            answer = requests.call("create_multipart_upload", Key=name, **requests.sums.mark, **about)
        return cls(requests, key, name, answer["UploadId"])

    def send(self, source: Source, chunk: int, concurrency: int) -> list[Arguments]:
        """All of ``source``; what the completion has to know of each part."""
        return send_parts(source, part_size_for(len(source), chunk), concurrency, self._send_part)

    def _send_part(self, number: int, section: Section) -> Arguments:
        crc = self.requests.sums.of(section.crc32c)
        with sending(self.key, section):
            answer = self.requests.call(
                "upload_part",
                Key=self.name,
                UploadId=self.upload_id,
                PartNumber=number,
                Body=section,
                **crc,
            )
        return {"PartNumber": number, "ETag": answer["ETag"], **crc}

    def complete(self, parts: list[Arguments], crc: int, mode: PutMode) -> PutResult:
        """Make the object visible; ``crc`` is of the whole."""
        with translated("put", self.key):
            answer = self.requests.call(
                "complete_multipart_upload",
                patient=True,
                Key=self.name,
                UploadId=self.upload_id,
                MultipartUpload={"Parts": parts},
                **self.requests.sums.of_whole(crc),
                **only_if(mode),
            )
        return result_of(answer, self.key, crc)

    def abort(self) -> None:
        """End it; one that is not there any more is no error."""
        try:
            with translated("abort", self.key):
                self.requests.call("abort_multipart_upload", Key=self.name, UploadId=self.upload_id)
        except ObjectNotFoundError:
            return
        except StoreError as error:
            if code_of(error) != "NoSuchUpload":
                raise

    def abort_if_possible(self) -> None:
        """For a failure, which is what is to be raised; the next attempt aborts what this one could not."""
        with contextlib.suppress(Exception):
            self.abort()


def unfinished(requests: Requests, key: str, name: str) -> list[Multipart]:
    """Those of the object ``name`` that have our mark; none where we give none a mark, may not list them, or
    the service cannot."""
    mark = requests.sums.mark
    if not mark:
        return []
    try:
        with translated("abort", key):
            found: list[Any] = [
                one
                for page in requests.pages("list_multipart_uploads", Prefix=name)
                for one in page.get("Uploads", ())
                if one["Key"] == name and mark.items() <= one.items()
            ]
    except (AccessDeniedError, UnsupportedOperationError):
        return []
    return [Multipart(requests, key, name, one["UploadId"]) for one in found]
