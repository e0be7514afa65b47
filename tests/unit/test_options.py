"""Options: what each may be, and where its value comes from."""

from __future__ import annotations

import contextlib
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._options import (
    PARSERS,
    UNITS,
    Options,
    from_environment,
    parse_flag,
    parse_folder,
    parse_patience,
    parse_seconds,
    parse_size,
)
from rud.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given_", "size"),
    [
        (1, 1),
        ("1", 1),
        ("20GiB", 20 * 2**30),
        ("500MB", 500_000_000),
        ("500 MB", 500_000_000),
        (" 1kb ", 1000),
        ("1.5GiB", 3 * 2**29),
        ("0.1TB", 10**11),
        ("3B", 3),
        ("1PiB", 2**50),
    ],
)
def test_size(given_: object, size: int) -> None:
    """Sizes are numbers of bytes, or text with a decimal or binary unit in either case."""
    assert parse_size(given_) == size


@pytest.mark.parametrize(
    "wrong",
    [
        0,
        -1,
        True,
        1.5,
        None,
        "",
        "GiB",
        "0",
        "-5MB",
        "20G",
        "20GiBs",
        "1e3",
        "1_000",
        ".5GB",
        "1..5GB",
        "0.1B",
        "٣",
        b"1",
        [],
        "1.GB2",
    ],
)
def test_wrong_size(wrong: object) -> None:
    """What is no size is refused in words with what was given; an ambiguous unit too."""
    with pytest.raises(ConfigurationError, match="is no size; give a number of bytes") as caught:
        parse_size(wrong)

    assert str(caught.value).startswith(repr(wrong))


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)))
def test_every_unit_multiplies(number: int, unit: str) -> None:
    """A number with a unit is their product, whatever the case of the letters."""
    assert parse_size(f"{number}{unit}") == parse_size(f"{number} {unit.lower()}") == number * UNITS[unit]


@given(st.text())
def test_any_text_is_a_size_or_refused(text: str) -> None:
    """No text makes the parser raise anything but its own error."""
    size = 1
    with contextlib.suppress(ConfigurationError):
        size = parse_size(text)

    assert size >= 1


@pytest.mark.parametrize(("given_", "seconds"), [(30, 30.0), ("0.5", 0.5), (" 7 ", 7.0), ("1e3", 1000.0), (1e9, 1e9)])
def test_seconds(given_: object, seconds: float) -> None:
    """Times are numbers of seconds or their text."""
    assert parse_seconds(given_) == seconds


@pytest.mark.parametrize(
    "wrong", [-1, "-0.1", "nan", float("inf"), "30s", "", None, True, 10**400, 1.1e9, b"3", "soon"]
)
def test_wrong_seconds(wrong: object) -> None:
    """What is no time, or longer than the system can wait, is refused in words with what was given."""
    with pytest.raises(ConfigurationError, match="is no time; give seconds"):
        parse_seconds(wrong)
    with pytest.raises(ConfigurationError, match="is no time; give seconds"):
        parse_patience(wrong)


def test_only_patience_may_be_zero() -> None:
    """Zero seconds of patience means not to wait; a timeout of zero would fail everything."""
    assert parse_patience("0") == 0.0
    with pytest.raises(ConfigurationError, match="above 0"):
        parse_seconds(0)


def test_flag() -> None:
    """Yes and no in the words that people write into environments."""
    words = ["1", "true", "YES", " on ", True, "0", "False", "no", "off", False]

    assert [parse_flag(word) for word in words] == [True] * 5 + [False] * 5
    for wrong in ("", "2", 1, None, "y es"):
        with pytest.raises(ConfigurationError, match="neither yes nor no"):
            parse_flag(wrong)


def test_folder(tmp_path: Path) -> None:
    """Paths of either kind become text; what cannot be a path is refused."""
    assert [parse_folder(tmp_path), parse_folder(str(tmp_path))] == [str(tmp_path)] * 2
    for wrong in ("", "a\0b", 3, None, b"x"):
        with pytest.raises(ConfigurationError, match="is no folder"):
            parse_folder(wrong)


def test_defaults() -> None:
    """Nothing given and nothing set: the documented defaults."""
    assert Options.build({}) == Options(None, "auto", False, None, "raise", 30.0, 900.0, 60.0, 5.0, 60.0, "raise")


def test_argument_before_environment_before_default() -> None:
    """An argument wins over its variable; None is no argument; False, though, is one."""
    environ = {"RUD_STALL_TIMEOUT": "7", "RUD_FSYNC": "1", "RUD_MAX_STAGED_BYTES": "2KiB"}
    options = Options.build(environ, stall_timeout=9, fsync=False, max_staged_bytes=None)

    assert (options.stall_timeout, options.fsync, options.max_staged_bytes) == (9.0, False, 2048)


EXAMPLES = {
    "upload_staging_folder": ("there", "there", ""),
    "staging_mode": ("link", "link", "linked"),
    "fsync": ("yes", True, "perhaps"),
    "max_staged_bytes": ("20GiB", 20 * 2**30, "20G"),
    "when_full": ("block", "block", "drop"),
    "stall_timeout": ("1.5", 1.5, "0"),
    "outage_timeout": ("60", 60.0, "1m"),
    "close_timeout": ("0", 0.0, "-1"),
    "orphan_grace": ("0", 0.0, "none"),
    "peer_timeout": ("5", 5.0, "0"),
    "on_failure": ("warn", "warn", "ignore"),
    "preempt_on": ("SIGTERM,SIGUSR1", (15, 10), "SIGNAL"),
    "grace": ("30", 30.0, "0"),
}


def test_every_option_is_tried() -> None:
    """The options, their parsers and the examples of this file are the same set."""
    names = {field.name for field in fields(Options)}

    assert names == PARSERS.keys() == EXAMPLES.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_option_as_argument_and_variable(name: str) -> None:
    """Each option takes a value either way, and refuses a wrong one naming where it came from and what it was."""
    text, value, wrong = EXAMPLES[name]
    variable = f"RUD_{name.upper()}"

    assert getattr(Options.build({variable: text}), name) == value
    assert getattr(Options.build({}, **{name: value}), name) == value
    assert from_environment(name, PARSERS[name], {variable: text}) == value
    assert from_environment(name, PARSERS[name], {}) is None
    with pytest.raises(ConfigurationError, match=f"^{variable} in the environment: {wrong!r} "):
        Options.build({variable: wrong})
    with pytest.raises(ConfigurationError, match=f"^the option {name}: {wrong!r} "):
        Options.build({}, **{name: wrong})


def test_choices_are_listed() -> None:
    """A word that is not allowed is answered with those that are."""
    with pytest.raises(ConfigurationError, match=r"give one of 'auto', 'reflink', 'link', 'move', 'copy'$"):
        Options.build({}, staging_mode="symlink")


def test_unknown_option() -> None:
    """A misspelt option is an error of the call, as for any Python function."""
    with pytest.raises(TypeError, match="unknown option stal_timeout; known are upload_staging_folder"):
        Options.build({}, stal_timeout=3)
