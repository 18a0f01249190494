"""`Fields`: what a behaviour's observations and actions are as specs, and the way between both.

Observations: one alone is a leaf, a frame or an array; several are a dict by their sensors'
names, cleaned to identifiers. A buffer sensor is an array [most entities, size] whose unused
rows are zero. The name of a goal signal begins with `goal_`.

Actions: continuous ones are float32 [n] in [-1, 1]; one branch of discrete ones is one
integer, several are int64 [branches], each with its bound; a behaviour with both is a dict of
"continuous" and "discrete".
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors
from gamebridge_unity.encoding import Actions

_BEYOND_NAMES = re.compile(r"\W+", re.ASCII)


class Fields:
    """The specs of the behaviour that learns; see this module.

    Attributes:
      names: of the observations, in the order of the wire.
      observation_spec: as `Game` has it.
      action_spec: as `Game` has it.
    """

    def __init__(self, behavior: behaviors.Behavior, *, masks: bool) -> None:
        """Takes what the player says of the behaviour, and whether to observe action masks.

        Raises:
          GameError: the behaviour has no actions or no observations.
        """
        self.behavior = behavior
        self.names = _names(behavior.observations)
        if not behavior.num_continuous and not behavior.branches:
            raise errors.GameError(
                f"behaviour '{behavior.name}' takes no actions; expected some to learn. Set "
                "Behavior Parameters > Actions in the game, or choose another one (behavior)."
            )
        if not self.names:
            raise errors.GameError(
                f"behaviour '{behavior.name}' has no observations; expected some to learn from. "
                "Set Vector Observation > Space Size in the game, or add a sensor."
            )
        leaves = [
            _leaf(name, part) for name, part in zip(self.names, behavior.observations, strict=True)
        ]
        self._num_leaves = len(leaves)
        observation: specs.Spec = leaves[0]
        if len(leaves) > 1:
            observation = dict(zip(self.names, leaves, strict=True))
        self.has_masks = masks and bool(behavior.branches)
        self._ends = np.cumsum((0, *behavior.branches)).tolist()
        if self.has_masks:
            parts = tuple(specs.box((size,), dtype=np.bool_) for size in behavior.branches)
            mask = parts[0] if len(parts) == 1 else parts
            observation = {"observation": observation, "action_mask": mask}
        self.observation_spec = observation
        self.action_spec = _action_spec(behavior)

    def leaves(self, observation: specs.Nest) -> tuple[Array, ...]:
        """Returns the arrays of an observation in the order of the wire; those of masks last."""
        masks: tuple[Array, ...] = ()
        if self.has_masks:
            mask = observation["action_mask"]
            masks = mask if isinstance(mask, tuple) else (mask,)
            observation = observation["observation"]
        if self._num_leaves == 1:
            return (observation, *masks)
        return (*(observation[name] for name in self.names), *masks)

    def frames(self) -> dict[str, int]:
        """Returns the names of the frame observations, and which of `leaves` each one is."""
        return {
            name: index
            for index, (name, part) in enumerate(
                zip(self.names, self.behavior.observations, strict=True)
            )
            if part.is_frame
        }

    def write(
        self,
        leaves: tuple[Array, ...],
        slots: Array,
        observations: tuple[Array, ...],
        rows: Array,
        masks: Array | None,
    ) -> None:
        """Copies rows of a message into slots.

        Args:
          leaves: what `leaves` returned of the rows to write to.
          slots: int64 [k].
          observations: arrays [n, ...] as they are decoded.
          rows: int64 [k], those of the message that are copied.
          masks: bool [n, actions of all branches]; None where all are allowed.
        """
        source, target = _stretch(rows), _stretch(slots)
        for leaf, part in zip(leaves[: self._num_leaves], observations, strict=True):
            leaf[target] = part[source]
        if self.has_masks:
            for index, leaf in enumerate(leaves[self._num_leaves :]):
                start, stop = self._ends[index : index + 2]
                leaf[target] = True if masks is None else masks[source, start:stop]

    def actions(self, action: specs.Nest, num_slots: int, name: str) -> Actions:
        """Returns actions [B, ...] as they are sent.

        Raises:
          ValueError: the action has another structure or shape than its spec.
          TypeError: its numbers are of another kind.
        """
        spec: Any = self.action_spec
        if isinstance(spec, dict):
            if not isinstance(action, dict) or set(action) != set(spec):
                raise ValueError(
                    f"{name}: the action is {_described(action)}; expected a dict of 'continuous' "
                    "and 'discrete'."
                )
            return Actions(
                self._part(spec["continuous"], action["continuous"], num_slots, name),
                self._part(spec["discrete"], action["discrete"], num_slots, name),
            )
        part = self._part(spec, action, num_slots, name)
        return Actions(None, part) if self.behavior.branches else Actions(part, None)

    def forbidden(self, discrete: Array, masks: Array, rows: Array) -> Array:
        """Returns bool [k]: which rows' actions, int32 [k, branches], their masks forbid."""
        columns = np.asarray(self._ends[:-1]) + discrete
        return ~np.all(masks[rows[:, None], columns], axis=1)

    def _part(self, spec: specs.ArraySpec, action: Any, num_slots: int, name: str) -> Array:
        array = np.asarray(action)
        if array.shape != (num_slots, *spec.shape):
            raise ValueError(
                f"{name}: the action is {_described(array)}; expected {spec.dtype} "
                f"{[num_slots, *spec.shape]}."
            )
        if not np.can_cast(array.dtype, spec.dtype, "same_kind"):
            raise TypeError(
                f"{name}: the action is {_described(array)}; expected numbers of the kind of "
                f"{spec.dtype}."
            )
        dtype = np.float32 if spec.dtype.kind == "f" else np.int32
        return array.astype(dtype, copy=False).reshape(num_slots, -1)


def _stretch(indices: Array) -> Any:
    """Returns a slice for indices that rise by one, which numpy copies without a detour."""
    count = len(indices)
    if count == 0 or indices[-1] - indices[0] != count - 1:
        return indices
    if count > 2 and not np.all(np.diff(indices) == 1):
        return indices
    return slice(int(indices[0]), int(indices[0]) + count)


def _names(observations: tuple[behaviors.Observation, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for part in observations:
        name = _BEYOND_NAMES.sub("_", part.name).strip("_") or "observation"
        if not name.isidentifier():
            name = f"sensor_{name}"
        if part.is_goal and not name.startswith("goal"):
            name = f"goal_{name}"
        number, unique = 1, name
        while unique in names:
            number += 1
            unique = f"{name}_{number}"
        names.append(unique)
    return tuple(names)


def _leaf(name: str, part: behaviors.Observation) -> specs.ArraySpec:
    if part.is_frame:
        height, width, channels = part.shape
        return specs.frame(height, width, channels, name=name)
    return specs.box(part.shape, dtype=part.dtype, name=name)


def _action_spec(behavior: behaviors.Behavior) -> specs.Spec:
    parts: dict[str, Any] = {}
    if behavior.num_continuous:
        parts["continuous"] = specs.box((behavior.num_continuous,), -1.0, 1.0, name="continuous")
    if len(behavior.branches) == 1:
        parts["discrete"] = specs.discrete(behavior.branches[0], name="discrete")
    elif behavior.branches:
        most = np.asarray(behavior.branches, np.int64) - 1
        parts["discrete"] = specs.box((len(most),), 0, most, dtype=np.int64, name="discrete")
    return parts if len(parts) > 1 else next(iter(parts.values()))


def _described(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {list(value.shape)}"
    if isinstance(value, dict):
        return f"a dict of {sorted(value)}"
    return f"a {type(value).__name__}"
