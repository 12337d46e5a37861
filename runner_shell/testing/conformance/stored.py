"""Whether a session's stored events are valid, in order, and free of the shell's complaints."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from ...errors import RemoteProtocolError
from ...protocol import codec
from ...protocol.events import JSON
from ..order import Finding, StoredFields, check_order


def check_events(events: list[dict[str, JSON]], *, may_fail: bool = False) -> list[Finding]:
    """All checks of stored events: validity, order, and what the shell complained of."""
    return check_valid(events) + check_order(events) + check_complaints(events, may_fail=may_fail)


def check_valid(events: Iterable[StoredFields]) -> list[Finding]:
    """Every event is JSON that its type's struct takes."""
    findings = []
    for event in events:
        try:
            codec.decode_event(msgspec.json.encode(event))
        except (RemoteProtocolError, TypeError) as error:
            findings.append(
                Finding(
                    rule="invalid",
                    contract="every event is JSON that its type's schema takes",
                    happened=f"event {event.get('seq')}: {error}",
                    fix="build it from the structs in `runner_shell.events`",
                )
            )
    return findings


_COMPLAINTS = {
    "adapter_order": (
        "every start has one ending, in order, without the shell's repair",
        "emit the start first and each ending once, or use `async with turn.message(…)`",
    ),
    "invalid_event": (
        "events are of the vocabulary, valid, and not the shell's own",
        "build them from the structs in `runner_shell.events`; the shell starts and ends turns",
    ),
    "inject_slow": (
        "`inject` says within the grace whether the turn takes the message",
        "hand it to the framework without waiting for what the framework makes of it",
    ),
    "left_open": (
        "returning with something still open is a failure",
        "emit the ending in a `finally`, or use `async with turn.message(…)`",
    ),
    "no_ending": (
        "`turn()` returns an `Ending`",
        'end every path of `turn()` with `return Ending("completed")` or another outcome',
    ),
    "waits_for_nothing": (
        '`Ending("waiting")` is for turns with an open question',
        "return it only after `session.ask(…, may_defer=True)` gave None",
    ),
    "adapter_stuck": (
        "an interrupt or, failing that, a cancellation ends the turn within the grace",
        "let `CancelledError` pass; do not block the thread; stop the framework in `interrupt`",
    ),
    "adapter_raised": (
        "what fails in the framework is mapped to an error with a code of its own",
        "catch the framework's errors and raise `AgentFailed(message, code=…)`",
    ),
    "adapter_start": (
        "`open` succeeds, or raises `ConfigurationError` with what is to be mended",
        "mend it, or give the suite the `environment` that the adapter needs",
    ),
    "configuration": (
        "`open` succeeds with the suite's `environment`",
        "give the suite the `environment` that the adapter needs",
    ),
    "close_raised": (
        "`close` may follow a half-done `open` or `turn`, and does not raise",
        "begin with attributes that are None, and let go only of what is there",
    ),
    "close_slow": (
        "`close` returns within the grace",
        "cancel what it waits for, and bound its own awaits",
    ),
}


def check_complaints(events: Iterable[StoredFields], *, may_fail: bool = False) -> list[Finding]:
    """What the shell complained of, as findings.

    Args:
        events: Stored events.
        may_fail: Errors are expected; those of the adapter's own making still count.
    """
    findings = []
    for event in events:
        if event["type"] not in ("warning", "error"):
            continue
        code, message = str(event["code"]), str(event.get("message", ""))
        if code in _COMPLAINTS:
            contract, fix = _COMPLAINTS[code]
            findings.append(Finding(rule=code, contract=contract, happened=message, fix=fix))
        elif event["type"] == "error" and not may_fail:
            findings.append(
                Finding(
                    rule="error",
                    contract="only the scenario `fails` fails",
                    happened=f"{code}: {message}",
                    fix="mend it, or give the suite another prompt for this scenario",
                )
            )
    return findings
