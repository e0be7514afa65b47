"""The life of one upload: the table, and nothing but the table."""

from __future__ import annotations

import pytest

from rud._transfer import TERMINAL, TRANSITIONS, Event, IllegalEventError, Transfer, UploadState
from tests.support.entries import entry


@pytest.mark.parametrize("state", UploadState)
@pytest.mark.parametrize("event", Event)
def test_events_follow_the_table(state: UploadState, event: Event) -> None:
    """An event leads where the table says; one that it does not have raises and changes nothing."""
    transfer = Transfer(entry(1))
    transfer.state = state

    if event in TRANSITIONS[state]:
        transfer.apply(event)

        assert TRANSITIONS[state][event] is transfer.state
    else:
        with pytest.raises(IllegalEventError, match=event.name):
            transfer.apply(event)

        assert state is transfer.state


def test_terminal_states_are_those_of_the_promise() -> None:
    """An upload ends stored, superseded, failed or cancelled, and leaves none of them (I3)."""
    ends = {UploadState.STORED, UploadState.SUPERSEDED, UploadState.FAILED, UploadState.CANCELLED}

    assert ends == TERMINAL


def test_every_state_can_be_reached_and_every_live_one_left() -> None:
    """No state of the table is dead code."""
    reached = {target for ways in TRANSITIONS.values() for target in ways.values()} | {UploadState.HELD}

    assert set(UploadState) == reached


def test_final_follows_the_chain_of_successors() -> None:
    """What stands for a superseded upload is the last that has taken its place."""
    first, second, third = (Transfer(entry(i)) for i in (1, 2, 3))
    first.successor, second.successor = second, third

    assert third is first.final
