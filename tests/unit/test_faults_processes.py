"""What tests do to processes: kill one at a point, stop and continue one, signal a group."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rud_fakes.faults import PlanError, kill_at, signal_group, stopped, wait_fired

REACHES = "from rud import _faultpoints as f; f.load(); [f.hit('fs.scan.after') for _ in range(3)]"
TICKS = "import sys\nwhile True: print('tick', flush=True); sys.stdin.readline()"


def test_a_process_is_killed_at_a_point_once(tmp_path: Path) -> None:
    """It dies where it was told to, that is known, and the next one goes past."""
    environ = kill_at("fs.scan.after", tmp_path, nth=2)
    first, second = (subprocess.run([sys.executable, "-c", REACHES], env=environ, check=False) for _ in range(2))
    firing = wait_fired(environ, timeout=1)

    assert (first.returncode, second.returncode) == (-signal.SIGKILL, 0)
    assert (firing.point, firing.n) == ("fs.scan.after", 2)


def test_what_does_not_fire_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    """The wait ends with an error that names the plan; a point where nobody can be killed is refused."""
    with pytest.raises(TimeoutError, match=r"kill\.json"):
        wait_fired(kill_at("fs.scan.after", tmp_path), timeout=0.01)
    with pytest.raises(PlanError, match="does not allow 'kill'"):
        kill_at("http.response", tmp_path)


def test_a_process_that_is_stopped_does_nothing_until_it_goes_on() -> None:
    """It answers after the block, and not within."""
    command = [sys.executable, "-uc", TICKS]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        with stopped(process.pid):
            process.stdin.write("\n")
            assert select.select([process.stdout], [], [], 0.05)[0] == []
        assert process.stdout.readline() == "tick\n"
        process.kill()
    with pytest.raises(ProcessLookupError), stopped(process.pid):
        pass


def test_a_group_is_signalled_and_never_our_own() -> None:
    """Everything below the process gets it; a process of our own group is refused."""
    command = ["sh", "-c", "sleep 60 & echo $!; wait"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        signal_group(process, signal.SIGTERM)
        assert process.wait(30) == -signal.SIGTERM
        assert process.stdout.read() == ""  # which the child below it had open as well
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process, pytest.raises(ValueError, match="own group"):
        signal_group(process, signal.SIGTERM)
