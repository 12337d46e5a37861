"""The syntax of an event stream, in any chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.client.sse import EventStream, Message
from runner_shell.errors import LimitExceeded

STREAM = (
    b": a comment that keeps the connection alive\n\n"
    b'id: 1\nevent: log\ndata: {"message":"\xc3\xa4"}\n\n'
    b"id: 2\r\nevent: log\r\ndata: first\r\ndata:second\r\n\r\n"
    b"retry: 10\nid: 3\ndata\n\n"
    b"event: draining\n\n"
    b"data: never completed\n"
)
MESSAGES = [
    Message("log", b'{"message":"\xc3\xa4"}', "1"),
    Message("log", b"first\nsecond", "2"),
    Message("message", b"", "3"),
    Message("draining", b"", None),
]


@given(st.lists(st.integers(0, len(STREAM))))
def test_any_chunking_reads_the_same(cuts: list[int]) -> None:
    """Wherever the network cuts, inside a line, a character or a line's end, the messages stay."""
    stream = EventStream()
    edges = [0, *sorted(cuts), len(STREAM)]
    chunks = [STREAM[start:end] for start, end in pairwise(edges)]
    assert [message for chunk in chunks for message in stream.receive(chunk)] == MESSAGES


@pytest.mark.parametrize("chunk", [b"data: " + b"x" * 200, b"data: xxxxxxxxx\n" * 20])
def test_a_message_without_an_end_is_refused(chunk: bytes) -> None:
    """Neither an endless line nor endless lines fill the memory."""
    stream = EventStream(max_message_bytes=100)
    with pytest.raises(LimitExceeded, match="more than 100 bytes"):
        stream.receive(chunk)
