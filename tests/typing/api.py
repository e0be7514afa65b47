"""What a caller's type checker sees. Never run: mypy and pyright read it; an ignore that is needed is an assertion."""

from __future__ import annotations

from pathlib import Path
from typing import assert_type

import rud
from rud import (
    Downloader,
    KeyTemplate,
    Logger,
    ObjectMeta,
    ObjectStore,
    RankInfo,
    RemoteUploaderDownloader,
    Report,
    State,
    Upload,
    Uploader,
    UploadState,
)


def training(folder: Path) -> None:
    with Uploader(
        "file:///data/store", num_concurrent_uploads=2, staging_mode="link", max_staged_bytes="20GiB"
    ) as uploader:
        upload = uploader.upload(folder / "model.pt", "ckpt/ep1.pt", overwrite=False)
        assert_type(upload, Upload)
        assert_type(upload.result(timeout=10.0), str)
        assert_type(upload.exception(), Exception | None)
        assert_type(upload.state, UploadState)
        uploader.upload("latest", "latest", after=[upload])
        uploader.drain(timeout=None)
    assert_type(uploader.close(timeout=5), Report)


def reading(folder: Path) -> None:
    with Downloader(folder, backend_kwargs={}) as downloader:
        assert_type(downloader.download("ckpt/ep1.pt", folder / "ep1.pt", overwrite=True), ObjectMeta)


def names() -> None:
    key = KeyTemplate("{run_name}/{rank}/{remote_file_name}").render("a.pt", "run", RankInfo.from_environment())
    assert_type(key, str)
    assert_type(rud.__version__, str)


def logging(folder: Path) -> None:
    files = RemoteUploaderDownloader("s3://my-bucket", {"region_name": "x"}, "{rank}", 1, folder, True, 3, fsync=True)
    state = State(run_name="foo")
    logger = Logger(state, destinations=[files])
    files.init(state, logger)
    logger.upload_file(remote_file_name="bar.txt", file_path="path/to/file.txt")
    files.upload_file(state, "bar.txt", folder / "file.txt", overwrite=True)
    files.download_file("bar.txt", "bar.txt", True)
    files.fit_end(state, logger)
    assert_type(files.remote_backend, ObjectStore)
    assert_type(files.get_uri_for_file("bar.txt"), str)
    files.close(state, logger)
    files.post_close()


def wrong(folder: Path) -> None:
    Uploader(folder, staging_mode="teleport")  # type: ignore[arg-type]
    Uploader(folder, colour="red")  # type: ignore[call-arg]
    RemoteUploaderDownloader("s3://my-bucket", staging_mode="teleport")  # type: ignore[arg-type]
    RemoteUploaderDownloader("s3://my-bucket", colour="red")  # type: ignore[call-arg]
