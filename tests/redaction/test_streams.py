"""Streams: no cut matters, nothing leaks, little is held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from fuzz import redaction as fuzz
from hypothesis import given
from hypothesis import strategies as st

from runner_shell.redaction import Redactor, Rule, SecretRegistry
from runner_shell.redaction.patterns import Automaton, Pattern
from runner_shell.redaction.rule import MAX_HEAD
from runner_shell.redaction.rules import DEFAULT_RULES

EXAMPLES = [
    pytest.param(rule, example, id=f"{rule.name}-{number}")
    for rule in DEFAULT_RULES
    for number, example in enumerate(rule.examples)
]

# Few letters, so that secrets overlap, contain and begin each other; none of a placeholder's, so
# that what is redacted cannot be a secret again.
letters = "abc"
secrets = st.lists(
    st.text(letters, min_size=8, max_size=24).filter(lambda text: len(set(text)) > 2),
    min_size=1,
    max_size=4,
)


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
    return Redactor(SecretRegistry({f"S{n}": value for n, value in enumerate(values)}), ())


ALL = Redactor(SecretRegistry())


def in_two(made: Redactor, text: str, cut: int) -> str:
    stream = made.stream()
    return stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish()


# --- cuts ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "example"), EXAMPLES)
def test_every_example_is_redacted_however_it_is_cut_in_two(rule: Rule, example: str) -> None:
    """Every two-part split, and every character by itself, gives what the whole gives."""
    text = f"before {example} behind"
    whole = ALL.text(text)
    assert "[REDACTED:" in whole
    assert {in_two(ALL, text, cut) for cut in range(len(text) + 1)} == {whole}
    stream = ALL.stream()
    assert "".join(map(stream.feed, text)) + stream.finish() == whole


@given(cases())
def test_no_cut_changes_the_result(case: tuple[list[str], list[str]]) -> None:
    """Secrets that overlap, repeat and begin one another."""
    values, chunks = case
    made = redactor(values)
    stream = made.stream()
    shown = "".join(map(stream.feed, chunks)) + stream.finish()
    assert shown == made.text("".join(chunks))


@given(cases())
def test_no_secret_is_ever_visible(case: tuple[list[str], list[str]]) -> None:
    """Neither in what was shown so far, nor in the end; nor where the stream was idle."""
    values, chunks = case
    stream = redactor(values).stream()
    shown = ""
    for chunk in chunks:
        shown += stream.feed(chunk) + stream.idle()
        assert not any(value in shown for value in values)
    shown += stream.finish()
    assert not any(value in shown for value in values)


@given(cases(), cases())
def test_streams_do_not_disturb_each_other(
    one: tuple[list[str], list[str]], two: tuple[list[str], list[str]]
) -> None:
    """What is fed in turns to two streams comes out as if each were alone."""
    made = redactor(one[0] + two[0])
    streams, shown = (made.stream(), made.stream()), ["", ""]
    for number in range(max(len(one[1]), len(two[1]))):
        for index, chunks in enumerate((one[1], two[1])):
            shown[index] += streams[index].feed(chunks[number] if number < len(chunks) else "")
    ended = [text + stream.finish() for text, stream in zip(shown, streams, strict=True)]
    assert ended == [made.text("".join(one[1])), made.text("".join(two[1]))]


@given(cases())
def test_hold_back_is_bounded(case: tuple[list[str], list[str]]) -> None:
    """By the longest known form's length, less one."""
    values, chunks = case
    made = redactor(values)
    longest = max(len(p.text) for layer in made.layers() for p in layer.patterns)
    stream = made.stream()
    for chunk in chunks:
        stream.feed(chunk)
        assert stream.held < longest


@given(cases())
def test_redacting_twice_changes_nothing(case: tuple[list[str], list[str]]) -> None:
    """Text and values."""
    values, chunks = case
    made = redactor(values)
    once = made.text("".join(chunks))
    assert made.text(once) == once
    value = made.payload({chunk: [chunk] for chunk in chunks})
    assert made.payload(value) == value


