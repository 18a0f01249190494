"""`fit`: joins an agent and a game, or says why they cannot be joined."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract import records, specs
from gamebridge.wrappers import actions, bounds, choices, preferences
from gamebridge.wrappers.settings import WrapperSettings

# Odd, so that there is one in the middle: games rest at 0.
_MOST_BINS, _LEAST_BINS = 11, 3
# What no network has an output each for.
_MOST_VALUES = 65_536

_GIVES = {
    "discrete": "one integer",
    "continuous": "one array of floats",
    "branches": "several integers",
    "hybrid": "integers and floats",
}


def fit(
    record: records.AgentRecord, game: games.Game, wrappers: WrapperSettings | None = None
) -> tuple[games.Game, list[str]]:
    """Returns the game as the agent can play it, and a line for each thing that was done.

    An action that the agent cannot give is adapted: choices become preferences for agents that
    give floats, and several choices, or floats cut into values, become one choice for agents
    that give one.

    Args:
      record: the agent.
      game: any game.
      wrappers: how floats are cut into values; by default the settings' defaults.

    Raises:
      FitError: they cannot be joined.
    """
    wrappers = wrappers or WrapperSettings()
    _check_observation(record, game)
    notes = []
    if wrappers.action_bound is not None and bounds.is_endless(game.action_spec()):
        game = bounds.Bounded(game, wrappers.action_bound)
        notes.append(f"action: bounded, now {actions.shown(game.action_spec())}")
    fitted, done = actions.canonical(game)
    notes += done
    form = actions.form(fitted.action_spec())
    if form is None:
        raise errors.FitError(
            f"{record.id} cannot play {game.name}: its action has {_unknown(game.action_spec())}. "
            "Agents give floats, and integers with bounds, one at least: give integers of the "
            "game's action spec a minimum and a maximum."
        )
    _check_values(record, fitted)
    _check_masks(record, fitted)
    if form not in record.needs.actions or _is_better_joined(record, fitted, form, wrappers):
        fitted, note = _adapted(record, fitted, form, wrappers)
        notes.append(note)
    return fitted, notes


def _adapted(
    record: records.AgentRecord, game: games.Game, form: records.Actions, wrappers: WrapperSettings
) -> tuple[games.Game, str]:
    """Returns the game with an action that the agent gives, and the line that says so."""
    gives = record.needs.actions
    spec = game.action_spec()
    sizes = choices.sizes(spec)
    floats = [part for part in actions.parts(spec) if not part.is_discrete]
    num_floats = sum(part.shape[0] for part in floats)
    is_bounded = all(part.is_bounded for part in floats)
    bins = _bins(game, wrappers, sizes, num_floats)
    num_combinations = math.prod((*sizes, *bins))
    if "discrete" in gives and not floats and num_combinations <= wrappers.max_actions:
        return _combined(game)
    if "continuous" in gives and sizes and is_bounded:
        return _preferred(game)
    if "discrete" in gives and is_bounded and num_combinations <= wrappers.max_actions:
        return _combined(choices.Binned(game, bins), bins)
    if "branches" in gives and floats and is_bounded:
        binned = choices.Binned(game, bins)
        count = len(choices.sizes(binned.action_spec()))
        return binned, f"action: {_values(bins)}, {count} choices in all"
    raise errors.FitError(
        f"{record.id} cannot play {game.name}: it gives "
        f"{' or '.join(_GIVES[one] for one in gives)}, and the game takes {actions.shown(spec)}"
        f"{_obstacle(gives, is_bounded, num_combinations, wrappers)}"
    )


def _is_better_joined(
    record: records.AgentRecord, game: games.Game, form: records.Actions, wrappers: WrapperSettings
) -> bool:
    """Whether several choices that the agent could give are to be made as one.

    A value for each combination tells how choices go together, one for each choice alone does
    not. Agents that also give hybrid actions draw each part by its own chances anyway.
    """
    gives = record.needs.actions
    num_combinations = math.prod(choices.sizes(game.action_spec()))
    return (
        form == "branches"
        and "discrete" in gives
        and "hybrid" not in gives
        and num_combinations <= wrappers.max_actions
    )


def _combined(game: games.Game, bins: Sequence[int] = ()) -> tuple[games.Game, str]:
    combined = choices.Combined(game)
    factors = choices.sizes(game.action_spec())
    values = _values(bins) if bins else "all choices are made together"
    product = " x ".join(map(str, factors))
    return combined, f"action: {values}, one integer for each of {product} combinations"


def _preferred(game: games.Game) -> tuple[games.Game, str]:
    wrapper = preferences.Preferences(game)
    blocks = " and ".join(str(size) for _, size in wrapper.preferences)
    return wrapper, (
        f"action: floats say how much each of {blocks} values is preferred; training draws one by "
        "them, evaluation takes the greatest"
    )


def _values(bins: Sequence[int]) -> str:
    if len(set(bins)) == 1:
        return f"each float is one of {bins[0]} values"
    return f"floats are each one of {' and '.join(map(str, bins))} values"


def _bins(
    game: games.Game, wrappers: WrapperSettings, sizes: list[int], num_floats: int
) -> list[int]:
    """Returns how many values each float gets, by itself so that combinations are few enough."""
    asked = wrappers.action_bins
    if isinstance(asked, tuple):
        if num_floats and len(asked) != num_floats:
            raise errors.FitError(
                f"wrappers.action_bins is {list(asked)}, and the action of {game.name} has "
                f"{num_floats} of such numbers: give it as many, or one for all of them."
            )
        return list(asked[:num_floats])
    if asked is not None:
        return [asked] * num_floats
    room = wrappers.max_actions / math.prod(sizes)
    for bins in range(_MOST_BINS, _LEAST_BINS, -2):
        if bins**num_floats <= room:
            return [bins] * num_floats
    return [_LEAST_BINS] * num_floats


def _obstacle(
    gives: tuple[records.Actions, ...],
    is_bounded: bool,
    num_combinations: int,
    wrappers: WrapperSettings,
) -> str:
    if not is_bounded:
        return (
            ", whose floats have no bounds (1e30 and beyond is none) to be cut into values "
            "between. Set wrappers.action_bound, or choose ppo."
        )
    if "discrete" in gives and num_combinations > wrappers.max_actions:
        enough = "Choose"
        if num_combinations <= _MOST_VALUES:
            enough = f"Set wrappers.max_actions to {num_combinations}, or choose"
        elif wrappers.action_bins is not None:
            enough = "Set smaller wrappers.action_bins, or choose"
        return (
            f", which makes {num_combinations:,} combinations; wrappers.max_actions allows "
            f"{wrappers.max_actions:,}. {enough} another agent (`gamebridge agents`)."
        )
    return ". Choose another agent (`gamebridge agents`)."


def _unknown(spec: specs.Spec) -> str:
    for path, leaf in specs.named_leaves(spec):
        if not actions.is_known(leaf):
            return f"{path + ': ' if path else ''}{leaf}"
    return "no parts"


def _check_observation(record: records.AgentRecord, game: games.Game) -> None:
    for path, leaf in specs.named_leaves(game.observation_spec()):
        if not math.prod(leaf.shape):
            raise errors.FitError(
                f"{record.id} cannot play {game.name}: {path or 'its observation'} is {leaf}, with "
                "nothing to see. Leave it out; a game without anything to see can show one 0."
            )


def _check_values(record: records.AgentRecord, game: games.Game) -> None:
    most = max(choices.sizes(game.action_spec()), default=0)
    if most > _MOST_VALUES:
        raise errors.FitError(
            f"{record.id} cannot play {game.name}: it takes one integer out of {most:,}, and "
            f"agents choose among at most {_MOST_VALUES:,}. Offer it as several smaller ones."
        )


def _check_masks(record: records.AgentRecord, game: games.Game) -> None:
    masks = choices.mask_specs(game.observation_spec())
    if masks is None:
        return
    sizes = choices.sizes(game.action_spec())
    if [mask.shape for mask in masks] != [(size,) for size in sizes] or not all(
        mask.is_discrete for mask in masks
    ):
        raise errors.FitError(
            f"{record.id} cannot play {game.name}: its action_mask is "
            f"{', '.join(map(str, masks)) or 'empty'}, and its choices have {sizes} values. Give "
            "it one bool array a choice, True where allowed, or name it otherwise."
        )
