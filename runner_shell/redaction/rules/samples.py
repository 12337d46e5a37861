"""Invented values for examples: no credential of anybody, and none that a scanner believes."""

from __future__ import annotations

_MIXED = "q7Wz3eRt9YxU1iOpA5sDf2GhJ8kLm4ZcV6bNn0TyQ"
_HEX = "3f9a0c7e5b1d8264"
_LOWER = "k7w3mz9xq2vb5nt8"
_UPPER = "Q7WZ3ERT6YXU2IOP"


def mixed(length: int) -> str:
    """Letters of both cases, and digits."""
    return _of(_MIXED, length)


def hexadecimal(length: int) -> str:
    """Lower-case hexadecimal digits."""
    return _of(_HEX, length)


def lower(length: int) -> str:
    """Lower-case letters and digits."""
    return _of(_LOWER, length)


def upper(length: int) -> str:
    """Upper-case letters and the digits of Base32."""
    return _of(_UPPER, length)


def digits(length: int) -> str:
    """Decimal digits."""
    return _of("3159264870", length)


UUID = "5f0c9a7e-3b1d-4826-9e4f-7c2a1b8d6035"


def _of(alphabet: str, length: int) -> str:
    return (alphabet * (length // len(alphabet) + 1))[:length]
