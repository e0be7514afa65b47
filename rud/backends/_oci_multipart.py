"""A multipart upload of OCI, from its creation to its commit or abort."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import Any

from rud.backends._oci_errors import code_of, sending, status_of, translated
from rud.backends._oci_requests import ENTRY_ID, Requests, only_if, result_of, sum_of
from rud.backends._parts import part_size_for, send_parts
from rud.errors import ObjectNotFoundError, ObjectStoreTransientError, StoreError
from rud.store import Arguments, PutMode, PutResult, Section, Source

CONCURRENCY = 4
"""Parts at once."""

ATTEMPTS = 3
"""At one part, without a pause, where the connection was lost: so that one of 10,000 does not cost all of them."""


@dataclass(frozen=True, slots=True)
class Multipart:
    """One that was begun for the object ``name``; ``key`` is what errors call it."""

    requests: Requests
    key: str
    name: str
    upload_id: str

    @classmethod
    def begin(
        cls, requests: Requests, key: str, name: str, entry_id: str | None, mode: PutMode, *, operation: str = "put"
    ) -> Multipart:
        """``ObjectExistsError`` at once where a create will be refused."""
        with translated(operation, key):
            from oci.object_storage.models import CreateMultipartUploadDetails

            about: Arguments = {"metadata": {f"opc-meta-{ENTRY_ID}": entry_id}} if entry_id is not None else {}
            answer = requests.call(
                "create_multipart_upload",
                CreateMultipartUploadDetails(object=name, **about),
                opc_checksum_algorithm="CRC32C",
                **only_if(mode),
            )
        return cls(requests, key, name, answer.data.upload_id)

    def send(self, source: Source, chunk: int) -> list[Any]:
        """All of ``source``; what the commit has to know of each part."""
        return send_parts(source, part_size_for(len(source), chunk), CONCURRENCY, self._send_part)

    def _send_part(self, number: int, section: Section) -> Any:
        from oci.object_storage.models import CommitMultipartUploadPartDetails

        attempt = 1
        while True:
            try:
                with sending(self.key, section):
                    answer = self.requests.call(
                        "upload_part", self.name, self.upload_id, number, section, **sum_of(section.crc32c)
                    )
            except ObjectStoreTransientError as error:
                if attempt == ATTEMPTS or section.error is not None or status_of(error) is not None:
                    raise
                attempt += 1
                section.seek(0)
            else:
                return CommitMultipartUploadPartDetails(part_num=number, etag=answer.headers["etag"])

    def commit(self, parts: list[Any], crc: int, mode: PutMode) -> PutResult:
        """Make the object visible; ``crc`` is of the whole."""
        from oci.object_storage.models import CommitMultipartUploadDetails

        details = CommitMultipartUploadDetails(parts_to_commit=parts)
        with translated("put", self.key):
            answer = self.requests.call(
                "commit_multipart_upload", self.name, self.upload_id, details, patient=True, **only_if(mode)
            )
        return result_of(self.key, answer, crc)

    def abort(self) -> None:
        """End it; one that is not there any more is no error."""
        try:
            with translated("abort", self.key):
                self.requests.call("abort_multipart_upload", self.name, self.upload_id)
        except ObjectNotFoundError:
            return
        except StoreError as error:
            if code_of(error) != "NoSuchUpload":
                raise

    def abort_if_possible(self) -> None:
        """For a failure, which is what is to be raised; the next attempt aborts what this one could not."""
        with contextlib.suppress(Exception):
            self.abort()
