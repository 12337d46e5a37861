"""Random secrets in random forms, texts and cuts: nothing may leak, and no cut may matter.

A *world* is a set of secrets and a redactor; it is used for many trials, as compiling is the dear
part. World and trial are functions of the seed alone. The forms planted here are made apart from
those that the registry knows: by encoding the secret together with what surrounds it.
"""

from __future__ import annotations

import html
import json
import random
import string
from base64 import b32encode, b64encode, urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote, quote_plus

from runner_shell.redaction import RedactingStream, Redactor, SecretRegistry
from runner_shell.redaction.rules import DEFAULT_RULES
from runner_shell.redaction.stream import CONTEXT

TRIALS_PER_WORLD = 250
ALNUM = string.ascii_letters + string.digits
SYMBOLS = "!\"#$%&'()*+,-./:;<=>?@\\^_`{|}~"
_WORDS = """
the agent reads a file and writes its token count to stdout def return None import json password
secret key data Bearer https:// value = { } [ ] " ' : , \\n error: line 42 eyJ sk- ghp_ AKIA
-----BEGIN %20 \\u00 YWJj aGVsbG8 636f6e74 überall 東京 🙂 é
"""
WORDS = _WORDS.split()
EXAMPLES = [example for rule in DEFAULT_RULES for example in rule.examples]


class Failure(AssertionError):
    """A promise broke; the message says how to see it again."""


@dataclass
class Planted:
    """A secret as it stands in a text.

    Attributes:
        text: What goes into the text.
        core: The part of it that may not be visible.
    """

    text: str
    core: str


@dataclass
class World:
    """Secrets, and the redactor that knows them."""

    seed: int
    secrets: list[str] = field(default_factory=list)
    late: list[str] = field(default_factory=list)
    redactor: Redactor = field(init=False)

    def __post_init__(self) -> None:
        """Invent the secrets."""
        chance = random.Random(self.seed)
        self.secrets = [invent(chance) for _ in range(chance.randint(1, 6))]
        self.late = [invent(chance) for _ in range(4)]
        registry = SecretRegistry({f"S{n}": secret for n, secret in enumerate(self.secrets)})
        if chance.random() < 0.3:
            registry.add("SHORT_ONE", "".join(chance.choices(ALNUM, k=7)))
        self.redactor = Redactor(registry)


def invent(chance: random.Random) -> str:
    """A secret: a token, a password with symbols, a key of several lines, another alphabet."""
    kind = chance.randrange(8)
    if kind == 0:
        return "".join(chance.choices(ALNUM + SYMBOLS, k=chance.randint(12, 40)))
    if kind == 1:
        lines = ["".join(chance.choices(ALNUM + "+/", k=64)) for _ in range(chance.randint(2, 5))]
        return "\n".join(["-----BEGIN TEST KEY-----", *lines, "-----END TEST KEY-----"])
    if kind == 2:
        return "".join(chance.choices("äöüßéñ東京" + ALNUM, k=chance.randint(9, 24)))
    if kind == 3:
        return "".join(chance.sample("abcd", k=3)) * chance.randint(3, 6) + chance.choice(ALNUM)
    if kind == 4:
        return "".join(chance.choices(ALNUM, k=8))
    return "".join(chance.choices(ALNUM, k=chance.randint(9, 64)))


# --- planting ------------------------------------------------------------------------------------


def _noise(chance: random.Random, most: int) -> bytes:
    return chance.randbytes(chance.randint(0, most))


