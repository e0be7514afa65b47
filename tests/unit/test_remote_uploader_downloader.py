"""``RemoteUploaderDownloader`` as Composer and people call it: construction, events, failures, close, names. Mostly on
one thread; what Composer's own class sees of it, too."""

from __future__ import annotations

import abc
import ast
import gc
import inspect
import re
import subprocess
import sys
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rud_fakes.memory import MemoryBackend
from rud_fakes.runtime import InlineRuntime

import rud.remote_uploader_downloader as facade
from rud import (
    AccessDeniedError,
    ConfigurationError,
    Downloader,
    InvalidKeyError,
    Logger,
    ObjectNotFoundError,
    ObjectStore,
    OutageError,
    PoolClosedError,
    RemoteUploaderDownloader,
    State,
    StoreError,
    Uploader,
    UploadError,
    UploadExistsError,
    UploadTimeoutError,
    register_backend,
)
from tests.support import scripted_store
from tests.support.scripted_store import SCRIPTS, Script
from tests.support.trainer import Event, Trainer, get_file

scripted_store.register()

STATE = State(run_name="foo")
LOGGER = Logger(STATE)
ROOT = Path(__file__).parents[2]


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    name = tmp_path.name
    yield name
    MemoryBackend.forget(name)
    SCRIPTS.pop(name, None)


@pytest.fixture
def script(bucket: str) -> Script:
    return SCRIPTS[bucket]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt"
    path.write_bytes(b"weights")
    return path


Build = Callable[..., RemoteUploaderDownloader]


@pytest.fixture
def build(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Build]:
    """Makes loggers whose uploaders run on the caller's thread."""
    built: list[Uploader] = []

    def make_uploader(*args: Any, **kwargs: Any) -> Uploader:
        built.append(Uploader(*args, **kwargs, _runtime=InlineRuntime()))
        return built[-1]

    def make(**arguments: Any) -> RemoteUploaderDownloader:
        arguments.setdefault("upload_staging_folder", tmp_path / "staging")
        return RemoteUploaderDownloader(f"scripted://{bucket}", use_procs=False, close_timeout=1.0, **arguments)

    monkeypatch.setattr(facade, "Uploader", make_uploader)
    yield make
    for uploader in built:
        uploader.close(0.0)


@pytest.fixture
def running(build: Build) -> RemoteUploaderDownloader:
    """One whose ``init`` was called."""
    logger = build()
    logger.init(STATE, LOGGER)
    return logger


def upload(logger: RemoteUploaderDownloader, name: str, path: Path, *, overwrite: bool = False) -> None:
    logger.upload_file(STATE, name, path, overwrite=overwrite)


def stored(bucket: str) -> list[str]:
    return [meta.key for meta in MemoryBackend(bucket).list("")]


# Construction


def test_the_documented_arguments_by_position() -> None:
    """The seven documented names come first, in the documented order and with the documented defaults."""
    parameters = list(inspect.signature(RemoteUploaderDownloader).parameters.values())[:7]

    assert [(one.name, one.default) for one in parameters] == [
        ("bucket_uri", inspect.Parameter.empty),
        ("backend_kwargs", None),
        ("file_path_format_string", "{remote_file_name}"),
        ("num_concurrent_uploads", 1),
        ("upload_staging_folder", None),
        ("use_procs", True),
        ("num_attempts", 3),
    ]
    assert {one.kind for one in parameters} == {inspect.Parameter.POSITIONAL_OR_KEYWORD}