@given(st.integers(0, 2**32))
def test_a_random_world_keeps_its_secrets(seed: int) -> None:
    """Some trials of the fuzzer: forms, surroundings, cuts, idle streams, late secrets."""
    fuzz.run(seed, 0, 4)


# --- size ----------------------------------------------------------------------------------------


def test_a_token_of_any_length_costs_no_buffer() -> None:
    """A megabyte of one token is dropped as it comes, and one placeholder stands for it."""
    stream = ALL.stream()
    shown = stream.feed("see eyJhbGciOiJIUzI1NiJ9.")
    for _ in range(1_000):
        shown += stream.feed("aB3_" * 256)
        assert stream.held == 0
    assert shown + stream.feed(" end") + stream.finish() == "see [REDACTED:JSON_WEB_TOKEN] end"


def test_a_secret_that_repeats_without_end_costs_no_buffer() -> None:
    """Occurrences that overlap are one span, however long it gets."""
    stream = redactor(["abcabcabc"]).stream()
    shown = ""
    for _ in range(10_000):
        shown += stream.feed("abc")
        assert stream.held < 9
    assert shown + stream.finish() == "[REDACTED:S0]"


def test_a_closed_rule_that_runs_costs_no_more_than_a_head() -> None:
    """What is longer than a rule may hold is a key whatever follows on it."""
    token = "dapi" + "3f9a0c7e" * 4 + "-"
    stream, most = ALL.stream(), 0
    shown = stream.feed(token)
    for _ in range(3_000):
        shown += stream.feed("0")
        most = max(most, stream.held)
    assert most <= len("dapi") + MAX_HEAD
    shown += stream.feed("x") + stream.finish()
    assert shown == ALL.text(token + "0" * 3_000 + "x") == "[REDACTED:DATABRICKS_TOKEN]x"


def test_matches_within_a_match_cost_no_more_than_it() -> None:
    """Where a match goes on is found once, and a stream asks each rule once whether it does."""
    made = Redactor(SecretRegistry(), [replace(rule) for rule in DEFAULT_RULES])
    measured: list[int] = []
    for rule in made._rules():
        rule.__dict__["runner"] = _counted(rule.runner, measured)
    text = "password=a1b2c3d4e5f6" * 500
    assert made.text(text) == "password=[REDACTED:ASSIGNED_SECRET]"
    assert sum(measured) < 2 * len(text)
    stream = made.stream()
    for start in range(0, len(text), 7):
        measured.clear()
        stream.feed(text[start : start + 7])
        assert len(measured) < 6


def _counted(runner: Any, measured: list[int]) -> Any:
    def counted(text: str, start: int, *limit: int) -> Any:
        found = runner(text, start, *limit)
        measured.append(found.end() - start)
        return found

    return counted


def test_ordinary_text_is_not_held() -> None:
    """What cannot become a secret goes out at once."""
    stream = ALL.stream()
    text = "Ordinary prose, 1234 numbers. "
    assert stream.feed(text) == text


# --- idle ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["working", "milk", "x0l", "of"])
def test_a_words_end_is_not_held_for_a_rule_that_begins_words(word: str) -> None:
    """No token begins in the middle of a word, so nobody waits for it there."""
    assert ALL.stream().feed(f"so {word}").endswith(word[-1])


GITHUB = "ghp_" + "aB3x" * 9


@pytest.mark.parametrize(
    "text",
    [
        f"a s3cret-value{GITHUB}",  # what stands before is redacted, so the token begins behind it
        f"a xs3cret-value{GITHUB} x{GITHUB}",
        f"xAKIA{'Q7'}{GITHUB}",
        f"s3cret-values3cret-value{GITHUB}{GITHUB}",
    ],
)
def test_a_token_behind_a_secret_or_a_word_is_the_same_however_it_is_cut(text: str) -> None:
    """In two parts and character by character."""
    made = Redactor(SecretRegistry({"S": "s3cret-value"}))
    whole = made.text(text)
    assert {in_two(made, text, cut) for cut in range(len(text) + 1)} == {whole}
    stream = made.stream()
    assert "".join(map(stream.feed, text)) + stream.finish() == whole


