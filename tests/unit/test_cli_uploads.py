"""``rud upload``, ``rud download``, ``rud ls``."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rud_fakes import MemoryBackend

from rud._body import Body
from rud.cli import exits
from rud.store import PutMode
from tests.support import switched_store
from tests.support.commands import Rud, runner
from tests.support.dead_runs import contents_of


@pytest.fixture(name="rud")
def fixture_rud(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Rud:
    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(tmp_path / "staging"))
    return runner(capfd)


@pytest.fixture(name="tree")
def fixture_tree(tmp_path: Path) -> Path:
    for name, content in {"b.bin": b"2" * 300_000, "a/x.json": b"{}", "a/y": b"", "c d": b"3"}.items():
        path = tmp_path / "run" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "run"


def out_of_service(tmp_path: Path) -> str:
    """The URI of a store that is missing."""
    switched_store.register()
    switched_store.switch_off(tmp_path / "store", "BucketNotFoundError")
    return switched_store.uri_of(tmp_path / "store")


def left_in(staging: Path) -> list[Path]:
    return [path for path in staging.rglob("*") if path.is_file()]


def in_memory(bucket: str, *keys: str) -> str:
    """The URI of a store with an object of one byte under each of ``keys``."""
    MemoryBackend.forget(bucket)
    store = MemoryBackend(bucket)
    for key in keys:
        store.put(
            key,
            Body(io.BytesIO(b"x"), 1),
            mode=PutMode.OVERWRITE,
            checksum=None,
            entry_id=None,
            durable=False,
            on_multipart=lambda upload_id, /: None,
        )
    return f"memory://{bucket}"


def test_files_and_folders(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """A file's key is its name, those of a folder begin with the folder's; the last line says what was stored."""
    store = tmp_path / "store"

    done = rud("upload", "--threads", tree / "a", tree / "b.bin", f"file://{store}")

    assert (done.code, done.last) == (exits.DONE, "stored 3, failed 0, spooled 0")
    assert contents_of(store) == {"a/x.json": b"{}", "a/y": b"", "b.bin": b"2" * 300_000}
    assert left_in(tmp_path / "staging") == []


def test_current_folder(rud: Rud, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``.`` has the name of the folder that it is."""
    monkeypatch.chdir(tree)

    assert rud("upload", "--threads", ".", f"file://{tmp_path}/store").code == exits.DONE
    assert set(contents_of(tmp_path / "store")) == {"run/b.bin", "run/a/x.json", "run/a/y", "run/c d"}


