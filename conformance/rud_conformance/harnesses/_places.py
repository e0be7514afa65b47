"""Where scopes are, for the harnesses of rud's own stores."""

from __future__ import annotations

from rud.downloader import Downloader
from rud.store import Backend
from rud_conformance.harness import Harness

NESTED = "some/prefix"


def where(scope: str, *, nested: bool) -> tuple[str, str]:
    """The bucket and the prefix of ``scope``: a bucket for each place, shared with what lies below it.

    ``nested``: below a prefix, else a place is the whole of its bucket.
    """
    seed, number, *below = scope.split("/")
    return f"{seed}-{number}", "/".join([NESTED, *below] if nested else below)


def downloader_of(harness: Harness, scope: str, kind: type[Downloader] = Downloader) -> Downloader:
    """One over what ``harness`` opens, for where a URI says too little; it does not wait between its attempts."""
    made = kind("memory://rud-conformance", wait=lambda seconds: None)
    made._spec = _Opens(harness, scope)  # type: ignore[assignment]  # noqa: SLF001 - no user needs it
    return made


class _Opens:
    def __init__(self, harness: Harness, scope: str) -> None:
        self._harness = harness
        self._scope = scope

    def open(self) -> Backend:
        return self._harness.open(self._scope)
