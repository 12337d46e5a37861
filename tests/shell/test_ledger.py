"""The book of open things: whatever is emitted, in whatever order, what goes out is in order."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.protocol.codec import encode_payload
from runner_shell.protocol.events import (
    BlockDelta,
    BlockFinished,
    BlockStarted,
    Event,
    Log,
    MessageFinished,
    MessageStarted,
    StepFinished,
    StepProgress,
    StepStarted,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from runner_shell.shell.outbound.ledger import AnyEvent, Ledger
from runner_shell.testing.conformance import check_order

ids = st.sampled_from(["a", "b"])
indexes = st.integers(0, 1)
scopes = st.sampled_from([(), ("outer",)])
texts = st.text("xy", max_size=3)

any_event: st.SearchStrategy[Event] = st.one_of(
    st.builds(MessageStarted, id=ids, scope=scopes),
    st.builds(MessageFinished, id=ids),
    st.builds(BlockStarted, message=ids, index=indexes, scope=scopes),
    st.builds(BlockDelta, message=ids, index=indexes, text=texts, scope=scopes),
    st.builds(BlockFinished, message=ids, index=indexes, content=st.none() | texts),
    st.builds(ToolStarted, call=ids, name=st.just("sh")),
    st.builds(ToolOutput, call=ids, text=texts, scope=scopes),
    st.builds(ToolFinished, call=ids),
    st.builds(StepStarted, id=ids, name=st.just("node")),
    st.builds(StepProgress, id=ids),
    st.builds(StepFinished, id=ids),
    st.just(Log(message="hello")),
)


class Written:
    """A ledger, and what goes out of it, as a gateway stores it."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.events: list[dict[str, Any]] = [{"type": "session.started"}]

    def turn(self, number: int, emitted: list[Event], *, waiting: bool) -> None:
        turn = f"t{number}"
        self.events.append({"type": "turn.started", "turn": turn})
        for event in emitted:
            self._write(self.ledger.admit(event), turn)
        self._write(self.ledger.close_all(keep_tools_and_steps=waiting), turn)
        outcome = "waiting" if waiting else "completed"
        self.events.append({"type": "turn.finished", "turn": turn, "outcome": outcome})

    def _write(self, events: list[AnyEvent], turn: str) -> None:
        for event in events:
            if isinstance(event, BlockDelta):
                self.ledger.heard(event.message, event.index, event.text)
            self.events.append(msgspec.json.decode(encode_payload(event)) | {"turn": turn})


@given(st.lists(st.tuples(st.lists(any_event, max_size=25), st.booleans()), min_size=1, max_size=4))
def test_any_order_of_events_comes_out_well_formed(turns: list[tuple[list[Event], bool]]) -> None:
    """Over several turns, waiting ones among them."""
    written = Written()
    for number, (emitted, waiting) in enumerate(turns):
        written.turn(number, emitted, waiting=waiting)
    assert check_order(written.events) == []


@given(st.lists(any_event, max_size=25))
def test_what_comes_out_needs_no_second_repair(emitted: list[Event]) -> None:
    """A ledger that is given another one's output has nothing to mend."""
    first, second = Ledger(), Ledger()
    for event in emitted:
        for admitted in first.admit(event):
            if isinstance(admitted, BlockDelta):
                first.heard(admitted.message, admitted.index, admitted.text)
            assert second.admit(admitted) == [admitted] or isinstance(admitted, BlockFinished)
    assert second.take_repairs() == []
    assert second.open_things() == first.open_things()


@given(st.lists(any_event, max_size=25))
def test_no_text_is_lost_or_made_up(emitted: list[Event]) -> None:
    """Deltas go out as they came, whatever is missing around them."""
    ledger = Ledger()
    out = [admitted for event in emitted for admitted in ledger.admit(event)]
    kinds = (BlockDelta, ToolOutput)
    assert [event for event in out if isinstance(event, kinds)] == [
        event for event in emitted if isinstance(event, kinds)
    ]


def test_what_is_in_order_passes_untouched() -> None:
    """No repair, no change."""
    ledger = Ledger()
    for event in (
        MessageStarted(id="m"),
        BlockStarted(message="m", index=0),
        BlockFinished(message="m", index=0, content={"media_type": "image/png", "data": ""}),
        MessageFinished(id="m"),
    ):
        assert ledger.admit(event) == [event]
    assert ledger.take_repairs() == []
    assert ledger.open_things() == []


def test_missing_starts_are_written_in_the_scope_of_what_needed_them() -> None:
    """And told of, once."""
    ledger = Ledger()
    delta = BlockDelta(message="m", index=2, text="x", scope=("sub",))
    assert ledger.admit(delta) == [
        MessageStarted(id="m", scope=("sub",)),
        BlockStarted(message="m", index=2, scope=("sub",)),
        delta,
    ]
    output = ToolOutput(call="c", text="x", scope=("sub",))
    assert ledger.admit(output) == [ToolStarted(call="c", name="unknown", scope=("sub",)), output]
    assert len(ledger.take_repairs()) == 3
    assert ledger.take_repairs() == []


def test_a_waiting_end_keeps_tools_and_steps() -> None:
    """Messages and blocks are closed all the same."""
    ledger = Ledger()
    for event in (ToolStarted(call="c", name="sh"), StepStarted(id="s", name="node")):
        ledger.admit(event)
    ledger.admit(MessageStarted(id="m"))
    assert ledger.close_all(keep_tools_and_steps=True) == [
        MessageFinished(id="m", status="cancelled")
    ]
    assert ledger.open_things() == ["tool call c", "step s"]


def test_nested_steps_are_closed_innermost_first() -> None:
    """The last that began ends first."""
    ledger = Ledger()
    for id in ("outer", "inner"):
        ledger.admit(StepStarted(id=id, name="node"))
    endings = ledger.close_all(keep_tools_and_steps=False)
    assert [ending.id for ending in endings if isinstance(ending, StepFinished)] == [
        "inner",
        "outer",
    ]
