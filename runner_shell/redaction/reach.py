"""How far a value is looked for: a secret called `test` must not shred the transcript."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

PLACEHOLDER_HEAD = "[REDACTED:"

NAMELESS = "SECRET"
"""What a secret is called whose name holds one."""

MINIMUM_ALONE = 6
"""A shorter value is looked for only beside its name."""

MINIMUM_ENCODED = 8
"""A value of at least this length is looked for anywhere, in all its forms."""

_FEWEST_DISTINCT = 3

_WORDS = """
admin administrator anonymous apikey apikeys application authorization backend basic bearer
changeit changeme chicken client cluster config configuration credential credentials database
debug default demo develop developer development disabled disable docker domain dragon dummy
elastic elasticsearch email enabled enable environment example failed false football frontend
gateway github gitlab google guest hello helloworld hostname hunter insecure internal invalid
jenkins kafka kubernetes letmein local localhost login manager master memcached minioadmin
minikube mongo mongodb monitor mysql namespace nobody none normal not_set nothing null oracle
openshift operator passphrase password passwords password1 password123 placeholder platform
postgres postgresql private production prometheus public python qwerty rabbitmq readonly redacted
redis release replace required root runner sample secret secrets secret123 server service session
something staging standard string sunshine superuser support system tester testing testpass
testuser token tokens trustno1 undefined unknown unset username vagrant valid value version
welcome whatever withheld workspace yourpassword
"""

COMMON_WORDS = frozenset(_WORDS.split())
"""Values that are ordinary words in the texts of agents, and so cannot be replaced everywhere."""


class Reach(Enum):
    """How far a value is looked for."""

    EVERYWHERE = "everywhere"
    """In any text, in all its forms."""
    WHOLE_WORD = "whole word"
    """As it is, where no letter or digit touches it."""
    BESIDE_NAME = "beside its name"
    """Only where its name stands before it, as in `PIN=1234`."""
    IGNORED = "ignored"
    """Not at all: it is blank, or the placeholder's own text."""


@dataclass(frozen=True, slots=True)
class Admission:
    """What became of a value that was added; never shows the value.

    Attributes:
        name: The secret's name.
        reach: How far its value is looked for.
    """

    name: str
    reach: Reach

    @property
    def warning(self) -> str:
        """What a person should know; empty where the value is looked for everywhere."""
        match self.reach:
            case Reach.EVERYWHERE:
                return ""
            case Reach.WHOLE_WORD:
                return (
                    f"the value of {self.name} has fewer than {MINIMUM_ENCODED} characters: it is "
                    "redacted as a whole word only, and not in encoded forms. Use a longer one"
                )
            case Reach.BESIDE_NAME:
                return (
                    f"the value of {self.name} is too short or too ordinary to be redacted "
                    f"everywhere: it is redacted only beside the name {self.name}. Use a longer one"
                )
            case Reach.IGNORED:
                return f"the value of {self.name} is blank or not a secret: it is not redacted"


def placeholder(name: str) -> str:
    """What stands for a secret: `[REDACTED:NAME]`."""
    return f"{PLACEHOLDER_HEAD}{name}]"


def reach_of(value: str) -> Reach:
    """How far a value, without white space around it, is looked for."""
    if value in placeholder(NAMELESS) or PLACEHOLDER_HEAD in value:
        return Reach.IGNORED
    if _is_ordinary(value):
        return Reach.BESIDE_NAME
    return Reach.EVERYWHERE if len(value) >= MINIMUM_ENCODED else Reach.WHOLE_WORD


def _is_ordinary(value: str) -> bool:
    return (
        len(value) < MINIMUM_ALONE
        or (value.isdigit() and len(value) < MINIMUM_ENCODED)
        or value.casefold() in COMMON_WORDS
        or len(set(value)) < _FEWEST_DISTINCT
    )
