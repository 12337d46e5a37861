"""Merging: fewer deltas, the same text, and nothing changes its place."""

from __future__ import annotations

from itertools import groupby

from hypothesis import given
from hypothesis import strategies as st

from runner_shell.protocol.events import BlockDelta, ToolOutput
from runner_shell.shell.outbound.merging import MERGED_CHARACTERS, Delta, Merger

text = st.text(max_size=5) | st.just("x" * MERGED_CHARACTERS)
deltas: st.SearchStrategy[Delta] = st.one_of(
    st.builds(BlockDelta, message=st.sampled_from("mn"), index=st.integers(0, 1), text=text),
    st.builds(ToolOutput, call=st.sampled_from("mn"), text=text),
    st.builds(
        BlockDelta, message=st.just("m"), index=st.just(0), text=text, scope=st.just(("sub",))
    ),
)
step = st.tuples(deltas, st.sampled_from(["t", "u"])) | st.none()


def merged(steps: list[tuple[Delta, str] | None]) -> list[tuple[Delta, str]]:
    """What is written; None stands for an event of another kind, before which all is released."""
    merger = Merger()
    out: list[tuple[Delta, str]] = []
    for one in [*steps, None]:
        held = merger.release() if one is None else merger.take(*one)
        if held is not None:
            out.append((held.merged(), held.turn))
    assert not merger.held
    return out


def by_place(steps: list[tuple[Delta, str]]) -> list[tuple[object, str]]:
    """The texts of each run of one place, joined."""

    def place(one: tuple[Delta, str]) -> object:
        delta, turn = one
        names = (delta.message, delta.index) if isinstance(delta, BlockDelta) else (delta.call,)
        return type(delta), names, delta.scope, turn

    return [(key, "".join(one[0].text for one in run)) for key, run in groupby(steps, place)]


@given(st.lists(step, max_size=30))
def test_text_is_exact_and_in_place(steps: list[tuple[Delta, str] | None]) -> None:
    """To the character, for each block and tool call, scope and turn."""
    given_ = [one for one in steps if one is not None]
    assert by_place(merged(steps)) == by_place(given_)


@given(st.lists(st.tuples(deltas, st.just("t")), max_size=30))
def test_a_merged_delta_is_bounded(steps: list[tuple[Delta, str]]) -> None:
    """It holds no more than the limit and its last piece."""
    for delta, _ in merged([*steps]):
        assert len(delta.text) < 2 * MERGED_CHARACTERS or delta in [one[0] for one in steps]


def test_other_events_part_what_they_stand_between() -> None:
    """Only what directly follows is merged."""
    one = (BlockDelta(message="m", index=0, text="x"), "t")
    assert len(merged([one, one, None, one])) == 2
