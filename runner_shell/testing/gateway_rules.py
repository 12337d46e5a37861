"""The rules for gateways: one sentence of the protocol each, and how it is tried.

Source: docs/reference/protocol.md.
"""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from ..protocol.frames import MAX_FRAME_BYTES
from .gateway_peer import BrokenRule, Peer, event, events_frame, turn_start

FINAL = range(4000, 4100)
BACK_OFF = range(4100, 4200)
AT_ONCE = range(4200, 4300)


class Rule(NamedTuple):
    """One sentence of the protocol, and how it is tried.

    Attributes:
        name: A stable word for programs.
        must: What a gateway must do.
        fix: How its author mends it.
        play: Raises `BrokenRule` where the gateway does something else.
    """

    name: str
    must: str
    fix: str
    play: Callable[[Peer], Awaitable[None]]


RULES: dict[str, Rule] = {}
"""Every rule by its name, in the order in which an author would meet them."""


def _rule(
    must: str, fix: str
) -> Callable[[Callable[[Peer], Awaitable[None]]], Callable[[Peer], Awaitable[None]]]:
    def entered(play: Callable[[Peer], Awaitable[None]]) -> Callable[[Peer], Awaitable[None]]:
        name = play.__name__.strip("_")
        RULES[name] = Rule(name, must, fix, play)
        return play

    return entered


def _demand(holds: object, happened: str) -> None:
    if not holds:
        raise BrokenRule(happened)


# --- the upgrade -----------------------------------------------------------------------------


@_rule(
    "An upgrade without the subprotocol MUST be refused with 426, before anything else happens.",
    "answer 426 where `Sec-WebSocket-Protocol` does not offer `runner-shell.v1`",
)
async def _subprotocol(peer: Peer) -> None:
    session, token = await peer.create()
    for offered in (None, "runner-shell.v0"):
        status = await peer.refusal(session, token, offered)
        _demand(status == 426, f"with the subprotocol {offered!r} offered it answered {status}")
    async with peer.dial(session, token) as runner:
        await runner.greet()


@_rule(
    "An upgrade MUST carry a good token in the header `Authorization`, and the token MUST be one of"
    " this session's runner: 401 without a good one, 403 or 404 for another session's.",
    "verify the bearer token at the upgrade, and compare its session with the one in the path",
)
async def _token(peer: Peer) -> None:
    session, token = await peer.create()
    _, other = await peer.create()
    for given, due in ((None, (401,)), (token + "x", (401,)), (other, (403, 404))):
        status = await peer.refusal(session, given)
        _demand(status in due, f"it answered {status} where {' or '.join(map(str, due))} is due")


@_rule(
    "`hello` MUST name the session of its token; else the link MUST be closed with 4000-4099.",
    "compare `hello.session` with the session in the path",
)
async def _hello_names_its_session(peer: Peer) -> None:
    session, token = await peer.create()
    async with peer.dial(session, token) as runner:
        await runner.say(runner.hello(session=f"{session}-other"))
        code = await runner.hear_close()
        _demand(code in FINAL, f"it closed with {code}")


# --- epochs ----------------------------------------------------------------------------------


@_rule(
    "A first dial (`epoch` null) MUST get the stored epoch + 1, a redial MUST get its own again,"
    " and so MUST the same instance whose welcome was lost.",
    "keep epoch and instance of a session; add one only for an instance that does not hold it",
)
async def _epochs(peer: Peer) -> None:
    session, token = await peer.create()
    for fields, due in (
        ({}, 1),
        ({"epoch": 1}, 1),
        ({}, 1),
        ({"instance": "two"}, 2),
        ({"instance": "one"}, 3),
    ):
        async with peer.dial(session, token) as runner:
            epoch = (await runner.greet(**fields))["epoch"]
        _demand(epoch == due, f"`hello` with {fields} got epoch {epoch}, not {due}")


