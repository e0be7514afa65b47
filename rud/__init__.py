"""rud uploads the files of a training run to an object store in the background, and loses none of them.

Names are loaded when they are first used, so that ``import rud`` costs next to nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rud._names import KeyTemplate
    from rud._object_store import ObjectStore
    from rud._ranks import RankInfo
    from rud._registry import register_backend
    from rud._report import LeftUpload, Report
    from rud._transfer import UploadState
    from rud.downloader import Downloader
    from rud.errors import (
        AccessDeniedError,
        BucketNotFoundError,
        ConfigurationError,
        CredentialsExpiredError,
        DependencyFailedError,
        IntegrityError,
        InvalidKeyError,
        ObjectExistsError,
        ObjectNotFoundError,
        ObjectStoreTransientError,
        OutageError,
        PoolClosedError,
        PoolError,
        RudError,
        SpoolError,
        StoreClosedError,
        StoreError,
        ThrottledError,
        UnsupportedOperationError,
        UploadDeniedError,
        UploadError,
        UploadExistsError,
        UploadNotFoundError,
        UploadTimeoutError,
        WorkerDiedError,
    )
    from rud.store import Backend, Capabilities, ObjectMeta, PutMode, PutResult
    from rud.upload import Upload
    from rud.uploader import Uploader

__version__ = "0.1.0"

_HOME = {
    "rud._names": ("KeyTemplate",),
    "rud._object_store": ("ObjectStore",),
    "rud._ranks": ("RankInfo",),
    "rud._registry": ("register_backend",),
    "rud._report": ("LeftUpload", "Report"),
    "rud._transfer": ("UploadState",),
    "rud.downloader": ("Downloader",),
    "rud.errors": (
        "AccessDeniedError",
        "BucketNotFoundError",
        "ConfigurationError",
        "CredentialsExpiredError",
        "DependencyFailedError",
        "IntegrityError",
        "InvalidKeyError",
        "ObjectExistsError",
        "ObjectNotFoundError",
        "ObjectStoreTransientError",
        "OutageError",
        "PoolClosedError",
        "PoolError",
        "RudError",
        "SpoolError",
        "StoreClosedError",
        "StoreError",
        "ThrottledError",
        "UnsupportedOperationError",
        "UploadDeniedError",
        "UploadError",
        "UploadExistsError",
        "UploadNotFoundError",
        "UploadTimeoutError",
        "WorkerDiedError",
    ),
    "rud.store": ("Backend", "Capabilities", "ObjectMeta", "PutMode", "PutResult"),
    "rud.upload": ("Upload",),
    "rud.uploader": ("Uploader",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}
_NEED_POSIX = frozenset({"Upload", "Uploader", "UploadState"})

__all__ = ["__version__", *sorted(_MODULE_OF)]  # pyright: ignore[reportUnsupportedDunderAll]  # made from one table


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'rud' has no attribute {name!r}")
    if sys.platform == "win32" and name in _NEED_POSIX:
        from rud.errors import ConfigurationError

        raise ConfigurationError(
            f"rud.{name} needs a POSIX system (record locks, pipes, signals): use Linux, macOS, or WSL on Windows"
        )
    from importlib import import_module

    value = getattr(import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