@pytest.mark.parametrize(
    ("uri", "arguments", "says"),
    [
        ("nope://bucket", {}, "'nope'"),
        ("just/a/path", {}, "file:///"),
        ("scripted://", {}, "bucket"),
        ("scripted://b", {"backend_kwargs": {"colour": "red"}}, "colour"),
        ("scripted://b", {"backend_kwargs": {"bucket": "other"}}, "say it once"),
        ("scripted://b", {"file_path_format_string": "{runname}/{remote_file_name}"}, "{run_name}?"),
        ("scripted://b", {"file_path_format_string": "{rank"}, "brace"),
        ("scripted://b", {"num_concurrent_uploads": 0}, "num_concurrent_uploads"),
        ("scripted://b", {"num_concurrent_uploads": True}, "num_concurrent_uploads"),
        ("scripted://b", {"num_attempts": 0}, "num_attempts"),
        ("scripted://b", {"staging_mode": "teleport"}, "reflink"),
        ("scripted://b", {"upload_staging_folder": ""}, "upload_staging_folder"),
        ("scripted://b", {"close_timeout": "soon"}, "close_timeout"),
    ],
)
def test_bad_input_is_refused_when_it_is_built(tmp_path: Path, uri: str, arguments: dict[str, Any], says: str) -> None:
    """One sentence that names what was given and what is allowed; nothing is left behind."""
    staging = tmp_path / "staging"
    all_arguments: dict[str, Any] = {"use_procs": False, "upload_staging_folder": staging, **arguments}
    with pytest.raises(ConfigurationError, match=re.escape(says)) as caught:
        RemoteUploaderDownloader(uri, **all_arguments)

    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, ValueError)
    assert not staging.exists()


