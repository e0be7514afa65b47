"""Where the programs of servers are sought, how they get there, and what is said when one is missing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from rud_fakes.servers import MissingServerError, _programs
from rud_fakes.servers.__main__ import main

BUILT = [one for one in _programs.PROGRAMS if isinstance(one, _programs.GoProgram)]
each = pytest.mark.parametrize("server", BUILT, ids=[one.name for one in BUILT])


def program(path: Path, name: str = "versitygw") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/bin/sh\nprintf "#!/bin/sh" > "$GOBIN/{name}"; chmod +x "$GOBIN/{name}"; echo "$@" >&2\n')
    path.chmod(0o755)
    return path


@each
def test_where_a_server_is_sought(server: _programs.GoProgram, tmp_path: Path) -> None:
    """The variable wins over the path, the path over the cache; without any, the text names all three and the way."""
    environ = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    said = rf"PATH.*cache.*rud_fakes\.servers install {server.name}.*{server.variable}"
    with pytest.raises(MissingServerError, match=said):
        server.find(environ)

    cached = program(server.cache(environ))
    assert server.find(environ) == str(cached)
    on_path = program(tmp_path / "bin" / server.name)
    assert server.find(environ) == str(on_path)
    named = program(tmp_path / "own")
    assert server.find({**environ, server.variable: str(named)}) == str(named)
    with pytest.raises(MissingServerError, match=f"{server.variable} names '/nowhere'"):
        server.find({**environ, server.variable: "/nowhere"})


@each
def test_install(server: _programs.GoProgram, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Go builds the pinned version into the cache, once; a build in the middle leaves nothing half."""
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    program(tmp_path / "bin" / "go", server.name)

    first = server.install(environ)
    again = server.install(environ)

    assert first == again == server.cache(environ)
    assert [path.name for path in first.parent.iterdir()] == [server.name]
    assert capfd.readouterr().err == f"install {server.source}@v{server.version}\n"


NPM = """#!/bin/sh
while [ "$1" != --prefix ]; do shift; done
bin="$2/node_modules/.bin"; mkdir -p "$bin"; printf "#!/bin/sh" > "$bin/azurite-blob"; chmod +x "$bin/azurite-blob"
while [ $# -gt 1 ]; do shift; done; echo "$1" >&2
"""


def test_install_by_npm(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """npm fetches the pinned version into a folder of the cache, once, and its program is what is found."""
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    with pytest.raises(MissingServerError, match=r"npm.*install azurite.*RUD_AZURITE"):
        _programs.AZURITE.find({**environ, "PATH": ""})
    program(tmp_path / "bin" / "npm").write_text(NPM)

    first = _programs.AZURITE.install(environ)

    assert str(first) == str(_programs.AZURITE.install(environ)) == _programs.AZURITE.find({**environ, "PATH": ""})
    assert [path.name for path in _programs.AZURITE.cache(environ).parent.iterdir()] == ["azurite"]
    assert capfd.readouterr().err == "azurite@3.35.0\n"


def test_install_of_what_the_system_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """sshd is the system's: what is there is taken; else the text says what whoever may has to run."""
    environ = {"PATH": str(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    there = program(tmp_path / "bin" / "sshd")
    assert _programs.SSHD.find(environ) == str(_programs.SSHD.install(environ)) == str(there)

    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    for ask in (_programs.SSHD.find, _programs.SSHD.install):
        with pytest.raises(MissingServerError, match="apt-get install --no-install-recommends openssh-server"):
            ask(environ)
    assert not _programs.SSHD.cache(environ).parent.exists()


APT = """#!/bin/sh
echo "$@" >> "$0.log"
[ -e "$0.lists" ] && [ "$1" = install ] && touch "${0%/*}/sshd" && chmod +x "${0%/*}/sshd" && exit 0
[ "$1" = update ] && touch "$0.lists"
"""


def test_install_by_apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root has it installed, the lists of packages fetched if need be; the system's own sshd is not started."""
    monkeypatch.setattr(_programs, "_SBIN", ())
    monkeypatch.setattr(_programs, "_NOT_TO_BE_RUN", tmp_path / "ssh" / "not")
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    program(tmp_path / "bin" / "apt-get").write_text(APT)
    environ = {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin"}

    assert _programs.SSHD.install(environ) == tmp_path / "bin" / "sshd" == _programs.SSHD.install(environ)

    install = "install -qq -y --no-install-recommends openssh-server"
    log = (tmp_path / "bin" / "apt-get.log").read_text().splitlines()
    assert log == [install, "update -qq", install]
    assert (tmp_path / "ssh" / "not").exists()


@pytest.mark.parametrize(("go", "said"), [(None, "no `go` on the PATH"), ("exit 7", "ended with 7")])
def test_install_that_fails(go: str | None, said: str, tmp_path: Path) -> None:
    """Without Go, or with a build that fails, the text says so and the cache has no program."""
    environ = {"PATH": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    if go is not None:
        program(tmp_path / "go").write_text(f"#!/bin/sh\n{go}\n")

    with pytest.raises(MissingServerError, match=said):
        _programs.VERSITYGW.install(environ)

    assert not _programs.VERSITYGW.cache(environ).exists()


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """``list`` says of each server where it is or how to get it, ``install`` fails in one sentence without Go."""
    for server in _programs.PROGRAMS:
        monkeypatch.setenv(server.variable, str(program(tmp_path / "own")))
    monkeypatch.setenv("RUD_MINIO", "/nowhere")
    assert main(["list"]) == 0
    assert f"versitygw: {tmp_path / 'own'}\nfake-gcs-server: {tmp_path / 'own'}" in (said := capsys.readouterr().out)
    assert "minio (on demand): RUD_MINIO names '/nowhere'" in said

    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("RUD_VERSITYGW")
    assert main(["list"]) == 1
    assert "install versitygw" in capsys.readouterr().out
    assert main(["install", "fake-gcs-server", "versitygw"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("required", "outcome"),
    [("", "2 skipped"), ("1", "1 skipped, 1 error"), ("all", "2 errors")],
    ids=["skips", "fails", "fails-of-all"],
)
def test_a_missing_server_is_seen(required: str, outcome: str, tmp_path: Path) -> None:
    """The fixtures, asked for by one line, skip a test with the way to install what is missing, or fail it if told:
    "1" is about those that the tests need, "all" about those on demand, too."""
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["rud_fakes.servers"]\n')
    (tmp_path / "test_it.py").write_text(
        "def test_it(rud_versitygw, rud_prefix): pass\ndef test_other(rud_minio): pass\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-ra", "-p", "no:cacheprovider"],
        cwd=tmp_path,
        env={
            **os.environ,
            "RUD_REQUIRE_SERVERS": required,
            "RUD_VERSITYGW": "/nowhere",
            "RUD_MINIO": "/nowhere",
            "COLUMNS": "400",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert outcome in done.stdout, done.stdout + done.stderr
    assert "RUD_VERSITYGW names '/nowhere'" in done.stdout
    assert "install versitygw" in done.stdout
