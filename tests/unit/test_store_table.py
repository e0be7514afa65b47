"""The page of what each store promises."""

from __future__ import annotations

import dataclasses

from rud.store import Capabilities
from tests.support.store_table import PAGE, PROMISES, page


def test_the_page_is_what_the_stores_declare() -> None:
    """``python -m tests.support.store_table`` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_every_capability_is_on_the_page() -> None:
    """One that is new has to be put into words."""
    assert list(PROMISES) == [field.name for field in dataclasses.fields(Capabilities)]