def test_bad_surroundings_are_refused_when_it_is_built(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable of an option or of a launcher that is wrong is named."""
    monkeypatch.setenv("RUD_CLOSE_TIMEOUT", "soon")
    with pytest.raises(ConfigurationError, match="RUD_CLOSE_TIMEOUT"):
        RemoteUploaderDownloader("scripted://b")
    monkeypatch.delenv("RUD_CLOSE_TIMEOUT")
    monkeypatch.setenv("RANK", "3")
    with pytest.raises(ConfigurationError, match="WORLD_SIZE"):
        RemoteUploaderDownloader("scripted://b")


class Hooked(MemoryBackend):
    """A store with an argument that no process can be given."""

    def __init__(self, bucket: str, prefix: str = "", hook: Callable[[], None] | None = None) -> None:
        super().__init__(bucket, prefix)


def test_what_cannot_cross_to_a_worker_is_refused_when_it_is_built() -> None:
    """An argument of the store that does not pickle is named, unless the workers are threads."""
    register_backend("hooked", f"{__name__}:Hooked")
    with pytest.raises(ConfigurationError, match="'hook'"):
        RemoteUploaderDownloader("hooked://b", {"hook": lambda: None})
    RemoteUploaderDownloader("hooked://b", {"hook": lambda: None}, use_procs=False)


def test_a_misspelt_option_is_a_type_error() -> None:
    """A misspelt keyword is no silent default."""
    with pytest.raises(TypeError, match="stall_timout"):
        RemoteUploaderDownloader("scripted://b", stall_timout=3)  # type: ignore[call-arg]  # the misspelling is the case


def test_building_one_does_nothing(tmp_path: Path) -> None:
    """Built and dropped, it has imported no Composer, started no thread and made no folder."""
    code = (
        "import sys, threading, rud\n"
        f"logger = rud.RemoteUploaderDownloader('file://{tmp_path}/store', None, '{{rank}}', 2, 'staging')\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('composer', 'torch', 'boto3')]\n"
        "assert threading.active_count() == 1\n"
        "print(logger)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)

    assert (done.stdout.strip(), done.stderr) == (f"<RemoteUploaderDownloader file://{tmp_path}/store>", "")
    assert list(tmp_path.iterdir()) == []


def test_it_shows_what_composer_reads(build: Build, bucket: str) -> None:
    """The attributes that Composer's trainer reads have Composer's names and meaning."""
    logger = build(file_path_format_string="a/{remote_file_name}", num_concurrent_uploads=3)

    assert logger.remote_backend_name == "scripted"
    assert logger.remote_bucket_name == bucket
    assert logger.file_path_format_string == "a/{remote_file_name}"
    assert logger._num_concurrent_uploads == 3
    assert logger.can_upload_files()


def test_arguments_are_copied(build: Build, source: Path) -> None:
    """What the caller does to its dictionary later changes nothing."""
    kwargs = {"prefix": "p"}
    logger = build(backend_kwargs=kwargs)
    kwargs["colour"] = "red"
    logger.init(STATE, LOGGER)

    assert logger.get_uri_for_file("a").endswith("p/a")
    assert kwargs == {"prefix": "p", "colour": "red"}


def test_a_relative_folder_is_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: Path) -> None:
    """A relative path means the folder of that moment, also when the program changes its own before ``init``."""
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path)
    logger = RemoteUploaderDownloader(Path("store"), use_procs=False, upload_staging_folder=tmp_path / "staging")
    monkeypatch.chdir("other")
    logger.init(STATE, LOGGER)
    upload(logger, "a", source)
    logger.post_close()

    assert (tmp_path / "store" / "a").read_bytes() == b"weights"


# The life of a run


@pytest.mark.parametrize("use_procs", [False, True])
def test_a_whole_run(tmp_path: Path, *, use_procs: bool) -> None:
    """A trainer that dispatches Composer's events finds checkpoints, pointer and own files stored when it has ended,
    and can load by name, by pointer and by the name of the pointer."""
    logger = RemoteUploaderDownloader(
        f"file://{tmp_path}/store", use_procs=use_procs, upload_staging_folder=tmp_path / "staging"
    )
    trainer = Trainer([logger], "runA", tmp_path)
    trainer.fit()
    (tmp_path / "extra.txt").write_text("extra")
    trainer.logger.upload_file("extra/{run_name}.txt", tmp_path / "extra.txt")
    trainer.close()

    store = tmp_path / "store"
    assert trainer.swallowed == []
    assert sorted(path.relative_to(store).as_posix() for path in store.rglob("*") if path.is_file()) == [
        "ckpts/runA/ep1-ba4-rank0.pt",
        "ckpts/runA/ep2-ba8-rank0.pt",
        "ckpts/runA/latest-rank0.pt.symlink",
        "extra/runA.txt",
    ]
    assert [path for path in (tmp_path / "staging").rglob("*") if path.is_file()] == []
    for name in ("ep2-ba8-rank0.pt", "latest-rank0.pt", "latest-rank0.pt.symlink"):
        get_file(f"ckpts/runA/{name}", tmp_path / "loaded", logger)
        assert (tmp_path / "loaded").read_text() == "weights of epoch 2"
        (tmp_path / "loaded").unlink()


def test_rank_0_alone_probes(build: Build, script: Script, monkeypatch: pytest.MonkeyPatch, bucket: str) -> None:
    """``init`` asks the destination on rank 0 only, and leaves nothing there."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    other = build()
    other.init(STATE, LOGGER)
    assert script.probes == 0

    monkeypatch.setenv("RANK", "0")
    build().init(STATE, LOGGER)
    assert script.probes > 0
    assert stored(bucket) == []


def test_init_twice_is_refused(running: RemoteUploaderDownloader, bucket: str, source: Path) -> None:
    """A second ``init`` is refused and harms nothing."""
    with pytest.raises(RuntimeError, match="init was called before"):
        running.init(STATE, LOGGER)
    upload(running, "a", source)
    running.fit_end(STATE, LOGGER)

    assert stored(bucket) == ["a"]


def test_a_failed_init_may_be_tried_again(build: Build, script: Script, bucket: str, source: Path) -> None:
    """When the destination cannot be written to, ``init`` raises, has closed everything, and works later."""
    script.out = True
    logger = build()
    with pytest.raises((StoreError, OutageError)):
        logger.init(STATE, LOGGER)
    assert [path for path in (source.parent / "staging").rglob("*") if path.is_file()] == []
    with pytest.raises(RuntimeError, match="before init"):
        upload(logger, "a", source)
    logger.close(STATE, LOGGER)
    logger.post_close()
    script.out = False
    logger.init(STATE, LOGGER)
    upload(logger, "a", source)
    logger.fit_end(STATE, LOGGER)

    assert stored(bucket) == ["a"]


def test_a_variable_without_a_value_is_refused_by_init(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the first upload, hours later."""
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    logger = build(file_path_format_string="{node_rank}/{remote_file_name}")
    with pytest.raises(ConfigurationError, match="RUD_NODE_RANK"):
        logger.init(STATE, LOGGER)


def test_a_device_that_is_none_is_refused(build: Build, tmp_path: Path) -> None:
    """By ``init``, before any upload, and by a wait; a trainer's own device has a method to send a tensor."""
    logger = build()
    for device in ("cuda:0", 0, object()):
        state: Any = SimpleNamespace(run_name="run", device=device)
        with pytest.raises(ConfigurationError, match="a device is a trainer's own"):
            logger.init(state, LOGGER)
    assert not (tmp_path / "staging").exists()
    state = SimpleNamespace(run_name="run", device=SimpleNamespace(tensor_to_device=None))
    logger.init(state, LOGGER)
    with pytest.raises(ConfigurationError, match="not 'cpu'"):
        logger.wait_for_workers("cpu")


def test_before_init(build: Build, tmp_path: Path, source: Path) -> None:
    """What needs the run says so in words; events, waits and close are harmless."""
    logger = build(file_path_format_string="{run_name}/{remote_file_name}")
    with pytest.raises(RuntimeError, match="before init"):
        upload(logger, "a", source)
    with pytest.raises(RuntimeError, match="before init"):
        logger.get_uri_for_file("a")
    with pytest.raises(RuntimeError, match=r"before init.*run_name"):
        logger.download_file("a", str(tmp_path / "a"))
    logger.batch_end(STATE, LOGGER)
    logger.wait_for_workers(None)
    logger.close(STATE, LOGGER)
    logger.post_close()
    with pytest.raises(RuntimeError, match="before init"):
        upload(logger, "a", source)
    logger.init(STATE, LOGGER)
    upload(logger, "a", source)


def test_one_that_was_only_built_is_let_go(build: Build) -> None:
    """There is nothing to close at the end of the program, so nothing holds it until then."""
    logger = weakref.ref(build())
    gc.collect()

    assert logger() is None


@pytest.mark.parametrize("event", ["fit_end", "eval_standalone_end", "predict_end"])
def test_the_ends_wait(running: RemoteUploaderDownloader, bucket: str, source: Path, event: str) -> None:
    """After these events all that was accepted is stored."""
    for number in range(5):
        upload(running, str(number), source)
    getattr(running, event)(STATE, LOGGER)

    assert stored(bucket) == ["0", "1", "2", "3", "4"]


# Failures


@pytest.mark.parametrize("event", ["batch_end", "epoch_end", "fit_end", "eval_standalone_end", "predict_end"])
def test_every_failure_is_reported_once(
    running: RemoteUploaderDownloader, script: Script, source: Path, event: str
) -> None:
    """The first is raised with the others as its notes, by whichever event comes first; never again."""
    script.puts.extend(["denied"] * 3)
    for number in range(3):
        upload(running, f"key{number}", source)
    assert running._uploader is not None
    running._uploader._pool.drain()
    with pytest.raises(UploadError, match="key0") as caught:
        getattr(running, event)(STATE, LOGGER)

    assert isinstance(caught.value, PermissionError)
    assert [note.partition("'")[2].partition("'")[0] for note in caught.value.__notes__] == ["key1", "key2"]
    for again in ("batch_end", "epoch_end", "fit_end"):
        getattr(running, again)(STATE, LOGGER)


def test_an_object_that_exists_is_a_file_exists_error(
    running: RemoteUploaderDownloader, bucket: str, source: Path, tmp_path: Path
) -> None:
    """``except FileExistsError`` works, and what was there stays."""
    upload(running, "a", source)
    running.fit_end(STATE, LOGGER)
    source.write_bytes(b"other")
    upload(running, "a", source)
    with pytest.raises(FileExistsError) as caught:
        running.fit_end(STATE, LOGGER)
    running.download_file("a", str(tmp_path / "got"))

    assert isinstance(caught.value, UploadExistsError)
    assert (tmp_path / "got").read_bytes() == b"weights"


def test_failures_may_be_warnings(build: Build, script: Script, source: Path) -> None:
    """With ``on_failure="warn"`` training goes on."""
    logger = build(on_failure="warn")
    logger.init(STATE, LOGGER)
    script.puts.append("denied")
    upload(logger, "a", source)
    with pytest.warns(RuntimeWarning, match="'a'"):
        logger.fit_end(STATE, LOGGER)
    logger.batch_end(STATE, LOGGER)


# Close


@pytest.mark.parametrize(
    ("text", "waits"),
    [("run/ep1.pt", True), ("run", True), ("run/", True), ("run/ep", False), ("other.pt", False), ("/etc", False)],
)
def test_a_symlink_file_is_stored_after_what_it_leads_to(
    running: RemoteUploaderDownloader, script: Script, source: Path, tmp_path: Path, text: str, *, waits: bool
) -> None:
    """Defect 9 of Composer's: a pointer is never there before its checkpoint, and of others it is independent."""
    script.puts.append("transient")
    pointer = tmp_path / "latest.symlink"
    pointer.write_text(text)
    running.upload_file(STATE, "run/ep1.pt", source, overwrite=False)
    running.upload_file(STATE, "latest.symlink", pointer, overwrite=True)
    running.fit_end(STATE, LOGGER)

    order = [key for key, _ in script.journal]
    assert order == (["run/ep1.pt", "latest.symlink"] if waits else ["latest.symlink", "run/ep1.pt"])


def test_a_symlink_file_fails_with_what_it_leads_to(
    running: RemoteUploaderDownloader, script: Script, source: Path, tmp_path: Path
) -> None:
    """The pointer that is there goes on to lead to a checkpoint that is there as well."""
    script.puts.append("denied")
    pointer = tmp_path / "latest.symlink"
    pointer.write_text("run/ep1.pt")
    running.upload_file(STATE, "run/ep1.pt", source, overwrite=False)
    running.upload_file(STATE, "latest.symlink", pointer, overwrite=True)

    with pytest.raises(PermissionError) as caught:
        running.fit_end(STATE, LOGGER)
    assert "latest.symlink" in "".join(caught.value.__notes__)
    assert script.journal == []


def test_close_stops_accepting(running: RemoteUploaderDownloader, bucket: str, source: Path) -> None:
    """After ``close`` an upload is refused, with what to do about it; what was accepted before is stored."""
    upload(running, "a", source)
    running.close(STATE, LOGGER)
    with pytest.raises(PoolClosedError, match="list RemoteUploaderDownloader after"):
        upload(running, "b", source)
    for _ in range(2):  # Composer's own exit hook closes once more what was closed by hand
        running.post_close()
        with pytest.raises(PoolClosedError):
            upload(running, "b", source)
        running.close(STATE, LOGGER)

    assert stored(bucket) == ["a"]


def test_a_logger_may_serve_one_run_after_another(running: RemoteUploaderDownloader, bucket: str, source: Path) -> None:
    """After ``post_close`` it may be given to another trainer."""
    running.close(STATE, LOGGER)
    running.post_close()
    running.init(State("bar"), LOGGER)
    upload(running, "a", source)
    running.post_close()

    assert stored(bucket) == ["a"]


def test_what_failed_is_warned_and_raised_at_the_end(
    running: RemoteUploaderDownloader, script: Script, source: Path
) -> None:
    """Composer swallows what ``post_close`` raises, so the key and what to type next are in a warning as well."""
    script.puts.append("denied")
    upload(running, "lost.pt", source)
    running.close(STATE, LOGGER)
    with pytest.warns(RuntimeWarning, match="rud resume --failed.*lost.pt"), pytest.raises(PermissionError):
        running.post_close()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        running.post_close()


def test_what_is_left_is_warned_and_raised_at_the_end(
    running: RemoteUploaderDownloader, script: Script, source: Path
) -> None:
    """Uploads for which ``close_timeout`` was too short are named, and stay in the spool."""
    upload(running, "stored", source)
    running.fit_end(STATE, LOGGER)
    script.out = True
    for number in range(7):
        upload(running, f"late{number}", source)
    running.close(STATE, LOGGER)
    with (
        pytest.warns(RuntimeWarning, match="rud resume.*late0.*and 2 more"),
        pytest.raises((UploadTimeoutError, OutageError)),
    ):
        running.post_close()


def test_what_failed_is_raised_before_what_is_left(
    running: RemoteUploaderDownloader, script: Script, source: Path
) -> None:
    """What is left goes on in the next run; what failed does not, and is told now or never."""
    script.puts.append("denied")
    upload(running, "failed", source)
    assert running._uploader is not None
    running._uploader._pool.drain()
    script.out = True
    upload(running, "left", source)
    with pytest.warns(RuntimeWarning, match="failed.*left"), pytest.raises(PermissionError, match="'failed'"):
        running.post_close()


def test_the_next_run_sends_what_was_left(
    running: RemoteUploaderDownloader, build: Build, script: Script, bucket: str, source: Path
) -> None:
    """What one run leaves is stored by the next with the same destination; its failure is nobody's of this run."""
    upload(running, "first", source)
    running.fit_end(STATE, LOGGER)
    script.out = True
    upload(running, "late", source)
    with pytest.warns(RuntimeWarning, match="late"), pytest.raises((UploadTimeoutError, OutageError)):
        running.post_close()
    script.out = False
    second = build()
    second.init(STATE, LOGGER)
    assert second._uploader is not None
    second._uploader.drain(adopted=True)
    second.post_close()

    assert stored(bucket) == ["first", "late"]


def test_a_trainer_that_is_closed_at_exit_may_still_upload(tmp_path: Path, source: Path) -> None:
    """Composer closes its loggers by an exit hook of its own, and some upload then: the uploader is closed after it."""
    code = (
        "import atexit, rud\n"
        "from tests.support.trainer import Trainer\n"
        "from pathlib import Path\n"
        "class Log:\n"
        "    def __getattr__(self, name): return lambda *args, **kwargs: None\n"
        f"    def close(self, state, logger): logger.upload_file('log.txt', {str(source)!r})\n"
        f"files = rud.RemoteUploaderDownloader('file://{tmp_path}/store', upload_staging_folder='{tmp_path}/staging')\n"
        "trainer = None\n"
        "atexit.register(lambda: (trainer.close(), print(trainer.swallowed)))\n"
        f"trainer = Trainer([Log(), files], 'run', Path({str(tmp_path)!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")
    assert (tmp_path / "store" / "log.txt").read_bytes() == b"weights"


# The documentation's examples


def test_the_first_documented_example(monkeypatch: pytest.MonkeyPatch) -> None:
    """It runs as it stands there, with ``rud`` in the place of Composer; without a request."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "example")
    from rud import LibcloudObjectStore, RemoteUploaderDownloader

    remote_uploader_downloader = RemoteUploaderDownloader(
        bucket_uri="s3://my-bucket",
    )

    assert (remote_uploader_downloader.remote_backend_name, remote_uploader_downloader.remote_bucket_name) == (
        "s3",
        "my-bucket",
    )
    with pytest.raises(ConfigurationError, match="needs a key"):
        LibcloudObjectStore(provider="s3", container="my-bucket")


def test_the_last_documented_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file lies under the key that the template makes; the documentation has ``rank0/bar.txt``."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RUD_UPLOAD_STAGING_FOLDER", str(tmp_path / "staging"))
    (tmp_path / "path" / "to").mkdir(parents=True)
    (tmp_path / "path" / "to" / "file.txt").write_text("hi")
    remote_uploader_downloader = RemoteUploaderDownloader(
        tmp_path / "store", file_path_format_string="rank_{rank}/{remote_file_name}"
    )
    state = State(run_name="foo")
    logger = Logger(state, destinations=[remote_uploader_downloader])
    remote_uploader_downloader.init(state, logger)
    logger.upload_file(
        remote_file_name="bar.txt",
        file_path="path/to/file.txt",
    )
    remote_uploader_downloader.post_close()

    assert (tmp_path / "store" / "rank_0" / "bar.txt").read_text() == "hi"


# Names


@pytest.mark.parametrize(
    ("template", "name", "key"),
    [
        ("{remote_file_name}", "bar.txt", "bar.txt"),
        ("{remote_file_name}", "//abs/bar.txt", "abs/bar.txt"),
        ("rank_{rank}/{remote_file_name}", "bar.txt", "rank_0/bar.txt"),
        ("/{run_name}/{remote_file_name}", "bar.txt", "foo/bar.txt"),
        ("{run_name}/{remote_file_name}", "n{node_rank}-{what}.txt", "foo/n{node_rank}-{what}.txt"),
    ],
)
def test_upload_and_download_agree_on_the_key(
    build: Build, bucket: str, source: Path, *, template: str, name: str, key: str
) -> None:
    """One template makes the key for uploads, addresses and downloads; braces in a name mean nothing."""
    logger = build(file_path_format_string=template)
    logger.init(STATE, LOGGER)
    upload(logger, name, source)
    logger.fit_end(STATE, LOGGER)
    got = source.with_name("got")
    logger.download_file(remote_file_name=name, destination=str(got))

    assert stored(bucket) == [key]
    assert logger.get_uri_for_file(name) == logger.remote_backend.get_uri(key)
    assert got.read_bytes() == b"weights"


@pytest.mark.parametrize("name", ["", "//", 5, Path("a")])
def test_a_name_that_makes_no_key_is_refused(running: RemoteUploaderDownloader, source: Path, name: Any) -> None:
    """At once, and nothing is accepted."""
    with pytest.raises(InvalidKeyError):
        upload(running, name, source)
    running.post_close()


def test_the_store_of_the_caller(running: RemoteUploaderDownloader, build: Build, source: Path) -> None:
    """``remote_backend`` is an ``ObjectStore`` of the destination, before, during and after a run."""
    upload(running, "a", source)
    running.fit_end(STATE, LOGGER)
    assert running.remote_backend.list_objects() == ["a"]
    running.post_close()
    store = running.remote_backend
    assert isinstance(store, ObjectStore)
    assert store is running.remote_backend
    assert store.get_object_size("a") == 7
    assert running.get_uri_for_file("a").endswith("/a")
    running.post_close()
    with pytest.raises(StoreError, match="closed"):
        store.get_object_size("a")


# Downloads


def test_downloads_work_before_init(
    running: RemoteUploaderDownloader, build: Build, source: Path, tmp_path: Path
) -> None:
    """Composer loads a checkpoint before it calls ``init``."""
    upload(running, "a", source)
    running.fit_end(STATE, LOGGER)
    build().download_file("a", tmp_path / "folder" / "got")

    assert (tmp_path / "folder" / "got").read_bytes() == b"weights"


def test_a_download_has_as_many_attempts_as_an_upload(
    build: Build, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """``num_attempts`` is of both."""
    made: list[dict[str, Any]] = []

    def make(uri: str, **arguments: Any) -> Downloader:
        made.append(arguments)
        return Downloader(uri, **arguments)

    monkeypatch.setattr(facade, "Downloader", make)
    with pytest.raises(FileNotFoundError):
        build(num_attempts=7).download_file("a", tmp_path / "got")

    assert [one["num_attempts"] for one in made] == [7]


def test_a_destination_that_exists(running: RemoteUploaderDownloader, source: Path, tmp_path: Path) -> None:
    """It is kept unless ``overwrite`` is given, also by position."""
    upload(running, "a", source)
    running.fit_end(STATE, LOGGER)
    (tmp_path / "got").write_text("mine")
    with pytest.raises(FileExistsError):
        running.download_file("a", str(tmp_path / "got"))
    running.download_file("a", str(tmp_path / "got"), True, False)

    assert (tmp_path / "got").read_bytes() == b"weights"


def test_what_is_missing_is_a_file_not_found_error(running: RemoteUploaderDownloader, tmp_path: Path) -> None:
    """The error speaks of the name that was asked for; nothing lies at the destination."""
    with pytest.raises(FileNotFoundError, match="'a'") as caught:
        running.download_file("a", str(tmp_path / "got"))

    assert isinstance(caught.value.__cause__, ObjectNotFoundError)
    assert caught.value.__cause__.key == "a.symlink"
    assert not (tmp_path / "got").exists()


def test_a_refusal_is_no_missing_file(running: RemoteUploaderDownloader, script: Script, tmp_path: Path) -> None:
    """Composer takes a missing file for a fresh start; a refusal must not look like one."""
    script.unreadable = True
    with pytest.raises(AccessDeniedError) as caught:
        running.download_file("a", str(tmp_path / "got"))

    assert not isinstance(caught.value, FileNotFoundError)


class Bar:
    """What of tqdm is used."""

    shown: list[Bar]

    def __init__(self, **arguments: Any) -> None:
        self.n, self.total, self.closed = 0, arguments["total"], False
        self.desc = arguments["desc"]
        self.shown.append(self)

    def update(self, n: int) -> None:
        self.n += n

    def close(self) -> None:
        self.closed = True


def test_a_progress_bar_where_tqdm_is_installed(
    running: RemoteUploaderDownloader, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Shown unless it is declined; without tqdm there is none, and the download is the same."""
    Bar.shown = []
    upload(running, "a", source)
    running.fit_end(STATE, LOGGER)
    monkeypatch.setitem(sys.modules, "tqdm", types.SimpleNamespace(tqdm=Bar))
    running.download_file("a", tmp_path / "1")
    running.download_file("a", tmp_path / "2", progress_bar=False)
    monkeypatch.setitem(sys.modules, "tqdm", None)
    running.download_file("a", tmp_path / "3")

    assert [(bar.n, bar.total, bar.closed, bar.desc) for bar in Bar.shown] == [(7, 7, True, "Downloading a")]
    assert (tmp_path / "3").read_bytes() == b"weights"


# Composer


def test_events_without_a_method_are_ignored(running: RemoteUploaderDownloader) -> None:
    """Composer dispatches every event to every logger, metrics and tables too."""
    for event in Event:
        if event.value != "init":
            running.run_event(event, STATE, LOGGER)
    running.log_hyperparameters({"a": 1})
    running.log_metrics({"a": 1.0}, step=1)
    running.log_table(["a"], [[1]], "Table", 1)
    running.log_traces({"a": 1})
    running.log_images([], name="Images", channels_last=False)
    running.load_state_dict({})

    assert running.state_dict() == {}


@pytest.fixture
def composer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], types.ModuleType]]:
    """Call it to import a Composer of two classes, as far as ``isinstance`` can tell them from the real ones."""

    class LoggerDestination(abc.ABC):  # noqa: B024 - so is Composer's
        def log_metrics(self, metrics: object, step: int | None = None) -> None:
            raise AssertionError("the method of the base was called")

    class Theirs(LoggerDestination):
        pass

    Theirs.__name__ = Theirs.__qualname__ = "RemoteUploaderDownloader"
    package, loggers, module = (
        types.ModuleType(name)
        for name in ("composer", "composer.loggers", "composer.loggers.remote_uploader_downloader")
    )
    for namespace in (loggers, module):
        vars(namespace).update(RemoteUploaderDownloader=Theirs, LoggerDestination=LoggerDestination)
    vars(package).update(loggers=loggers)

    def arrive() -> types.ModuleType:
        for one in (package, loggers, module):
            monkeypatch.setitem(sys.modules, one.__name__, one)
        return loggers

    yield arrive
    sys.modules.pop("rud.composer", None)


