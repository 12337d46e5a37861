"""Redaction: whole, in pieces, of values; and exactly when a part of a secret is redacted too."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from runner_shell.redaction import MINIMUM_LENGTH, Redactor, Registry

# Few letters, so that secrets overlap, contain and begin each other; none of a placeholder's, so
# that what is redacted cannot be a secret again.
letters = "abc"
secrets = st.lists(st.text(letters, min_size=MINIMUM_LENGTH, max_size=24), min_size=1, max_size=4)


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Secrets, and a text of letters, secrets and parts of them, cut into pieces."""
    values = draw(secrets)
    parts = [value[:length] for value in values for length in range(1, len(value))]
    pieces = st.one_of(
        st.text(letters + " ", max_size=8), st.sampled_from(values), st.sampled_from(parts)
    )
    text = "".join(draw(st.lists(pieces, max_size=8)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    bounds = [0, *cuts, len(text)]
    return values, [text[a:b] for a, b in pairwise(bounds)]


def redactor(values: list[str]) -> Redactor:
    return Redactor(Registry({f"S{index}": value for index, value in enumerate(values)}))


@given(cases())
def test_any_chunking_redacts_like_the_whole(case: tuple[list[str], list[str]]) -> None:
    """What is fed and then closed off by something that is no secret."""
    values, chunks = case
    made = redactor(values)
    stream = made.stream()
    shown = "".join([*(stream.feed(chunk) for chunk in chunks), stream.feed("|"), stream.flush()])
    assert shown == made.text("".join(chunks) + "|")


@given(cases())
def test_how_a_text_is_cut_does_not_change_its_end(case: tuple[list[str], list[str]]) -> None:
    """The rule for parts of secrets sees the same tail however it came."""
    values, chunks = case
    made = redactor(values)
    cut, whole = made.stream(), made.stream()
    shown = "".join(cut.feed(chunk) for chunk in chunks) + cut.flush()
    assert shown == whole.feed("".join(chunks)) + whole.flush()


@given(cases())
def test_no_secret_is_ever_visible(case: tuple[list[str], list[str]]) -> None:
    """Neither in what was shown so far, nor in the end."""
    values, chunks = case
    stream = redactor(values).stream()
    shown = ""
    for chunk in chunks:
        shown += stream.feed(chunk)
        assert not any(value in shown for value in values)
    shown += stream.flush()
    assert not any(value in shown for value in values)


@given(cases())
def test_hold_back_is_bounded(case: tuple[list[str], list[str]]) -> None:
    """By the longest secret's length, less one; and only what could become a secret is held."""
    values, chunks = case
    made = redactor(values)
    stream = made.stream()
    for chunk in chunks:
        stream.feed(chunk)
        assert len(stream._held) < max(map(len, values))
        assert not stream._held or any(value.startswith(stream._held) for value in values)


@given(cases())
def test_redacting_twice_changes_nothing(case: tuple[list[str], list[str]]) -> None:
    """Text and values."""
    values, chunks = case
    made = redactor(values)
    once = made.text("".join(chunks))
    assert made.text(once) == once
    value = made.value({chunk: [chunk] for chunk in chunks})
    assert made.value(value) == value


@given(cases())
def test_every_string_of_a_value_is_redacted_and_none_lost(
    case: tuple[list[str], list[str]],
) -> None:
    """Keys too; those that become alike stay apart."""
    values, chunks = case
    original = {chunk: {"n": number} for number, chunk in enumerate(chunks)}
    made = redactor(values).value({"outer": [original, 1, None, True]})
    assert not any(value in str(made) for value in values)
    assert list(made["outer"][0].values()) == list(original.values())
    assert made["outer"][1:] == [1, None, True]


@given(secrets, st.text(letters, max_size=40))
def test_without_a_secret_in_it_a_text_stays(values: list[str], text: str) -> None:
    """Ordinary text is not shredded."""
    assume(not any(value in text for value in values))
    assert redactor(values).text(text) == text


# --- the end of a text ---------------------------------------------------------------------------

TOKEN = "sk-0123456789abcdef"  # 19 characters: half of it are 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key {TOKEN}", "key [REDACTED:TOKEN]"),
        (f"key {TOKEN[:-1]}", "key [REDACTED:TOKEN]"),
        (f"key {TOKEN[:10]}", "key [REDACTED:TOKEN]"),
        (f"key {TOKEN[:9]}", f"key {TOKEN[:9]}"),
        (f"key {TOKEN[5:]}", f"key {TOKEN[5:]}"),
        (f"key {TOKEN[:12]} more", f"key {TOKEN[:12]} more"),
    ],
    ids=["whole", "all but one", "half", "less than half", "its end", "not at the end"],
)
def test_a_text_that_ends_in_half_a_secret_is_redacted_there(text: str, shown: str) -> None:
    """A tail that is the beginning of a secret, at least half of it."""
    stream = redactor_of(TOKEN=TOKEN).stream()
    assert stream.feed(text) + stream.flush() == shown


@pytest.mark.parametrize(("length", "redacted"), [(7, False), (8, True)])
def test_a_part_of_less_than_8_characters_is_shown(length: int, redacted: bool) -> None:
    """It could be any word."""
    stream = redactor_of(S="abcdefghij").stream()
    shown = stream.feed("abcdefghij"[:length]) + stream.flush()
    assert (shown == "[REDACTED:S]") is redacted


def test_the_rule_looks_at_every_tail() -> None:
    """The longest tail begins one secret, but only a shorter one is half of another."""
    stream = redactor_of(LONG="xx" + "0123456789" + "y" * 40, SHORT="0123456789ab").stream()
    assert stream.feed("xx0123456789") + stream.flush() == "xx[REDACTED:SHORT]"


def test_a_whole_secret_goes_by_its_own_name() -> None:
    """Though it begins a longer one."""
    stream = redactor_of(LONG="password1-extra", SHORT="password1").stream()
    assert stream.feed("password1") + stream.flush() == "[REDACTED:SHORT]"


def test_after_the_end_a_stream_is_empty() -> None:
    """Flushing again gives nothing."""
    stream = redactor_of(TOKEN=TOKEN).stream()
    stream.feed(TOKEN[:4])
    assert stream.flush() == TOKEN[:4]
    assert stream.flush() == ""


# --- the registry --------------------------------------------------------------------------------


def redactor_of(**names: str) -> Redactor:
    return Redactor(Registry(names))


def test_short_values_are_refused() -> None:
    """They would shred ordinary text; who adds one is told."""
    registry = Registry()
    assert registry.add("PIN", "12345") is False
    assert registry.add("WORD", "123456") is True
    assert Redactor(registry).text("12345 123456") == "12345 [REDACTED:WORD]"


def test_a_secret_is_known_without_its_white_space_too() -> None:
    """Files end in a newline."""
    assert redactor_of(KEY="abcdefgh\n").text("abcdefgh abcdefgh\n") == (
        "[REDACTED:KEY] [REDACTED:KEY]"
    )


def test_a_stream_sees_an_addition_at_its_next_feed() -> None:
    """What is held back already is looked at again."""
    registry = Registry({"OLD": "abcdefgh"})
    stream = Redactor(registry).stream()
    assert stream.feed("see abcd") == "see "
    registry.add("NEW", "abcdxyz")
    assert stream.feed("xyz.") == "[REDACTED:NEW]."


def test_a_name_cannot_smuggle_anything_in() -> None:
    """Only letters, digits and `_`."""
    registry = Registry()
    registry.add("MY KEY]", "abcdefgh")
    assert Redactor(registry).text("abcdefgh") == "[REDACTED:MY_KEY_]"
