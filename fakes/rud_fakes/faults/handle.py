"""What a test holds of its faults: a plan in force here and in every process that it starts, servers that obey it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rud import _faultpoints
from rud_fakes._http.faults import Fault
from rud_fakes._http.log import Request
from rud_fakes._http.server import FaultyServer
from rud_fakes.faults.plan import Plan, to_json
from rud_fakes.faults.runtime import Firing, Injector, environment, fired, missed, parse, reached, state_of
from rud_fakes.faults.sweep import Reached
from rud_fakes.faults.wrapped import Manner, StatusError, obeying
from rud_fakes.gcs.server import GCSServer
from rud_fakes.s3.server import S3Server

Store = TypeVar("Store")


class Faults:
    """Without a plan nothing fails; calling it with one puts that in force, in place of the one before.

    The variables of the plan stand in ``os.environ``, so every process that is started from then on obeys it, and so
    does an uploader that is built here; ``environ`` has them too. ``folder`` is for plans and what has fired.
    ``limit``: after so many seconds under a plan all that waits at a server goes on, and ``overdue`` is true.
    """

    def __init__(self, folder: Path, *, limit: float = 120.0) -> None:
        self.folder = folder
        self.limit = limit
        self.overdue = False
        self.environ: dict[str, str] = {}
        self.is_forced = False
        """Calls are ignored: the plan is given from outside."""
        self._stack = ExitStack()
        self._servers: list[FaultyServer] = []
        self._injectors: list[Injector] = []
        self._requests: list[Request] = []
        self._healed = threading.Event()
        self._is_timed = False
        self._before = (dict[str, str | None](), _faultpoints.active, _faultpoints.plan)

    def __call__(self, plan: Plan | str) -> Self:
        """``PlanError`` if it can do nothing. Its counts begin anew."""
        plan = parse(plan) if isinstance(plan, str) else plan
        if not self.is_forced:
            self._obey(plan)
        return self

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        variables, _faultpoints.active, _faultpoints.plan = self._before
        for name, value in variables.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def s3(self, bucket: str = "bucket", **options: Any) -> S3Server:
        """An ``S3Server`` that obeys the plan, running until the end of the test."""
        server = S3Server(bucket, **options)
        self._serve(server)
        return server

    def gcs(self, bucket: str = "bucket", **options: Any) -> GCSServer:
        """A ``GCSServer`` that obeys the plan, running until the end of the test."""
        server = GCSServer(bucket, **options)
        self._serve(server)
        return server

    def wrap(
        self,
        store: Store,
        *,
        names: Mapping[str, str] | None = None,
        key: str | None = None,
        error: Callable[[int, str], Exception] = StatusError,
    ) -> Store:
        """``store``, obeying the plan; see ``rud_fakes.faults.wrap``."""
        return obeying(store, self._befalls, names, Manner(key, error, self._healed.wait))

    @property
    def fired(self) -> list[Firing]:
        """What has fired so far, in any process."""
        return [one for injector in self._injectors for one in fired(injector.state)]

    def missed(self) -> list[str]:
        """What was to fire and has not, a line a rule."""
        return [line for injector in self._injectors for line in missed(injector.plan, fired(injector.state))]

    def reached(self) -> Reached:
        """What a sweep is made from; complete when the test is over."""
        points: dict[str, bool] = {}
        for injector in self._injectors:
            for name, pids in reached(injector.state).items():
                if name in _faultpoints.POINTS:
                    points[name] = points.get(name, True) and os.getpid() not in pids
        requests: dict[str, int] = {}
        for request in self._requests:
            size = int(request.headers.get("content-length", 0))
            requests[request.operation] = max(size, requests.get(request.operation, 0))
        return Reached(points, requests)

    def _obey(self, plan: Plan) -> None:
        file = self.folder / f"plan-{len(self._injectors) + 1}.json"
        file.write_text(to_json(plan), encoding="utf-8")
        self._injectors.append(Injector(plan, state_of(file)))
        self.environ = environment(file)
        for name, value in self.environ.items():
            self._before[0].setdefault(name, os.environ.get(name))
            os.environ[name] = value
        _faultpoints.active = _faultpoints.plan = None
        if plan.rules and not self._is_timed:
            self._is_timed = True
            timer = threading.Timer(self.limit, self._heal)
            timer.daemon = True
            timer.start()
            self._stack.callback(timer.cancel)

    def _heal(self) -> None:
        self.overdue = True
        self._healed.set()
        for server in self._servers:
            server.clear_faults()

    def _serve(self, server: FaultyServer) -> None:
        server.obey(self._befalls)
        self._servers.append(server)
        self._stack.enter_context(server)

    def _befalls(self, request: Request) -> list[Fault]:
        self._requests.append(request)
        return self._injectors[-1].befalls(request) if self._injectors and not self.overdue else []
