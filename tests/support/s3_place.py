"""The same as ``Place`` on S3: a faulty server in the process of the test, and whoever uploads to it."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, ClassVar
from unittest import mock

from rud_fakes.s3 import Fault, S3Server
from rud_fakes.servers import S3Address

from rud import Uploader
from rud._slots import Limits
from tests.support.s3 import ONE_TRY
from tests.support.scene import Scene

ACCESS_KEY, SECRET_KEY = "rudtest", "a secret that nobody may ever read"
FAULTS: dict[str, dict[str, Any]] = {
    "gate": {"action": "never"},
    "hang": {"action": "never"},
    "503": {"action": "status", "status": 503, "code": "ServiceUnavailable"},
}


class S3Place(Scene):
    """Each attempt is one request, unless ``backend_kwargs`` says otherwise."""

    may_arrive_late: ClassVar[int] = 2

    def __init__(self, folder: Path, *, bucket: str = "bucket") -> None:
        super().__init__(folder)
        self.server = S3Server(bucket, credentials={ACCESS_KEY: SECRET_KEY})
        self.server.start()

    def _end_all(self) -> None:
        self.server.clear_faults()
        super()._end_all()
        self.server.close()

    # What the store does

    def plan(self, plan: dict[str, list[str]]) -> None:
        others = frozenset(plan)
        for key, actions in plan.items():
            which = key if key != "*" else lambda name: name not in others
            skip = 0
            for number, action in enumerate(actions, 1):
                if not action:
                    skip += 1
                    continue
                times = None if number == len(actions) else 1
                self.server.add(Fault("PutObject", key=which, skip=skip, times=times, **FAULTS[action]))
                skip = 0

    def open_gate(self) -> None:
        self.server.clear_faults()

    def wait_until_begun(self, count: int) -> None:
        self.server.wait_for("PutObject", count, timeout=30)

    def begun(self) -> list[str]:
        return [request.key for request in self.server.requests if request.operation == "PutObject"]

    def finished(self) -> list[str]:
        ended = [request for request in self.server.requests if request.operation == "PutObject"]
        return [request.key for request in ended if request.status == 200]

    def count(self, operation: str) -> int:
        """How many requests of ``operation`` have come."""
        return sum(request.operation == operation for request in self.server.requests)

    def stored(self) -> dict[str, str]:
        """Nothing unfinished lies beside it."""
        assert self.server.uploads == {}
        return {key: (one.data or b"").decode() for key, one in self.server.objects.items()}

    # Who uses it

    def config(self, **more: Any) -> dict[str, Any]:
        """``backend_kwargs`` are added to those of this place."""
        arguments = S3Address(self.server.url, ACCESS_KEY, SECRET_KEY).backend_kwargs
        given = more.pop("backend_kwargs", {})
        plain = {"uri": "s3://bucket", "upload_staging_folder": str(self.staging)}
        return {**plain, "backend_kwargs": {**arguments, "client_config": ONE_TRY, **given}, **more}

    def impatient_uploader(self, **more: Any) -> Uploader:
        # By the time for an answer, not by stall_timeout: in that a worker has to make its client, too.
        return self.uploader_within(reply=0.7, **more)

    def uploader_within(self, *, reply: float = 300.0, late_window: float = 10.0, **more: Any) -> Uploader:
        """One with other limits than those that are nobody's options."""
        limits = partial(Limits, reply=reply, late_window=late_window)
        with mock.patch("rud.uploader.Limits", limits):
            return self.uploader(**more)
