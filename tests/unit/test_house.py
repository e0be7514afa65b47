"""What the house promises: light imports, one version, tests that stay here, a wheel that has everything."""

from __future__ import annotations

import ast
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from rud_fakes.servers import VARIABLES as SERVER_VARIABLES

from rud._options import PARSERS, variable

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = {"rud": "rud", "rud_fakes": "fakes/rud_fakes", "rud_conformance": "conformance/rud_conformance"}
HEAVY = """
    boto3 botocore google.cloud libcloud paramiko oci cryptography requests torch composer numpy hypothesis pytest
    _pytest rud_fakes rud_conformance
    multiprocessing asyncio urllib.request http.client email importlib.metadata unittest
"""


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has imported when it has run ``code``."""
    script = f"import sys\n{code}\nimport json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


@pytest.mark.parametrize("module", ["rud", "rud_fakes", "rud_conformance"])
def test_import_is_light(module: str) -> None:
    """Importing a package imports no SDK, no framework, no test tool, and nothing else that is slow to import."""
    found = modules_after(f"import {module}") - modules_after("pass")

    assert sorted(found & (set(HEAVY.split()) - {module})) == []


def test_use_is_light() -> None:
    """Nor does anything that the package offers, once it is asked for."""
    found = modules_after("import rud\nfor name in rud.__all__: getattr(rud, name)") - modules_after("pass")

    assert "rud.uploader" in found
    assert sorted(found & set(HEAVY.split())) == []


def test_worker_is_light() -> None:
    """A worker process imports neither an SDK, before its store does, nor a framework of whoever started it."""
    found = modules_after("import rud._child") - modules_after("pass")

    assert "rud._worker" in found
    assert sorted(found & set(HEAVY.split())) == []


def test_plugin_import_is_light() -> None:
    """The plugin is loaded in every pytest run of everybody: beyond pytest it imports itself and its package."""
    found = modules_after("import pytest, rud_conformance.plugin") - modules_after("import pytest")

    assert sorted(found) == ["rud_conformance", "rud_conformance.plugin"]


def test_plugin_may_be_named_on_the_command_line(tmp_path: Path) -> None:
    """``-p`` with the module's path, which some runs need, does not register it twice, and its mark is known."""
    (tmp_path / "test_other.py").write_text(
        "import pytest\n\n@pytest.mark.rud_conformance\ndef test_it(): pass\n", encoding="utf-8"
    )
    command = [sys.executable, "-m", "pytest", "-q", "--strict-markers", "-p", "rud_conformance.plugin", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert (done.returncode, "1 passed" in done.stdout) == (0, True), done.stdout + done.stderr


def test_plugin_names_meet_nobody_elses() -> None:
    """Every fixture, mark and option of the plugin begins with our name, since it is loaded beside all others."""
    text = (ROOT / PACKAGES["rud_conformance"] / "plugin.py").read_text(encoding="utf-8")
    fixtures = re.findall(r"^@pytest\.fixture.*\ndef (\w+)", text, re.MULTILINE)
    marks = re.findall(r"addinivalue_line\(\s*\"markers\",\s*\"(\w+)", text)
    options = re.findall(r"addoption\(\s*\"([^\"]+)", text)

    assert [name for name in (*fixtures, *marks) if not name.startswith("rud_")] == []
    assert [name for name in options if not name.startswith("--rud-")] == []
    assert marks == ["rud_conformance"]


@pytest.mark.parametrize("script", ["rud", *PROJECT["entry-points"]["pytest11"], "memory"])
def test_entry_points_lead_somewhere(script: str) -> None:
    """Each entry point that the project declares names a module and an attribute that exist."""
    declared = {**PROJECT["scripts"], **PROJECT["entry-points"]["pytest11"], **PROJECT["entry-points"]["rud.backends"]}
    module, _, attribute = declared[script].partition(":")
    target = importlib.import_module(module)

    assert not attribute or callable(getattr(target, attribute))


def test_one_version() -> None:
    """The package, the distribution and the changelog tell the same version."""
    import rud

    newest = re.search(r"^## (\d\S*?),? ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)

    assert newest is not None
    assert rud.__version__ == PROJECT["version"] == newest[1]


def test_core_depends_on_next_to_nothing() -> None:
    """One dependency, without an upper bound."""
    assert [re.split(r"[<>=]", need)[0] for need in PROJECT["dependencies"]] == ["google-crc32c"]


def test_options_are_documented_with_their_variables() -> None:
    """Every option stands in the documentation as an argument and as a variable of the environment."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    missing = [name for name in PARSERS if f"`{name}" not in text or f"`{variable(name)}`" not in text]

    assert missing == []


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def test_no_test_sleeps() -> None:
    """No test lets time pass: it waits for the event itself."""
    sleeping = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files("tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "sleep"
    ]

    assert sleeping == []


def test_tests_say_what_they_state() -> None:
    """The docstring of each test is the property that it states."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files("tests")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_") and not ast.get_docstring(node)
    ]

    assert silent == []


def test_folders_that_are_no_packages() -> None:
    """No folder of the root can be imported instead of a dependency of the same name."""
    assert [
        name for name in ("docker", "tests", "docs", "fakes", "conformance") if (ROOT / name / "__init__.py").exists()
    ] == []


@pytest.mark.parametrize(
    "ask",
    [lambda: socket.create_connection(("192.0.2.1", 9), timeout=0.01), lambda: socket.gethostbyname("example.org")],
)
def test_tests_cannot_leave_the_machine(ask: object, left_the_machine: list[str]) -> None:
    """A connection or a name look-up beyond loopback is refused, and remembered so that the test fails."""
    assert callable(ask)
    with pytest.raises(PermissionError, match="tests stay on this machine"):
        ask()
    assert len(left_the_machine) == 1
    left_the_machine.clear()


def test_loopback_is_allowed() -> None:
    """A server of the test's own can be reached."""
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1) == b"x"


def test_environment_is_clean() -> None:
    """No credential, rank, option or proxy of whoever runs the tests is seen by them."""
    foreign = [
        name
        for name in os.environ.keys() - set(SERVER_VARIABLES)
        # The one that is set: to keep botocore from asking a machine of the cloud for credentials.
        if name != "AWS_EC2_METADATA_DISABLED"
        and re.match(r"AWS_|S3_|GCS_|GOOGLE_|STORAGE_EMULATOR_|RUD_|(LOCAL_)?RANK$|https?_proxy$", name, re.IGNORECASE)
    ]

    assert foreign == []
    assert os.environ["NO_PROXY"] == "*"


def test_wheel_has_the_packages_and_their_types(tmp_path: Path) -> None:
    """The wheel has the three packages as they are imported, each with its marker for type checkers, and no test."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = set(wheel.namelist())
    expected = {
        f"{package}/{path.relative_to(ROOT / folder)}"
        for package, folder in PACKAGES.items()
        for path in python_files(folder)
    }

    assert expected <= names
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert {name.split("/")[0] for name in names} == {*PACKAGES, f"rud_uploader-{PROJECT['version']}.dist-info"}
