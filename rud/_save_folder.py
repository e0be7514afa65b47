"""What Composer's checkpoint saver asks of its ``RemoteUploader`` when ``save_folder`` is a URI, over our logger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, Protocol, Unpack

from rud._clock import Clock, SystemClock
from rud._options import GivenOptions
from rud._peers import Board
from rud._torch import board_of_saves
from rud._transfer import UploadState
from rud.logger import State
from rud.remote_uploader_downloader import RemoteUploaderDownloader
from rud.upload import Upload

LOOK = 0.1
"""Seconds between two looks of a wait for files of other ranks."""
_STORED, _FAILED, _WAITS = "stored", "failed", "waits"
_NO_STATE = State(run_name="")


class Verdicts(Protocol):
    """Composer's ``RemoteFilesExistingCheckStatus``."""

    EXIST: Any
    TIMEOUT: Any
    ERROR: Any


class SaveFolderUploader:
    """In the place of Composer's ``RemoteUploader``, for ``CheckpointSaver``: the same calls, our uploads.

    ``remote_folder``: the URI ``save_folder``, of which the bucket counts; names have the folder in them. ``options``
    are those of ``Uploader``. Errors are those of ``RemoteUploaderDownloader``.
    """

    def __init__(
        self,
        remote_folder: str,
        backend_kwargs: Mapping[str, Any] | None = None,
        num_concurrent_uploads: int = 2,
        num_attempts: int = 3,
        *,
        verdicts: Verdicts,
        use_procs: bool = True,
        clock: Clock | None = None,
        wait: Callable[[float], object] | None = None,
        **options: Unpack[GivenOptions],
    ) -> None:
        uri, arguments = _root_of(remote_folder, backend_kwargs)
        self._files = _Files(
            uri,
            backend_kwargs=arguments,
            num_concurrent_uploads=num_concurrent_uploads,
            num_attempts=num_attempts,
            use_procs=use_procs,
            **options,
        )
        self._verdicts = verdicts
        self._clock = clock or SystemClock()
        self._wait = wait
        self._own: dict[str, Upload] = {}
        self._untold: dict[str, Upload] = {}
        self._board: Board | None = None

    @property
    def remote_backend(self) -> RemoteUploaderDownloader:
        """What autoresume downloads from."""
        return self._files

    def init(self) -> None:
        """As ``RemoteUploaderDownloader.init``."""
        self._files.init(_NO_STATE, None)
        self._board = board_of_saves()

    def upload_file_async(self, remote_file_name: str, file_path: str | PathLike[str], overwrite: bool) -> Upload:  # noqa: FBT001 - Composer's signature
        """As ``RemoteUploaderDownloader.upload_file``; the handle."""
        upload = self._files.accept(remote_file_name, file_path, overwrite=overwrite)
        self._own[remote_file_name] = upload
        if self._board is not None:
            # Told before the saver gathers the names of all ranks: what they find there is of this save.
            self._untold[remote_file_name] = upload
            self._board.set(remote_file_name, _WAITS)
        return upload

    def check_workers(self) -> None:
        """Raise what has failed, on any rank; tell the other ranks what is stored. For ``batch_end``."""
        self._tell()
        self._files.raise_if_failed()

    def wait(self) -> None:
        """As ``RemoteUploaderDownloader.wait_for_workers``."""
        self._files.wait_for_workers(None)
        self._tell()

    def wait_and_close(self) -> None:
        """As ``RemoteUploaderDownloader.post_close``, which waits ``close_timeout`` at most."""
        self._files.post_close()

    def check_remote_files_exist_async(
        self,
        remote_checkpoint_file_names: Sequence[str],
        max_wait_time_in_seconds: float = 3600,
        wait_before_next_try_in_seconds: float = 30,  # noqa: ARG002 - Composer's signature
    ) -> AreStored:
        """Whether these very uploads, of any rank, are stored: not whether objects of their names exist. No request is
        made, and the other ranks tell it at each of their batches; so the last argument is not used."""
        deadline = self._clock.monotonic() + max_wait_time_in_seconds
        return AreStored(
            lambda: [self._state_of(name) for name in remote_checkpoint_file_names],
            self._verdicts,
            late=lambda: self._clock.monotonic() > deadline,
            wait=self._wait or _waiting(),
        )

    def _state_of(self, name: str) -> str:
        upload = self._own.get(name)
        if upload is not None:
            return _told(upload)
        if self._board is None or not self._board.has([name]):
            return _WAITS
        return self._board.get(name)

    def _tell(self) -> None:
        if self._board is None:
            return
        for name, upload in list(self._untold.items()):
            if (state := _told(upload)) != _WAITS:
                self._board.set(name, state)
                del self._untold[name]


class AreStored:
    """The answer to whether files are stored: what the saver asks of a ``Future``."""

    def __init__(
        self,
        states: Callable[[], list[str]],
        verdicts: Verdicts,
        *,
        late: Callable[[], bool],
        wait: Callable[[float], object],
    ) -> None:
        self._states = states
        self._verdicts = verdicts
        self._late = late
        self._wait = wait
        self._verdict: Any = None

    def done(self) -> bool:
        """Whether the answer is known; one look, no wait."""
        if self._verdict is None:
            states = set(self._states())
            if states <= {_STORED}:
                self._verdict = self._verdicts.EXIST
            elif _FAILED in states:
                self._verdict = self._verdicts.ERROR
            elif self._late():
                self._verdict = self._verdicts.TIMEOUT
        return self._verdict is not None

    def result(self) -> Any:
        """Wait for the answer: one of ``Verdicts``."""
        while not self.done():
            self._wait(LOOK)
        return self._verdict


class _Files(RemoteUploaderDownloader):
    """The logger, without a trainer that calls its events."""

    def accept(self, name: str, path: str | PathLike[str], *, overwrite: bool) -> Upload:
        return self._accept(name, path, overwrite=overwrite)

    def raise_if_failed(self) -> None:
        self._raise_if_failed()


def _told(upload: Upload) -> str:
    if not upload.done():
        return _WAITS
    return _FAILED if upload.state in (UploadState.FAILED, UploadState.CANCELLED) else _STORED


def _root_of(remote_folder: str, backend_kwargs: Mapping[str, Any] | None) -> tuple[str, dict[str, Any]]:
    """The bucket of a URI ``save_folder``, as a URI; for ``azure`` with the arguments that Composer takes then."""
    scheme, separator, rest = remote_folder.partition("://")
    bucket = rest.partition("/")[0]
    arguments = dict(backend_kwargs or {})
    if scheme == "azure":
        from_environment = {"key_environ": "AZURE_ACCOUNT_NAME", "secret_environ": "AZURE_ACCOUNT_ACCESS_KEY"}
        return f"libcloud://{bucket}", {"provider": "azure_blobs", **from_environment, **arguments}
    return (f"{scheme}://{bucket or '/'}" if separator else remote_folder), arguments


def _waiting() -> Callable[[float], object]:
    import threading

    return threading.Event().wait
