"""The conformance suite for authors of storage backends. Importing it imports neither pytest nor hypothesis."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rud_conformance._stores import at_uri as at_uri
    from rud_conformance.harness import Harness as Harness
    from rud_conformance.harness import Limits as Limits
    from rud_conformance.suite import ConformanceSuite as ConformanceSuite

__all__ = ["ConformanceSuite", "Harness", "Limits", "at_uri"]
_WHERE = {"ConformanceSuite": "suite", "Harness": "harness", "Limits": "harness", "at_uri": "_stores"}


def __getattr__(name: str) -> object:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
