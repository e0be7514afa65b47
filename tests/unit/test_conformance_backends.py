"""The stores that need no server keep the contract, by the suite that authors of others run."""

from __future__ import annotations

from rud_conformance.harnesses import Folder, Memory, Wired
from rud_conformance.suite import ConformanceSuite


class TestMemory(ConformanceSuite):
    """``MemoryBackend``."""

    harness = Memory
    profile = "quick"


class TestFolder(ConformanceSuite):
    """``LocalObjectStore``."""

    harness = Folder
    profile = "quick"


class TestWired(ConformanceSuite):
    """The reference from which the mutants derive: what the suite says of them it does not say of this one."""

    harness = Wired
    profile = "quick"