@_rule(
    "The newest connection MUST win: the same process's older one is closed with 4200-4299, an"
    " older process's with 4000-4099, and a stale epoch MUST be refused with 4000-4099.",
    "close the older connection before the new one is welcomed; compare epochs at `hello`",
)
async def _fencing(peer: Peer) -> None:
    session, token = await peer.create()
    async with peer.dial(session, token) as first, peer.dial(session, token) as again:
        await first.greet()
        await again.greet(epoch=1)
        code = await first.hear_close()
        _demand(code in AT_ONCE, f"the replaced connection was closed with {code}")
        async with peer.dial(session, token) as newer, peer.dial(session, token) as stale:
            await newer.greet(instance="two")
            code = await again.hear_close()
            _demand(code in FINAL, f"the superseded process was closed with {code}")
            await stale.say(stale.hello(epoch=1))
            code = await stale.hear_close()
            _demand(code in FINAL, f"a stale epoch was refused with {code}")
            await newer.commit(event(1), last=1)
    _demand(await peer.numbers(session) == [1], "the newer process's event was not stored")


# --- events ----------------------------------------------------------------------------------


@_rule(
    "Events MUST be acknowledged cumulatively after they are committed, and MUST be kept and given"
    " back exactly as they came; unknown types and fields included.",
    "keep the bytes of each event; do not decode and encode them again",
)
async def _events_are_kept_as_they_came(peer: Peer) -> None:
    session, token = await peer.create()
    odd = '{ "seq":1,"zeta":1.0,  "time":"' + "2026-11-21T10:00:00.000Z"
    odd += '","type":"never.heard.of","deep":{"a":[1,{}]}, "text":"\\u00e4\\/" }'
    async with peer.dial(session, token) as runner:
        await runner.greet(unknown={"field": 1})
        await runner.commit(odd, event(2), last=2)
        await runner.commit(event(3), last=3)
    _demand(odd.encode() in await peer.stored(session), "the event came back changed")
    numbers = await peer.numbers(session)
    _demand(numbers == [1, 2, 3], f"events 1 to 3 were sent, {numbers} were stored")


@_rule(
    "A gateway MUST take only the next number it expects: what it has MUST be passed over, stored"
    " once, and counted as acknowledged.",
    "compare each number with the last stored one + 1; ignore lower ones without an error",
)
async def _repeats_are_passed_over(peer: Peer) -> None:
    session, token = await peer.create()
    async with peer.dial(session, token) as runner:
        await runner.greet()
        await runner.commit(event(1), event(2), last=2)
    async with peer.dial(session, token) as runner:
        acked = (await runner.greet(epoch=1, next=3))["acked"]
        _demand(acked == 2, f"after a redial the welcome says acked {acked}, not 2")
        await runner.commit(event(1), event(2), event(3), last=3)
    numbers = await peer.numbers(session)
    _demand(numbers == [1, 2, 3], f"the store holds {numbers}")


@_rule(
    "A missing number MUST NOT be passed over: the link MUST be closed with 4100-4199 (resync), and"
    " nothing after the gap MUST be stored.",
    "close with 4110 where a number is higher than the next one",
)
async def _gaps_are_refused(peer: Peer) -> None:
    session, token = await peer.create()
    async with peer.dial(session, token) as runner:
        await runner.greet()
        await runner.say(events_frame(event(1), event(3)))
        code = await runner.hear_close()
        _demand(code in BACK_OFF, f"it closed with {code}")
    numbers = await peer.numbers(session)
    _demand(3 not in numbers, f"it stored {numbers}")


@_rule(
    "An event in parts MUST be put together before anyone sees it, and a redial in mid-event MUST"
    " either go on after `welcome.parts` or begin it anew.",
    "join the Base64 of the parts; say in `welcome.parts` how many of event `acked + 1` you hold",
)
async def _parts(peer: Peer) -> None:
    session, token = await peer.create()
    whole = event(1, message="x" * 300_000)
    size = 90_000
    pieces = [whole.encode()[at : at + size] for at in range(0, len(whole), size)]
    frames = [
        json.dumps(
            {
                "frame": "part",
                "seq": 1,
                "index": index,
                "total": len(pieces),
                "data": b64encode(piece).decode(),
            }
        )
        for index, piece in enumerate(pieces)
    ]
    async with peer.dial(session, token) as runner:
        await runner.greet()
        for frame in frames[:2]:
            await runner.say(frame)
    _demand(await peer.numbers(session) == [], "half of an event was stored")
    async with peer.dial(session, token) as runner:
        held = (await runner.greet(epoch=1)).get("parts", 0)
        for frame in frames[held:]:
            await runner.say(frame)
        await runner.acknowledged(1)
    _demand(whole.encode() in await peer.stored(session), "the event was not put together")


