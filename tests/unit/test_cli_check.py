"""``rud check``."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from rud_fakes import Fault, FaultyBackend, MemoryBackend
from rud_fakes.clock import FakeClock

from rud import errors
from rud._object_store import ObjectStore
from rud.cli import exits
from rud.cli.trial import Step, Trial
from rud.store import Capabilities, ObjectMeta, Sink
from tests.support import switched_store
from tests.support.commands import Rud, runner
from tests.support.dead_runs import contents_of

STEPS = ["probe", "write", "read", "head", "list", "create", "delete"]


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str]) -> Rud:
    return runner(capfd)


@pytest.fixture(name="memory")
def fixture_memory() -> MemoryBackend:
    MemoryBackend.forget("check")
    return MemoryBackend("check")


def tried(*faults: Fault, memory: MemoryBackend) -> Trial:
    """A trial of a store that has these faults."""
    trial = Trial(FakeClock(), random.Random(1), "memory://check", lambda step: None)
    backend = FaultyBackend(memory, faults)
    trial.run(ObjectStore(backend))
    backend.verify_all_used()
    return trial


def verdicts(trial: Trial) -> dict[str, str]:
    return {step.name: step.verdict for step in trial.steps}


def denied(*operations: str) -> list[Fault]:
    """Each of them is refused, however often it is tried."""
    return [
        Fault(operation, errors.AccessDeniedError.during(operation, "", "AccessDenied"))  # type: ignore[arg-type]  # of a list
        for operation in operations
    ]


def test_everything_works(memory: MemoryBackend) -> None:
    """A store that keeps the contract passes every step, and nothing is left in it."""
    trial = tried(memory=memory)

    assert verdicts(trial) == dict.fromkeys(STEPS, "ok")
    assert (list(memory.list("")), trial.left) == ([], "")


def test_reader(memory: MemoryBackend) -> None:
    """Who may only read is told so at each write; listing is tried all the same, and what depends on a write is not."""
    trial = tried(*denied("probe", "put"), memory=memory)

    assert verdicts(trial) == {
        "probe": "refused",
        "write": "refused",
        "read": "not tried",
        "head": "not tried",
        "list": "ok",
        "create": "not tried",
        "delete": "not tried",
    }
    assert "may they write below memory://check?" in trial.steps[1].advice


def test_writer(memory: MemoryBackend) -> None:
    """Who may not delete is told the name of the object that is left."""
    trial = tried(*denied("get", "head", "list", "delete"), memory=memory)

    refused = {"read", "head", "list", "delete"}
    assert {step.name for step in trial.steps if step.verdict == "refused"} == refused
    assert [meta.key for meta in memory.list("")] == [trial.left]
    assert f"the object {trial.left} is left below memory://check: remove it" in trial.steps[-1].advice


@pytest.mark.parametrize(
    ("error", "said", "code"),
    [
        (errors.BucketNotFoundError, "make it, or correct the URI", exits.FAILED),
        (errors.ObjectStoreTransientError, "look at the endpoint, the network", exits.LEFT),
        (errors.CredentialsExpiredError, "renew the credentials", exits.FAILED),
    ],
)
def test_no_use_in_going_on(memory: MemoryBackend, error: type[errors.StoreError], said: str, code: int) -> None:
    """What every further request would meet is met once, and said with what to do next."""
    trial = tried(Fault("probe", error.during("probe", "", "it said so")), memory=memory)

    assert [step.verdict for step in trial.steps[1:]] == ["not tried"] * 6
    assert (trial.steps[0].text, trial.steps[0].code) == ("it said so", code)
    assert said in trial.steps[0].advice


def test_wrong_setting_that_only_a_request_shows(memory: MemoryBackend) -> None:
    """A certificate that does not verify is a matter of usage, and its own sentence stands alone."""
    trial = tried(Fault("probe", errors.ConfigurationError("set AWS_CA_BUNDLE")), memory=memory)

    assert (trial.steps[0].verdict, trial.steps[0].text, trial.steps[0].code) == (
        "failed",
        "set AWS_CA_BUNDLE",
        exits.USAGE,
    )
    assert trial.over


def test_lost_reply_to_the_write(memory: MemoryBackend) -> None:
    """A write that may have arrived is removed, though nothing else is tried after it."""
    lost = Fault("put", errors.ObjectStoreTransientError.during("put", "", "no answer"), after=True)

    trial = tried(lost, memory=memory)

    assert verdicts(trial)["write"] == "trouble"
    assert verdicts(trial)["read"] == "not tried"
    assert verdicts(trial)["delete"] == "ok"
    assert list(memory.list("")) == []


def test_interrupt(memory: MemoryBackend) -> None:
    """Ctrl-C goes on to the caller once the object has been removed."""
    with pytest.raises(KeyboardInterrupt):
        tried(Fault("get", KeyboardInterrupt()), memory=memory)

    assert list(memory.list("")) == []


class Lying(MemoryBackend):
    """A store that says other things than it keeps."""

    lie = ""

    @property
    def capabilities(self) -> Capabilities:
        offered = super().capabilities
        return replace(offered, create="it takes the last one") if self.lie == "no create" else offered

    def get(self, key: str, sink: Sink, *, start: int = 0) -> ObjectMeta:
        if self.lie == "read":
            sink.write(b"other bytes")
            return self.head(key)
        return super().get(key, sink, start=start)

    def head(self, key: str) -> ObjectMeta:
        meta = super().head(key)
        return replace(meta, size=3, checksum=7, entry_id="x") if self.lie == "head" else meta

    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return iter(()) if self.lie == "list" else super().list(prefix)


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        ("read", "11 bytes came back, and not those 1000"),
        ("head", "it says size 3, CRC32C 00000007, the id 'x'"),
        ("list", "it lists 0 objects"),
    ],
)
def test_store_that_lies(lie: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes back is compared with what was written."""
    monkeypatch.setattr(Lying, "lie", lie)
    trial = tried(memory=Lying("check"))

    (wrong,) = [step for step in trial.steps if step.verdict == "failed"]
    assert (wrong.name, wrong.code) == (lie, exits.FAILED)
    assert said in wrong.text


