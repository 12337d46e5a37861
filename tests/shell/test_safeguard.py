"""Redaction that fails shows nothing; redaction that let something through is found out."""

from __future__ import annotations

from typing import Any

import msgspec
from fake_gateway import FakeGateway, running
from test_outlet import SECRET, Out

from runner_shell.protocol.codec import encode_payload
from runner_shell.protocol.events import (
    JSON,
    ArtifactCreated,
    BlockDelta,
    BlockFinished,
    BlockStarted,
    Custom,
    Error,
    Event,
    Log,
    MessageFinished,
    MessageStarted,
    SessionStarted,
    StepFinished,
    StepStarted,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
    UnknownEvent,
    Usage,
    UsageUpdated,
)
from runner_shell.redaction import RedactingStream, Redactor
from runner_shell.shell.outbound.safeguard import WITHHELD
from runner_shell.testing.conformance import check_order, check_valid

RAW = "not-for-anyone"
BROKEN = {"code": "redaction_failed", "origin": "shell"}


class Fails(Redactor):
    """Raises at every text that holds a word, as a fault of a rule would."""

    word = "BOOM"

    def text(self, text: str) -> str:
        self._look(text)
        return super().text(text)

    def identifier(self, text: str) -> str:
        self._look(text)
        return super().identifier(text)

    def payload(self, value: JSON, path: str = "") -> JSON:
        self._look(str(value))
        return super().payload(value, path)

    def stream(self, path: str = "") -> RedactingStream:
        return FailingStream(self.layers)

    def _look(self, text: str) -> None:
        if self.word in text:
            raise RuntimeError(f"cannot redact {text}")


class FailingStream(RedactingStream):
    """The same of a stream."""

    def feed(self, text: str) -> str:
        if "BOOM" in text:
            raise RuntimeError(f"cannot redact {text}")
        return super().feed(text)


class FailsAlways(Fails):
    """Raises whatever it is given."""

    word = ""

    def stream(self, path: str = "") -> RedactingStream:
        raise RuntimeError("cannot redact")

    def backstop(self, frame: bytes) -> str:
        raise RuntimeError("cannot redact")


class LetsThrough(Redactor):
    """Forgets to redact payloads and ids."""

    def payload(self, value: JSON, path: str = "") -> JSON:
        return value

    def identifier(self, text: str) -> str:
        return text


def out_with(kind: type[Redactor], secrets: dict[str, str] | None = None) -> Out:
    out = Out({})
    out.registry.add_all((secrets or {}).items())
    out.guard.redactor = kind(out.registry)
    return out


def errors(out: Out) -> list[dict[str, Any]]:
    return [{"code": one["code"], "origin": one["origin"]} for one in out.of_type("error")]


def test_an_event_that_cannot_be_redacted_goes_out_without_its_content() -> None:
    """Only the field is withheld; an error tells, and repeats nothing; the session goes on."""
    out = out_with(Fails)
    out.emit(Custom(name="kept", data={"a": f"BOOM {RAW}"}), Log(message="after"))
    assert [event["type"] for event in out.events] == ["error", "custom", "log"]
    assert (out.events[1]["name"], out.events[1]["data"]) == ("kept", {})
    assert errors(out) == [BROKEN]
    assert RAW not in str(out.events)
    assert out.guard.failures == 1


def test_a_stream_that_fails_says_nothing_more() -> None:
    """What it held may be the half of a secret; the finished content has the placeholder too."""
    out = out_with(Fails, {"S": SECRET})
    out.emit(
        MessageStarted(id="m"),
        BlockStarted(message="m", index=0),
        *(
            BlockDelta(message="m", index=0, text=text)
            for text in ("before. ", SECRET[:4], f"BOOM{RAW}", SECRET[4:], RAW)
        ),
        BlockFinished(message="m", index=0),
        BlockStarted(message="m", index=1),
        BlockDelta(message="m", index=1, text="another block."),
        BlockFinished(message="m", index=1),
        ToolStarted(call="c", name="sh"),
        ToolOutput(call="c", text="BOOM"),
        ToolFinished(call="c", output="fine"),
    )
    contents = [event["content"] for event in out.of_type("block.finished")]
    assert contents == [f"before. {WITHHELD}", "another block."]
    assert [event["text"] for event in out.of_type("tool.output")] == [WITHHELD]
    assert errors(out) == [BROKEN, BROKEN]
    assert RAW not in str(out.events)
    assert SECRET[4:] not in str(out.events)


