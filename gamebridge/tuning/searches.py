"""Searches: which settings of an agent are looked for, and where.

An agent's record says so itself (`AgentRecord.search`), or it is derived from the names of its
settings: learning rates around what a training without a search has, the others where RL
Baselines3 Zoo looks for them (rl_zoo3/hyperparams_opt.py).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from gamebridge import errors
from gamebridge.contract import Range, records

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution

Space = Mapping[str, "Range | tuple[Any, ...]"]

_DERIVED: Space = {
    "gamma": (0.9, 0.95, 0.98, 0.99, 0.995, 0.999),
    "gae_lambda": (0.8, 0.9, 0.92, 0.95, 0.98, 0.99, 1.0),
    "clip_ratio": (0.1, 0.2, 0.3),
    "entropy_weight": (0.0, 0.001, 0.003, 0.01, 0.03),
    "num_epochs": (1, 5, 10, 20),
    "rollout_length": (32, 64, 128, 256),
    "minibatch_size": (32, 64, 128, 256),
    "batch_size": (32, 64, 128, 256),
    "num_steps": (1, 3, 5),
    "target_update_tau": Range(1e-3, 0.08, is_log=True),
    "exploration_noise": Range(0.05, 0.5),
    "epsilon_end": Range(0.01, 0.2),
}
# Of what a learning rate is without a search: from so many times less to so many times more.
_LESS, _MORE = 30.0, 10.0


def space(
    record: records.AgentRecord, fixed: Collection[str], standard: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns a range or a tuple of choices for each setting that is looked for.

    Args:
      record: the agent's.
      fixed: names of settings that are not to be looked for.
      standard: the agent's settings where nothing is tuned.

    Raises:
      ConfigError: nothing is left to look for.
    """
    found: dict[str, Any] = dict(record.search) or _derived(standard)
    left = {name: where for name, where in found.items() if name not in fixed}
    if not left:
        why = f": {', '.join(found)} is set" if found else ""
        raise errors.ConfigError(
            f"There is nothing to tune of the agent '{record.id}'{why}. Set fewer of its settings, "
            "or name ranges in its record (AgentRecord.search)."
        )
    return left


def distributions(wanted: Space) -> dict[str, BaseDistribution]:
    """Returns what Optuna calls these ranges and choices."""
    from optuna import distributions as optuna

    found: dict[str, BaseDistribution] = {}
    for name, where in wanted.items():
        if not isinstance(where, Range):
            found[name] = optuna.CategoricalDistribution(tuple(where))
        elif isinstance(where.low, int) and isinstance(where.high, int):
            found[name] = optuna.IntDistribution(where.low, where.high, log=where.is_log)
        else:
            found[name] = optuna.FloatDistribution(where.low, where.high, log=where.is_log)
    return found


def _derived(standard: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, default in standard.items():
        if name == "learning_rate":
            least, most = default / _LESS, default * _MORE
            found[name] = Range(_rounded(least), _rounded(most), is_log=True)
        elif name in _DERIVED:
            where = _DERIVED[name]
            # The standard is the first trial.
            if isinstance(where, Range):
                low, high = min(where.low, default), max(where.high, default)
                found[name] = dataclasses.replace(where, low=low, high=high)
            else:
                found[name] = tuple(sorted({*where, default}))
    return found


def first(standard: Mapping[str, Any], wanted: Space) -> dict[str, Any]:
    """Returns the standard of what is looked for, where it is among what is."""
    found = {}
    for name, default in standard.items():
        where = wanted.get(name, ())
        is_within = (
            where.low <= default <= where.high if isinstance(where, Range) else default in where
        )
        if is_within:
            found[name] = default
    return found


def _rounded(value: float) -> float:
    """Returns the power of ten times 1, 2 or 5 that is nearest, for people to read."""
    power = 10.0 ** math.floor(math.log10(value))
    nearest = min((1.0, 2.0, 5.0, 10.0), key=lambda digit: abs(math.log(value / (digit * power))))
    return float(f"{nearest * power:.0e}")
