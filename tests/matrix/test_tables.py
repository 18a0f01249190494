"""The matrix as text and Markdown, and where it is written."""

from __future__ import annotations

import pytest

from gamebridge import errors
from gamebridge.matrix import tables
from gamebridge.matrix.cells import Cell
from gamebridge.matrix.trials import Trial

CELLS = [
    Cell("dqn", "a/one", True),
    Cell("ppo", "a/one", True, ("the action is cut",)),
    Cell("dqn", "a/two", False, reason="dqn cannot play a/two: it is endless."),
    Cell("ppo", "a/two", False, reason="ppo cannot play a/two: it is endless."),
]


def test_the_text_has_a_row_a_game_and_says_once_what_holds_for_several_agents():
    assert tables.text(CELLS).splitlines() == [
        "game   dqn  ppo",
        "a/one  yes  yes*",
        "a/two  -    -",
        "",
        "yes: as it is; yes*: by adaptors, which `gamebridge matrix` names; -: cannot be joined. "
        "2 of 4 pairs can be joined.",
        "",
        "a/one",
        "  ppo: the action is cut",
        "",
        "a/two",
        "  dqn, ppo: it is endless.",
    ]


def test_a_failed_trial_stands_out():
    failed = Trial(Cell("ppo", "a/one", True, reason="it diverged"), "failed", 60.0, 300)
    text = tables.text([CELLS[0], failed.cell], [failed])
    assert "a/one  yes  FAILED" in text
    assert "1 pairs, 300 steps of training each: 0 passed, 0 refused, 1 failed; 1 minutes." in text


def test_the_markdown_goes_between_the_marks_and_nothing_else_changes(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("before\n<!-- matrix -->\nold\n<!-- /matrix -->\nafter\n")
    tables.write(path, tables.markdown(CELLS))
    lines = path.read_text().splitlines()
    assert lines[:2] == ["before", "<!-- matrix -->"]
    assert lines[2:6] == [
        "| game | dqn | ppo |", "|---|:-:|:-:|", "| a/one | yes | yes\\* |", "| a/two | - | - |",
    ]  # fmt: skip
    assert lines[-2:] == ["<!-- /matrix -->", "after"]
    tables.write(path, tables.markdown(CELLS))
    assert path.read_text().splitlines() == lines


def test_a_file_without_marks_is_left_alone(tmp_path):
    path = tmp_path / "page.md"
    path.write_text("<!-- /matrix -->\n<!-- matrix -->\n")
    with pytest.raises(errors.ConfigError, match="has no line <!-- matrix --> with a line"):
        tables.write(path, "table")
    assert path.read_text() == "<!-- /matrix -->\n<!-- matrix -->\n"
    with pytest.raises(errors.ConfigError, match=r"Cannot read .*gone\.md"):
        tables.write(tmp_path / "gone.md", "table")
