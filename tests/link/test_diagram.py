"""The page of the link's states: what it shows, and that the committed one is the code's."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pytest

from runner_shell.link import diagram
from runner_shell.link.states import (
    GATEWAY_TABLE,
    RUNNER_TABLE,
    GatewayState,
    RunnerState,
)
from runner_shell.protocol import generated

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"


def test_the_committed_page_is_what_the_code_says() -> None:
    """The page in docs/reference is drawn from today's tables; `make docs-reference` writes it."""
    assert generated.outdated(diagram.files(), REFERENCE) == []


def test_every_transition_is_drawn_and_listed() -> None:
    """A reader finds each line of both tables once as an arrow and once as a row."""
    page = diagram.page()
    for table in (RUNNER_TABLE, GATEWAY_TABLE):
        for (state, trigger), after in table.items():
            assert page.count(f"    {state.name} --> {after.name}: {trigger.value}\n") == 1
            assert page.count(f"| `{state.value}` | {trigger.value} | `{after.value}` |\n") == 1


def test_every_state_is_explained() -> None:
    """A reader finds each state's docstring beside its name."""
    page = diagram.page()
    for states in (RunnerState, GatewayState):
        for state in states:
            assert f"| `{state.value}` | {diagram.meanings(states)[state.name]} |\n" in page


def test_the_diagram_begins_and_ends() -> None:
    """The first state has an arrow from the start, states that nothing leaves one to the end."""
    lines = diagram.diagram(RunnerState, RUNNER_TABLE).splitlines()
    assert lines[0] == "stateDiagram-v2"
    assert [line.strip() for line in lines if "[*]" in line] == [
        "[*] --> AWAY",
        "REFUSED --> [*]",
        "FAILED --> [*]",
        "CLOSED --> [*]",
    ]


class Undocumented(Enum):
    """A state that nobody explains."""

    SILENT = "silent"


def test_a_state_without_a_docstring_is_an_error() -> None:
    """The page cannot be drawn while a state is not explained."""
    with pytest.raises(ValueError, match="SILENT without a docstring"):
        diagram.meanings(Undocumented)


def test_check_names_the_file_and_the_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--check` exits 1, names what differs and `make docs-reference`, and writes nothing."""
    assert diagram.main(["--check", str(tmp_path)]) == 1
    assert list(tmp_path.iterdir()) == []
    said = capsys.readouterr().err
    assert str(tmp_path / "link.md") in said
    assert "make docs-reference" in said


def test_check_passes_after_writing(tmp_path: Path) -> None:
    """What was just written is up to date; a changed character is not."""
    assert diagram.main([str(tmp_path)]) == 0
    assert diagram.main(["--check", str(tmp_path)]) == 0
    page = tmp_path / "link.md"
    page.write_text(page.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    assert diagram.main(["--check", str(tmp_path)]) == 1
