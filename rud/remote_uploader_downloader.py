"""``RemoteUploaderDownloader``: the interface that Composer documents, over ``Uploader`` and ``Downloader``.

Events become calls and arguments become values here; nothing else happens. Composer is not needed, and not imported.
"""

# ruff: noqa: ARG002, FBT001, FBT002, PLR0917 - the signatures are Composer's

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Unpack

from rud import _symlinks
from rud._exits import at_exit, no_longer
from rud._names import KeyTemplate
from rud._object_store import ObjectStore
from rud._options import Options, OtherOptions, at_least_one
from rud._ranks import RankInfo
from rud._registry import resolve
from rud._report import Report
from rud._together import Together
from rud._torch import of_logger
from rud.downloader import Downloader
from rud.errors import ConfigurationError, PoolClosedError
from rud.store import check_key
from rud.upload import Upload
from rud.uploader import Uploader

NAMED = 5
"""So many uploads that are not stored are named in the warning of ``post_close``; the folder has the rest."""


class TrainingState(Protocol):
    """What is read of a training state: ``rud.State`` and Composer's have it."""

    @property
    def run_name(self) -> str: ...
    @property
    def device(self) -> Any: ...


class Event(Protocol):
    """What is read of an event of Composer's."""

    @property
    def value(self) -> str: ...


