"""What plugins yield: frozen records that tell what there is and how to make it."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from gamebridge.contract import game, policies, specs
from gamebridge.supervision.settings import SupervisionSettings

if TYPE_CHECKING:
    from gamebridge import config

API_VERSION = 1

_GAME_ID = re.compile(r"[a-z0-9_]+/[A-Za-z0-9_.:/<>-]+")
_AGENT_ID = _COMMAND = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")

Actions = Literal["discrete", "continuous", "branches", "hybrid"]


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """The settings of a game or agent that has none."""


@dataclasses.dataclass(frozen=True)
class GameRequest:
    """What a game's `make` is asked for.

    Attributes:
      game_id: the id that was asked for, such as "gym/CartPole-v1".
      num_slots: B, how many slots the game must have. A `make` that returns an
        environment of one slot (gymnasium, gym, dm_env, PyEnvironment) is called once
        a slot.
      picture: whether `render` will be called.
      settings: an instance of the record's `settings` class.
      supervision: for a game that starts processes of its own: how long they may take, and
        how often they may be replaced (`gamebridge.supervision`).
      open_policy: opens the greedy policy of a run folder, for agents that do not learn;
        None where the game is played in a worker process. Loads TensorFlow.
    """

    game_id: str
    num_slots: int
    picture: bool
    settings: Any
    supervision: SupervisionSettings = dataclasses.field(default_factory=SupervisionSettings)
    open_policy: Callable[[str], policies.Policy] | None = None


@dataclasses.dataclass(frozen=True)
class GameRecord:
    """A game that a plugin brings.

    Attributes:
      id: "<plugin>/<thing>", such as "racing/oval".
      summary: one line for `gamebridge games`.
      make: returns a `Game` of `request.num_slots` slots, or one gymnasium, gym,
        dm_env or TF-Agents environment, which the host adapts. Heavy imports belong
        inside it.
      settings: a frozen dataclass, each field with a default.
      wrappers: defaults of the wrapper settings, such as {"action_repeat": 4}.
      presets: agent id -> settings of that agent that suit this game.
      agent_wrappers: agent id -> settings of the wrappers that suit it here, over `wrappers`.
      training: defaults of the training settings, such as a longer
        {"checkpoint_interval_steps": 500_000} where episodes are long.
      num_slots: how many slots training takes unless told otherwise, where many cost
        little more than one; or a function of the settings that tells; None leaves it to
        the agent.
      is_scene: whether it plays just so many, like a scene of so many agents, in an
        evaluation too.
      python: the interpreter that the game runs in, such as "/path/to/venv/bin/python",
        where it cannot share this one's packages; "" for this one.
      requirements: what `gamebridge env create` installs for it in an environment of its
        own, as pip takes it, such as ("gymnasium==1.4.0", "numpy>=2").
      source: the file that wrappers, presets and what follows them were read from, so that an error
        names its line; None where they are the plugin's own.
      plays_alone: whether it can be played with the default settings and nobody's help;
        `gamebridge matrix` passes over those that cannot.
    """

    id: str
    summary: str
    make: Callable[[GameRequest], game.Game | Any]
    settings: type[Any] = NoSettings
    wrappers: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    presets: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    agent_wrappers: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    training: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    num_slots: int | Callable[[Any], int | None] | None = None
    is_scene: bool = False
    python: str = ""
    requirements: tuple[str, ...] = ()
    source: config.Source | None = None
    plays_alone: bool = True

    def __post_init__(self) -> None:
        """Checks what can be checked without making the game.

        Raises:
          ValueError: the id is not of the form "<plugin>/<thing>".
          TypeError: `make` cannot be called, `settings` is not a dataclass, or defaults are no
            mappings.
        """
        if not isinstance(self.id, str) or not _GAME_ID.fullmatch(self.id):
            raise ValueError(
                f"game id {self.id!r}: expected '<plugin>/<thing>', such as 'racing/oval'."
            )
        _check_record(self.id, self.make, self.settings)
        for name in ("wrappers", "training", "presets", "agent_wrappers"):
            _check_mapping(self.id, name, getattr(self, name))
        for name in ("presets", "agent_wrappers"):
            for agent, table in getattr(self, name).items():
                _check_mapping(self.id, f"{name}[{agent!r}]", table)

    def slots_with(self, settings: Any) -> int | None:
        """Returns `num_slots` for an instance of the settings class."""
        return self.num_slots(settings) if callable(self.num_slots) else self.num_slots


@dataclasses.dataclass(frozen=True)
class GameFamily:
    """An open family of games, listed by its pattern; `gamebridge_find_game` makes the records.

    Attributes:
      pattern: for people, such as "gym/<id>".
      summary: one line for `gamebridge games`.
      examples: ids of members that stand for the others, in `gamebridge matrix`.
    """

    pattern: str
    summary: str
    examples: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class AgentNeeds:
    """What an agent can play.

    Attributes:
      actions: the forms of action it can give: one integer out of a few ("discrete"), one
        array of floats ("continuous"), a tuple of integers ("branches"), a tuple of integers
        and arrays of floats ("hybrid"). Other games' actions are adapted to them.
    """

    actions: tuple[Actions, ...] = ("discrete", "continuous")


@dataclasses.dataclass(frozen=True)
class AgentRequest:
    """What an agent's `make` is asked for.

    Attributes:
      time_step_spec: TF-Agents' time step spec of the fitted game, no batch axis.
      action_spec: TF-Agents' action spec of the fitted game, no batch axis.
      num_slots: B, the batch size of collection.
      seed: fixes the networks' first weights.
      settings: an instance of the record's `settings` class.
    """

    time_step_spec: Any
    action_spec: Any
    num_slots: int
    seed: int
    settings: Any


@dataclasses.dataclass(frozen=True)
class Range:
    """Where `gamebridge tune` may look for a number; whole numbers where both ends are integers.

    Attributes:
      low: the least.
      high: the greatest.
      is_log: whether each order of magnitude is as likely as any other.
    """

    low: float
    high: float
    is_log: bool = False

    def __post_init__(self) -> None:
        """Refuses what holds no number."""
        if not self.low < self.high or (self.is_log and self.low <= 0):
            raise ValueError(
                f"range from {self.low} to {self.high}: expected low < high, and low > 0 if is_log."
            )


@dataclasses.dataclass(frozen=True)
class AgentRecord:
    """An agent that a plugin brings.

    Attributes:
      id: lower case, such as "dqn-rnn".
      summary: one line for `gamebridge agents`.
      make: returns a learner (`gamebridge.training.learners`). Heavy imports belong
        inside it.
      needs: which games it can play.
      settings: a frozen dataclass, each field with a default.
      presets: form of the action that the agent gives ("discrete", "continuous", "branches",
        "hybrid", or "preferences" where its floats stand for choices) or kind of observation
        ("image" or "vector") -> settings that suit it; those of the observation overrule
        those of the action.
      num_slots: how many slots it collects with unless told otherwise.
      objection: tells from the specs of a fitted game, observation and action, and its
        settings why it cannot learn it, "" where it can: what its `make` would refuse, for
        `gamebridge matrix`, which makes no agent. None where it can learn any.
      search: where `gamebridge tune` looks for settings: a `Range`, or a tuple of numbers,
        strings or booleans to choose from, by name; where empty it is derived from their names.
    """

    id: str
    summary: str
    make: Callable[[AgentRequest], Any]
    needs: AgentNeeds = AgentNeeds()
    settings: type[Any] = NoSettings
    presets: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    num_slots: int = 8
    objection: Callable[[specs.Spec, specs.Spec, Any], str] | None = None
    search: Mapping[str, Range | tuple[Any, ...]] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks what can be checked without making the agent.

        Raises:
          ValueError: the id is not lower case words joined by hyphens, or something is
            searched for that is no setting.
          TypeError: `make` cannot be called or `settings` is not a dataclass.
        """
        if not isinstance(self.id, str) or not _AGENT_ID.fullmatch(self.id):
            raise ValueError(f"agent id {self.id!r}: expected lower case, such as 'dqn-rnn'.")
        _check_record(self.id, self.make, self.settings)
        unknown = {*self.search} - {field.name for field in dataclasses.fields(self.settings)}
        if unknown:
            raise ValueError(
                f"agent '{self.id}' names {sorted(unknown)} in search; expected its settings."
            )