def _base64(chance: random.Random, raw: bytes) -> Planted:
    encode = chance.choice((b64encode, urlsafe_b64encode))
    before, behind = _noise(chance, 40), _noise(chance, 40)
    text = encode(before + raw + behind).decode()
    start, end = -(-8 * len(before) // 6), 8 * (len(before) + len(raw)) // 6
    return Planted(text, text[start:end])


def _twice_base64(chance: random.Random, raw: bytes) -> Planted:
    before, behind = _noise(chance, 12), _noise(chance, 12)
    inner = b64encode(before + raw + behind)
    text = b64encode(inner).decode()
    start, end = -(-8 * len(before) // 6), 8 * (len(before) + len(raw)) // 6
    return Planted(text, text[-(-8 * start // 6) : 8 * end // 6])


def _json(chance: random.Random, secret: str) -> Planted:
    inner, value = secret, "pre " + secret + " post"
    style = chance.random() < 0.5
    for _ in range(chance.randint(1, 3)):
        inner = json.dumps(inner, ensure_ascii=style)[1:-1]
        value = json.dumps(value, ensure_ascii=style)[1:-1]
    return Planted(value, inner)


FORMS: tuple[Callable[[random.Random, str], Planted], ...] = (
    lambda _, s: Planted(s, s),
    lambda _, s: Planted(s, s),
    _json,
    lambda _, s: Planted(repr([s]), repr(s)[1:-1]),
    lambda _, s: Planted(quote(s, safe=""), quote(s, safe="")),
    lambda _, s: Planted(quote_plus(s), quote_plus(s)),
    lambda _, s: Planted(quote(quote(s, safe=""), safe=""), quote(quote(s, safe=""), safe="")),
    lambda _, s: Planted(html.escape(s), html.escape(s)),
    lambda _, s: Planted(s.encode().hex(), s.encode().hex()),
    lambda _, s: Planted(s.encode().hex(" ").upper(), s.encode().hex(" ").upper()),
    lambda _, s: Planted(
        b32encode(s.encode()).decode(), b32encode(s.encode()).decode().rstrip("=")
    ),
    lambda c, s: _base64(c, s.encode()),
    lambda c, s: _base64(c, s.encode("utf-16-le")),
    lambda c, s: _twice_base64(c, s.encode()),
)


def plant(chance: random.Random, secret: str) -> Planted:
    """A secret in one of its forms; of several lines now and then one line alone."""
    lines = [line for line in secret.splitlines() if not line.startswith("-----")]
    if len(lines) > 1 and chance.random() < 0.4:
        secret = chance.choice(lines)
    return chance.choice(FORMS)(chance, secret)


def filler(chance: random.Random) -> str:
    """Text around secrets: words, noise, credentials that rules find."""
    kind = chance.randrange(10)
    if kind == 0:
        return "".join(chance.choices(ALNUM + "+/=_-. \n", k=chance.randint(0, 30)))
    if kind == 1:
        example = chance.choice(EXAMPLES)
        return example[: chance.randint(1, len(example))]
    if kind == 2:
        return chance.choice(EXAMPLES)
    return chance.choice((" ", "", "\n")).join(chance.choices(WORDS, k=chance.randint(0, 6)))


def cuts(chance: random.Random, text: str) -> Iterator[str]:
    """The text in pieces."""
    most = chance.choice((1, 4, 9, 9, 40, 40, 200))
    start = 0
    while start < len(text):
        size = 1 + int(chance.random() * most)
        yield text[start : start + size]
        start += size


# --- trials --------------------------------------------------------------------------------------


def any_cut_is_like_the_whole(chance: random.Random, world: World) -> None:
    """What is planted does not show, however it is cut; two streams do not disturb each other."""
    texts = [_text(chance, world) for _ in range(2)]
    streams = [world.redactor.stream() for _ in texts]
    shown = ["", ""]
    pieces = [list(cuts(chance, text)) for text, _ in texts]
    while any(pieces):
        index = chance.randrange(2)
        if pieces[index]:
            shown[index] += streams[index].feed(pieces[index].pop(0))
    for index, (text, planted) in enumerate(texts):
        shown[index] += streams[index].finish()
        _equal(shown[index], world.redactor.text(text), "a cut changed the result")
        _hidden(shown[index], planted)


def twice_is_like_once(chance: random.Random, world: World) -> None:
    """Redacting what is redacted changes nothing."""
    text, _ = _text(chance, world)
    once = world.redactor.text(text)
    _equal(world.redactor.text(once), once, "a second time changed the result")


def an_idle_stream_gives_nothing_away(chance: random.Random, world: World) -> None:
    """At most three characters of a secret show, whenever the stream is idle."""
    plain = " ".join(chance.choices(("lorem", "ipsum", "dolor"), k=3))
    planted = plant(chance, chance.choice(world.secrets))
    stream = world.redactor.stream()
    shown = ""
    for piece in cuts(chance, f"{plain} {planted.text} {plain}"):
        shown += stream.feed(piece)
        if chance.random() < 0.5:
            shown += stream.idle()
    shown += stream.finish()
    _hidden(shown, [planted])
    if len(planted.core) > 8 and planted.core[:6] in shown:
        raise Failure(f"an idle stream showed the beginning of {planted.core!r}: {shown!r}")


def a_late_secret_does_not_show(chance: random.Random, world: World) -> None:
    """A secret that ends after it was registered is not visible whole.

    Unless more of it was out before that than a stream remembers.
    """
    late = chance.choice(world.late)
    registry = SecretRegistry({"S": world.secrets[0]})
    redactor = Redactor(registry, LATE_RULES)
    planted = plant(chance, late)
    before, behind = filler(chance), filler(chance)
    stream: RedactingStream = redactor.stream()
    pieces = list(cuts(chance, before + planted.text + behind))
    moment = chance.randint(0, len(pieces))
    shown, fed = "", 0
    for number, piece in enumerate(pieces):
        if number == moment:
            registry.add("LATE", late)
        shown += stream.feed(piece)
        fed += len(piece) if number < moment else 0
    shown += stream.finish()
    start = len(before) + planted.text.rindex(planted.core)
    end = start + len(planted.core)
    if fed < end and fed - start <= CONTEXT and planted.core in shown:
        raise Failure(f"a late secret shows, known after {fed} of {end}: {planted.core!r}")


LATE_RULES = tuple(rule for rule in DEFAULT_RULES if rule.name in {"github-token", "bearer-token"})

TRIALS: tuple[tuple[Callable[[random.Random, World], None], int], ...] = (
    (any_cut_is_like_the_whole, 80),
    (twice_is_like_once, 6),
    (an_idle_stream_gives_nothing_away, 10),
    (a_late_secret_does_not_show, 4),
)


def _text(chance: random.Random, world: World) -> tuple[str, list[Planted]]:
    pieces: list[str] = []
    planted: list[Planted] = []
    for _ in range(chance.randint(1, 5)):
        kind = chance.randrange(4)
        if kind < 2:
            pieces.append(filler(chance))
        elif kind == 2:
            planted.append(plant(chance, chance.choice(world.secrets)))
            pieces.append(planted[-1].text)
        else:
            part = plant(chance, chance.choice(world.secrets)).text
            pieces.append(part[: chance.randint(1, len(part))])
    return "".join(pieces), planted


def _hidden(shown: str, planted: list[Planted]) -> None:
    for one in planted:
        if one.core in shown:
            raise Failure(f"{one.core!r} shows in {shown!r}")


def _equal(found: str, expected: str, what: str) -> None:
    if found != expected:
        raise Failure(f"{what}: {found!r} is not {expected!r}")


def run(seed: int, first: int, count: int) -> int:
    """Run trials by their numbers; return how many there were.

    Raises:
        Failure: With the number of the trial, by which it can be run alone.
    """
    kinds, weights = zip(*TRIALS, strict=True)
    world: World | None = None
    for number in range(first, first + count):
        at = number // TRIALS_PER_WORLD
        if world is None or world.seed != _mix(seed, at, 0):
            world = World(_mix(seed, at, 0))
        chance = random.Random(_mix(seed, number, 1))
        trial = chance.choices(kinds, weights)[0]
        try:
            trial(chance, world)
        except Failure as failure:
            again = f"python -m tests.fuzz --seed {seed} --first {number} --trials 1"
            raise Failure(f"{trial.__name__}: {failure}\nagain: {again}") from None
    return count


def _mix(seed: int, number: int, salt: int) -> int:
    return (seed * 1_000_003 + number) * 2 + salt
