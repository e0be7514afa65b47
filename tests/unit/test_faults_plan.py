"""Fault plans: two forms with one meaning, refused when they could do nothing, decided by nothing but the plan."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes._http.log import Request
from rud_fakes.faults.line import format_line, parse_line
from rud_fakes.faults.plan import Pick, Plan, PlanError, Rule, from_json, to_json
from rud_fakes.faults.points import OPERATIONS
from rud_fakes.faults.runtime import Injector, fired, missed, parse, picks, reached
from rud_fakes.faults.shrink import shrink
from rud_fakes.gcs import dialect as gcs
from rud_fakes.s3 import dialect as s3

NAMES = st.from_regex(r"[a-z][a-z0-9-]{0,5}", fullmatch=True)
FACTS = st.sampled_from(["key", "entry", "op", "kind"])
TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
COUNTS = st.integers(1, 10**6)
ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["kill", "hang", "reset", "lost"]), st.just(True)),
    st.tuples(st.sampled_from(["errno", "kill", "raise"]), TEXTS),
    st.tuples(st.just("delay"), st.one_of(COUNTS, st.floats(0, 1e9, allow_nan=False))),
    st.tuples(st.just("status"), st.one_of(COUNTS, st.tuples(COUNTS, TEXTS), st.tuples(COUNTS, TEXTS, COUNTS))),
)
PICKS = st.builds(
    Pick,
    st.lists(COUNTS, max_size=3).map(tuple),
    st.none() | COUNTS,
    st.none() | st.floats(1e-9, 1.0),
    st.none() | COUNTS,
    st.none() | COUNTS,
)
RULES = st.builds(
    Rule,
    NAMES,
    st.sampled_from(["fs.log.append.before", "http.response", "worker.part.sent"]),
    st.lists(ACTIONS, min_size=1, max_size=3, unique_by=lambda one: one[0]).map(tuple),
    st.dictionaries(FACTS, TEXTS, max_size=3).map(lambda found: tuple(found.items())),
    PICKS,
    st.sampled_from(["global", "key", "entry", "worker", "owner"]),
    st.booleans(),
)
EXPECT = st.dictionaries(NAMES, st.one_of(COUNTS, COUNTS.map(lambda n: f">={n}")), max_size=2)
PLANS = st.builds(Plan, st.lists(RULES, min_size=1, max_size=3).map(tuple), st.integers(0, 2**32), EXPECT)


@given(PLANS)
def test_both_forms_give_the_plan_back(plan: Plan) -> None:
    """Writing a plan and reading it changes nothing, in either form, and so the two forms mean the same."""
    assert from_json(to_json(plan)) == plan
    assert parse_line(format_line(plan)) == plan


def test_the_forms_of_the_documentation_mean_the_same() -> None:
    """The line and the JSON of one plan, as a person writes them, are the same plan."""
    line = "worker.part.sent[key=ckpt/*]#2=kill; http.response[op=put]%3*10=status(503,SlowDown)"
    document = """{"schema": "rud.faults/1", "rules": [
        {"at": "worker.part.sent", "when": {"key": "ckpt/*", "nth": [2]}, "do": {"kill": true}},
        {"at": "http.response", "when": {"op": "put", "every": 3, "max": 10}, "do": {"status": 503, "code": "SlowDown"}}
    ]}"""

    assert parse(line) == parse(document)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("fs.log.apend.before=kill", "did you mean 'fs.log.append.before'"),
        ("nothing.at.all.like.it=kill", "there is no point"),
        ("fs.log.append.after=errno(EIO)", "does not allow 'errno'"),
        ("fs.log.append.before=errno(EWRONG)", "takes the name of an error"),
        ("fs.log.append.before[keys=a]=kill", "did you mean 'key'"),
        ('fs.log.append.before[key="a["]=kill', "is no glob"),
        ("fs.log.append.before#0=kill", "can never fire"),
        ("fs.log.append.before#1%2=kill", "can never fire"),
        ("fs.log.append.before~0=kill", "can never fire"),
        ("fs.log.append.before*0=kill", "can never fire"),
        ("fs.log.append.before@7=kill", "does not tell a number of bytes"),
        ("fs.log.retire.before[scope=key]=kill", "does not tell the key"),
        ("fs.log.append.before[scope=keys]=kill", "did you mean 'key'"),
        ("a: fs.scan.after=kill; a: fs.scan.after=kill", "of one rule only"),
        ("http.response[op=putt]=status(503)", "did you mean 'put'"),
        ("http.response[op=PutObjects]=status(503)", "did you mean 'PutObject'"),
        ("http.response[method=PATCH]=status(503)", "can never fire"),
        ("http.response[part=two]=status(503)", "part is a number"),
        ("fs.scan.after#2=kill; expect(r1=2)", "at most 1"),
        ("fs.scan.after*3=kill; expect(r1=>=4)", "at most 3"),
        ("fs.scan.after[once=1]=kill; expect(r1=2)", "at most 1"),
        ("fs.scan.after=kill; expect(k1=1)", "no rule"),
        ("fs.scan.after=kill; expect(r1=>=0)", "neither a number"),
        ("fs.scan.after", "is not of the form"),
        ('{"schema": "rud.faults/2"}', "rud.faults/1"),
        ('{"schema": "rud.faults/1", "rules": [], "sed": 1}', "'sed'"),
        ("{", "this is none"),
    ],
)
def test_a_plan_that_is_wrong_is_refused(line: str, why: str) -> None:
    """What could not be obeyed, or never fire, is refused when it is read, with the nearest right name."""
    with pytest.raises(PlanError, match=why):
        parse(line)


@given(st.integers(0, 2**32), st.text(max_size=5), st.integers(1, 1000))
def test_the_decision_depends_on_the_plan_alone(seed: int, scope: str, n: int) -> None:
    """Asked twice it is the same, and a rule with the chance 1 always fires."""
    rule = Rule("r1", "fs.scan.after", (("kill", True),), pick=Pick(p=0.5))
    sure = Rule("r1", "fs.scan.after", (("kill", True),), pick=Pick(p=1.0))

    assert picks(seed, rule, scope, n) == picks(seed, rule, scope, n)
    assert picks(seed, sure, scope, n)


def test_a_chance_is_kept() -> None:
    """Of 4,000 who come by about a quarter is picked by p = 0.25, and others by another seed."""
    rule = Rule("r1", "fs.scan.after", (("kill", True),), pick=Pick(p=0.25))
    one, other = ([picks(seed, rule, "", n) for n in range(4000)] for seed in (1, 2))

    assert 850 < sum(one) < 1150
    assert one != other


def test_every_operation_of_the_servers_is_known() -> None:
    """A filter can name what the two servers do, and nothing else."""
    assert {*s3.HANDLERS, *gcs.HANDLERS, "Unknown"} == OPERATIONS


def test_a_filter_may_name_the_verb(tmp_path: Path) -> None:
    """``put`` is every request that stores something, ``PutObject`` one of them."""
    injector = Injector(parse("http.response[op=put]=status(503); http.response[op=PutObject]=status(500)"), tmp_path)

    for operation, rules in (("UploadPart", ["r1"]), ("PutObject", ["r1", "r2"]), ("GetObject", [])):
        request = Request(operation, "b", "k", None, "PUT", {}, {}, via_proxy=False, began=0.0)
        assert [fault.rule for fault in injector.befalls(request)] == rules


def test_it_is_known_which_process_has_reached_a_point(tmp_path: Path) -> None:
    """A point that was reached is told with the pids of those who did, once each, and others are not."""
    injector = Injector(parse("fs.log.append.before#9=errno(EIO)"), tmp_path)
    _count(injector, 3)

    assert reached(tmp_path) == {"fs.log.append.before": {os.getpid()}}


def _count(injector: Injector, times: int, **facts: object) -> int:
    failed = 0
    for _ in range(times):
        try:
            injector("fs.log.append.before", {"kind": "accepted", "entry": "e", "key": "k", **facts})
        except OSError as error:
            failed += error.errno == errno.EIO
    return failed


@pytest.mark.parametrize(
    ("rule", "failures"),
    [("", 10), ("#2,4", 2), ("%3", 3), ("*4", 4), ("[once=1]", 1), ("[key=other]", 0), ("[key=k*]", 10)],
)
def test_counts_are_shared_by_processes_and_restarts(tmp_path: Path, rule: str, failures: int) -> None:
    """What one process has counted the next goes on from, and what has fired is told by rule, scope and count."""
    plan = parse(f"fs.log.append.before{rule}=errno(EIO)")
    first, second = Injector(plan, tmp_path), Injector(plan, tmp_path)

    assert _count(first, 5) + _count(second, 5) == failures
    assert len(fired(tmp_path)) == failures
    assert bool(missed(plan, fired(tmp_path))) == (failures == 0)


def test_a_scope_counts_apart(tmp_path: Path) -> None:
    """The first of each key fires, when it is keys that are counted."""
    injector = Injector(parse("fs.log.append.before[scope=key]#1=errno(EIO)"), tmp_path)

    assert [_count(injector, 3, key=key) for key in ("a", "b")] == [1, 1]
    assert [(one.scope, one.n) for one in fired(tmp_path)] == [("a", 1), ("b", 1)]


def test_one_firing_in_many_threads(tmp_path: Path) -> None:
    """However many come by at once, one of them is the n-th."""
    injector, failed = Injector(parse("fs.log.append.before#17=errno(EIO)"), tmp_path), list[int]()
    threads = [threading.Thread(target=lambda: failed.append(_count(injector, 5))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(failed) == 1


@pytest.mark.parametrize(("action", "expected"), [("flip(9)", b"0323456789"), ("truncate(3)", b"0123")])
def test_an_action_spoils_the_bytes_of_the_facts(tmp_path: Path, action: str, expected: bytes) -> None:
    """Damage is done where the payload lies, counted from its beginning."""
    path = tmp_path / "payload"
    path.write_bytes(b"0123456789")
    injector = Injector(parse(f"fs.payload.read.before={action}"), tmp_path)
    injector("fs.payload.read.before", {"key": "k", "path": str(path), "at": 1 if "truncate" in action else 0})

    assert path.read_bytes() == expected


def test_a_plan_is_made_as_small_as_it_still_fails() -> None:
    """Of many rules the two that matter stay, with the least counts."""
    plan = parse("; ".join(f"fs.scan.after#{number + 3}=kill" for number in range(9)))

    def fails(tried: Plan) -> bool:
        by_id = {rule.id: rule for rule in tried.rules}
        return "r3" in by_id and "r7" in by_id and by_id["r7"].pick.nth[0] >= 4

    smallest = shrink(plan, fails)

    assert [(rule.id, rule.pick.nth) for rule in smallest.rules] == [("r3", (1,)), ("r7", (4,))]