def test_nothing_leaves_raw_where_nothing_can_be_redacted() -> None:
    """Not even ids, which stay apart and the same, so that every ending has its start."""
    out = out_with(FailsAlways)
    out.outlet.say(SessionStarted(epoch=1, resumed=False, adapter=RAW, description={RAW: RAW}))
    out.outlet.say(TurnStarted(cause="message", input=RAW), "t")
    out.emit(
        MessageStarted(id=RAW),
        BlockStarted(message=RAW, index=0),
        BlockDelta(message=RAW, index=0, text=RAW, scope=(RAW,)),
        BlockFinished(message=RAW, index=0),
        MessageFinished(id=RAW, usage=Usage(input_tokens=3)),
        ToolStarted(call=RAW, name=RAW, input={RAW: [RAW]}),
        ToolOutput(call=RAW, text=RAW),
        ToolFinished(call=RAW, output=[RAW]),
        StepStarted(id=RAW, name=RAW),
        StepFinished(id=RAW, status="error", error=RAW),
        UsageUpdated(turn_usage=Usage(), by_model={RAW: Usage()}),
        ArtifactCreated(path=RAW, bytes=1, sha256="0" * 64),
        UnknownEvent(type="repo.ready", fields={"repos": [RAW]}),
    )
    out.outlet.say(TurnFinished(outcome="completed", reason=RAW), "t")
    out.outlet.flush()
    assert RAW not in str(out.events)
    assert check_order(out.events) == []
    assert check_valid(out.events) == []
    calls = {event["call"] for event in out.events if "call" in event}
    assert len(calls) == 1
    assert calls.isdisjoint({event["id"] for event in out.of_type("custom")})


def test_what_redaction_let_through_is_withheld_and_counted() -> None:
    """Field by field, in every encoding that is looked for; the event stays one of its type."""
    out = out_with(LetsThrough, {"S": "s3cret-value-0"})
    hidden = b"s3cret-value-0".hex()
    out.emit(
        Log(message="see s3cret-value-0", level="warning", fields={"n": 1}),
        Custom(name="fine", data={"deep": [{"x": hidden}]}),
        ToolStarted(call="s3cret-value-0", name="fine"),
    )
    assert "s3cret-value-0" not in str(out.events)
    assert hidden not in str(out.events)
    log, custom = out.of_type("log")[0], out.of_type("custom")[0]
    assert (log["message"], log["level"], log["fields"]) == (WITHHELD, "warning", {"n": 1})
    assert (custom["name"], custom["data"]) == ("fine", {})
    assert out.guard.hits == 3
    assert errors(out) == [{"code": "redaction_passed", "origin": "shell"}] * 3
    assert check_valid(out.events) == []


def test_a_secret_that_is_a_word_of_the_vocabulary_breaks_no_event() -> None:
    """It shows in every event by right; where it is content it is redacted."""
    out = Out({"A": "block.delta", "B": "tool_input", "C": "cancelled"})
    out.emit(
        MessageStarted(id="m"),
        BlockStarted(message="m", index=0, kind="tool_input"),
        BlockDelta(message="m", index=0, text="a block.delta."),
        BlockFinished(message="m", index=0),
        ToolStarted(call="c", name="sh"),
        ToolFinished(call="c", status="cancelled"),
    )
    assert check_valid(out.events) == []
    assert out.of_type("block.started")[0]["kind"] == "tool_input"
    assert out.of_type("block.finished")[0]["content"] == "a [REDACTED:A]."
    assert out.of_type("tool.finished")[0]["status"] == "cancelled"
    assert out.guard.hits == 0


