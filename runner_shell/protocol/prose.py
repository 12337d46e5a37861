"""What the protocol's page says besides its tables: enough to write either side from it alone.

Texts only; `reference` puts them between the tables. Each sentence is a promise.
"""

from __future__ import annotations

CONNECTION = """\
A runner dials; a gateway never does. The upgrade is an ordinary WebSocket handshake (RFC 6455)
with

```http
GET /sessions/my-session/runner HTTP/1.1
Authorization: Bearer THE-RUNNER'S-TOKEN
Sec-WebSocket-Protocol: runner-shell.v1
```

and the gateway must choose the subprotocol in its answer: a runner leaves where it does not. A
gateway that will not take a runner says so by the HTTP status, with the reason as text in the
body, *before* it accepts, see [Closing](#closing). Extensions are not offered. Each side answers
the other's WebSocket pings, but neither must send any: liveness is the link's own matter, see
[Liveness](#liveness).

A session's id has 1 to 128 ASCII letters, digits, `.`, `_` and `-`, and begins with a letter or a
digit: no runner dials another.

```text
runner                                              gateway
  │ ── upgrade, with token and subprotocol ───────────▶ │  401 403 404 426: final. 429 503: later
  │ ── hello ─────────────────────────────────────────▶ │  looks the session up, gives the epoch,
  │                                                     │  fences the connection before
  │ ◀───────────────────────────────────────── welcome ── │
  │ ── events [1, 2, 3] ──────────────────────────────▶ │  commits
  │ ◀──────────────────────────────────────── ack 3 ──── │
  │ ◀───────────────────────────────── commands [1] ──── │
  │ ── ack 1 ─────────────────────────────────────────▶ │  (journaled, not yet carried out)
  │ ── events [4: command.done] ──────────────────────▶ │
  │ ◀─────────────── heartbeat, either way, if nothing else goes ───────────▶ │
```

`hello` is the first frame, and nothing goes either way between it and `welcome`. The first dial
of a process says `epoch: null`; every dial of one process says the same `instance`. A frame whose
name is unknown is ignored, and counts as a sign of life; a frame of the other side's, a frame
that is no JSON object, or one with a missing or wrong field is an error of the peer's: close with
4002.
"""

NUMBERS = """\
Events have one number each, `seq`, from 1 on, contiguous per session, across all of its
processes. The gateway takes only the next number that it expects, and acknowledges cumulatively
after it has committed; a runner keeps an event until then and sends it again after a new dial. So
sending is at least once, storing effectively once. Commands go the other way by the same rule:
the gateway numbers them, and a runner acknowledges what it has journaled.

A process dials first with `epoch: null`, and `welcome` tells it the number the gateway has given
it; each later dial of the process repeats that number. A higher one supersedes a lower for good.
Nothing is numbered before the first `welcome`.

If the first `welcome.acked` of a process is not below `hello.next`, the gateway holds more than the
runner does: the runner's history was lost. It goes on at `acked + 1` with a new `log`, and says so
with `gap`.

So it is if `welcome.committed_epoch` is above the last epoch in the runner's journal: the event
`acked` is another journal's, and what this one has not sent would stand under numbers that follow
another history. A runner therefore journals the epoch of its first `welcome` before it sends
anything under it. A gateway that does not know the field leaves it out.

What is acknowledged stays so. A runner takes a lower number than it was told before, one that it
has not emitted, or another epoch at a later dial, for an error of the gateway's (4002), and ends.

An event that fits no frame goes as parts, under its one number; `welcome.parts` says how many of
them have arrived. `credit` is how many bytes may be unacknowledged; one event always fits.
"""

GATEWAY = """\
For each session a gateway keeps:

* the last committed event's number, 0 at first, for `welcome.acked`, and the epoch of the process
  that sent it, for `welcome.committed_epoch`;
* the epoch, 0 at first, and the `instance` that it was given to, from the last `hello` with
  `epoch: null`;
* the commands, with their numbers from 1 on and the ids that their clients chose;
* the highest command that a process has acknowledged, from `ack` and from `hello.last_command`,
  for `welcome.last_command`;
* the adapter's state, an object, for `welcome.state`: `session.saved` sets the keys in `state`
  and deletes those in `removed`;
* the open requests, for `welcome.open_requests`: the payloads of `request.opened` without a
  `request.closed`;
* if it likes, the parts of one large event, for `welcome.parts`; memory will do.

**On `hello`**, one at a time for each session:

1. Another `session` than the one dialled: close 4003. No such session: 4004.
2. `epoch` is null: if the stored `instance` is the same, the process has not heard an earlier
   `welcome`; it keeps its epoch. Else the epoch grows by one and the `instance` is stored, before
   anything is sent. `epoch` is lower than the stored one, or was given to another `instance`:
   close 4000. It, or `last_command`, is higher than was ever given: close 4002.
3. If another connection serves the session, end it: with 4201 if its `instance` is the same, with
   4000 if not. From here on *nothing that it still sends is committed*. Wait for a commit that is
   under way.
4. Only then read the last committed number, and send `welcome`.

**On `events`**, in order, with `next` = last taken + 1 (`acked + 1` after `welcome`):

* a number below `next` is a repetition: leave it out;
* `next` itself: take it;
* a number above `next`: close 4110 (resync); what came before it in the frame still counts.

Commit what was taken in *one transaction*, together with what it changes in the state and the
requests, and keep each event as the bytes that came: unknown types and fields are for later
readers. After the commit, and never before, send `ack` with the last committed number: within 100
ms, 256 events or a quarter of the credit, whichever is first. A frame may hold fewer than all
events that are due, and at most 64 of them.

**On `ack`**: store the number; commands up to it are never sent again, to no process. **On
`heartbeat`**: nothing; `progress` may be shown.
"""

