"""Text in, text out; values in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigurationError
from .compilation import anchors, literals, that_tell
from .keys import is_sensitive
from .patterns import Automaton, Literal
from .reach import NAMELESS, Admission, placeholder
from .registry import SecretRegistry, placeholder_name
from .stream import RedactingStream

if TYPE_CHECKING:
    from ..protocol.events import JSON
    from .rule import Rule
    from .stream import Layers

SENSITIVE_KEY = "sensitive-key"
"""The name by which redaction below sensitive keys is switched off."""

_MOST_LAYERS = 5
_MOST_KEYS = 4096
_PLACEHOLDER = re.compile(r"\[REDACTED:[A-Za-z0-9_]+\]")


class Prepared:
    """Secrets with their forms made, for `Redactor.admit`."""

    __slots__ = ("automaton", "registry")

    def __init__(self, registry: SecretRegistry, automaton: Automaton) -> None:
        self.registry = registry
        self.automaton = automaton


class Redactor:
    """Replaces every known secret, and what looks like one, by `[REDACTED:NAME]`.

    The first text imports the search engines and compiles; before that a redactor costs nothing.

    Args:
        registry: The secrets that are known. They are always redacted.
        rules: What unknown secrets look like; the rules that come with the package by default.
        off: Names of rules that are not applied, `sensitive-key` among them, and paths below which
            none is, such as `tool.finished.output` or `custom.data.*.token`.

    Raises:
        ConfigurationError: `off` names a rule that there is not.
    """

    def __init__(
        self,
        registry: SecretRegistry,
        rules: Sequence[Rule] | None = None,
        *,
        off: Iterable[str] = (),
    ) -> None:
        self.registry = registry
        listed = set(off)
        self._off_paths = [tuple(path.split(".")) for path in listed if "." in path]
        self._off_names = {name for name in listed if "." not in name}
        self._given_rules = rules
        self._layers: Layers = ()
        self._compiled = 0  # how many of the registry's secrets are in the layers
        self._numeric = False
        self._plain_keys: set[str] = set()
        if self._off_names - {SENSITIVE_KEY}:
            self._check_names()

    # --- text --------------------------------------------------------------------------------

    def text(self, text: str) -> str:
        """Redact a whole text."""
        return text if self._is_plain(text) else RedactingStream(self.layers).finish(text)

    def identifier(self, text: str) -> str:
        """Redact known secrets only, so that no two ids become alike because of a rule."""
        if self._is_plain(text):
            return text
        return RedactingStream(self.layers, exact=True).finish(text)

    def _is_plain(self, text: str) -> bool:
        """Whether nothing begins in a text that could be a secret: most are, and go a short way."""
        try:
            for layer in self.layers():
                if layer.search(text, True):
                    return False
        except UnicodeEncodeError:  # half a surrogate pair, which is replaced
            return False
        return True

    def stream(self, path: str = "") -> RedactingStream:
        """A text that comes in pieces: a block, or the output of a tool call.

        Args:
            path: Where it belongs, such as `block.delta.text`; `off` may name it.
        """
        return RedactingStream(self.layers, exact=self._is_off(tuple(path.split("."))))

    # --- values ------------------------------------------------------------------------------

    def payload(self, value: JSON, path: str = "") -> JSON:
        """Redact every string in a JSON value, keys included.

        Below a sensitive key, or one that is a secret's name, every string and number is replaced;
        numbers elsewhere where they are a known secret. Keys that become alike are told apart by
        `#2`, `#3`, so that no value is lost. Other values come back as they are.

        Args:
            value: Objects, lists, strings, numbers, booleans and None.
            path: Where it belongs, such as `tool.finished`; `off` may name it.
        """
        if type(value) is str and not self._off_paths:  # most are, and go a short way
            return self.text(value)
        self.layers()
        return self._walk(value, tuple(path.split(".")) if path else ())

    def _walk(self, value: JSON, path: tuple[str, ...]) -> JSON:
        if isinstance(value, str):
            if self._off_paths and self._is_off(path):
                return self.identifier(value)
            return self.text(value)
        if isinstance(value, dict):
            return self._walk_object(value, path)
        if isinstance(value, list | tuple):
            return [self._walk(item, path) for item in value]
        if self._numeric and isinstance(value, int | float) and not isinstance(value, bool):
            text = str(value)
            redacted = self.text(text)
            return value if redacted == text else redacted
        return value

    def _walk_object(self, value: dict[str, JSON], path: tuple[str, ...]) -> dict[str, JSON]:
        result: dict[str, JSON] = {}
        for key, item in value.items():
            if key in self._plain_keys and key not in result:
                result[key] = self._walk(item, path)
                continue
            redacted = name = self.text(str(key))
            copy = 1
            while name in result:
                copy += 1
                name = f"{redacted}#{copy}"
            below = (*path, str(key)) if self._off_paths else path
            if self._names_secret(str(key), redacted, below):
                result[name] = self._seal(item, redacted, below)
            else:
                result[name] = self._walk(item, below)
                self._remember(key, redacted)
        return result

    def _remember(self, key: str, redacted: str) -> None:
        """Keys recur: one that stays as it is, wherever it stands, is looked at once."""
        if key == redacted and not self._off_paths and len(self._plain_keys) < _MOST_KEYS:
            self._plain_keys.add(key)

    def _names_secret(self, key: str, redacted: str, path: tuple[str, ...]) -> bool:
        """By itself, or by what is left of it: that is what a second redaction goes by."""
        if self._is_secret(key, path):
            return True
        return redacted != key and self._is_secret(redacted, path)

    def _is_secret(self, key: str, path: tuple[str, ...]) -> bool:
        key = _PLACEHOLDER.sub("", key)  # a secret's name in it does not make it one's
        if self.registry.is_name(key):
            return True
        if SENSITIVE_KEY in self._off_names or not is_sensitive(key):
            return False
        return not self._is_off(path)

    def _seal(self, value: JSON, key: str, path: tuple[str, ...]) -> JSON:
        """Replace what stands directly below a sensitive key, or in a list there."""
        if isinstance(value, list | tuple):
            return [self._seal(item, key, path) for item in value]
        if isinstance(value, dict):
            return self._walk_object(value, path)
        if value is None or isinstance(value, bool) or value == "":
            return value
        redacted = self.text(str(value))
        if _PLACEHOLDER.fullmatch(redacted):
            return redacted
        shown = placeholder(placeholder_name(key).upper())
        return shown if self.identifier(shown) == shown else placeholder(NAMELESS)

    def _is_off(self, path: tuple[str, ...]) -> bool:
        return any(
            len(off) <= len(path) and all(a in ("*", b) for a, b in zip(off, path, strict=False))
            for off in self._off_paths
        )

    # --- the last look -----------------------------------------------------------------------

    def backstop(self, frame: bytes) -> str:
        """The placeholder of a known secret in what is about to leave; empty where there is none.

        A hit means that something went past the redactor: do not send the frame. Secrets that are
        looked for as a whole word, or beside their name, are left out: in what is serialised other
        characters stand around them.

        Args:
            frame: Serialised, UTF-8.
        """
        text = frame.decode("utf-8", "replace")
        for layer in self.layers():
            found = layer.search(text, True)
            for start, bucket in layer.at(found, 0) if found else ():
                for pattern in bucket.complete(text, start):
                    if isinstance(pattern, Literal) and not pattern.whole_word:
                        return pattern.placeholder
        return ""

    # --- what is known -----------------------------------------------------------------------

    @staticmethod
    def prepare(secrets: Iterable[tuple[str, str]]) -> tuple[Prepared, list[Admission]]:
        """Make the forms of many secrets, in any thread, while streams go on with what they know.

        They are redacted once `admit` has been called; what they are worth says the second value.
        """
        registry = SecretRegistry()
        admissions = registry.add_all(secrets)
        known = registry.secrets
        return Prepared(registry, Automaton(literals(known, known), quick=True)), admissions

    def admit(self, prepared: Prepared) -> None:
        """Register what was prepared; every stream sees it at its next feed."""
        layers, before = self.layers(), len(self.registry)
        for secret in prepared.registry.secrets:
            self.registry.add(secret.name, secret.value)
        if self._must_rename(before) or self._tells(prepared):
            self._layers = ()  # the next text compiles everything anew
            return
        self._layers = (*layers, prepared.automaton)
        self._compiled = len(self.registry)
        self._numeric = any(_is_number(secret.value) for secret in self.registry.secrets)
        self._plain_keys.clear()
        self._merge()

    def compact(self) -> None:
        """Compile everything that is known into one automaton, the quickest to search.

        Streams go on with what there is until it is done. Call it after many additions.
        """
        layers = self.layers()
        if len(layers) > 1:
            merged = Automaton(pattern for layer in layers for pattern in layer.patterns)
            if self._layers[: len(layers)] == layers:  # else they were made anew meanwhile
                self._layers = (merged, *self._layers[len(layers) :])

    def layers(self) -> Layers:
        """The automata of the moment; the same object as long as nothing was added."""
        if self._compiled != self.registry.size or not self._layers:
            self._refresh()
        return self._layers

    def _refresh(self) -> None:
        known = self.registry.secrets
        self._numeric = any(_is_number(secret.value) for secret in known)
        if not self._layers or self._must_rename(self._compiled):
            self._layers = (Automaton([*anchors(self._rules(), known), *literals(known, known)]),)
        else:
            fresh = literals(known[self._compiled :], known)
            self._layers = (*self._layers, Automaton(fresh, quick=True))
        self._compiled = len(known)
        self._plain_keys.clear()
        self._merge()

    def _merge(self) -> None:
        """Make one of the small layers; the first, which holds most, stays."""
        if len(self._layers) > _MOST_LAYERS:
            first, *others = self._layers
            merged = Automaton((p for layer in others for p in layer.patterns), quick=True)
            self._layers = (first, merged)

    def _must_rename(self, before: int) -> bool:
        """Whether a name that was shown so far holds the value of a secret added since."""
        known = self.registry.secrets
        shown = {placeholder(placeholder_name(secret.name)) for secret in known}
        shown.update(rule.placeholder for rule in self._rules())
        return that_tell(shown, known) != that_tell(shown, known[:before])

    def _tells(self, prepared: Prepared) -> bool:
        """Whether a name holds the value of a secret that was not known where it was prepared."""
        added = prepared.registry.secrets
        shown = {placeholder(placeholder_name(secret.name)) for secret in added}
        return that_tell(shown, self.registry.secrets) != that_tell(shown, added)

    def _rules(self) -> list[Rule]:
        return [rule for rule in self._every_rule() if rule.name not in self._off_names]

    def _every_rule(self) -> Sequence[Rule]:
        if self._given_rules is not None:
            return self._given_rules
        from .rules import DEFAULT_RULES  # a hundred of them: not before the first text

        return DEFAULT_RULES

    def _check_names(self) -> None:
        known = {SENSITIVE_KEY, *(rule.name for rule in self._every_rule())}
        unknown = sorted(self._off_names - known)
        if unknown:
            raise ConfigurationError(
                *(f"no redaction rule is called {name!r}, so it cannot be off" for name in unknown)
            )


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
