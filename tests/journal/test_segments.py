"""Records in a file: whole and sound, or cut off."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runner_shell.journal.segments import HEAD_BYTES, Kind, encode, scan

records = st.lists(
    st.tuples(st.sampled_from(list(Kind)), st.integers(0, 2**64 - 1), st.binary(max_size=40)),
    max_size=6,
)


@given(records)
def test_what_is_written_is_read(written: list[tuple[Kind, int, bytes]]) -> None:
    """Kind, number and bytes, in order, and where the bytes lie."""
    data = b"".join(encode(*record) for record in written)
    found = scan(data)
    assert [(one.kind, one.number, one.body) for one in found.records] == written
    assert all(data[one.start : one.start + len(one.body)] == one.body for one in found.records)
    assert (found.sound_bytes, found.cut_bytes) == (len(data), 0)


@given(records, st.data())
def test_a_tail_torn_at_any_byte_is_cut(
    written: list[tuple[Kind, int, bytes]], data: st.DataObject
) -> None:
    """What is whole before it stays; how much is cut is told."""
    pieces = [encode(*record) for record in written]
    whole = b"".join(pieces)
    cut = data.draw(st.integers(0, len(whole)))
    found = scan(whole[:cut])
    ends = [sum(map(len, pieces[: count + 1])) for count in range(len(pieces))]
    assert len(found.records) == sum(end <= cut for end in ends)
    assert found.sound_bytes + found.cut_bytes == cut


@given(st.binary(min_size=1, max_size=40), st.data())
def test_a_changed_byte_is_never_read_as_a_record(body: bytes, data: st.DataObject) -> None:
    """In head or body: kind and number are covered too."""
    sound, follower = encode(Kind.EVENT, 7, body), encode(Kind.EVENT, 8, b"next")
    place = data.draw(st.integers(0, HEAD_BYTES + len(body) - 1))
    change = data.draw(st.integers(1, 255))
    broken = bytearray(sound)
    broken[place] ^= change
    assert scan(bytes(broken) + follower).records == []
