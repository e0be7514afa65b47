"""What becomes of uploads when something fails: the same scenarios through both classes, on S3, with processes."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rud_fakes.s3 import Fault

from benchmarks.composer.cells import table
from benchmarks.composer.classes import WHO
from benchmarks.composer.play import Play, stage

TEN = [f"file-{number}" for number in range(10)]
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Scenario:
    """A fault, as ``play`` brings it about."""

    name: str
    text: str
    play: Callable[[Play], None]
    workers: int = 1


def _busy(play: Play, seconds: float = 0.5) -> None:
    """From now on the server takes its time for each put."""
    play.server.add(Fault("PutObject", "delay", seconds=seconds, times=None))


def no_fault(play: Play) -> None:
    play.begin()
    play.upload(TEN[:6])
    play.finish()


def idle_worker_killed(play: Play) -> None:
    play.begin()
    os.kill(play.worker_pids()[0], signal.SIGKILL)
    time.sleep(0.5)
    play.upload(TEN[1:])
    play.finish()


def busy_worker_killed(play: Play) -> None:
    play.begin()
    _busy(play)
    play.upload(TEN)
    play.wait_sent(play.workers)
    os.kill(play.worker_pids()[0], signal.SIGKILL)
    time.sleep(0.5)  # the batch goes on
    play.finish()


def one_503(play: Play) -> None:
    play.begin()
    play.server.add(Fault("PutObject", "status", key=TEN[3], status=503))
    play.upload(TEN)
    play.finish()


def five_503(play: Play) -> None:
    play.begin()
    play.server.add(Fault("PutObject", "status", key=TEN[3], status=503, times=5))
    play.upload(TEN)
    play.finish(60)


def never_returns(play: Play) -> None:
    # botocore's own default of 60 s, times its attempts, times ours, is nine minutes: nobody waits for a table so long.
    play.credentials = {"client_config": {"read_timeout": 5}}
    play.begin()
    play.server.add(Fault("PutObject", "never", key=TEN[0], times=None))
    play.upload(TEN)
    play.finish(100)


def once_never_answers(play: Play) -> None:
    play.begin()
    play.server.add(Fault("PutObject", "never", key=TEN[0]))
    play.upload(TEN)
    play.wait_stored(10, 10)
    play.notes.append(f"{len(play.stored()) - 1} of the other 9 stored meanwhile")
    play.finish(120)


def ctrl_c(play: Play) -> None:
    play.begin()
    _busy(play, 1.0)
    play.upload(TEN)
    play.wait_sent(2)
    play.tell("wait")
    time.sleep(0.5)
    play.signal(signal.SIGINT)
    play.wait_for_end(30)


def sigterm(play: Play) -> None:
    play.begin()
    _busy(play, 1.0)
    play.upload(TEN)
    play.wait_sent(2)
    play.tell("wait")
    time.sleep(0.5)
    play.signal(signal.SIGTERM)
    play.wait_for_end(30)


def exit_without_close(play: Play) -> None:
    play.closes = False
    play.begin()
    _busy(play)
    play.upload(TEN)
    play.tell("exit")
    play.wait_for_end(30)


def parent_killed(play: Play) -> None:
    play.begin()
    _busy(play)
    play.upload(TEN)
    play.wait_sent(2)
    _kill_the_parent(play)


def parent_killed_at_once(play: Play) -> None:
    play.begin()
    play.upload(TEN)
    _kill_the_parent(play)


def _kill_the_parent(play: Play) -> None:
    workers = play.worker_pids()
    play.signal(signal.SIGKILL, group=False)
    play.wait_for_end()
    time.sleep(10)
    alive = [pid for pid in workers if os.path.exists(f"/proc/{pid}")]
    play.notes.append(f"{len(alive)} of {len(workers)} workers alive 10 s later")
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    play.notes.append(f"{len(play.stored())} of 11 stored before the next run")
    play.server.clear_faults()
    play.begin()
    play.wait_stored(11, 15)
    play.finish()


def lost_reply_of_a_put(play: Play) -> None:
    play.begin()
    play.server.add(Fault("PutObject", "lost_reply", key=TEN[3]))
    play.upload(TEN, overwrite=False)
    play.finish(60)


def lost_reply_of_a_completion(play: Play) -> None:
    play.begin()
    play.server.add(Fault("CompleteMultipartUpload", "lost_reply", key="large"))
    play.upload(["large"], size=48 * _MIB, overwrite=False)
    play.upload(TEN[:3], overwrite=False)
    play.finish(60)


def object_exists(play: Play) -> None:
    play.begin()
    play.server.put(TEN[3], b"somebody else's")
    play.upload(TEN, overwrite=False)
    play.finish()
    kept = play.server.object(TEN[3]).data == b"somebody else's"
    play.notes.append("the object is as it was" if kept else "the object was overwritten")


def outage(play: Play) -> None:
    play.begin()
    play.server.stop()
    play.upload(TEN)
    time.sleep(20)
    play.server.start()
    play.finish(120)


def forbidden_key(play: Play) -> None:
    play.begin()
    play.server.add(Fault("PutObject", "status", key=TEN[3], status=403, times=None))
    play.upload(TEN)
    play.finish()


def token_expires(play: Play) -> None:
    shared = play.folder / "credentials"
    lines = "[default]\naws_access_key_id = benchmark\naws_secret_access_key = benchmark\naws_session_token = {}\n"
    shared.write_text(lines.format("first"), encoding="utf-8")
    play.environment = {"AWS_SHARED_CREDENTIALS_FILE": str(shared), "AWS_CONFIG_FILE": os.devnull}
    play.credentials = {"aws_access_key_id": None, "aws_secret_access_key": None}
    play.begin()
    play.server.add(Fault("PutObject", "call", skip=8, call=lambda _: play.server.expire("first")))
    play.upload([f"file-{number}" for number in range(20)])
    time.sleep(3)
    shared.write_text(lines.format("second"), encoding="utf-8")
    play.finish(60)


def slow_reader(play: Play) -> None:
    play.begin()
    play.server.add(Fault("*", "trickle_in", rate=_MIB, times=None))
    play.upload(["large"], size=12 * _MIB)
    play.upload(TEN[:3])
    play.finish(120)


def late_completion(play: Play) -> None:
    play.begin()
    play.server.add(Fault("CompleteMultipartUpload", "delay", seconds=65, times=None))
    play.upload(["large"], size=48 * _MIB)
    play.upload(TEN[:3])
    play.finish(300)
    asked = len([one for one in play.server.requests if one.operation == "CompleteMultipartUpload"])
    play.notes.append(f"{asked} requests to complete")


SCENARIOS = (
    Scenario("1", "no fault", no_fault),
    Scenario("2", "SIGKILL of an idle worker, then 9 more uploads", idle_worker_killed),
    Scenario("3", "SIGKILL of the busy worker, 10 uploads", busy_worker_killed),
    Scenario("4", "SIGKILL of a busy worker, 10 uploads", busy_worker_killed, 4),
    Scenario("5", "one 503", one_503),
    Scenario("5b", "503 five times in a row on one key", five_503),
    Scenario("6", "a call that never returns; `read_timeout` 5 s", never_returns, 2),
    Scenario("7", "Ctrl-C to the process group, 10 uploads", ctrl_c, 2),
    Scenario("8", "SIGTERM to the process group, 10 uploads", sigterm, 2),
    Scenario("9", "`sys.exit(0)` without close", exit_without_close, 2),
    Scenario("10", "SIGKILL of the parent, then a new run on its staging folder", parent_killed, 2),
    Scenario("10b", "the same at once after the last accept", parent_killed_at_once, 2),
    Scenario("11", "the reply to one put is lost, `overwrite=False`", lost_reply_of_a_put),
    Scenario("11b", "the reply to a completion is lost, `overwrite=False`", lost_reply_of_a_completion),
    Scenario("12", "one object exists, `overwrite=False`", object_exists),
    Scenario("13", "20 s outage, defaults", outage),
    Scenario("14", "one connection that never answers", once_never_answers, 2),
    Scenario("15", "403 on one key", forbidden_key),
    Scenario("16", "the token expires in the middle of 20 uploads, and is renewed 3 s later", token_expires),
    Scenario("17", "a server that reads 1 MiB/s, 12 MiB", slow_reader),
    Scenario("18", "the completion is answered after 65 s", late_completion),
)


def run(folder: Path, names: list[str], results: Path, page: Path, say: Callable[[str], None]) -> int:
    """Play them, keep the outcomes, write the page; 1 when ours has lost an upload without a word, or hung."""
    kept: dict[str, Any] = json.loads(results.read_text(encoding="utf-8")) if results.exists() and names else {}
    for scenario in SCENARIOS:
        if names and scenario.name not in names:
            continue
        for who in WHO:
            with stage(folder, who, scenario.workers) as play:
                try:
                    scenario.play(play)
                except TimeoutError as error:
                    play.notes.append(f"the scenario did not come about: {error}")
                outcome = play.result()
            say(f"{scenario.name} {scenario.text}: {who}: {outcome}")
            kept.setdefault(scenario.name, {"text": scenario.text, "workers": scenario.workers})[who] = outcome
            results.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    ordered = {scenario.name: kept[scenario.name] for scenario in SCENARIOS if scenario.name in kept}
    page.write_text(_page(ordered), encoding="utf-8")
    return 1 if any(row["rud"]["hung"] for row in ordered.values()) else 0


def _page(outcomes: dict[str, Any]) -> str:
    rows = [
        (name, row["text"], str(row["workers"]), _cell(row["composer"]), _cell(row["rud"]))
        for name, row in outcomes.items()
    ]
    return f"""\
