"""Where the uploads of the kill test go, and how what became visible there is found out afterwards."""

from __future__ import annotations

import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from unittest import mock

from rud_fakes.servers import Versitygw

import rud
from rud._slots import Limits
from rud.backends._folders import TEMPORARY
from tests.support.journal_store import HEAD, Content
from tests.support.kill_verdict import Folders, Verdict
from tests.support.s3 import SMALL_PARTS

BUCKET = "kills"


@dataclass(frozen=True, slots=True)
class Target:
    """What a program of the test has to know to upload there; a file between the processes."""

    uri: str
    backend_kwargs: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict[str, str])
    run_for: float = 0.7
    """Seconds after which a run is killed at the latest, counted from when it can accept."""
    resume_for: float = 0.35
    """The same of a resume, from its start."""
    large: int = 0
    """Bytes of the largest body in parts; 0: none is."""
    threads: float = 0.0
    """How many of all runs have workers that are threads."""
    late_window: float = 10.0
    """Seconds in which a request of a dead sender may still be carried out; what the product allows, or less."""

    def save(self, folders: Folders) -> None:
        folders.target.write_text(json.dumps(asdict(self)))

    @classmethod
    def load(cls, folders: Folders) -> Self:
        rud.register_backend("journal", "tests.support.journal_store:JournalStore")
        target = cls(**json.loads(folders.target.read_text()))
        os.environ.update(target.environment)
        for module in ("rud.uploader", "rud._resume.sending"):
            # In a process of its own: nothing is to be put back.
            mock.patch(f"{module}.Limits", partial(Limits, late_window=target.late_window)).start()
        return target


class KillStore(ABC):
    """Used as a context manager, for the time of one test."""

    def __init__(self, folders: Folders) -> None:
        self.folders = folders

    def __enter__(self) -> Self:
        self.target().save(self.folders)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        return

    @abstractmethod
    def target(self) -> Target: ...

    @abstractmethod
    def visible(self) -> Iterator[tuple[str, Path]]:
        """Every object by its key, and a file that has its bytes."""

    @abstractmethod
    def judge(self, verdict: Verdict) -> None:
        """What is left that is no object; the journal is complete when this returns."""


class FolderKillStore(KillStore):
    """A folder; its backend keeps the journal itself."""

    def target(self) -> Target:
        return Target(f"journal://here{self.folders.objects}", {"journal": str(self.folders.journal)})

    def visible(self) -> Iterator[tuple[str, Path]]:
        for path in self.folders.objects.rglob("*"):
            if path.is_file() and not path.name.startswith(TEMPORARY):
                yield path.relative_to(self.folders.objects).as_posix(), path

    def judge(self, verdict: Verdict) -> None:
        verdict.hidden_in_store = sum(path.name.startswith(TEMPORARY) for path in self.folders.objects.rglob("*"))


class _WithVersions(Versitygw):
    """One whose buckets can keep every object that was ever visible."""

    versions = Path()

    def _command(self, port: int) -> list[str]:
        self.versions = Path(self._folder, "versions")
        self.versions.mkdir(exist_ok=True)
        *command, objects = super()._command(port)
        return [*command, "--versioning-dir", str(self.versions), objects]


class VersitygwKillStore(KillStore):
    """A bucket of versitygw that keeps versions: everything that ever became visible under a key is still there.

    The order: versitygw publishes one object of a key at a time, under a lock, and copies the one before into a file of
    its own in the folder of versions just before that. So the times at which those files were made are the order in
    which the objects of one key were replaced, whoever had sent them and whether he still lived. Over several keys, the
    version's id is ordered by the instant at which the body had arrived whole, just before it was published: an object
    whose sender had an answer before another was sent has the lower one.
    """

    def __init__(self, folders: Folders) -> None:
        super().__init__(folders)
        self._server = _WithVersions(
            str(folders.root / "versitygw"),
            access_key="rudtest",
            secret_key="rudtestsecret",
            region="us-east-1",
            buckets=[BUCKET],
        )

    def __enter__(self) -> Self:
        self._server.start()
        body = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        status, said = self._server.address.ask("PUT", f"/{BUCKET}?versioning=", body)
        if status != 200:
            self._server.stop()
            raise RuntimeError(f"versitygw keeps no versions: {status} {said}")
        return super().__enter__()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop()

    def client(self) -> Any:
        """boto3 itself."""
        import boto3

        return boto3.client("s3", **self._server.backend_kwargs)

    def target(self) -> Target:
        return Target(
            f"s3://{BUCKET}",
            {"transfer_config": SMALL_PARTS},
            self._server.environment,
            run_for=1.2,
            resume_for=1.0,
            large=12 << 20,
            threads=0.3,
            # Or most of the test would be spent waiting; a server on this machine is not that far behind.
            late_window=2.0,
        )

    def visible(self) -> Iterator[tuple[str, Path]]:
        bucket = self._server.folder_of(BUCKET)
        for folder, inner, names in os.walk(bucket):
            # In .sgwtmp lies what is no object yet; a request whose sender is dead may still be at work there.
            inner[:] = [name for name in inner if not name.startswith(".")]
            for name in names:
                path = Path(folder, name)
                yield path.relative_to(bucket).as_posix(), path

    def judge(self, verdict: Verdict) -> None:
        client = self.client()
        uploads = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
        verdict.unfinished_in_parts = len(uploads)
        there = {key: _version_in(path) for key, path in self.visible()}
        verdict.told_otherwise = sum(_version_told(client, key) != version for key, version in there.items())
        self._write_journal(client, verdict)

    def _write_journal(self, client: Any, verdict: Verdict) -> None:
        lines: list[tuple[str, str]] = []
        for key, versions in _versions(client).items():
            before = 0
            for one, path in sorted(((one, self._path_of(key, one)) for one in versions), key=_instant):
                version = _version_in(path)
                verdict.in_parts += "-" in one["ETag"]
                lines.append((one["VersionId"], f"begin {key} {version} {one['VersionId']} {before}\n"))
                before = version
        with open(self.folders.journal, "w", encoding="utf-8") as journal:
            journal.writelines(line for _, line in sorted(lines))

    def _path_of(self, key: str, version: dict[str, Any]) -> Path:
        if version["IsLatest"]:
            return self._server.folder_of(BUCKET) / key
        name = hashlib.sha256(key.encode()).hexdigest()
        return self._server.versions / BUCKET / name[:2] / name[2:4] / name[4:6] / name / str(version["VersionId"])


def _instant(found: tuple[dict[str, Any], Path]) -> tuple[bool, int, str]:
    """When it was replaced. The clock of files may tick as seldom as every 4 ms; within one tick ids tell."""
    version, path = found
    return version["IsLatest"], path.stat().st_ctime_ns, version["VersionId"]


def _versions(client: Any) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for page in client.get_paginator("list_object_versions").paginate(Bucket=BUCKET):
        for one in page.get("Versions", ()):
            found[one["Key"]].append(one)
    return found


def _version_in(path: Path) -> int:
    with open(path, "rb") as file:
        return Content.of(file.read(HEAD)).version


def _version_told(client: Any, key: str) -> int:
    """What the server answers to whoever asks for the object; 0: nothing."""
    with suppress(client.exceptions.NoSuchKey):
        return Content.of(client.get_object(Bucket=BUCKET, Key=key)["Body"].read(HEAD)).version
    return 0


STORES: dict[str, type[KillStore]] = {"folder": FolderKillStore, "versitygw": VersitygwKillStore}