class RemoteUploaderDownloader:
    """Uploads the files of a training run in the background, by the interface that Composer documents.

    ``bucket_uri``: where to, with an optional prefix, as for ``Uploader``. ``backend_kwargs``: constructor arguments of
    the store's class; copied. ``file_path_format_string``: the template of the keys, as ``KeyTemplate`` takes it, for
    uploads and downloads alike. ``num_concurrent_uploads``: workers, processes with ``use_procs``, else threads.
    ``num_attempts``: attempts at one upload or download. ``upload_staging_folder`` and the other options, keyword-only,
    are those of ``Uploader``.

    Raises ``ConfigurationError`` (a ``ValueError``) for whatever is wrong with the URI, the template, an option, an
    argument, a rank variable, or for a missing library; nothing is left open or behind. The workers start in ``init``.
    """

    # The name is part of the interface: Composer keeps the state of a logger under it.

    def __init__(
        self,
        bucket_uri: str | PathLike[str],
        backend_kwargs: Mapping[str, Any] | None = None,
        file_path_format_string: str = "{remote_file_name}",
        num_concurrent_uploads: int = 1,
        upload_staging_folder: str | PathLike[str] | None = None,
        use_procs: bool = True,
        num_attempts: int = 3,
        **options: Unpack[OtherOptions],
    ) -> None:
        self._template = KeyTemplate(file_path_format_string)
        self._spec = resolve(bucket_uri, backend_kwargs)
        if use_procs:
            self._spec.to_wire()
        # Its arguments are its own to judge, and now is the time; no request is made.
        self._spec.open().close()
        # A relative path means the folder that it names now.
        self._uri = bucket_uri if isinstance(bucket_uri, str) else Path(self._spec.bucket)
        self._backend_kwargs = dict(backend_kwargs or {})
        self._peer_timeout = Options.build(upload_staging_folder=upload_staging_folder, **options).peer_timeout
        RankInfo.from_environment()
        self._num_concurrent_uploads = at_least_one("num_concurrent_uploads", num_concurrent_uploads)
        self._num_attempts = at_least_one("num_attempts", num_attempts)
        self._use_procs = use_procs
        self._upload_staging_folder = upload_staging_folder
        self._options = options
        self._run_name: str | None = None
        self._rank: RankInfo | None = None
        self._uploader: Uploader | None = None
        self._together = Together(None, 0)
        self._store: ObjectStore | None = None
        self._closed = False
        # Exit hooks run last in, first out. Ours is put in now, so that it runs after that of a trainer, which is built
        # later: closing a trainer may upload once more.
        at_exit(self.post_close)
        no_longer(self)
        _bind()

    if not TYPE_CHECKING:  # for whom every object has a class that can be set

        @property
        def __class__(self):
            # isinstance asks here, so Composer finds its own class whichever of the two was imported first.
            _bind()
            return type(self)

    def __repr__(self) -> str:
        return f"<RemoteUploaderDownloader {self._spec.uri}>"

    @property
    def file_path_format_string(self) -> str:
        """The template of the keys."""
        return self._template.template

    @property
    def remote_backend_name(self) -> str:
        """The scheme of the URI."""
        return self._spec.scheme

    @property
    def remote_bucket_name(self) -> str:
        """The bucket of the URI; for ``file`` the folder."""
        return self._spec.bucket

    @property
    def remote_backend(self) -> ObjectStore:
        """The destination as a store of the caller's own; names in it are whole keys. Released by ``post_close``."""
        if self._uploader is not None:
            return self._uploader.remote_backend
        if self._store is None:
            self._store = ObjectStore(self._spec.open())
        return self._store

    # The life of a run

    def init(self, state: TrainingState, logger: object) -> None:
        """Start the workers; on rank 0 also see whether the destination can be written to, which leaves nothing there.

        Raises ``RuntimeError`` when it was called before; ``ConfigurationError`` when the template has a variable that
        nobody tells here, ``state.device`` is no device, torch numbers this rank otherwise, or the store's class
        refuses its arguments; and the error of the store (a missing bucket, a refusal, no answer) after
        ``num_attempts``. All is then closed again, and ``init`` may be tried again; so it may after ``post_close``.
        """
        if self._uploader is not None:
            raise RuntimeError("init was called before: this logger serves one run at a time, until post_close")
        rank = RankInfo.from_environment()
        # A variable without a value is refused here, not at the first upload.
        self._template.render("file", state.run_name, rank)
        together = Together(of_logger(rank.rank, rank.world_size, timeout=self._peer_timeout), rank.rank)
        self._uploader = together.begin(lambda: self._probed(rank, state.device))
        self._run_name, self._rank, self._together, self._closed = state.run_name, rank, together, False

    def _probed(self, rank: RankInfo, device: object) -> Uploader:
        _check_device(device)
        uploader = Uploader(
            self._uri,
            backend_kwargs=self._backend_kwargs,
            num_concurrent_uploads=self._num_concurrent_uploads,
            use_procs=self._use_procs,
            num_attempts=self._num_attempts,
            upload_staging_folder=self._upload_staging_folder,
            **self._options,
        )
        try:
            if rank.rank == 0:
                uploader.probe()
        except BaseException:
            uploader.close(0.0)
            raise
        return uploader

    def batch_end(self, state: TrainingState, logger: object) -> None:
        """Raise what has failed since the last report, as ``Uploader.raise_if_failed``, here or on another rank."""
        self._raise_if_failed()

    def epoch_end(self, state: TrainingState, logger: object) -> None:
        """As ``batch_end``."""
        self._raise_if_failed()

    def fit_end(self, state: TrainingState, logger: object) -> None:
        """``wait_for_workers``."""
        self.wait_for_workers(state.device)

    def eval_standalone_end(self, state: TrainingState, logger: object) -> None:
        """``wait_for_workers``."""
        self.wait_for_workers(state.device)

    def predict_end(self, state: TrainingState, logger: object) -> None:
        """``wait_for_workers``."""
        self.wait_for_workers(state.device)

    def wait_for_workers(self, device: object) -> None:
        """Return when all that was accepted before the call is stored; raise what failed, as ``Uploader.drain``.

        It needs no limit: each upload is bounded by its own limits, its attempts and ``outage_timeout``. With
        ``torch.distributed`` initialised before ``init``, all ranks have to call it, and it returns on all of them, or
        raises on all of them: the error of the rank that has one, or ``PeerLostError`` naming a rank that has given no
        sign of life for ``peer_timeout`` seconds, or has left. ``device`` is a trainer's (``state.device``) or
        ``None``, else ``ConfigurationError``; it is not used: no tensor is sent.
        """
        _check_device(device)
        if self._uploader is not None:
            self._together.wait(self._uploader)

    def close(self, state: TrainingState, logger: object) -> None:
        """Accept no more. Never raises: Composer would then leave out ``post_close``."""
        self._closed = self._closed or self._uploader is not None

    def post_close(self) -> None:
        """Wait up to ``close_timeout`` for what is not stored, and release everything; may be called again.

        Warns (``RuntimeWarning``), since Composer only logs what is raised here, and raises, of this run's uploads:
        those that failed and were not reported yet, as ``batch_end``; ``UploadTimeoutError`` or ``OutageError`` for
        what is left in the spool.
        """
        if self._store is not None:
            self._store.close()
            self._store = None
        uploader = self._uploader
        if uploader is None:
            return
        self._closed = True
        report = uploader.close()
        self._together.leave()
        self._uploader = None
        if not report.complete:
            warnings.warn(_what_is_left(report), RuntimeWarning, stacklevel=2)
        uploader.raise_if_failed()
        uploader.drain(0.0)

    # Files

    def upload_file(
        self,
        state: TrainingState,
        remote_file_name: str,
        file_path: str | PathLike[str],
        *,
        overwrite: bool,
    ) -> None:
        """Accept the file ``file_path``, to be stored under the key that the template makes of ``remote_file_name``,
        in which braces mean nothing.

        Returns, and raises, as ``Uploader.upload``; ``RuntimeError`` before ``init``; ``PoolClosedError`` after
        ``close``. With ``overwrite=False`` an object that is there stays, and the upload fails: that is a
        ``FileExistsError`` at a later event. A file whose name ends in ``.symlink`` is sent when what it leads to is
        stored, and fails if that fails.
        """
        self._accept(remote_file_name, file_path, overwrite=overwrite)

    def _accept(self, remote_file_name: str, file_path: str | PathLike[str], *, overwrite: bool) -> Upload:
        if self._closed:
            raise PoolClosedError(
                f"{remote_file_name!r} was offered after close: nothing was accepted. "
                "If another logger uploads when it is closed, list RemoteUploaderDownloader after it"
            )
        if self._uploader is None:
            raise RuntimeError(f"{remote_file_name!r} was offered before init: nothing was accepted; call init first")
        key = self._key(remote_file_name)
        after = self._what_it_names(remote_file_name, file_path)
        return self._uploader.upload(file_path, key, overwrite=overwrite, after=after)

    def download_file(
        self,
        remote_file_name: str,
        destination: str | PathLike[str],
        overwrite: bool = False,
        progress_bar: bool = True,
    ) -> None:
        """Fetch what ``upload_file`` stored as ``remote_file_name`` to the file ``destination``, as
        ``Downloader.download``.

        A name that ends in ``.symlink`` is followed to the object that its text names; a name that is not there is
        looked for as ``<name>.symlink``. A ``destination`` that ends in ``.symlink`` gets the text itself.
        ``progress_bar`` shows one where tqdm is installed and the error output is a terminal.

        May be called before ``init`` and after ``post_close``. Raises as ``Downloader.download``, with
        ``FileNotFoundError`` when neither name is there; ``InvalidKeyError`` for a symlink file that leads elsewhere
        than to a name of this store; ``StoreError`` for one that leads in a circle or is none; ``RuntimeError`` before
        ``init`` when the template has ``{run_name}``.
        """
        with Downloader(self._uri, backend_kwargs=self._backend_kwargs, num_attempts=self._num_attempts) as downloader:
            _symlinks.download(
                downloader,
                remote_file_name,
                destination,
                key_of=self._key,
                overwrite=overwrite,
                callback=_bar(remote_file_name) if progress_bar else None,
            )

    def can_upload_files(self) -> bool:
        """``True``."""
        return True

    def get_uri_for_file(self, remote_file_name: str) -> str:
        """The address under which ``remote_file_name`` will be found. ``RuntimeError`` before ``init``."""
        if self._rank is None:
            raise RuntimeError(f"the address of {remote_file_name!r} is not known before init; call init first")
        return self.remote_backend.get_uri(self._key(remote_file_name))

    # What Composer's Trainer asks of every logger

    def run_event(self, event: Event, state: TrainingState, logger: object) -> None:
        """Call the method that has the name of the event, if there is one."""
        _bind()
        handle = getattr(self, event.value, None)
        if handle is not None:
            handle(state, logger)

    def log_hyperparameters(self, *args: object, **kwargs: object) -> None:
        """Nothing: this logger takes files."""

    log_metrics = log_table = log_traces = log_images = log_hyperparameters

    def state_dict(self) -> dict[str, Any]:
        """Nothing: what is under way is in the spool, not in a checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing to load."""

    def _what_it_names(self, remote_file_name: str, file_path: str | PathLike[str]) -> list[Upload]:
        """The uploads under way of the object, or of the objects below the folder, that a symlink file leads to."""
        target = _symlinks.leads_to(remote_file_name, file_path)
        if target is None or self._uploader is None:
            return []
        key = self._key(target)
        return [one for one in self._uploader.pending() if f"{one.key}/".startswith(f"{key.rstrip('/')}/")]

    def _raise_if_failed(self) -> None:
        if self._uploader is not None:
            self._together.raise_if_failed(self._uploader)

    def _key(self, remote_file_name: str) -> str:
        if self._rank is None and "run_name" in self._template.variables:
            raise RuntimeError(
                f"the key of {remote_file_name!r} is not known before init: the template "
                f"{self._template.template!r} has {{run_name}}, and the run has no name yet"
            )
        rank = self._rank or RankInfo.from_environment()
        return self._template.render(check_key(remote_file_name), self._run_name, rank)


