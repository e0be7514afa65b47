"""The conditions under which a request is carried out."""

from __future__ import annotations

from collections.abc import Mapping

from rud_fakes._http.dialect import Reply
from rud_fakes.gcs.documents import GCSError, error_reply
from rud_fakes.gcs.state import StoredObject

NAMES = ("ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch")


def given(parameters: Mapping[str, str]) -> dict[str, str]:
    """Those of a request; a number each."""
    found = {name: parameters[name] for name in NAMES if name in parameters}
    for name, value in found.items():
        if not value.isdecimal():
            raise GCSError(400, f"Invalid value for {name}: {value}")
    return found


def check(conditions: Mapping[str, str], there: StoredObject | None, *, reading: bool = False) -> None:
    """Refuse with 412, or with 304 a read of what the client has. Nothing has generation 0."""
    generation = there.generation if there is not None else 0
    metageneration = 1 if there is not None else 0
    for name, value in conditions.items():
        found = metageneration if "Meta" in name else generation
        if "Not" not in name and int(value) != found:
            raise GCSError(412, "At least one of the pre-conditions you specified did not hold.")
        if "Not" in name and int(value) == found:
            raise (
                _NotModified()
                if reading
                else GCSError(412, "At least one of the pre-conditions you specified did not hold.")
            )


class _NotModified(GCSError):
    def __init__(self) -> None:
        super().__init__(304, "")
        self.reply = Reply(304, b"", error_reply(304, "").headers)