@_rule(
    "What is no frame, and a frame that is larger than `welcome.max_frame_bytes`, MUST close the"
    " link for good (4000-4099, or 1009 for the size).",
    "close with 4002; let the WebSocket library's own limit be above `max_frame_bytes`",
)
async def _breaches_are_final(peer: Peer) -> None:
    for frame in ("{", '{"frame":"welcome"}', '{"frame":"events","events":[{}]}', None):
        session, token = await peer.create()
        async with peer.dial(session, token) as runner:
            limit = (await runner.greet()).get("max_frame_bytes", MAX_FRAME_BYTES)
            await runner.say(frame or " " * (limit + 1))
            code = await runner.hear_close()
            too_large = frame is None and code == 1009
            _demand(code in FINAL or too_large, f"after {frame or 'a large frame'!r}: {code}")


# --- commands --------------------------------------------------------------------------------


@_rule(
    "Commands given while the runner is away MUST be delivered in the order of their numbers, from"
    " 1 without holes; acknowledged ones MUST NOT come again, not even to a next process.",
    "number commands in a transaction; send those after the higher of `hello.last_command` and what"
    " was acknowledged",
)
async def _commands_wait(peer: Peer) -> None:
    session, token = await peer.create()
    for name in ("c1", "c2", "c3"):
        await peer.command(session, turn_start(name))
    async with peer.dial(session, token) as runner:
        await runner.greet()
        heard = [(found["id"], found["seq"]) for found in await runner.commands(3)]
        _demand(heard == [("c1", 1), ("c2", 2), ("c3", 3)], f"it delivered {heard}")
        await runner.say('{"frame":"ack","seq":2}')
        await runner.commit(event(1), last=1)
    for fields in ({"epoch": 1, "last_command": 2}, {"instance": "two", "last_command": 0}):
        async with peer.dial(session, token) as runner:
            welcome = await runner.greet(next=2, **fields)
            last = welcome.get("last_command", 0)
            _demand(last == 2, f"`welcome.last_command` is {last}, and 2 were acknowledged")
            heard = [(found["id"], found["seq"]) for found in await runner.commands(1)]
            _demand(heard[0] == ("c3", 3), f"after 2 were acknowledged it delivered {heard}")


@_rule(
    "Number and principal MUST be the gateway's to say, whatever a client claims; the same id MUST"
    " be one command.",
    "replace `seq` and `by` before storing; make the command's id unique in its session",
)
async def _commands_are_stamped(peer: Peer) -> None:
    session, token = await peer.create()
    async with peer.dial(session, token) as runner:
        await runner.greet()
        forged = {"type": "turn.start", "id": "c1", "content": "x", "by": "nobody-else", "seq": 99}
        receipts = [await peer.command(session, forged) for _ in range(2)]
        numbers = [receipt.get("seq") for receipt in receipts]
        _demand(numbers == [1, 1], f"the same command got the numbers {numbers}")
        await peer.command(session, {"type": "never.heard.of", "id": "c2", "own": [1]})
        one, two = await runner.commands(2)
    _demand((one["id"], one["seq"]) == ("c1", 1), f"it delivered {one}")
    _demand(one.get("by") not in (None, "", "nobody-else"), f"`by` is {one.get('by')!r}")
    _demand(two.get("own") == [1], f"an unknown command was not carried through: {two}")


@_rule(
    "`secret.add` MUST be refused with 409 without a connected runner, MUST reach a connected one"
    " without a number, and MUST NOT be kept.",
    "pass it on over the open link only",
)
async def _secrets_are_not_kept(peer: Peer) -> None:
    session, token = await peer.create()
    secret = {"type": "secret.add", "name": "KEY", "value": "hush-hush"}
    await peer.command(session, secret, status=409)
    async with peer.dial(session, token) as runner:
        await runner.greet()
        await peer.command(session, secret)
        (heard,) = await runner.commands(1)
        _demand(not heard.get("seq") and heard.get("value") == "hush-hush", "it came changed")
    async with peer.dial(session, token) as runner:
        await runner.greet(epoch=1)
        await peer.command(session, turn_start("c1"))
        heard, *_ = await runner.commands(1)
        _demand(heard.get("type") != "secret.add", "the secret came again after a redial")
        _demand(heard.get("seq") == 1, f"the secret took a number: the next one is {heard['seq']}")