def test_create_that_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that declares no create-only is not asked for it; its reason is shown."""
    monkeypatch.setattr(Lying, "lie", "no create")
    trial = tried(memory=Lying("check"))

    assert trial.steps[-2] == Step("create", "not offered", "it takes the last one")
    assert all(step.code == exits.DONE for step in trial.steps)


def test_create_that_replaces(memory: MemoryBackend) -> None:
    """A store that declares create-only and replaces the object is found out."""

    class Replacing(MemoryBackend):
        def _refuse_taken(self, key: str, whole: str) -> None:
            pass

    trial = tried(memory=Replacing("check"))

    assert verdicts(trial)["create"] == "failed"
    assert "the object was replaced all the same" in trial.steps[-2].text


def test_command(rud: Rud, tmp_path: Path) -> None:
    """Each step has its line with a time, the last line says that all is well, and the folder is empty afterwards."""
    done = rud("check", f"file://{tmp_path}")

    assert (done.code, done.last) == (exits.DONE, "OK: it can be written, read, listed and cleaned up")
    lines = done.out.splitlines()
    assert lines[0] == f"file://{tmp_path}, served by rud.backends.local:LocalObjectStore"
    assert [line.split()[0] for line in lines[1:-1]] == ["credentials:", "open", *STEPS]
    assert all(" ms  ok" in line for line in lines[2:-1])
    assert contents_of(tmp_path) == {}


def test_folder_that_is_not_there_yet(rud: Rud, tmp_path: Path) -> None:
    """A folder that is made for the check is removed again."""
    assert rud("check", f"file://{tmp_path}/not/there").code == exits.DONE
    assert list(tmp_path.iterdir()) == []


def test_json(rud: Rud) -> None:
    """With ``--json`` there is one object, with what a script needs to decide."""
    told = rud("check", "--json", "memory://check").json

    assert [(one["step"], one["verdict"], one["exit"]) for one in told["steps"]] == [
        (name, "ok", 0) for name in ("open", *STEPS)
    ]
    assert all(one["milliseconds"] >= 0 for one in told["steps"])
    assert (told["uri"], told["store"], told["left"]) == ("memory://check", "rud_fakes.memory:MemoryBackend", "")


def test_arguments_are_shown_without_secrets(rud: Rud, tmp_path: Path) -> None:
    """Public arguments are shown by value, others by name, and no secret even where the store tells it."""
    switched_store.register()
    uri = switched_store.uri_of(tmp_path)
    arguments = ("--backend-kwargs", '{"region": "eu-1", "token": "out of service"}')

    assert "  region: eu-1\n  token: given, not shown\n" in rud("check", uri, *arguments).out

    switched_store.switch_off(tmp_path, "AccessDeniedError")
    for form in ("", "--json"):
        done = rud("check", uri, *arguments, *form.split())
        assert done.code == exits.FAILED
        assert "it is ***" in done.out
        assert "out of service" not in done.out + done.err


def test_where_the_credentials_were_found(rud: Rud, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that knows where it found its credentials is asked."""
    monkeypatch.setattr(MemoryBackend, "credentials_from", lambda self: "the environment (key AKIA…)", raising=False)

    assert rud("check", "memory://check", "--json").json["credentials"] == "the environment (key AKIA…)"
    assert "  credentials: the environment (key AKIA…)\n" in rud("check", "memory://check").out


def test_store_that_cannot_be_built(rud: Rud, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong before the first request is the verdict on opening, and nothing is tried."""

    def broken(*_: object) -> None:
        raise LookupError("no credentials")

    monkeypatch.setattr(MemoryBackend, "__init__", broken)
    told = rud("check", "--json", "memory://check").json

    assert told["exit"] == exits.USAGE
    (step,) = told["steps"]
    assert (step["step"], step["verdict"]) == ("open", "failed")
    assert "LookupError: no credentials" in step["text"]


def test_summary_of_what_does_not_work(rud: Rud, tmp_path: Path) -> None:
    """The last line has the verdicts, the worst of which is the exit code; nothing is said twice."""
    switched_store.register()
    switched_store.switch_off(tmp_path, "AccessDeniedError")

    done = rud("check", switched_store.uri_of(tmp_path))

    assert done.code == exits.FAILED
    assert done.out.count("it is out of service") == 1
    assert done.out.count("may they write below") == 1
    assert "refused: as above\n" in done.out
    assert done.last == "NOT OK: refused: probe, write; not tried: read, head, create, delete; ok: open, list"
