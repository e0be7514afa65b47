"""The store keeps the contract."""

from __future__ import annotations

from rud_conformance import ConformanceSuite


class TestSqliteStore(ConformanceSuite):
    """As its users have it."""

    harness = "sqlite_store.conformance:SqliteStore"
