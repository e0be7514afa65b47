"""What shall go wrong, and which request it befalls: decided in one place."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal, get_args

from rud_fakes._http.log import Request

Action = Literal[
    "status",
    "delay",
    "reset_before",
    "reset_in_body",
    "reset_after",
    "lost_reply",
    "never",
    "trickle_in",
    "trickle_out",
    "truncate",
    "flip",
    "error_in_200",
    "duplicate",
    "call",
]
PASSING: frozenset[Action] = frozenset({"call", "delay"})
"""After one of these the request goes on, and may meet another fault."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a request of ``operation`` (``"*"``: of any).

    Which one: ``key`` is the key, or a function that is given it; ``part`` the number of a part; ``None`` is any. The
    first ``skip`` requests pass, then ``times`` of them meet the fault (``None``: all, until ``clear_faults``).

    What happens, by ``action``:

    - ``status``: the answer is ``status`` with an error document of ``code`` (default: the code that belongs to the
      status), and ``Retry-After`` if ``retry_after`` (seconds) is given. With ``read_body=False`` the body is not read
      and the connection closed behind the answer.
    - ``delay``: nothing happens for ``seconds``; then the request goes on, and may meet the next fault.
    - ``call``: ``call`` is called with the request, on the thread that serves it; then as after a ``delay``.
    - ``reset_before``, ``reset_in_body``, ``reset_after``: the connection is reset before the body was read, when
      ``bytes`` of it were read, when all of it was; nothing is done.
    - ``lost_reply``: everything is done, but instead of an answer the connection is closed.
    - ``never``: the request is read and not answered until ``clear_faults``, or until the client leaves.
    - ``trickle_in``, ``trickle_out``: the body of the request is read, that of the answer sent, at ``rate`` bytes a
      second.
    - ``truncate``: the connection is closed when ``bytes`` of the body of the answer are sent.
    - ``flip``: one bit in the middle is wrong: of the answer to a GET, otherwise of what is stored.
    - ``error_in_200``: nothing is done; the answer is 200 with an error document of ``code``.
    - ``duplicate``: the answer is sent twice; the next request on the connection may take the second for its own.

    ``ValueError`` for values that say nothing.
    """

    operation: str
    action: Action
    key: str | Callable[[str], bool] | None = None
    part: int | None = None
    skip: int = 0
    times: int | None = 1
    status: int = 503
    code: str | None = None
    retry_after: float | None = None
    read_body: bool = True
    seconds: float = 0.0
    bytes: int = 0
    rate: float = 0.0
    call: Callable[[Request], object] | None = None
    rule: str = ""
    """The rule of a fault plan that it comes from, for the log."""

    def __post_init__(self) -> None:
        if self.action not in get_args(Action):
            raise ValueError(f"there is no action {self.action!r}; there are {', '.join(get_args(Action))}")
        if self.action.startswith("trickle") and not self.rate > 0:
            raise ValueError(f"{self.action} needs a rate above 0 bytes a second, not {self.rate}")
        if (self.action == "call") != (self.call is not None):
            raise ValueError("the action 'call' and the argument call belong together")
        if self.skip < 0 or (self.times is not None and self.times < 1):
            raise ValueError(f"skip is at least 0 and times at least 1, not {self.skip} and {self.times}")

    def concerns(self, request: Request) -> bool:
        """Whether ``request`` is one of those that this fault may befall."""
        if self.operation not in ("*", request.operation) or self.part not in (None, request.part):
            return False
        return self.key(request.key) if callable(self.key) else self.key in (None, request.key)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A fault that has yet to befall somebody: ``skip`` pass first, then ``times``."""

    fault: Fault
    skip: int
    times: int | None


def choose(waiting: Iterable[Waiting], request: Request) -> tuple[list[Fault], list[Waiting]]:
    """What befalls ``request``, in the order given until one does not let it pass; and what waits after that."""
    chosen: list[Fault] = []
    left: list[Waiting] = []
    for one in waiting:
        if (chosen and chosen[-1].action not in PASSING) or not one.fault.concerns(request):
            left.append(one)
        elif one.skip:
            left.append(replace(one, skip=one.skip - 1))
        else:
            chosen.append(one.fault)
            if one.times is None:
                left.append(one)
            elif one.times > 1:
                left.append(replace(one, times=one.times - 1))
    return chosen, left


class FaultPlan:
    """The faults that wait."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # Guards _waiting.
        self._waiting: list[Waiting] = []
        self.planned: Callable[[Request], list[Fault]] = lambda _: []
        """Asked first for what befalls a request."""

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(Waiting(fault, fault.skip, fault.times))

    def clear(self) -> None:
        with self._lock:
            self._waiting = []

    def take(self, request: Request) -> list[Fault]:
        """What befalls ``request``."""
        planned = self.planned(request)
        if planned and planned[-1].action not in PASSING:
            return planned
        with self._lock:
            chosen, self._waiting = choose(self._waiting, request)
        return planned + chosen