def test_processes(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """Without ``--threads`` it works in processes, as many as asked for."""
    done = rud("upload", "--workers", "2", tree, f"file://{tmp_path}/store")

    assert (done.code, done.last) == (exits.DONE, "stored 4, failed 0, spooled 0")


def test_json(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """With ``--json`` the output is one object with the five states, and no progress."""
    done = rud("upload", "--threads", "--json", tree, f"file://{tmp_path}/store")

    states = {name: done.json[name] for name in ("stored", "superseded", "failed", "cancelled", "spooled")}
    assert states == {"stored": 4, "superseded": 0, "failed": 0, "cancelled": 0, "spooled": 0}
    assert (done.json["left"], done.json["refused"], done.json["why"], done.err) == ([], {}, "", "")


def test_no_overwrite(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """With ``--no-overwrite`` an object that is there stays, and the failure is said and kept."""
    store = tmp_path / "store"
    store.mkdir()
    (store / "b.bin").write_bytes(b"before")

    done = rud("upload", "--threads", "--json", "--no-overwrite", tree / "b.bin", tree / "c d", f"file://{store}")

    assert done.code == exits.FAILED
    assert [(one["key"], one["state"]) for one in done.json["left"]] == [("b.bin", "failed")]
    assert contents_of(store) == {"b.bin": b"before", "c d": b"3"}
    assert f"rud resume --failed {done.json['folder']}" in done.err


def test_trouble_is_left_for_later(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """What cannot be sent stays spooled: the exit code says so, the text says why and how to go on."""
    store = out_of_service(tmp_path)

    done = rud("upload", "--threads", "--json", tree, store, "--timeout", "60")

    assert (done.code, done.json["spooled"], done.json["stored"]) == (exits.LEFT, 4, 0)
    assert "out of service" in done.json["why"]
    assert f"rud resume {done.json['folder']}" in done.err


def test_file_that_goes_away(rud: Rud, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that cannot be accepted is named, and the others are uploaded."""
    from rud.cli import uploads

    accept = uploads._accept

    def one_has_gone(*arguments: object) -> None:
        (tree / "b.bin").unlink()
        accept(*arguments)  # type: ignore[arg-type]  # of a parametrised list

    monkeypatch.setattr(uploads, "_accept", one_has_gone)
    done = rud("upload", "--threads", "--json", tree, f"file://{tmp_path}/store")

    assert (done.code, done.json["stored"]) == (exits.FAILED, 3)
    assert list(done.json["refused"]) == [str(tree / "b.bin")]


def test_interrupt(rud: Rud, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C seals: what is accepted and not stored is counted, and the command that sends it is said."""
    from rud.cli import uploads

    store = out_of_service(tmp_path)

    def interrupted(*_: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(uploads, "_wait", interrupted)
    done = rud("upload", "--threads", "--json", tree, store)

    assert (done.code, done.json["spooled"], done.json["why"]) == (exits.LEFT, 4, "interrupted")
    assert f"rud resume {done.json['folder']}" in done.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("{tree}/missing", "file://{tmp}/store"), "missing: No such file"),
        (("{tree}", "{tmp}/store"), "'file://{tmp}/store' was probably meant"),
        (("{tree}", "nowhere://x"), "no store serves the scheme 'nowhere'"),
        (("{tree}", "memory://x"), "pass use_procs=False"),
        (("{tmp}/link", "file://{tmp}/store"), "is a symbolic link"),
        (("{tmp}/linked", "file://{tmp}/store"), "is a symbolic link"),
        (("{tmp}/pipe", "file://{tmp}/store"), "neither a file nor a folder"),
        (("{tmp}/empty", "file://{tmp}/store"), "there is no file in"),
        (("{tree}/b.bin", "{tree}/b.bin", "file://{tmp}/store"), "have the same key 'b.bin'"),
        (("{tree}", "file://{tmp}/store", "--backend-kwargs", "{{"), "is no JSON"),
        (("{tree}", "file://{tmp}/store", "--backend-kwargs", "[1]"), "is a JSON list"),
        (("{tree}", "file://{tmp}/store", "--backend-kwargs", "@{tmp}/none"), "cannot be read"),
        (("{tree}", "file://{tmp}/store", "--backend-kwargs", '{{"colour": 1}}'), "'colour'"),
        (("{tree}", "file://{tmp}/store", "--staging-mode", "teleport"), "'teleport' is not allowed"),
        (("{tree}", "file://{tmp}/store", "--max-staged-bytes", "much"), "'much' is no size"),
        (("{tree}", "file://{tmp}/store", "--timeout", "soon"), "'soon' is no time"),
        (("{tree}", "file://{tmp}/store", "--workers", "0"), "at least 1"),
        (("{tree}", "file://{tmp}/store", "--staging-folder", "{tree}/b.bin"), "is a file; give a folder"),
    ],
)
def test_bad_input(rud: Rud, tree: Path, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    """Each mistake is one sentence that names it; nothing is accepted, nothing is left."""
    (tmp_path / "link").symlink_to(tree / "b.bin")
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked" / "inner").symlink_to(tree)
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")

    done = rud("upload", *(argument.format(tree=tree, tmp=tmp_path) for argument in arguments))

    assert (done.code, done.out) == (exits.USAGE, "")
    assert said.format(tmp=tmp_path) in done.err
    assert "Traceback" not in done.err
    assert left_in(tmp_path / "staging") == []
    assert not (tmp_path / "store").exists()


def test_bad_json_is_not_repeated(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """What was given to ``--backend-kwargs`` may hold a secret: no message has it."""
    done = rud("upload", tree, f"file://{tmp_path}/store", "--backend-kwargs", '{"key": "s3cr3t"')

    assert done.code == exits.USAGE
    assert "s3cr3t" not in done.out + done.err


def test_download_into_a_folder(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """A destination that is a folder gets a file of the object's name, verified."""
    rud("upload", "--threads", tree, f"file://{tmp_path}/store")

    done = rud("download", f"file://{tmp_path}/store", "run/b.bin", tmp_path)

    assert (done.code, (tmp_path / "b.bin").read_bytes()) == (exits.DONE, b"2" * 300_000)
    assert "verified" in done.last
    assert rud("download", f"file://{tmp_path}/store", "run/c d", tmp_path / "b.bin").code == exits.USAGE
    again = rud("download", "--overwrite", "--json", f"file://{tmp_path}/store", "run/c d", tmp_path / "b.bin")
    assert (again.json["size"], (tmp_path / "b.bin").read_bytes()) == (1, b"3")


def test_download_of_everything_below_a_prefix(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """A key that ends at a slash is a folder: its objects become files below DEST, verified, and none is replaced."""
    uri = f"file://{tmp_path}/store"
    rud("upload", "--threads", tree, uri)

    done = rud("download", uri, "run/", tmp_path / "copy")

    assert (done.code, done.last) == (exits.DONE, f"{tmp_path}/copy: 4 files, 293.0 KiB, size and checksum verified")
    assert contents_of(tmp_path / "copy") == contents_of(tree)
    assert rud("download", uri, "run/", tmp_path / "copy").code == exits.USAGE
    assert rud("download", uri, "", tmp_path / "all").code == exits.DONE
    assert contents_of(tmp_path / "all" / "run") == contents_of(tree)
    told = rud("download", "--overwrite", "--json", uri, "run/a/", tmp_path / "copy/a").json
    assert (told["files"], told["size"]) == (2, 2)
    assert rud("download", uri, "run/b", tmp_path / "copy2").code == exits.FAILED
    assert rud("download", uri, "run/nothing/", tmp_path / "copy2").code == exits.FAILED
    assert not (tmp_path / "copy2").exists()


@pytest.mark.parametrize("key", ["run/../../out", "run/./x", "run//x", "run/a/..", "run/.."])
def test_key_that_would_leave_the_folder(rud: Rud, tmp_path: Path, key: str) -> None:
    """A key that is no path below the folder is refused by name, and nothing is downloaded."""
    uri = in_memory("leaving", "run/a", key)

    done = rud("download", uri, "run/", tmp_path / "copy")

    assert done.code == exits.USAGE
    assert repr(key) in done.err
    assert list(tmp_path.iterdir()) == []


def test_objects_that_stand_for_folders(rud: Rud, tmp_path: Path) -> None:
    """An object whose key ends at a slash, as consoles make them, is no file and is left out."""
    uri = in_memory("folders", "run/", "run/a/", "run/a/x")

    assert rud("download", uri, "run/", tmp_path / "copy").code == exits.DONE
    assert contents_of(tmp_path / "copy") == {"a/x": b"x"}


def test_ls(rud: Rud, tree: Path, tmp_path: Path) -> None:
    """Keys come one a line, in order, those with the prefix only; what a terminal would obey is written out."""
    (tree / "e\x1b[31m").write_bytes(b"")
    rud("upload", "--threads", tree, f"file://{tmp_path}/store")
    uri = f"file://{tmp_path}/store"

    assert rud("ls", uri).out == "run/a/x.json\nrun/a/y\nrun/b.bin\nrun/c d\nrun/e\\x1b[31m\n"
    assert rud("ls", uri, "run/a/").out == "run/a/x.json\nrun/a/y\n"
    assert rud("ls", "--long", uri, "run/b").out.split()[:2] == ["293.0", "KiB"]
    listed = rud("ls", "--json", uri, "run/c").json["objects"]
    assert [(one["key"], one["size"]) for one in listed] == [("run/c d", 1)]
