"""The fuzzer's own command."""

from __future__ import annotations

import sys

import pytest
from fuzz.__main__ import main


@pytest.mark.parametrize("option", ["--trials", "--processes"])
@pytest.mark.parametrize("number", ["0", "-1", "many"])
def test_to_try_nothing_is_no_success(
    option: str, number: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is refused with exit code 2, and says which option is wrong."""
    monkeypatch.setattr(sys, "argv", ["fuzz", "--trials", "1", option, number])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert f"argument {option}: " in capsys.readouterr().err