PARTS = """\
An event whose encoded form does not fit into a frame of `welcome.max_frame_bytes` is cut into
pieces of at least one byte, and each travels Base64-encoded in a `part`: `index` from 0 to
`total` - 1, in order, with nothing but `ack` and `heartbeat` in between. Put together and
decoded, it is one event, whose `seq` is the parts' own; from there on everything is as if it had
come in a frame of `events`. `index: 0` begins anew and drops what was there.

A gateway that still has the first parts of event `acked + 1`, of the same `log` and cut for the
same `max_frame_bytes`, may say how many in `welcome.parts`, and the runner goes on behind them. 0
is always right. An event of more than the gateway's limit (64 MiB here) is closed with 4002.
"""

CREDIT = """\
`welcome.credit`, and from then on the last `ack.credit`, is how many bytes of encoded events may
be on their way without acknowledgement. An event may be sent if nothing is unacknowledged, or if
it fits. So a gateway that is slow bounds what waits for it, and a runner that is far behind does
not flood it. Consecutive deltas of a block may be one by the time that they are numbered, and never
after: those that were emitted together, and past its own limits as many as a runner has; then it
makes its adapter wait. Nothing is dropped. The heartbeat does not need credit.

No frame is larger than its receiver takes: `hello.max_frame_bytes` from the gateway,
`welcome.max_frame_bytes` from the runner; both are at least 1024. After a close with WebSocket's
own code 1009 a runner sends smaller frames.
"""

LIVENESS = """\
Each side sends a `heartbeat` when it has sent nothing for `welcome.heartbeat_seconds`, and takes
the other for gone when nothing at all has come for two and a half times that: it closes with 4130
and, being a runner, dials again. At our gateway's 7.5 s a black hole is found within 20 s,
whichever way it swallows. A runner waits 10 s for `welcome`, a gateway as long for `hello`. Work
that takes long (a commit, an adapter) must not hold the heartbeat up, nor the reading.
"""

HANDING_COMMANDS = """\
A client hands a command in with an `id` of its own choosing. The gateway checks that the client
may, gives it the session's next number, writes the client's name as it has verified it into `by`
(and for `request.answer` the time of receipt into `received_at`, which judges who was late),
replacing what the client put there, stores it, and only then says so. The same `id` again changes
nothing and gets the same number: that is how a client repeats after a lost answer.

Commands are sent in order, those above `welcome.last_command` first, whether the runner was there
when they came or not. A runner takes only the next number, repetitions count for nothing and are
acknowledged again, a hole is an error (4002). It acknowledges a command when it is journaled,
which is before it is carried out, and answers each with exactly one event: `command.done` or
`command.failed`. A process that dies in between leaves the answer to the next one. A command is
applied at most once.

A command never travels in parts: one that does not fit into a frame is refused to its client,
before it has a number. Our gateway takes at most 4096 bytes less than `MAX_FRAME_BYTES`.

`secret.add` has neither id nor number: it is passed on to the runner that is connected, or
refused; it is never stored and never repeated, and has no answer.

Every numbered command, whatever its type, must be answered: a gateway may hand on types that it
does not know itself.
"""

RESTART = """\
A new process of a session says `epoch: null`, the `log` of the journal that it has found, and in
`next` the number behind the last event in it. The gateway treats it like any other first dial.
What is in the journal above `welcome.acked` is sent first; then the endings that the dead process
could not say: of blocks, messages, tools, steps, requests, the turn, and `session.finished` with
the exit code 75 where nobody knows the real one. Then comes `session.started` with
`resumed: true`. A turn that goes on is a new turn with the cause `restart`, or `answers` where the
dead one ended as `waiting` because a question was open. A process that finds only an
unacknowledged `session.finished` sends it, emits nothing, takes no command, and exits with the
code in it.

After a crash between the beginning of a command and its answer, `request.answer`, `session.end`
and `session.stop` are applied again, `turn.start` where no `turn.started` names it; the others are
answered `command.failed` with the code `interrupted`.

Without a journal `next` is 1 and `log` is new. If the gateway holds events, or holds another
journal's, history was lost: the runner numbers on from `acked + 1`, its first event is `gap`, and
it takes the adapter's state and the open requests from `welcome`; where `omitted_state` or
`omitted_requests` says that these are not all, it warns. `welcome.last_command` keeps it from being
given what an earlier process may have applied.
"""

CLOSING = """\
A refusal at the upgrade is an HTTP status: 401, 403, 404 and 426 are final, and so is every other
4xx but 408, 425 and 429; those, 3xx and 5xx are tried again, with `Retry-After` kept to. Later
ones are close codes, and an unknown code acts by its range: 4000–4099 are final, 4100–4199 mean
back off and dial again, 4200–4299 dial again now. Every other code, and none at all, is a lost
connection: back off and dial again.

To back off is to wait for a random time up to a ceiling, which doubles from 0.1 to 10 s; the
first dial after acknowledged progress is at once. The token is read anew at every dial. After a
final answer a runner exits with 2. Where its session is finished and that is acknowledged, it
closes with WebSocket's own code 1000.
"""
