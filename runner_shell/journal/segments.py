"""How a journal's records lie in a file: length, checksum, kind, number, bytes. Pure.

A segment is a file of records, of which the first is a snapshot. What a process that died in
mid-write left behind its last whole record is cut off and told of, never guessed at.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple
from zlib import crc32

_HEAD = struct.Struct("<IIBQ")
_pack = _HEAD.pack

_PRIME = 2**32 - 5
"""No single changed byte of kind or number is a multiple of it."""

HEAD_BYTES = _HEAD.size
"""Bytes before a record's own."""


class Kind(IntEnum):
    """What a record is."""

    SNAPSHOT = 1
    """What all records before this one amount to; the number is the next event's."""
    EVENT = 2
    """An encoded event, by its number."""
    COMMAND = 3
    """A command that was accepted; the initial prompt has the number 0."""
    APPLYING = 4
    """The effect of a command begins."""
    RESUME = 5
    """A turn that a next process is to go on with."""
    SETTLED = 6
    """Everything up to this event is acknowledged, and the process is at its end."""
    EPOCH = 7
    """The gateway gave the process this number: before anything is sent under it."""


class Record(NamedTuple):
    """One record, and where it lies.

    Attributes:
        kind: What it is; a number that is no `Kind` is of a later version.
        number: Of the event or the command.
        start: Where its body begins in the segment.
        body: Its bytes.
    """

    kind: int
    number: int
    start: int
    body: bytes


class Scan(NamedTuple):
    """What a segment holds.

    Attributes:
        records: The whole ones, in order.
        sound_bytes: Up to where it is sound; the rest is to be cut off.
        cut_bytes: How much that is.
    """

    records: list[Record]
    sound_bytes: int
    cut_bytes: int


def encode(kind: int, number: int, body: bytes) -> bytes:
    """One record."""
    return head(kind, number, body) + body


def head(kind: int, number: int, body: bytes) -> bytes:
    """What stands before a record's body."""
    return _pack(len(body), crc32(body, _seed(kind, number)), kind, number)


def event_head(number: int, body: bytes) -> bytes:
    """`head` of an event, which is most of what is ever written."""
    return _pack(len(body), crc32(body, (number * 256 + 2) % _PRIME), 2, number)


def _seed(kind: int, number: int) -> int:
    """Where the checksum begins, so that it covers kind and number too."""
    return (number * 256 + kind) % _PRIME


def scan(data: bytes) -> Scan:
    """Read a segment up to the first record that is not whole and sound."""
    records = list(_records(data))
    sound = records[-1].start + len(records[-1].body) if records else 0
    return Scan(records, sound, len(data) - sound)


def _records(data: bytes) -> Iterator[Record]:
    view = memoryview(data)
    position = 0
    while position + HEAD_BYTES <= len(data):
        length, checksum, kind, number = _HEAD.unpack_from(data, position)
        start = position + HEAD_BYTES
        if start + length > len(data):
            return
        found = crc32(view[start : start + length], _seed(kind, number))
        if found != checksum or kind == 0:
            return
        yield Record(kind, number, start, data[start : start + length])
        position = start + length
