"""Settings as a person sees them."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

from gamebridge.cli import fields


@dataclasses.dataclass(frozen=True)
class Inner:
    """Inner settings.

    Attributes:
      depth: how deep.
    """

    depth: int = 2


@dataclasses.dataclass(frozen=True)
class Outer:
    """Outer settings.

    Attributes:
      speed_m_s: how fast, which may
        take more than one line: as here.
      mode, names: these two are
        documented together.
      inner: left out, as its own fields are listed.

    Another paragraph: it is about none of them.
    """

    speed_m_s: float | None = None
    mode: Literal["a", "b"] = "a"
    names: tuple[str, ...] = ("x",)
    inner: Inner | None = None
    table: dict[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Bare:
    size: int = 1


def test_each_field_has_path_type_default_and_documentation():
    assert list(fields.of(Outer, "game")) == [
        fields.Field(
            "game.speed_m_s",
            "float | None",
            None,
            "how fast, which may take more than one line: as here.",
        ),
        fields.Field("game.mode", "'a' | 'b'", "a", "these two are documented together."),
        fields.Field("game.names", "tuple[str, ...]", ("x",), "these two are documented together."),
        fields.Field("game.inner.depth", "int", 2, "how deep."),
        fields.Field("game.table", "dict[str, Any]", {}, ""),
    ]


def test_values_are_laid_over_the_defaults_of_inner_tables_too():
    found = fields.of(Outer, "game", {"mode": "b", "inner": {"depth": 5}})
    defaults = {field.path: field.default for field in found}
    assert defaults["game.mode"] == "b"
    assert defaults["game.inner.depth"] == 5


def test_a_class_without_documentation_lists_its_fields_all_the_same():
    assert list(fields.of(Bare, "agent")) == [fields.Field("agent.size", "int", 1, "")]


def test_inherited_settings_keep_their_documentation():
    @dataclasses.dataclass(frozen=True)
    class Base:
        """Settings.

        Attributes:
          speed: how fast.
        """

        speed: float = 1.0

    @dataclasses.dataclass(frozen=True)
    class More(Base):
        """More settings.

        Attributes:
          colour: which colour.
        """

        colour: str = "red"

    found = {field.path: field.summary for field in fields.of(More, "game")}
    assert found == {"game.speed": "how fast.", "game.colour": "which colour."}
