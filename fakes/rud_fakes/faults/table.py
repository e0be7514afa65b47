"""The 82 faults that the library is held to: where each is injected, what it does there, and which test shows it.

``python -m rud_fakes.faults.table`` prints it as a page. A fault is injected at points of the library, where a step of
ours begins or ends; at points of the fault server; or, when it is one of the machine or of the program around us, by a
test. Every action that a point allows is taken by a test of all points, which that test checks.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import groupby

from rud_fakes.faults.points import POINTS, SERVER_POINTS

SWEEP = "tests/failures/test_kill_sweep.py::test_every_point"
SERVER = "tests/failures/test_server_points.py::test_every_point_of_the_server"
_NAMES = {
    "SWEEP": SWEEP,
    "SIMULATION": "tests/failures/test_simulation.py::test_every_promise_is_kept",
    "STRACE": "tests/failures/test_host_faults.py::test_calls_that_fail",
}
_LAYERS = ((20, "fs"), (27, "ipc"), (41, "worker"), (65, "http/store"), (82, "parent/host"))
_TABLE = """\
1 fs.payload.create: fs.payload.create.*
2 fs.payload.write: fs.payload.write.*
  the disk fills in the middle: unit/spool_payload::test_a_disk_that_fills_during_a_copy_leaves_nothing
  a short write: SIMULATION
3 fs.payload.fsync: fs.payload.fsync.*
4 fs.payload.close:
  EIO, EDQUOT: failures/rare_faults::test_a_payload_that_cannot_be_closed
5 fs.payload.link: fs.payload.link.*
6 fs.payload.read: fs.payload.read.*
  it has become shorter: unit/body::test_a_payload_that_has_become_shorter_is_an_error
7 fs.log.create: fs.log.create.*
8 fs.log.append: fs.log.append.*
  a short write: SIMULATION
  note: torn: cut where it was written, then SIGKILL
9 fs.log.fsync: fs.log.fsync.*
  the segment is given up: unit/spool_log::test_a_failed_sync_gives_the_segment_up
10 fs.log.rollback: fs.log.rollback.*
  a new segment is begun: unit/spool_log::test_a_segment_that_cannot_be_cut_is_left
11 fs.dir.fsync: fs.dir.fsync.*
12 fs.log.outcome: fs.log.outcome.* fs.failed.*
  the record is torn: SWEEP
  ENOSPC and the reserve: unit/spool_log::test_a_full_disk_accepts_nothing_and_still_takes_outcomes
  note: that an upload has failed is an outcome, too
13 fs.payload.unlink: fs.payload.unlink.*
  EACCES: STRACE
14 fs.log.retire: fs.log.retire.*
15 fs.log.rotate: fs.log.rotate.*
16 fs.scan: fs.scan.*
  damage in the middle, a torn tail, a file that is gone: failures/corruption::test_damage_anywhere
  a segment is missing: unit/spool_machine::test_a_lost_segment_costs_no_large_payload
  an unknown record: failures/corruption::test_a_record_of_an_unknown_kind
  100,000 entries: failures/corruption::test_a_hundred_thousand_entries
17 fs.lock: fs.lock.*
  held by another: unit/spool_owner::test_a_dead_owner_whose_worker_lives_is_left_alone
  lost: failures/rare_faults::test_a_lock_that_is_lost
18 fs.unsynced:
  a power cut drops what is not synced: SIMULATION
19 fs.source:
  it changes while it is read: unit/spool_payload::test_a_source_that_changes_meanwhile_is_refused
  it changes or goes right after: failures/hosts::test_source_changed_right_after_the_call
  another takes its name: unit/spool_payload::test_a_move_leaves_a_source_that_was_replaced
20 fs.clock:
  a time in the future, and 1970: failures/rare_faults::test_a_source_from_the_future
21 ipc.cmd.write: ipc.cmd.write.*
  EPIPE: unit/links::test_a_dead_worker_is_told_things_in_vain
  EAGAIN: unit/links::test_a_full_pipe_is_gone_on_with
  full, and never read: unit/links::test_a_worker_that_reads_nothing_blocks_nobody
22 ipc.result.write: ipc.result.write.*
  death in the middle of a frame: unit/links::test_what_came_whole_counts_though_the_rest_was_cut
23 ipc.frame:
  garbage: unit/links::test_garbage_ends_the_worker
  a wrong sum: unit/frames::test_a_flipped_bit_in_the_body_is_seen
  an absurd length: unit/frames::test_an_absurd_length_is_refused_before_it_is_waited_for
24 ipc.result.read: ipc.result.read.*
25 ipc.wakeup:
  lost, and too many: unit/links::test_wake_ups_are_not_lost_and_fill_nothing
26 ipc.inherit:
  a forked sibling: failures/hosts::test_orphans_beside_a_forked_sibling
  forks beside starts: failures/hosts::test_popen_beside_a_forking_thread
27 ipc.version:
  another protocol: unit/links::test_a_worker_of_another_version
28 worker.spawn: worker.spawn.*
  no ready in time: SWEEP
  note: no ready: hang at worker.import
