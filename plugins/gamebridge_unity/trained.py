"""`Trained`: agents that do not learn, driven by the greedy policy of a trained run."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from gamebridge import contract, errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge_unity import batches, behaviors, encoding, fields, others


class Trained:
    """Acts for the behaviours that do not learn; see this module.

    Agents of the one that learns, for whom there is no slot, act at random.
    """

    def __init__(
        self,
        policy: contract.Policy,
        path: str,
        learns: Callable[[], str],
        otherwise: others.Policy,
    ) -> None:
        """Nothing is asked of the policy yet.

        Args:
          policy: of the run.
          path: of the run, for messages.
          learns: returns the name of the behaviour that learns.
          otherwise: drives agents of that one.
        """
        self._policy = policy
        self._path = path
        self._learns = learns
        self._otherwise = otherwise
        self._fields: dict[str, fields.Fields] = {}

    def check(self, seen: Mapping[str, behaviors.Behavior]) -> None:
        """Checks that the policy fits all behaviours that do not learn.

        Raises:
          FitError: it does not fit one; names the first difference.
        """
        for name, behavior in seen.items():
            if name != self._learns():
                self._fit(behavior)

    def __call__(self, batch: batches.Batch) -> encoding.Actions:
        """What the policy does, or where that is forbidden the first action that is allowed.

        Raises:
          FitError: the policy does not fit the behaviour.
        """
        behavior, count = batch.behavior, len(batch.ids)
        if behavior.name == self._learns():
            return self._otherwise(batch)
        fitted = self._fields.get(behavior.name) or self._fit(behavior)
        observation, rows = specs.zeros(fitted.observation_spec, count), np.arange(count)
        fitted.write(fitted.leaves(observation), rows, batch.observations, rows, batch.masks)
        actions = fitted.actions(self._policy.act(observation), count, self._path)
        if actions.discrete is not None and batch.masks is not None:
            _allow(actions.discrete, batch.masks, behavior.branches)
        return actions

    def _fit(self, behavior: behaviors.Behavior) -> fields.Fields:
        """Returns what the behaviour's numbers are to the policy.

        Raises:
          FitError: something else than it was trained on.
        """
        trained = self._policy.observation_spec()
        masks = isinstance(trained, dict) and "action_mask" in trained
        fitted = fields.Fields(behavior, masks=masks)
        for what, found, wanted in (
            ("observation", fitted.observation_spec, trained),
            ("action", fitted.action_spec, self._policy.action_spec()),
        ):
            ours, theirs = dict(specs.named_leaves(found)), dict(specs.named_leaves(wanted))
            for part in sorted({*ours, *theirs}):
                if ours.get(part) != theirs.get(part):
                    raise errors.FitError(
                        f"others is 'run:{self._path}', whose policy does not fit behaviour "
                        f"'{behavior.name}': its {what}{part and f' {part}'} is "
                        f"{ours.get(part, 'missing')}, and was {theirs.get(part, 'missing')} in "
                        f"the run. Choose a run that was trained with behavior={behavior.name}."
                    )
        self._fields[behavior.name] = fitted
        return fitted


def _allow(discrete: Array, masks: Array, branches: tuple[int, ...]) -> None:
    """Replaces choices, int32 [n, branches], that are forbidden."""
    start, rows = 0, np.arange(len(discrete))
    for branch, size in enumerate(branches):
        allowed = masks[:, start : start + size]
        chosen = discrete[:, branch]
        chosen[:] = np.where(allowed[rows, chosen], chosen, np.argmax(allowed, axis=1))
        start += size