@pytest.mark.parametrize("sign", ["=", ":", ":=", "=>", " = ", "==", ":==", '": "', '\\": \\"'])
def test_where_a_value_begins_does_not_hang_on_how_much_of_it_is_known(sign: str) -> None:
    """Of two ways to read a sign, the shorter one cannot win by being complete first."""
    redactor = Redactor(SecretRegistry())
    text = f"the token{sign}ab12cd34ef56gh78 is said"
    for cut in range(len(text)):
        stream = redactor.stream()
        assert stream.feed(text[:cut]) + stream.feed(text[cut:]) + stream.finish() == redactor.text(
            text
        )
    assert "ab12" not in redactor.text(text)


def test_an_idle_stream_lets_go_of_what_is_harmless() -> None:
    """Up to three characters of what could become a secret; no more, however often it is idle."""
    stream = redactor(["q7w8e9r0t1"]).stream()
    assert stream.feed("see q7w8e9") == "see "
    assert stream.idle() == "q7w"
    assert stream.idle() == ""
    assert stream.feed("r0") + stream.idle() == ""
    assert stream.feed("!") == "8e9r0!"


def test_a_secret_that_goes_on_behind_an_idle_moment_is_redacted() -> None:
    """From where it was not visible yet."""
    stream = redactor(["q7w8e9r0t1"]).stream()
    shown = stream.feed("see q7w8") + stream.idle() + stream.feed("e9r0t1 end") + stream.finish()
    assert shown == "see q7w[REDACTED:S0] end"


def test_an_idle_stream_says_a_placeholder_that_is_due() -> None:
    """While a token goes on, and only once."""
    stream = ALL.stream()
    shown = stream.feed("see ghp_" + "aB3x" * 9)
    assert shown + stream.idle() + stream.idle() == "see [REDACTED:GITHUB_TOKEN]"
    assert stream.feed("more end") + stream.finish() == " end"


# --- the end of a text ---------------------------------------------------------------------------

TOKEN = "q7-0123456789abcdefz"  # 20 characters: half of it are 10


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"key {TOKEN}", "key [REDACTED:S0]"),
        (f"key {TOKEN[:-1]}", "key [REDACTED:S0]"),
        (f"key {TOKEN[:10]}", "key [REDACTED:S0]"),
        (f"key {TOKEN[:9]}", f"key {TOKEN[:9]}"),
        (f"key {TOKEN[5:]}", f"key {TOKEN[5:]}"),
        (f"key {TOKEN[:12]} more", f"key {TOKEN[:12]} more"),
    ],
    ids=["whole", "all but one", "half", "less than half", "its end", "not at the end"],
)
def test_a_text_that_ends_in_half_a_secret_is_redacted_there(text: str, shown: str) -> None:
    """A tail that is the beginning of a secret, at least half of it."""
    stream = redactor([TOKEN]).stream()
    assert stream.feed(text) + stream.finish() == shown


@pytest.mark.parametrize(("length", "redacted"), [(7, False), (8, True)])
def test_a_part_of_less_than_8_characters_is_shown(length: int, redacted: bool) -> None:
    """It could be any word."""
    stream = redactor(["abcdefghij"]).stream()
    shown = stream.feed("abcdefghij"[:length]) + stream.finish()
    assert (shown == "[REDACTED:S0]") is redacted


def test_after_the_end_a_stream_is_empty() -> None:
    """Finishing again gives nothing."""
    stream = redactor([TOKEN]).stream()
    stream.feed(TOKEN[:4])
    assert stream.finish() == TOKEN[:4]
    assert stream.finish() == ""


def test_half_a_surrogate_is_no_error() -> None:
    """It comes out as the replacement character, and secrets around it are found."""
    stream = redactor([TOKEN]).stream()
    shown = stream.feed(f"\ud83d{TOKEN[:5]}") + stream.feed(f"{TOKEN[5:]}\ude00") + stream.finish()
    assert shown == "\ufffd[REDACTED:S0]\ufffd"