29 worker.import: worker.import.*
  the store cannot be opened: unit/uploader::test_a_store_that_cannot_be_opened_is_told_at_once
30 worker.start: worker.start
31 worker.idle: worker.idle
  SIGTERM, SIGINT: SWEEP
32 worker.upload.begin: worker.upload.begin
33 worker.part.sent: worker.part.sent
  of a multipart upload: failures/s3_scenarios::test_a_worker_is_killed_in_the_middle_of_parts
34 worker.upload.stored: worker.upload.stored
35 worker.result.sent: worker.result.sent
36 worker.memory:
  MemoryError, at every step of a worker: SWEEP
  the kernel's counter of the container moves: unit/links::test_the_kernel_ran_out_of_memory
  a kill by the kernel, where a group of processes can be limited: failures/rare_faults::test_a_worker_out_of_memory
37 worker.segv:
  SIGSEGV, SIGABRT once the store has it: SWEEP
  note: actions of worker.upload.stored
38 worker.exit:
  exit, _exit at every step of a worker: SWEEP
  note: actions of worker.…
39 worker.loop:
  the interpreter is held: failures/rare_faults::test_a_worker_that_holds_the_interpreter
40 worker.unpicklable:
  any foreign error: unit/attempt::test_foreign_errors_become_a_store_error_that_names_them
41 worker.crashloop:
  dies before it is ready: failures/troubles::test_workers_that_die_at_once
  dies of one upload: failures/troubles::test_poison
42 dns:
  no such name, a wrong address once: failures/rare_faults::test_names_that_are_not_found
43 tcp.connect:
  refused: integration/s3_faults::test_a_server_that_is_away
  a black hole: failures/rare_faults::test_a_peer_that_takes_no_connection
  note: a slow accept is a slow answer: the kernel accepts
44 tls:
  stalls, ends: failures/rare_faults::test_a_handshake_that_does_not_come_to_an_end
  a certificate of nobody's: failures/s3_troubles::test_a_wrong_certificate
45 http.request.head: http.request.head
46 http.request.body: http.request.body
  nobody reads: failures/s3_troubles::test_a_server_that_does_not_read
47 http.response.none: http.response.none
48 http.response.none_not_stored: http.response.none_not_stored
49 http.response: http.response
  a storm of 503: failures/s3_troubles::test_an_outage_of_twenty_seconds
  Retry-After 0, 3600: unit/retry::test_retry_after_is_honoured_up_to_a_limit
  Retry-After of a date, of nonsense: unit/answers::test_retry_after_in_seconds_only
50 http.response.200error: http.response.200error
51 http.response.truncated: http.response.truncated
  a bad chunk: failures/rare_faults::test_an_answer_in_bad_chunks
52 http.response.trickle: http.response.trickle
53 http.response.duplicate: http.response.duplicate
54 auth.expired: auth.expired
  renewed: failures/s3_scenarios::test_a_token_expires_and_is_renewed
  not renewed: failures/s3_scenarios::test_a_token_expires_and_is_not_renewed
55 auth.skew: auth.skew
  before the first answer: failures/s3_troubles::test_a_wrong_clock
56 auth.denied_read: auth.denied_read
57 store.checksum: store.checksum
58 store.part: store.part
  note: no list of parts is ever asked for, so none can be stale
59 store.stale_head: store.stale_head
  note: nothing is decided by a listing, so none can lag
60 store.late_put: store.late_put
  of a dead program: failures/s3_scenarios::test_what_a_dead_program_has_sent_may_still_arrive
61 store.precondition: store.precondition
  412 although it was ours: failures/s3_troubles::test_a_lost_reply_to_a_create
62 store.quota: store.quota
63 store.redirect: store.redirect
  to another region: integration/s3_access::test_a_bucket_of_another_region
64 store.gone: store.gone
65 store.slow: store.slow
  by the byte: failures/s3_troubles::test_a_server_that_reads_slowly
  by the rate: failures/s3_troubles::test_throttling
66 parent.accept: accept.*
  os._exit once all is accepted: SWEEP
  note: ours are accept.…, a step each
67 parent.loop:
  an exception: unit/uploader::test_an_exception_in_the_block_is_never_hidden
68 parent.exit:
  sys.exit, without close: failures/ten_scenarios::test_09_exit_without_close
  os._exit: SWEEP
  with something left: failures/hosts::test_exit_with_something_left
69 parent.sigterm:
  to the group: failures/ten_scenarios::test_08_sigterm
  in the midst of forty, and twice: failures/preemption::test_the_newest_checkpoint_is_sent_first
  in close: failures/preemption::test_a_signal_during_the_last_wait
  SIGKILL at the end of the grace: failures/preemption::test_what_hangs_does_not_hold_up_the_end
70 parent.sigint:
  once, to the group: failures/ten_scenarios::test_07_ctrl_c
  twice: failures/hosts::test_ctrl_c_twice
71 parent.sigstop:
  longer than stall_timeout: failures/hosts::test_the_parent_is_stopped
72 parent.supervisor:
  an exception: failures/troubles::test_the_supervisor_dies
