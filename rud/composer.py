"""``RemoteUploaderDownloader`` as a subclass of Composer's ``LoggerDestination``; ``rud`` for a URI ``save_folder``.

The subclass is for type checkers, and for those who prefer a base class to a registered one;
``rud.RemoteUploaderDownloader`` does the same work without it. Needs Composer, which nothing else here imports.
"""

# mypy: disallow-subclassing-any=False
# Without Composer at hand, mypy sees nothing of the base.

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Any, Unpack

import composer.loggers as theirs  # type: ignore[import-not-found]  # no dependency of ours, and not installed for checks

from rud import remote_uploader_downloader as ours
from rud._options import GivenOptions, Options
from rud._save_folder import SaveFolderUploader


class RemoteUploaderDownloader(ours.RemoteUploaderDownloader, theirs.LoggerDestination):
    """See ``rud.RemoteUploaderDownloader``; Composer's own class takes it for a subclass."""


theirs.RemoteUploaderDownloader.register(RemoteUploaderDownloader)


def replace_remote_uploader(*, use_procs: bool = True, **options: Unpack[GivenOptions]) -> None:
    """Have every ``CheckpointSaver`` that is built from now on, in this process, upload by ``rud`` when its folder is a
    URI (``Trainer(save_folder="s3://bucket/runs")``), which no logger ever sees.

    ``use_procs`` and ``options``: as for ``Uploader``. It sets ``RemoteUploader`` in Composer's module
    ``composer.callbacks.checkpoint_saver``; calling it again changes the options. ``ConfigurationError`` for a wrong
    option.
    """
    Options.build(**options)
    saver: Any = import_module("composer.callbacks.checkpoint_saver")
    verdicts = import_module("composer.utils").RemoteFilesExistingCheckStatus
    saver.RemoteUploader = partial(SaveFolderUploader, verdicts=verdicts, use_procs=use_procs, **options)