# --- what a next process goes on from --------------------------------------------------------


@_rule(
    "`welcome` MUST carry what was saved (merged, without removed keys) and the requests without an"
    " ending.",
    "follow `session.saved`, `request.opened` and `request.closed` in the events' transaction",
)
async def _state_comes_back(peer: Peer) -> None:
    session, token = await peer.create()
    ask = {"key": "k", "kind": "plan", "title": "?"}
    async with peer.dial(session, token) as runner:
        await runner.greet()
        await runner.commit(
            event(1, "session.saved", state={"a": 1, "b": {"c": [2]}}),
            event(2, "session.saved", state={"d": 3}, removed=["a"]),
            event(3, "request.opened", id="q1", **ask),
            event(4, "request.opened", id="q2", **ask),
            event(5, "request.closed", id="q1", how="expired"),
            last=5,
        )
    async with peer.dial(session, token) as runner:
        welcome = await runner.greet(instance="two")
    _demand(welcome["acked"] == 5, f"`acked` is {welcome['acked']}")
    state, requests = welcome.get("state", {}), welcome.get("open_requests", [])
    _demand(state == {"b": {"c": [2]}, "d": 3}, f"`state` is {state}")
    found = [request.get("id") for request in requests]
    _demand(found == ["q2"], f"the open requests are {found}")


@_rule(
    "A welcome that says `committed_epoch` MUST say the epoch of the process that had event `acked`"
    " committed.",
    "store the epoch with the events, in their transaction; leave the field out if it is not known",
)
async def _the_last_event_s_epoch(peer: Peer) -> None:
    session, token = await peer.create()
    said = []
    for instance, events in (("one", [event(1)]), ("two", []), ("three", [event(2)]), ("four", [])):
        async with peer.dial(session, token) as runner:
            said.append((await runner.greet(instance=instance)).get("committed_epoch", 0))
            if events:
                await runner.commit(*events, last=json.loads(events[-1])["seq"])
    known = any(said)
    _demand(not known or said == [0, 1, 1, 3], f"epochs 1 and 3 brought events, it said {said}")


@_rule(
    "No frame MUST be larger than `hello.max_frame_bytes`; a welcome MUST leave out what does not"
    " fit and count it in `omitted_state` and `omitted_requests`.",
    "measure the encoded frame; leave whole values out",
)
async def _frames_fit(peer: Peer) -> None:
    session, token = await peer.create()
    async with peer.dial(session, token) as runner:
        await runner.greet()
        saved = event(1, "session.saved", state={"large": "x" * 9000, "small": 1})
        await runner.commit(saved, last=1)
    for n in range(8):
        await peer.command(session, turn_start(f"c{n}", "x" * 1000))
    async with peer.dial(session, token) as runner:
        welcome = await runner.greet(instance="two", max_frame_bytes=4096)
        size = len(json.dumps(welcome))
        _demand(size <= 4096, f"a welcome of about {size} bytes came where 4096 fit")
        omitted = welcome.get("omitted_state", 0)
        _demand(omitted == 1, f"`omitted_state` is {omitted}, and one value does not fit")
        heard = 0
        while heard < 8:
            frame = await runner.hear("commands")
            size = len(json.dumps(frame, separators=(",", ":")))
            _demand(size <= 4096, f"a frame of commands of about {size} bytes came")
            heard += len(frame["commands"])


@_rule(
    "A gateway with nothing to say MUST let itself be heard every `welcome.heartbeat_seconds`.",
    "send `heartbeat` on a timer; turn the library's pings off",
)
async def _heartbeats(peer: Peer) -> None:
    session, token = await peer.create()
    async with peer.dial(session, token) as runner:
        beat = float((await runner.greet()).get("heartbeat_seconds", 10.0))
        async with asyncio.timeout(2 * beat + peer.seconds):
            await runner.hear("heartbeat")
