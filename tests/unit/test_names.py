"""Keys from templates."""

from __future__ import annotations

import pickle
from dataclasses import FrozenInstanceError

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rud._names import VARIABLES, KeyTemplate
from rud._ranks import RankInfo
from rud.errors import ConfigurationError, InvalidKeyError

RANK = RankInfo(rank=13, local_rank=5, world_size=16, local_world_size=8, node_rank=1)


def render(template: str, name: str = "ep1.pt", run_name: str | None = "llama") -> str:
    return KeyTemplate(template).render(name, run_name, RANK)


@pytest.mark.parametrize(
    ("template", "key"),
    [
        ("{remote_file_name}", "ep1.pt"),
        ("{run_name}/{remote_file_name}", "llama/ep1.pt"),
        ("r{rank}-l{local_rank}-w{world_size}-lw{local_world_size}-n{node_rank}", "r13-l5-w16-lw8-n1"),
        ("{rank:04d}/{rank:03}/{rank:d}/{rank:01d}", "0013/013/13/13"),
        ("{{rank}}{rank}{{{rank}}}", "{rank}13{13}"),
        ("fixed/latest.pt", "fixed/latest.pt"),
        ("///{remote_file_name}", "ep1.pt"),
        ("{rank}{rank}", "1313"),
        ("ünï/{remote_file_name}", "ünï/ep1.pt"),
    ],
)
def test_render(template: str, key: str) -> None:
    """Every variable stands for its value, doubled braces for braces, zero padding pads."""
    assert render(template) == key


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("/abs/model.pt", "abs/model.pt"),
        ("///x", "x"),
        ("a//b/", "a//b/"),
        ("{rank}", "{rank}"),
        ("n{node_rank}-{", "n{node_rank}-{"),
        ("{{}}", "{{}}"),
        ("../up", "../up"),
    ],
)
def test_values_are_data(name: str, key: str) -> None:
    """A file name loses the slashes it begins with and nothing else; braces in it are left alone."""
    assert render("{remote_file_name}", name) == key


def test_leading_slashes_of_the_result_are_stripped() -> None:
    """An empty first variable does not leave a key that begins with a slash."""
    assert render("{run_name}//{remote_file_name}", run_name="") == "ep1.pt"


@pytest.mark.parametrize(
    ("template", "words"),
    [
        ("{rnak}", "unknown variable {rnak} (did you mean {rank}?)"),
        ("{Run_Name}", "did you mean {run_name}?"),
        ("{epoch}", "unknown variable {epoch}; known are remote_file_name, run_name, rank"),
        ("{}", "unknown variable {}"),
        ("{0}", "unknown variable {0}"),
        ("{rank.real}", "unknown variable {rank.real} (did you mean {rank}?)"),
        ("{rank[0]}", "unknown variable {rank[0]}"),
        ("{ rank }", "did you mean {rank}?"),
        ("{rank!r}", "formats {rank!r}; only numbers can be formatted"),
        ("{rank:x}", "formats {rank:x}"),
        ("{rank:4}", "formats {rank:4}"),
        ("{rank:0999d}", "formats {rank:0999d}"),
        ("{rank:{world_size}}", "formats {rank:{world_size}}"),
        ("{run_name:04d}", "formats {run_name:04d}"),
        ("{rank", "a brace without its partner; write {{ or }}"),
        ("rank}", "a brace without its partner"),
        ("{", "a brace without its partner"),
        ("", "makes an empty key"),
        ("//", "makes an empty key"),
    ],
)
def test_wrong_template_is_refused_when_built(template: str, words: str) -> None:
    """A wrong template never gets as far as a file, and the sentence says which, what is wrong and what was meant."""
    with pytest.raises(ConfigurationError) as caught:
        KeyTemplate(template)

    assert words in str(caught.value)
    assert repr(template) in str(caught.value)


@pytest.mark.parametrize("template", [None, 3, b"{rank}"])
def test_template_is_text(template: object) -> None:
    """What is no text is refused in words, not by the first method that it lacks."""
    with pytest.raises(ConfigurationError, match="a template is text, not"):
        KeyTemplate(template)  # type: ignore[arg-type]  # the caller without a type checker is the case


@pytest.mark.parametrize("name", ["", "/", "///"])
def test_empty_key_is_refused(name: str) -> None:
    """A file name of slashes alone names nothing."""
    with pytest.raises(InvalidKeyError, match="is empty under the template"):
        render("{remote_file_name}", name)


def test_run_name_that_is_missing() -> None:
    """A template with the run's name refuses a run without one; one without it does not ask."""
    with pytest.raises(ConfigurationError, match="this run has no name"):
        render("{run_name}/{remote_file_name}", run_name=None)

    assert render("{remote_file_name}", run_name=None) == "ep1.pt"


def test_number_that_no_launcher_tells() -> None:
    """An unknown number is never guessed: the sentence says which variable would tell it."""
    with pytest.raises(ConfigurationError, match="set RUD_NODE_RANK in the environment"):
        KeyTemplate("{node_rank}").render("a", None, RankInfo(1, None, 2, None, None))


def test_variables() -> None:
    """A template says which variables it uses."""
    assert KeyTemplate("{rank:03d}/{{run_name}}/{remote_file_name}").variables == {"rank", "remote_file_name"}


def test_template_is_a_value() -> None:
    """It is frozen, compares by its text and survives pickling."""
    template = KeyTemplate("{rank:02}/{remote_file_name}")
    with pytest.raises(FrozenInstanceError):
        template.template = "other"  # type: ignore[misc]  # frozen is the property

    assert pickle.loads(pickle.dumps(template)) == template == KeyTemplate("{rank:02}/{remote_file_name}")
    assert pickle.loads(pickle.dumps(template)).render("f", None, RANK) == "13/f"


literal = st.text(alphabet=st.characters(exclude_characters="{}", exclude_categories=["Cs"]), max_size=8)


@given(pieces=st.lists(st.one_of(literal, st.sampled_from(VARIABLES).map(lambda name: f"{{{name}}}"))), name=st.text())
def test_render_is_what_str_format_makes(pieces: list[str], name: str) -> None:
    """For plain variables the key is str.format's without its leading slashes, or it is refused for being empty."""
    template = "".join(pieces)
    expected = template.format(
        remote_file_name=name, run_name="run", rank=13, local_rank=5, world_size=16, local_world_size=8, node_rank=1
    ).lstrip("/")
    try:
        key = render(template, name, "run")
    except (ConfigurationError, InvalidKeyError):
        key = ""

    assert key == expected


@given(st.text(alphabet="{}rank:0d!/ab"))
def test_any_text_is_a_template_or_refused_in_words(text: str) -> None:
    """No text makes the parser raise anything but its own error."""
    refusal = repr(text)
    try:
        KeyTemplate(text)
    except ConfigurationError as error:
        refusal = str(error)

    assert repr(text) in refusal
