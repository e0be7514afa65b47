"""The fault server as a process: one line with its address, control for any language, a log, an end by SIGTERM."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from rud_fakes.faults.serve import controlled

RUD = [sys.executable, "-m", "rud"]


def ask(url: str, method: str, path: str, body: str = "") -> tuple[int, str]:
    """One request, by a client that knows nothing of any store."""
    with closing(http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)) as connection:
        connection.request(method, path, body.encode())
        answer = connection.getresponse()
        return answer.status, answer.read().decode()


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [*RUD, "faults", "serve", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def _began(one: Any) -> float:
    return float(one["began"])


def lines(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_it_is_a_process_that_any_language_can_use(tmp_path: Path) -> None:
    """Its plan fails the first upload and no other; what was asked is in the log, and control is not; SIGTERM ends it
    well."""
    log = tmp_path / "log"
    with serving("--plan", "http.response[op=put]#1=status(503,SlowDown)", "--log", str(log)) as (process, url):
        answers = [ask(url, "PUT", f"/bucket/{key}", "abc")[0] for key in ("a", "a", "b")]
        told = json.loads(ask(url, "GET", "/_rud/faults")[1])
        logged = lines(ask(url, "GET", "/_rud/log")[1])
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)

    assert answers == [503, 200, 200]
    assert told == {
        "plan": "http.response[op=put]#1=status(503,SlowDown)",
        "fired": [{"rule": "r1", "point": "http.response", "scope": "", "n": 1}],
        "missed": [],
    }
    assert [(one["operation"], one["key"], one["status"], one["rules"]) for one in logged] == [
        ("PutObject", "a", 503, ["r1"]), ("PutObject", "a", 200, []), ("PutObject", "b", 200, []),
    ]  # fmt: skip
    assert sorted(lines(log.read_text()), key=_began) == sorted(logged, key=_began)
    assert (process.returncode, said) == (0, "")


def test_a_rule_that_has_not_fired_fails_the_run() -> None:
    """The exit status says so, and the rule is named."""
    with serving("--dialect", "gcs", "--plan", "store.gone=status(404)") as (process, _):
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=30)

    assert process.returncode == 4
    assert "rule r1 at store.gone has fired 0 times; expected: >=1" in said


@pytest.mark.parametrize(
    ("dialect", "path"), [("s3", "/bucket/k"), ("gcs", "/upload/storage/v1/b/bucket/o?uploadType=media&name=k")]
)
def test_rules_are_set_and_cleared_while_it_serves(dialect: str, path: str, tmp_path: Path) -> None:
    """A plan in either form takes the place of the one before and counts anew; a wrong one changes nothing."""
    plan = "http.response#1=status(500)"
    method = "PUT" if dialect == "s3" else "POST"
    server, _ = controlled(dialect, "bucket", tmp_path)
    with server:
        url = server.url
        seen = [ask(url, method, path, "x")[0]]
        for _ in range(2):
            assert ask(url, "PUT", "/_rud/faults", plan)[0] == 200
            seen += [ask(url, method, path, "x")[0], ask(url, method, path, "x")[0]]
        wrong = ask(url, "PUT", "/_rud/faults", "http.respons=status(500)")
        as_json = '{"schema": "rud.faults/1", "rules": [{"at": "http.response", "do": {"status": 429}}]}'
        assert ask(url, "PUT", "/_rud/faults", as_json)[0] == 200
        seen.append(ask(url, method, path, "x")[0])
        cleared = json.loads(ask(url, "DELETE", "/_rud/faults")[1])
        seen.append(ask(url, method, path, "x")[0])
        unknown = ask(url, "GET", "/_rud/faulst")

    assert seen == [200, 500, 200, 500, 200, 429, 200]
    assert wrong[0] == 400
    assert "did you mean 'http.response'" in wrong[1]
    assert cleared == {"plan": "", "fired": [], "missed": []}
    assert unknown[0] == 404