73 parent.fork:
  the child uses it, and exits: failures/hosts::test_a_fork_in_the_middle
  data loaders: failures/hosts::test_a_data_loader_in_the_middle
74 parent.gil:
  a signal during it: failures/preemption::test_the_main_thread_is_in_a_c_call
75 parent.atexit:
  nothing but an exit hook closes: failures/ten_scenarios::test_09_exit_without_close
  a worker dies meanwhile: failures/rare_faults::test_a_worker_dies_while_the_program_ends
76 parent.recover: recover.*
  again and again: integration/resume::test_killed_and_run_again
  note: ours are recover.…, a step each
77 parent.two_owners:
  of one process: failures/hosts::test_two_uploaders_on_one_folder
  eight at once: failures/hosts::test_eight_processes_start_at_once
78 host.clock:
  an hour, both ways: failures/host_faults::test_the_clock_jumps
79 host.fds:
  none is left: failures/host_faults::test_no_descriptor_is_left
80 host.space:
  a small disk: failures/troubles::test_the_disk_is_full
  full for a while: SIMULATION
81 host.pidreuse:
  a living process has it: failures/host_faults::test_the_process_id_came_again
82 host.power:
  everything stops, unsynced data goes: SIMULATION
"""
"""A line for each fault, with the points of ours that inject it; below it what is shown beside, by which test; a
``note`` where ours differs from the list that they come from; ``open``: what is not done, and why."""


@dataclass(frozen=True, slots=True)
class Row:
    """``points``: ours, of which every action is taken. ``more``: what else, with the test that shows it."""

    number: int
    name: str
    points: tuple[str, ...]
    more: tuple[tuple[str, str], ...] = ()
    note: str = ""
    open: str = ""

    @property
    def layer(self) -> str:
        """``fs``, ``ipc``, ``worker``, ``http/store`` or ``parent/host``."""
        return next(layer for last, layer in _LAYERS if self.number <= last)

    @property
    def where(self) -> tuple[str, ...]:
        """Where it is injected: ``library``, ``fault server``, ``host test``."""
        kinds = {SWEEP: "library", SERVER: "fault server"}
        return tuple(dict.fromkeys(kinds.get(test, "host test") for test in self.tests))

    @property
    def actions(self) -> dict[str, tuple[str, ...]]:
        """What a plan may do at each of its points."""
        return {point: POINTS[point].actions for point in self.points}

    @property
    def tests(self) -> tuple[str, ...]:
        """Every test that exercises it."""
        found = [SERVER if point in SERVER_POINTS else SWEEP for point in self.points]
        return tuple(dict.fromkeys([*found, *(test for _, test in self.more)]))


def _rows() -> Iterator[Row]:
    for block in _TABLE.replace("\n  ", "\t").splitlines():
        head, *below = block.split("\t")
        numbered, _, globs = head.partition(":")
        number, _, name = numbered.partition(" ")
        points = tuple(point for point in POINTS if any(fnmatchcase(point, glob) for glob in globs.split()))
        told = {key: line.partition(": ")[2] for line in below if (key := line.partition(":")[0]) in ("note", "open")}
        more = tuple(_more(line) for line in below if line.partition(":")[0] not in told)
        yield Row(int(number), name, points, more, told.get("note", ""), told.get("open", ""))


def _more(line: str) -> tuple[str, str]:
    what, _, test = line.rpartition(": ")
    folder, _, rest = test.partition("/")
    module, _, function = rest.partition("::")
    return what, _NAMES.get(test, f"tests/{folder}/test_{module}.py::{function}")


ROWS: tuple[Row, ...] = tuple(_rows())


def page() -> str:
    """The table as a page of Markdown."""
    lines = [_INTRODUCTION]
    for layer, rows in groupby(ROWS, lambda row: row.layer):
        lines += [f"## {layer}", "", "| # | fault | injected by | what | tests |", "| --- " * 5 + "|"]
        lines += [*map(_line, rows), ""]
    done = sum(not row.open for row in ROWS)
    return "\n".join([*lines, f"{done} of {len(ROWS)} rows are exercised whole."]) + "\n"


_INTRODUCTION = """\
# Where faults are injected

Written by `python -m rud_fakes.faults.table`; do not edit it.

The 82 faults that uploads are held to. *library*: at a point where a step of the library begins or ends, declared in
`rud._faultpoints`; *fault server*: by a rule of a faulty S3 or GCS server; *host test*: by a test of the program or the
machine around it. In brackets: what a plan may do at a point, each of which some test does.
"""


def _line(row: Row) -> str:
    name = f"`{row.name}`" + f"; {row.note}" * bool(row.note)
    what = [f"`{point}` ({', '.join(actions)})" for point, actions in row.actions.items()]
    what += [text for text, _ in row.more] + [f"**open**: {row.open}"] * bool(row.open)
    tests = "<br>".join(f"`{test}`" for test in row.tests)
    return f"| {row.number} | {name} | {', '.join(row.where)} | {'; '.join(what)} | {tests} |"


if __name__ == "__main__":
    sys.stdout.write(page())
