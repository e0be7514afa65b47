"""Keeps the tests of this package out of the project's own: they need it installed, as an author has it.

``tests/integration/test_third_party.py`` runs them in an environment of their own.
"""

from __future__ import annotations

collect_ignore = ["test_sqlite_store.py"]