def _check_device(device: object) -> None:
    """Composer's have the method by which it sends a tensor; nothing of it is used here."""
    if device is not None and not hasattr(device, "tensor_to_device"):
        raise ConfigurationError(f"a device is a trainer's own (state.device) or None, not {device!r}")


def _bind() -> None:
    """Have Composer's class, once it is there, take ours for a subclass: its Trainer asks by ``isinstance``."""
    module = sys.modules.get("composer.loggers.remote_uploader_downloader")
    theirs = getattr(module, "RemoteUploaderDownloader", None)  # None while it is half imported
    if theirs is not None and not issubclass(RemoteUploaderDownloader, theirs):
        theirs.register(RemoteUploaderDownloader)


def _what_is_left(report: Report) -> str:
    named = [f"{upload.key} ({upload.reason or upload.state})" for upload in report.left[:NAMED]]
    more = len(report.left) - len(named)
    return f"{report.advice()} Not stored: {'; '.join(named)}{f'; and {more} more' if more > 0 else ''}"


def _bar(name: str) -> Callable[[int, int], None] | None:
    """A progress bar of tqdm's, which Composer brings along; a library that needs next to nothing draws none itself."""
    from importlib import import_module

    try:
        tqdm = import_module("tqdm").tqdm
    except ImportError:
        return None
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            bar = tqdm(desc=f"Downloading {name}", total=total, unit="B", unit_scale=True, disable=None)
        bar.update(done - bar.n)
        if done == total:
            bar.close()

    return show
