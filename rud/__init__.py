"""rud uploads the files of a training run to an object store in the background, and loses none of them.

Names are loaded when they are first used, so that ``import rud`` costs next to nothing.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rud._names import KeyTemplate
    from rud._object_store import ObjectStore
    from rud._publish import Publication
    from rud._ranks import RankInfo
    from rud._registry import register_backend
    from rud._report import LeftUpload, Report
    from rud._transfer import UploadState
    from rud.backends.libcloud import LibcloudObjectStore
    from rud.backends.s3 import S3ObjectStore
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
        PeerLostError,
        PoolClosedError,
        PoolError,
        PreemptedError,
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
    from rud.logger import Logger, State
    from rud.remote_uploader_downloader import RemoteUploaderDownloader
    from rud.store import Backend, Capabilities, ObjectMeta, PutMode, PutResult
    from rud.upload import Upload
    from rud.uploader import Uploader

__version__ = "0.1.0"

_MODULE_OF = {
    "KeyTemplate": "rud._names",
    "ObjectStore": "rud._object_store",
    "RankInfo": "rud._ranks",
    "register_backend": "rud._registry",
    "Publication": "rud._publish",
    "LeftUpload": "rud._report",
    "Report": "rud._report",
    "UploadState": "rud._transfer",
    "LibcloudObjectStore": "rud.backends.libcloud",
    "S3ObjectStore": "rud.backends.s3",
    "Downloader": "rud.downloader",
    "Logger": "rud.logger",
    "State": "rud.logger",
    "RemoteUploaderDownloader": "rud.remote_uploader_downloader",
    "Backend": "rud.store",
    "Capabilities": "rud.store",
    "ObjectMeta": "rud.store",
    "PutMode": "rud.store",
    "PutResult": "rud.store",
    "Upload": "rud.upload",
    "Uploader": "rud.uploader",
}
"""Where the names live that are not errors."""

_NEED_POSIX = frozenset({"Publication", "RemoteUploaderDownloader", "Upload", "Uploader", "UploadState"})

__all__ = [
    "__version__",
    "AccessDeniedError",
    "Backend",
    "BucketNotFoundError",
    "Capabilities",
    "ConfigurationError",
    "CredentialsExpiredError",
    "DependencyFailedError",
    "Downloader",
    "IntegrityError",
    "InvalidKeyError",
    "KeyTemplate",
    "LeftUpload",
    "LibcloudObjectStore",
    "Logger",
    "ObjectExistsError",
    "ObjectMeta",
    "ObjectNotFoundError",
    "ObjectStore",
    "ObjectStoreTransientError",
    "OutageError",
    "PeerLostError",
    "PoolClosedError",
    "PoolError",
    "PreemptedError",
    "Publication",
    "PutMode",
    "PutResult",
    "RankInfo",
    "RemoteUploaderDownloader",
    "Report",
    "RudError",
    "S3ObjectStore",
    "SpoolError",
    "State",
    "StoreClosedError",
    "StoreError",
    "ThrottledError",
    "UnsupportedOperationError",
    "Upload",
    "UploadDeniedError",
    "UploadError",
    "UploadExistsError",
    "UploadNotFoundError",
    "UploadState",
    "UploadTimeoutError",
    "Uploader",
    "WorkerDiedError",
    "register_backend",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'rud' has no attribute {name!r}")
    if sys.platform == "win32" and name in _NEED_POSIX:
        from rud.errors import ConfigurationError

        raise ConfigurationError(
            f"rud.{name} needs a POSIX system (record locks, pipes, signals): use Linux, macOS, or WSL on Windows"
        )
    from importlib import import_module

    value = getattr(import_module(_MODULE_OF.get(name, "rud.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
