"""What is redacted in a session: the secrets that are known, and the rules for those that are not.

Gathering costs the start path little: nothing is compiled before the first text, and the rules are
looked for while the socket waits.
"""

from __future__ import annotations

from ...errors import ConfigurationError
from ...redaction import Redactor, SecretRegistry
from ...redaction.sources import environment_secrets
from .environment import OWN_SECRETS, Settings, read_token
from .mounted import WATCH_SECONDS, MountedSecrets

TYPE_CHECKING = False  # typing's own costs the start path milliseconds
if TYPE_CHECKING:
    import asyncio
    from collections.abc import Iterable, Mapping

    from ...redaction import Admission, Rule

WEAK = "secret_not_redacted_everywhere"
"""Code of the warning that a value is too short or too ordinary."""

UNREAD = "secret_file_not_read"
"""Code of the warning that a mounted file could not be read."""


class KnownSecrets:
    """The secrets of a session, from wherever they come.

    Args:
        settings: What the shell was told.
        environment: The whole environment, the shell's own secrets included.

    Attributes:
        registry: The secrets; grows.
        warnings: What a person should know of them, by code; names, never values.
    """

    def __init__(self, settings: Settings, environment: Mapping[str, str]) -> None:
        self.registry = SecretRegistry()
        self.warnings: list[tuple[str, str]] = []
        self._files = MountedSecrets(settings.secrets_dir) if settings.secrets_dir else None
        self._timer: asyncio.TimerHandle | None = None
        self._add(environment_secrets(environment, settings.secret_names))
        self._add((name, environment[name]) for name in OWN_SECRETS if environment.get(name))
        if settings.token_file is not None:
            try:
                self._add([("BOT_TOKEN", read_token(settings))])
            except ConfigurationError as error:
                self.warnings.append((UNREAD, str(error)))  # the dial reads it again, and says so
        self.read_files()

    def read_files(self) -> None:
        """Add what is new in the mounted files."""
        if self._files is not None:
            secrets, problems = self._files.refresh()
            self._add(secrets)
            self.warnings += [(UNREAD, problem) for problem in problems]

    def watch(self) -> None:
        """Read the files again when they change, from now on; call it in the loop."""
        if self._files is not None:
            import asyncio

            self._timer = asyncio.get_running_loop().call_later(WATCH_SECONDS, self._look)

    def close(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _look(self) -> None:
        import logging

        told = len(self.warnings)
        self.read_files()
        for _, message in self.warnings[told:]:
            logging.getLogger("runner_shell").warning("%s", message)
        self.watch()

    def _add(self, secrets: Iterable[tuple[str, str]]) -> None:
        for name, value in secrets:
            warning = warning_of(self.registry.add(name, value))
            if warning is not None and warning not in self.warnings:
                self.warnings.append(warning)


def warning_of(admission: Admission) -> tuple[str, str] | None:
    """Code and message of the warning that a value deserves; it names the key, not the value."""
    return (WEAK, admission.warning) if admission.warning else None


class OwnRules:
    """The rules that a session's redactors apply, once they were looked for.

    Args:
        rules: Those of the package, of installed ones, and of the team's file.
        off: What is switched off.
    """

    def __init__(self, rules: tuple[Rule, ...], off: frozenset[str]) -> None:
        self._rules = rules
        self._off = off

    def redactor(self, registry: SecretRegistry) -> Redactor:
        """A redactor that applies them.

        Raises:
            ConfigurationError: `RUNNER_REDACTION_OFF` names a rule that there is not.
        """
        try:
            return Redactor(registry, self._rules, off=self._off)
        except ConfigurationError as error:
            raise ConfigurationError(
                *(f"RUNNER_REDACTION_OFF: {problem}" for problem in error.problems)
            ) from error


def find_rules(settings: Settings) -> OwnRules:
    """Import and check every rule; takes some milliseconds, and may import a team's packages.

    Raises:
        ConfigurationError: With every problem of every rule.
    """
    from importlib.metadata import entry_points

    from ...redaction.rules import DEFAULT_RULES
    from ...redaction.teams import GROUP, rules_from_entry_points, rules_from_toml

    own = rules_from_entry_points(entry_points(group=GROUP))
    path = settings.redaction_rules
    if path is not None:
        try:
            own += rules_from_toml(path.read_text(encoding="utf-8"), str(path))
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"RUNNER_REDACTION_RULES is '{path}': {error}") from error
        except ConfigurationError as error:
            raise ConfigurationError(
                *(f"RUNNER_REDACTION_RULES: {problem}" for problem in error.problems)
            ) from error
    names = [rule.name for rule in (*DEFAULT_RULES, *own)]
    twice = sorted({rule.name for rule in own if names.count(rule.name) > 1})
    if twice:
        raise ConfigurationError(
            *(f"redaction rule {name!r}: another one has the same name" for name in twice)
        )
    return OwnRules((*DEFAULT_RULES, *own), frozenset(settings.redaction_off))
