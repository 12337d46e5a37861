"""The beginning of a runner: the welcome, what the dead are owed, `session.started`, the adapter.

Source: PROTOCOL, "With a gateway configured, nothing is numbered and no turn begins before the
first welcome", and promise 3.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ..adapter.contract import Adapter
from ..errors import ConfigurationError
from ..journal import Recovered
from ..journal.recovered import KnownRequest
from ..link.effects import Welcomed
from ..protocol.events import JSON, Error, Gap, RequestOpened, SessionStarted, Warning_
from . import outcome as outcomes
from .outcome import Verdict
from .restart import Policy
from .thread.host import Asked, FromAdapter

if TYPE_CHECKING:  # imported where they are made, while the socket waits
    from ..adapter.session import Session
    from .configuration.known_secrets import OwnRules
    from .runner import Runner


class Opening:
    """Takes a session up in this process.

    Args:
        runner: Whose beginning it is.
        make_adapter: Imports and constructs the adapter.
        find_rules: Looks for redaction rules, or None.

    Attributes:
        welcome: The first welcome, once it came.
        policy: What is done with a turn that was cut off.
        session: What the adapter was opened with.
        announced: Whether `session.started` is said.
    """

    def __init__(
        self,
        runner: Runner,
        make_adapter: Callable[[], Adapter],
        find_rules: Callable[[], OwnRules] | None,
    ) -> None:
        self._runner = runner
        self._make_adapter = make_adapter
        self._find_rules = find_rules
        self._rules: OwnRules | None = None
        self._settings = runner.settings
        self._journal = runner.journal
        self._restart = runner.restart
        self._link = runner.link
        self._outlet = runner.outlet
        self._host = runner.host
        self._stopping = runner.stopping
        self._delivery = runner.delivery
        self._held: list[FromAdapter] = []
        self._is_opening = False
        self.announced = False
        self.welcome: asyncio.Future[Welcomed] = asyncio.get_running_loop().create_future()
        self.policy: Policy = "fail"
        self.session: Session

    # --- the welcome -------------------------------------------------------------------------

    def welcomed(self, welcome: Welcomed) -> None:
        """A welcome came; what the first one says is kept before anything else happens."""
        if not self.welcome.done():
            self._take_up(welcome)
            self.welcome.set_result(welcome)

    async def await_welcome(self, *, takes_over: bool = True) -> Verdict | None:
        """Wait for the first welcome; a verdict where none comes or the session must end.

        Args:
            takes_over: Whether the session goes on here, instead of only being acknowledged.
        """
        seconds = self._settings.connect_seconds
        if await self._stopping.first_of(self.welcome, seconds):
            if takes_over:
                self._runner.begin_saying(self.welcome.result())
                self._take_over(self.welcome.result())
            return None
        if self._stopping.is_ordered:
            return self._stopping.verdict
        problem = self._delivery.driver.last_problem or "it did not answer"
        return Verdict(
            outcome="failed",
            reason=f"no welcome from the gateway within {seconds:g} s: {problem}",
            exit_code=outcomes.TRANSIENT,
        )

    def _take_over(self, welcome: Welcomed) -> None:
        """Go on with what was open, and say what of it was lost."""
        found = self._restart.found
        if found.owes_gap:
            self._outlet.say(Gap(after=found.next - 1, reason=_why_lost(welcome)))
            self._say_what_is_omitted(welcome)
        self._runner.requests.restore(found.requests.values())
        self._outlet.restore(found.opened())

    def _take_up(self, welcome: Welcomed) -> None:
        """Keep at once under which number, and with which history, this process goes on."""
        if welcome.lost_after is None:
            self._journal.took_epoch(welcome.epoch)
        else:
            self._lose_history(welcome, welcome.lost_after)

    def _lose_history(self, welcome: Welcomed, after: int) -> None:
        """Source: "goes on with what the gateway holds: state, open requests, last number"."""
        log_id = os.urandom(8).hex()
        requests = _opened(welcome.open_requests)
        self._link.log = log_id
        self._journal.begin_anew(after + 1, log_id, welcome.state, requests, epoch=welcome.epoch)
        self._restart.forget(
            Recovered(
                log=log_id,
                next=after + 1,
                epoch=welcome.epoch,
                owes_gap=True,
                state=welcome.state,
                requests={one.id: KnownRequest(opened=one) for one in requests},
            )
        )
        self._runner.usage = None

    def _say_what_is_omitted(self, welcome: Welcomed) -> None:
        """Source: "one that has lost it must not go on as if `state` were complete"."""
        values, requests = welcome.omitted_state, welcome.omitted_requests
        if values or requests:
            message = (
                f"history was lost, and the gateway's welcome had no room for {values} saved"
                f" values and {requests} open requests: the adapter goes on without them, and"
                " what they ask cannot be answered here"
            )
            self._runner.say(Warning_(code="welcome_incomplete", message=message))

    # --- the adapter -------------------------------------------------------------------------

    def load(self) -> Adapter:
        """What takes long, in the adapter's thread."""
        adapter = self._make_adapter()
        if self._find_rules is not None:
            self._rules = self._find_rules()
        return adapter

    def _apply_rules(self) -> ConfigurationError | None:
        """From now on; nothing of the adapter's was redacted yet."""
        if self._rules is None:
            return None
        try:
            self._runner.guard.redactor = self._rules.redactor(self._runner.registry)
        except ConfigurationError as error:
            return error
        return None

    async def start(self, loading: asyncio.Future[Adapter]) -> Verdict | None:
        """Say what was left unsaid, then `session.started`; a verdict where the adapter fails.

        Source: "A next process first writes the dead one's missing endings".
        """
        await self._stopping.first_of(loading)
        adapter = None
        error = None
        if not loading.done():
            loading.cancel()
        else:
            error = loading.exception() or self._apply_rules()
            adapter = None if error is not None else loading.result()
        # What is not known of an adapter that does not load is left to the next process.
        can_resume = adapter is None or adapter.capabilities.resume
        self.policy = self._restart.decide(can_resume=can_resume)
        self._restart.write_endings(self._outlet, self._runner.requests, self.policy)
        if adapter is not None:
            error = await self._open()
        self.announce()
        return None if error is None else self.failed_to_start(error)

    def announce_first(self) -> None:
        """The shell has something to say: `session.started` precedes it while the adapter opens."""
        if self._is_opening:
            self.announce()

    def hold(self, said: FromAdapter) -> None:
        """Let what the adapter says wait until it is `announced`; a question hastens that."""
        self._held.append(said)
        if isinstance(said, Asked):
            self.announce()

    def announce(self) -> None:
        """Say `session.started`, with what an open adapter says of itself, and what it said since.

        An adapter that takes long, or asks a person, is announced before it is open; and so it is
        where the shell has something to say.
        """
        if self.announced:
            return
        self.announced = True
        self._say_started(self._host.adapter)
        self._say_warnings()
        held, self._held = self._held, []
        for said in held:
            self._runner.reception.on_adapter(said)

    def _say_warnings(self) -> None:
        for code, message in self._settings.warnings:
            self._runner.say(Warning_(code=code, message=message))
        if self._journal.cut_bytes:
            message = (
                f"the last {self._journal.cut_bytes} bytes of the journal were torn and are cut off"
            )
            self._runner.say(Warning_(code="journal_cut", message=message))
        if self._restart.refused_to_resume and self._settings.resume not in (None, "fail"):
            name = self._settings.adapter
            message = f"the adapter {name!r} cannot go on with a turn that was cut off"
            self._runner.say(Warning_(code="resume_not_supported", message=message))

    def _say_started(self, adapter: Adapter | None) -> None:
        assert self._link.epoch is not None, "a session starts after the welcome"
        capabilities: dict[str, JSON] = {}
        description: dict[str, JSON] = {}
        if adapter is not None:
            capabilities = msgspec.to_builtins(adapter.capabilities)
            capabilities["commands"] = sorted(capabilities["commands"])
            description = self._host.description
        self._runner.say(
            SessionStarted(
                epoch=self._link.epoch,
                resumed=self._restart.resumed,
                adapter=self._settings.adapter,
                capabilities=capabilities,
                description=description,
                runner=self._settings.version,
            )
        )

    async def _open(self) -> BaseException | None:
        from ..adapter.session import Session

        settings = self._settings
        self.session = Session(
            settings.session,
            self._host.port,
            workspace=settings.workspace,
            state_dir=settings.framework_dir,
            saved=self._restart.found.state,
            process=str(self._link.epoch),
        )
        opening = asyncio.ensure_future(self._host.open(self.session))
        self._is_opening = True
        if not await self._stopping.first_of(opening, settings.announce_seconds):
            self.announce()
        if not await self._stopping.first_of(opening):
            opening.cancel()
            return None
        return opening.exception()

    def failed_to_start(self, error: BaseException) -> Verdict:
        """Say why the adapter does not open, and how the session ends for it."""
        if isinstance(error, ConfigurationError):
            for problem in error.problems:
                self._runner.say(
                    Error(code="configuration", message=problem, origin="configuration")
                )
            code = outcomes.BAD_CONFIGURATION
            return Verdict(outcome="failed", reason=str(error), exit_code=code)
        message = f"{type(error).__name__}: {error}"
        self._runner.complain("the adapter did not start", error)
        self._runner.say(Error(code="adapter_start", message=message, origin="adapter"))
        return Verdict.of("failed", f"the adapter did not start: {message}")


def _why_lost(welcome: Welcomed) -> str:
    if welcome.diverged:
        return "another runner has gone on with the session: what this one had not sent is dropped"
    return "the journal of the earlier process is gone"


def _opened(requests: tuple[JSON, ...]) -> list[RequestOpened]:
    """The gateway's open requests; what this version cannot read is nobody's to answer here."""
    opened = []
    for payload in requests:
        with suppress(msgspec.ValidationError):
            opened.append(msgspec.convert(payload, RequestOpened))
    return opened
