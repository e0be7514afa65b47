"""What a person sees while a command works."""

from __future__ import annotations

import io
import logging
import sys

import pytest
from rud_fakes import FakeClock

from rud.cli.screen import Screen, printable, size_in_words


class Terminal(io.StringIO):
    """A stderr that is a terminal."""

    def isatty(self) -> bool:
        return True


def new_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: pytest gives stderr another value between the fixtures and the test."""
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    return terminal


def test_terminal_rewrites_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal progress is one line with a bar, within its width, gone before anything else is said."""
    terminal = new_terminal(monkeypatch)
    clock = FakeClock()
    with Screen(clock=clock) as screen:
        screen.progress("stored 1", 0.5)
        screen.progress("too soon after it", 0.5)
        clock.advance(0.1)
        screen.progress("x" * 100, 1.0)
        logging.getLogger("rud").warning("a worker has died")

    first, second, cleared, *_ = terminal.getvalue().split("\r")[1:]
    assert first == "[##########..........] stored 1"
    assert (len(second), cleared.strip()) == (59, "")
    assert terminal.getvalue().endswith("\rrud: a worker has died\n")


def test_no_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    """No escape sequence is ever written, whatever ``NO_COLOR`` says."""
    terminal = new_terminal(monkeypatch)
    for value in ("", "1"):
        monkeypatch.setenv("NO_COLOR", value)
        with Screen() as screen:
            screen.progress("stored 1", 0.5)
            screen.say("\x1b[31mred")

    assert "\x1b" not in terminal.getvalue()


@pytest.mark.parametrize("kind", ["dumb terminal", "no terminal"])
def test_elsewhere_a_line_at_times(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """On a dumb terminal, or on none, progress is one whole line every ten seconds."""
    terminal = new_terminal(monkeypatch)
    stream: io.StringIO = terminal
    if kind == "dumb terminal":
        monkeypatch.setenv("TERM", "dumb")
    else:
        stream = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
    clock = FakeClock()
    with Screen(clock=clock) as screen:
        for second in range(25):
            screen.progress(f"second {second}", second / 25)
            clock.advance(1.0)

    assert stream.getvalue() == "second 10\nsecond 20\n"


def test_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """With ``--json`` there is no progress, and warnings are still said."""
    terminal = new_terminal(monkeypatch)
    with Screen(quiet=True) as screen:
        screen.progress("stored 1", 0.5)
        logging.getLogger("rud").warning("a worker has died")

    assert terminal.getvalue() == "rud: a worker has died\n"


def test_handler_goes_with_the_screen() -> None:
    """After a command the logging of the program is as it was before."""
    before = list(logging.getLogger("rud").handlers)
    with Screen():
        pass

    assert logging.getLogger("rud").handlers == before


def test_printable() -> None:
    """Control characters and what no terminal can encode are written out; all else stays."""
    assert printable("ä\x1b\udc80\t\n") == "ä\\x1b\\udc80\\t\n"


@pytest.mark.parametrize(
    ("size", "words"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (5 << 30, "5.0 GiB"), (3 << 40, "3.0 TiB")]
)
def test_size_in_words(size: int, words: str) -> None:
    """Sizes are in powers of 1024."""
    assert size_in_words(size) == words