# --- what is added in mid-stream -----------------------------------------------------------------


def test_a_stream_sees_an_addition_at_its_next_feed() -> None:
    """For text that is held back, and for a secret that began before it was known."""
    registry = SecretRegistry({"OLD": "q7w8e9r0t1"})
    stream = Redactor(registry).stream()
    shown = stream.feed("a q7w8e9")
    registry.add("NEW", "q7w8e9r0")
    shown += stream.feed("r0 b zj")
    registry.add("LATER", "zjcvbnm12345")
    shown += stream.feed("cvbnm12345 c") + stream.finish()
    assert shown.startswith("a [REDACTED:NEW] b z")
    assert shown.endswith("[REDACTED:LATER] c")
    assert "cvbnm" not in shown


def test_an_addition_counts_for_the_end_of_a_text() -> None:
    """What is held back when the text ends is looked at again."""
    registry = SecretRegistry({"OLD": "q7w8e9r0t1"})
    stream = Redactor(registry).stream()
    shown = stream.feed("a q7w8e9r0")
    registry.add("NEW", "q7w8e9r0")
    assert shown + stream.finish() == "a [REDACTED:NEW]"


def test_an_addition_counts_for_a_secret_that_began_256_characters_ago() -> None:
    """Its beginning was said already; the rest is redacted, and what follows is not."""
    late = "".join(f"{number:04}." for number in range(80))
    registry = SecretRegistry({"OLD": "q7w8e9r0t1"})
    stream = Redactor(registry, ()).stream()
    assert stream.feed("so " * 1000 + late[:256]).endswith(late[:256])
    registry.add("LATE", late)
    assert stream.feed(late[256:]) + stream.feed(" end") + stream.finish() == "[REDACTED:LATE] end"


def test_many_additions_and_a_compaction_lose_nothing() -> None:
    """A refreshed value is added to those before it; how they are compiled does not matter."""
    registry = SecretRegistry({"S": "value-number-0000"})
    made = Redactor(registry)
    for number in range(1, 20):
        registry.add("S", f"value-number-{number:04}")
        text = " ".join(f"value-number-{known:04}" for known in range(number + 1))
        assert made.text(text) == " ".join(["[REDACTED:S]"] * (number + 1))
    made.compact()
    assert len(made.layers()) == 1
    assert made.text("value-number-0000 value-number-0019") == "[REDACTED:S] [REDACTED:S]"


def test_a_compaction_loses_nothing_that_is_added_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes its time in a thread; what was merged before it is done stays."""
    registry = SecretRegistry({"S": "value-number-0000"})
    made = Redactor(registry)
    made.text("")
    for number in range(1, 5):
        registry.add("S", f"value-number-{number:04}")
        made.text("")

    def slowly(patterns: Iterable[Pattern]) -> Automaton:
        monkeypatch.undo()
        registry.add("LATE", "q7w8e9r0t1")
        assert made.text("q7w8e9r0t1") == "[REDACTED:LATE]"
        return Automaton(patterns)

    monkeypatch.setattr("runner_shell.redaction.redactor.Automaton", slowly)
    made.compact()
    assert made.text("value-number-0003 q7w8e9r0t1") == "[REDACTED:S] [REDACTED:LATE]"


def test_prepared_secrets_are_known_once_admitted() -> None:
    """To streams that are open, too; and the registry has them."""
    registry = SecretRegistry()
    made = Redactor(registry)
    stream = made.stream()
    assert stream.feed("5") == "5"
    prepared, admissions = made.prepare([("A", "q7w8e9r0t1"), ("B", "1")])
    assert [bool(admission.warning) for admission in admissions] == [False, True]
    assert stream.feed("q7w8e9r0t1,") == "q7w8e9r0t1,"
    made.admit(prepared)
    assert stream.feed("q7w8e9r0t1,") == "[REDACTED:A],"
    assert len(registry) == 2