def test_what_an_events_type_does_not_know_is_left_out() -> None:
    """An adapter's payload is read and encoded anew: no field goes by unseen."""
    out = Out({})
    token = "ghp_" + "aB3x" * 9
    for type, fields in (
        ("log", {"message": "m"}),
        ("block.delta", {"message": "m", "index": 0, "text": "x."}),
    ):
        payload = encode_payload(UnknownEvent(type=type, fields={**fields, "more": token}))
        out.outlet.emitted(payload, "t")
    out.outlet.flush()
    assert {"log", "block.delta"} <= {event["type"] for event in out.events}
    assert token not in str(out.events)


def test_a_numbers_field_stays_a_number() -> None:
    """A known secret that is a number empties it, and breaks no schema."""
    out = Out({"N": "3141592653"})
    out.emit(
        ArtifactCreated(path="p", bytes=3141592653, sha256="0" * 64),
        UsageUpdated(turn_usage=Usage(input_tokens=3141592653)),
    )
    assert "3141592653" not in str(out.events)
    assert check_valid(out.events) == []


# --- idle streams --------------------------------------------------------------------------------


class Timers:
    """Timers that run when told."""

    def __init__(self) -> None:
        self.waiting: list[Any] = []

    def later(self, seconds: float, call: Any) -> None:
        assert 0.05 <= seconds <= 0.1
        self.waiting.append(call)

    def run(self) -> None:
        waiting, self.waiting = self.waiting, []
        for call in waiting:
            call()


def streaming(timers: Timers) -> Out:
    out = Out({"S": "abcdefghijkl"}, later=timers.later)
    out.emit(
        MessageStarted(id="m"),
        BlockStarted(message="m", index=0),
        BlockStarted(message="m", index=1),
        ToolStarted(call="c", name="sh"),
    )
    return out


def delta(text: str, index: int = 0) -> Event:
    return BlockDelta(message="m", index=index, text=text)


def test_an_idle_stream_lets_go_of_what_is_harmless() -> None:
    """After 0.1 to 0.2 s without a piece, at most three characters; one timer for all streams."""
    timers = Timers()
    out = streaming(timers)
    out.emit(delta("so abcdefg"), delta("or ab", 1), ToolOutput(call="c", text="as abcd"))
    assert len(timers.waiting) == 1
    timers.run()
    assert len(timers.waiting) == 1
    out.emit(delta("h"))  # it goes on: this stream is not idle
    timers.run()
    out.outlet.flush()
    texts = [(event.get("index"), event["text"]) for event in out.events if "text" in event]
    assert texts == [(0, "so "), (1, "or "), (None, "as "), (1, "ab"), (None, "abc")]
    timers.run()
    assert timers.waiting == []
    out.emit(delta("ijkl."))
    out.emit(BlockFinished(message="m", index=0))
    assert out.of_type("block.finished")[0]["content"] == "so abc[REDACTED:S]."


def test_nothing_ticks_while_nothing_is_held() -> None:
    """Neither before nor after; and the end of a turn lets nothing go late."""
    timers = Timers()
    out = streaming(timers)
    out.emit(delta("plain. "))
    assert timers.waiting == []
    out.emit(ToolOutput(call="c", text="abcd"))
    out.outlet.close_open_things("t", waiting=True)
    timers.run()
    timers.run()
    out.outlet.flush()
    assert out.of_type("tool.output") == []
    assert timers.waiting == []


def test_the_error_holds_nothing_of_what_failed() -> None:
    """Its message names the kind of the exception, not its text."""
    out = out_with(Fails)
    out.emit(Log(message=f"BOOM {RAW}"))
    error = msgspec.convert(out.of_type("error")[0], Error)
    assert "RuntimeError" in error.message
    assert RAW not in error.message


async def test_the_status_tells_how_often_either_happened() -> None:
    """So that it is found without reading a session's events."""
    gateway = FakeGateway()
    async with running(gateway, interactive=True, secrets={"S": SECRET}) as run:
        await gateway.wait_for("session.started")
        runner = run.runner
        runner.guard.redactor = LetsThrough(runner.registry)
        runner.say(Log(message=f"see {SECRET}"))
        runner.guard.redactor = Fails(runner.registry)
        runner.say(Log(message="BOOM", fields={"also": "BOOM"}))
        status = runner.status()
    assert (status.redaction_hits, status.redaction_failures) == (1, 2)
