"""`GameScene`: any game of gamebridge as a scene, a slot an agent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gamebridge.contract import Game, seeding, specs
from gamebridge_unity import player
from gamebridge_unity.player.agents import Array
from gamebridge_unity.reference import screens, seeded

# Of a seed that is a parameter: where its domain begins.
_DOMAIN_BIT = 22


def make_game(
    game_id: str,
    count: int,
    settings: Mapping[str, Any],
    images: Mapping[str, Any] | None = None,
    *,
    picture: bool = False,
) -> Game:
    """Makes a game in this process, as it is without wrappers.

    Args:
      game_id: such as "racing/oval".
      count: how many slots.
      settings: of the game.
      images: settings of the wrapper that makes frames smaller or grey, if it is wanted.
      picture: whether the game will be drawn.

    Raises:
      Error: there is none, or not with these settings.
    """
    # What anybody may use; it imports the plugins, which other scenes have no need of.
    import gamebridge

    wrappers = {"images": images, "action_repeat": 1}
    return gamebridge.make_game(
        game_id, count, 0, picture=picture, wrappers=wrappers, workers=0, **settings
    )


class GameScene(seeded.Seeded):
    """A game whose slots are agents.

    Leaves of the observation are sensors: frames are PNG cameras, all else vectors, named by
    their paths. An action of numbers is continuous, scaled from -1 to 1 to its bounds; one
    integer is a branch, an array of them several.

    When episodes end, their telemetry goes out as statistics.

    A slot's seed depends on the trainer's seed and the number of the agent alone, as
    everywhere in gamebridge: the episodes are those of `gamebridge.make_game` with this seed.
    A seed that comes as the environment parameter is a whole number below 2^24; its two top
    bits are those of the seeds' domain, so that evaluations play what training never meets.
    """

    def __init__(
        self,
        name: str,
        views: Sequence[Game],
        sensors: Sequence[str] = ("",),
        *,
        is_shown: bool = False,
    ) -> None:
        """Adds an agent a slot.

        Args:
          name: of the behaviour.
          views: the game, and perhaps others that differ from it in what is seen alone: they
            are played along with the same seeds and actions. The scene closes them.
          sensors: what goes before the names of each view's sensors.
          is_shown: whether the game, made with `picture=True`, is drawn in a window.
        """
        super().__init__()
        self._views, game = tuple(views), views[0]
        self._leaves = [
            (_name(sensor, path), leaf)
            for sensor, view in zip(sensors, self._views, strict=True)
            for path, leaf in specs.named_leaves(view.observation_spec())
        ]
        continuous, branches = _actions(game.action_spec())
        self._action: Any = game.action_spec()
        behavior = player.Behavior(
            name, tuple(_sensor(name, leaf) for name, leaf in self._leaves), continuous, branches
        )
        fields = [
            player.Field(name, spec.unit, spec.reduce, spec.summary)
            for name, spec in game.telemetry_spec().items()
        ]
        self.players = self.add(behavior, game.num_slots, fields)
        self._screen = screens.Screen(game, self.channels) if is_shown else None
        # What is reported of the episodes in play so far.
        self._totals = {field.name: np.zeros(game.num_slots, np.float32) for field in fields}

    def reset(self) -> None:
        """Begins an episode in every slot; see `Seeded`."""
        seed = self.new_seed()
        if seed is None:
            rows = [view.reset() for view in self._views]
        else:
            domain = _domain(seed) if self.is_told else seeding.Domain.TRAINING
            seeds = seeding.slot_seeds(seed, len(self.players), domain)
            rows = [view.reset(seeds) for view in self._views]
        self._begin(np.ones(len(self.players), np.bool_))
        self._show([row.observation for row in rows])
        self._ask()

    def step(self) -> None:
        """Plays a step, and begins episodes where one ended."""
        action = self._to_game()
        rows = [view.step(action) for view in self._views]
        main = rows[0]
        self.players.rewards += main.reward
        self._show([row.observation for row in rows])
        self._add_up()
        over = main.is_last()
        if over.any():
            for name, totals in self._totals.items():
                self.channels.add_stat(name, float(totals[over].mean()))
            self.players.end(over, main.discount > 0)
            self._begin(over)
            rows = [view.reset(slots=over) for view in self._views]
            self._show([row.observation for row in rows])
        self._ask()

    def close(self) -> None:
        """Closes the games and the window."""
        if self._screen is not None:
            self._screen.close()
        for view in self._views:
            view.close()

    def _ask(self) -> None:
        if self._screen is not None:
            self._screen.show()
        self.players.request()

    def _show(self, observations: Sequence[Any]) -> None:
        seen = [leaf for observation in observations for leaf in specs.leaves(observation)]
        for (name, _), values in zip(self._leaves, seen, strict=True):
            column = self.players.observations[name]
            column[:] = values.reshape(column.shape)
        told = self._views[0].telemetry()
        for field in self.players.fields:
            self.players.telemetry[field.name][:] = told[field.name]

    def _begin(self, who: Array) -> None:
        for totals in self._totals.values():
            totals[who] = 0

    def _add_up(self) -> None:
        for field in self.players.fields:
            totals, values = self._totals[field.name], self.players.telemetry[field.name]
            if field.reduce == "sum":
                totals += values
            else:
                totals[:] = values if field.reduce == "last" else np.maximum(totals, values)

    def _to_game(self) -> Any:
        spec = self._action
        if spec.is_discrete:
            chosen = self.players.discrete.astype(spec.dtype) + spec.minimum.reshape(1, -1)
            return chosen.reshape(-1, *spec.shape).astype(spec.dtype)
        pushed = np.clip(self.players.continuous, -1, 1)
        low, high = spec.minimum.ravel(), spec.maximum.ravel()
        # Where the bounds are -1 and 1 nothing is to be rounded.
        scaled = (low + high) / 2 + pushed * ((high - low) / 2)
        return scaled.reshape(-1, *spec.shape).astype(spec.dtype)


def _domain(seed: int) -> seeding.Domain:
    top = seed >> _DOMAIN_BIT & 3
    found = {int(domain) >> 29: domain for domain in seeding.Domain}
    return found.get(top, seeding.Domain.TRAINING)


def _name(sensor: str, path: str) -> str:
    return "/".join(filter(None, (sensor, path))) or "observation"


def _sensor(name: str, leaf: specs.ArraySpec) -> player.Vector | player.Frame:
    if leaf.kind == "frame":
        height, width, channels = leaf.shape
        return player.Frame(name, height, width, channels)
    return player.Vector(name, max(1, int(np.prod(leaf.shape))))


def _actions(spec: specs.Spec) -> tuple[int, tuple[int, ...]]:
    """Returns how many continuous actions there are, and the branches.

    Raises:
      ValueError: the action is none that agents of the protocol can take.
    """
    if not isinstance(spec, specs.ArraySpec) or not spec.is_bounded:
        raise ValueError(f"An action of {spec} cannot be offered; expected one array with bounds.")
    if not spec.is_discrete:
        return int(np.prod(spec.shape)), ()
    bounds: Any = (spec.minimum, spec.maximum)
    low, high = np.ravel(bounds[0]), np.ravel(bounds[1])
    return 0, tuple(int(most - least) + 1 for least, most in zip(low, high, strict=True))