@dataclasses.dataclass(frozen=True)
class CommandRecord:
    """A command that a plugin adds to `gamebridge`.

    Attributes:
      name: lower case, such as "builds".
      summary: one line for `gamebridge --help`.
      make: returns a `typer.Typer`. Heavy imports belong inside its commands.
    """

    name: str
    summary: str
    make: Callable[[], Any]

    def __post_init__(self) -> None:
        """Checks what can be checked without making the command.

        Raises:
          ValueError: the name is not lower case words joined by hyphens.
          TypeError: `make` cannot be called.
        """
        if not isinstance(self.name, str) or not _COMMAND.fullmatch(self.name):
            raise ValueError(f"command name {self.name!r}: expected lower case, such as 'builds'.")
        if not callable(self.make):
            raise TypeError(f"'{self.name}': make is {self.make!r}, which cannot be called.")


def _check_mapping(record_id: str, name: str, table: object) -> None:
    if not isinstance(table, Mapping):
        raise TypeError(f"'{record_id}': {name} is {table!r}; expected a mapping of settings.")


def _check_record(record_id: str, make: object, settings: object) -> None:
    if not callable(make):
        raise TypeError(f"'{record_id}': make is {make!r}, which cannot be called.")
    if not (isinstance(settings, type) and dataclasses.is_dataclass(settings)):
        raise TypeError(
            f"'{record_id}': settings is {settings!r}; expected a frozen dataclass "
            "whose fields all have defaults."
        )
    for field in dataclasses.fields(settings):
        if field.default is field.default_factory is dataclasses.MISSING:
            raise TypeError(f"'{record_id}': the setting '{field.name}' has no default.")
