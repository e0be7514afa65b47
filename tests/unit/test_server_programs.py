"""Where the programs of servers are sought, how they get there, and what is said when one is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from rud_fakes.servers import MissingServerError, _programs
from rud_fakes.servers.__main__ import main


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text('#!/bin/sh\nprintf "#!/bin/sh" > "$GOBIN/versitygw"; chmod +x "$GOBIN/versitygw"; echo "$@" >&2\n')
    path.chmod(0o755)
    return path


def test_where_versitygw_is_sought(tmp_path: Path) -> None:
    """The variable wins over the path, the path over the cache; without any, the text names all three and the way."""
    environ = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with pytest.raises(MissingServerError, match=r"PATH.*cache.*rud_fakes\.servers install versitygw.*RUD_VERSITYGW"):
        _programs.find_versitygw(environ)

    cached = program(_programs.versitygw_cache(environ))
    assert _programs.find_versitygw(environ) == str(cached)
    on_path = program(tmp_path / "bin" / "versitygw")
    assert _programs.find_versitygw(environ) == str(on_path)
    named = program(tmp_path / "own")
    assert _programs.find_versitygw({**environ, "RUD_VERSITYGW": str(named)}) == str(named)
    with pytest.raises(MissingServerError, match="RUD_VERSITYGW names '/nowhere'"):
        _programs.find_versitygw({**environ, "RUD_VERSITYGW": "/nowhere"})


def test_install(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Go builds the pinned version into the cache, once; a build in the middle leaves nothing half."""
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    program(tmp_path / "bin" / "go")

    first = _programs.install_versitygw(environ)
    again = _programs.install_versitygw(environ)

    assert first == again == _programs.versitygw_cache(environ)
    assert [path.name for path in first.parent.iterdir()] == ["versitygw"]
    assert capfd.readouterr().err == f"install github.com/versity/versitygw/cmd/versitygw@v{_programs.VERSITYGW}\n"


@pytest.mark.parametrize(("go", "said"), [(None, "no `go` on the PATH"), ("exit 7", "ended with 7")])
def test_install_that_fails(go: str | None, said: str, tmp_path: Path) -> None:
    """Without Go, or with a build that fails, the text says so and the cache has no program."""
    environ = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    if go is not None:
        program(tmp_path / "go").write_text(f"#!/bin/sh\n{go}\n")

    with pytest.raises(MissingServerError, match=said):
        _programs.install_versitygw(environ)

    assert not _programs.versitygw_cache(environ).exists()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` says of each server where it is or how to get it, ``install`` fails in one sentence without Go."""
    monkeypatch.setenv("RUD_VERSITYGW", str(program(tmp_path / "own")))
    assert main(["list"]) == 0
    assert f"versitygw: {tmp_path / 'own'}" in capsys.readouterr().out

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RUD_VERSITYGW")
    assert main(["list"]) == 1
    assert "install versitygw" in capsys.readouterr().out
    assert main(["install", "versitygw"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("required", "outcome"), [({}, "1 skipped"), ({"RUD_REQUIRE_SERVERS": "1"}, "1 error")], ids=["skips", "fails"]
)
def test_a_missing_server_is_seen(required: dict[str, str], outcome: str, tmp_path: Path) -> None:
    """The fixtures, asked for by one line, skip a test with the way to install what is missing, or fail it if told."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["rud_fakes.servers"]\n')
    (tmp_path / "test_it.py").write_text("def test_it(rud_versitygw, rud_prefix): pass\n")
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={**os.environ, "RUD_REQUIRE_SERVERS": "", "RUD_VERSITYGW": "/nowhere", "COLUMNS": "400", **required},
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout, done.stdout + done.stderr
    assert "RUD_VERSITYGW names '/nowhere'" in done.stdout
    assert "install versitygw" in done.stdout