def test_composer_takes_it_for_its_own(build: Build, composer: Callable[[], types.ModuleType]) -> None:
    """Whichever is imported first, ``isinstance`` says yes for Composer's classes, and Composer's own class is none of
    ours."""
    early = build()
    loggers = composer()
    assert isinstance(early, loggers.RemoteUploaderDownloader)

    for logger in (early, build()):
        assert isinstance(logger, loggers.RemoteUploaderDownloader)
        assert isinstance(logger, loggers.LoggerDestination)
        assert isinstance(logger, RemoteUploaderDownloader)
        assert type(logger).__qualname__ == "RemoteUploaderDownloader"
    assert not isinstance(loggers.RemoteUploaderDownloader(), RemoteUploaderDownloader)


def test_a_composer_half_imported_is_no_trouble(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    """While Composer's module has no class yet, nothing happens."""
    name = "composer.loggers.remote_uploader_downloader"
    monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    assert isinstance(build(), RemoteUploaderDownloader)


def test_the_subclass_for_composer(
    composer: Callable[[], types.ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``rud.composer`` has a real subclass of Composer's ``LoggerDestination`` that does the same work."""
    loggers = composer()
    from rud.composer import RemoteUploaderDownloader as Real

    logger = Real(f"file://{tmp_path}/store", use_procs=False, upload_staging_folder=tmp_path / "staging")
    trainer = Trainer([logger], "runA", tmp_path)
    trainer.fit(epochs=1)
    trainer.close()

    assert issubclass(Real, loggers.LoggerDestination)
    assert isinstance(logger, loggers.RemoteUploaderDownloader)
    assert Real.__qualname__ == "RemoteUploaderDownloader"
    assert (tmp_path / "store" / "ckpts" / "runA" / "ep1-ba4-rank0.pt").exists()


# The house


@pytest.mark.parametrize("module", ["remote_uploader_downloader", "logger", "composer"])
def test_the_facade_is_thin(module: str) -> None:
    """No thread, lock, clock, process or file operation: events become calls, arguments become values."""
    tree = ast.parse((ROOT / "rud" / f"{module}.py").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{name.name}" for name in node.names}
    calls = {node.func.id for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    heavy = {"threading", "time", "os", "shutil", "tempfile", "io", "queue", "multiprocessing", "subprocess", "atexit"}
    roots = {name.partition(".")[0] for name in imported if name != "os.PathLike"}

    assert sorted(roots & heavy) == []
    assert "open" not in calls
    assert not any(name.startswith("rud._") and "lock" in name.lower() for name in imported)