# When something fails

<!-- Written by `python -m benchmarks.composer scenarios` from benchmarks/results/composer_scenarios.json. -->

The same program with Composer's `RemoteUploaderDownloader`, unmodified, and with ours, on S3: the faulty server of
`rud_fakes`, process workers, `num_attempts=3`. The program uploads, then calls `batch_end`, `fit_end`, and closes, as a
`Trainer` does; it closes at exit and leaves by `sys.exit` on SIGTERM, as a `Trainer` does, except in 9. One upload is
stored before the fault, and counts. *Hangs* is a step that had not returned after 25 s, or after the time that the
fault itself takes. Ours are tests as well: `tests/failures`.

{table(("#", "fault", "workers", "Composer", "rud"), rows)}
"""


def _cell(outcome: dict[str, Any]) -> str:
    parts = [f"{outcome['stored']} of {outcome['accepted']} stored"]
    parts += [f"**{step} hangs**" for step in outcome["hung"]]
    parts += [f"{step} raises `{kind}`" for step, kind, *_ in (text.split(": ") for text in outcome["raised"])]
    parts += outcome["notes"]
    if outcome["kept aside"]:
        parts.append(f"{outcome['kept aside']} kept aside with its reason")
    elif outcome["files left in staging"]:
        parts.append(f"{outcome['files left in staging']} files left in staging")
    if outcome["open multipart uploads"]:
        parts.append(f"{outcome['open multipart uploads']} multipart uploads left open")
    return f"{'; '.join(parts)} ({outcome['seconds']:.0f} s)"
