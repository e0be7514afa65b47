"""The cases, a module for each group or two; importing this enters them in the registry."""

from __future__ import annotations

from rud_conformance.cases import (
    callbacks,
    capabilities,
    concurrency,
    credentials,
    downloads,
    errors,
    laws,
    lifecycle,
    listing,
    machines,
    metadata,
    names,
    overwriting,
    partial,
    round_trips,
    visibility,
)

__all__ = [
    "callbacks", "capabilities", "concurrency", "credentials",
    "downloads", "errors", "laws", "lifecycle", "listing", "machines",
    "metadata", "names", "overwriting", "partial", "round_trips", "visibility",
]  # fmt: skip
