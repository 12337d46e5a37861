"""Under which key a call is asked for: over a process's death, the same one for the same call.

The CLI gives a call that it makes again after a death another id, and a person must not be asked
twice for it. So what is being asked for is durable, by the call's name and arguments. Two calls
that are alike and made at once are two all the same: a key that somebody asks under is not given
to another call.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from runner_shell import Session

ASKED = "claude.asked"
"""Durable: the keys of calls without a decision, by their digest, in the order of their asking."""


class Asked:
    """The calls that a person is asked about.

    Args:
        session: What is durable of it.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._now: set[str] = set()

    @contextmanager
    def key(self, name: str, input: Mapping[str, Any], call: str) -> Iterator[Question]:
        """The key to ask under, while the block asks.

        Where the block leaves without `decided`, the key is kept for a later process; where it
        raises, as an interrupt does, the question is closed and the next like call asks anew.

        Args:
            name: The tool.
            input: Its arguments.
            call: The call's id.
        """
        digest = digest_of(name, input)
        question = Question(self._claimed(digest, call))
        self._now.add(question.key)
        try:
            yield question
        except BaseException:
            question.decided = True
            raise
        finally:
            self._now.discard(question.key)
            if question.decided:
                self._drop(digest, question.key)

    def _claimed(self, digest: str, call: str) -> str:
        keys = self._keys(digest)
        if call in keys:
            return call
        left = [key for key in keys if key not in self._now]
        if left:
            return left[0]
        self._save(digest, [*keys, call])
        return call

    def _drop(self, digest: str, key: str) -> None:
        self._save(digest, [one for one in self._keys(digest) if one != key])

    def _keys(self, digest: str) -> list[str]:
        return list(self._session.state.get(ASKED, {}).get(digest, []))

    def _save(self, digest: str, keys: list[str]) -> None:
        others = {
            one: left for one, left in self._session.state.get(ASKED, {}).items() if one != digest
        }
        self._session.state[ASKED] = others | ({digest: keys} if keys else {})


class Question:
    """One question that is being asked.

    Attributes:
        key: What it is asked under.
        decided: Set it once there is an answer.
    """

    def __init__(self, key: str) -> None:
        self.key = key
        self.decided = False


def digest_of(name: str, input: Mapping[str, Any]) -> str:
    """What tells calls apart that are not alike."""
    encoded = json.dumps([name, input], sort_keys=True).encode()
    return hashlib.sha256(encoded).hexdigest()[:24]
