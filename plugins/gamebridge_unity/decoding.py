"""`Decoder`: what a player's messages say of the agents of one behaviour, as arrays.

The arrays are the decoder's own and are written anew with every message. An agent whose
episode ended is a row of `Batch.ended`; one that asks for its next action is a row of the
batch itself. One agent may be both: its old episode's end and the next one's begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors, incoming, layouts, plans
from gamebridge_unity.batches import Batch, Ended, Rows, first_bad
from gamebridge_unity.parts import Part

__all__ = ["Batch", "Decoder", "Ended", "first_bad"]

# More is refused before it is allocated: a few bytes of PNG can stand for many pixels.
MAX_BATCH_BYTES = 1 << 30


class Decoder:
    """Turns messages into a `Batch`. Arrays are good until the next message."""

    def __init__(self, behavior: behaviors.Behavior) -> None:
        """Starts with room for one agent."""
        self.behavior = behavior
        self._parts = [Part(behavior.name, part) for part in behavior.observations]
        self._row_bytes = sum(part.row_bytes for part in self._parts)
        self._planner = plans.Planner(behavior, self._check)
        self._decisions = Rows(behavior)
        self._ended = Rows(behavior)
        self._views: tuple[tuple[int, int], Batch] | None = None
        self.empty = self._batch(0, 0)

    def decode(self, raw: bytes, infos: incoming.Infos) -> Batch:
        """Reads the agents of one message.

        Raises:
          errors.GameError: what an agent says does not fit the behaviour.
          wire.Malformed: it is no message.
        """
        num_agents = len(infos.starts)
        self._check_size(num_agents)
        plan = self._planner.plan(raw, infos)
        if plan is None:
            return self.decode_parsed(plans.parse(raw, infos))
        num_decisions = num_agents - plan.num_ended
        self._reserve(num_decisions, plan.num_ended)
        for group in plan.groups:
            self._copy(raw, group, self._ended if group.layout.is_terminal else self._decisions)
        for other in plan.others:
            into = self._ended if other.info.done else self._decisions
            self._write(other.info, into, other.row)
        return self._batch(num_decisions, plan.num_ended)

    def decode_parsed(self, infos: Sequence[Any]) -> Batch:
        """Reads AgentInfoProtos.

        Raises:
          errors.GameError: what an agent says does not fit the behaviour.
        """
        self._check_size(len(infos))
        num_ended = sum(info.done for info in infos)
        self._reserve(len(infos) - num_ended, num_ended)
        counts = [0, 0]
        for info in infos:
            done = info.done
            row, counts[done] = counts[done], counts[done] + 1
            self._write(info, self._ended if done else self._decisions, row)
        return self._batch(*counts)

    def _check(self, info: Any) -> None:
        self._reserve(1, 1)
        self._write(info, self._decisions, 0)

    def _check_size(self, num_agents: int) -> None:
        if num_agents * self._row_bytes > MAX_BATCH_BYTES:
            raise errors.GameError(
                f"{behaviors.shown(self.behavior.name)} sends {num_agents:,} agents of "
                f"{self._row_bytes:,} bytes at once: expected at most {MAX_BATCH_BYTES:,} bytes "
                "together. Use fewer agents or smaller pictures."
            )

    def _reserve(self, num_decisions: int, num_ended: int) -> None:
        are_new = self._decisions.reserve(num_decisions), self._ended.reserve(num_ended)
        if any(are_new):
            self._views = None

    def _copy(self, raw: bytes, group: plans.Group, into: Rows) -> None:
        """Copies what agents of one layout say to their rows."""
        layout, _, starts, at = group
        into.rewards[at] = layouts.gather_floats(raw, starts, layout.reward_at)
        into.ids[at] = layouts.gather_numbers(raw, starts, *layout.id_at)
        into.group_rewards[at] = layouts.gather_floats(raw, starts, layout.group_reward_at)
        into.group_ids[at] = layouts.gather_numbers(raw, starts, *layout.group_at)
        if layout.is_terminal:
            into.interrupted[at] = layout.is_interrupted
        if into.masks is not None:
            into.masks[at] = True
            if layout.mask_at >= 0:
                width = self.behavior.num_choices
                forbidden = layouts.gather(raw, starts, layout.mask_at, layouts.BYTE, width)
                into.masks[at] = forbidden == 0
        for part, place, out in zip(self._parts, layout.payloads, into.observations, strict=True):
            part.copy(raw, starts, place, into.ids, out, at)

    def _write(self, info: Any, into: Rows, row: int) -> None:
        """Writes what one agent says to a row."""
        into.ids[row] = info.id
        into.rewards[row] = info.reward
        into.group_ids[row] = info.group_id
        into.group_rewards[row] = info.group_reward
        into.interrupted[row] = info.max_step_reached
        if into.masks is not None and not info.done:
            self._write_mask(info, into.masks[row])
        if len(info.observations) != len(self._parts):
            raise errors.GameError(
                f"{behaviors.shown(self.behavior.name)}, agent {info.id}, sends "
                f"{len(info.observations)} observations: expected {len(self._parts)}, as at "
                "first. What agents of one behaviour observe must not change."
            )
        for part, sent, out in zip(self._parts, info.observations, into.observations, strict=True):
            part.write(sent, info.id, out[row])

    def _write_mask(self, info: Any, out: Array) -> None:
        forbidden = np.array(info.action_mask, np.bool_)
        if len(forbidden) not in (0, len(out)):
            raise errors.GameError(
                f"{behaviors.shown(self.behavior.name)}, agent {info.id}, sends an action mask of "
                f"{len(forbidden):,}: expected {len(out)}, the choices of all its branches "
                f"{list(self.behavior.branches)}. Correct it in the build."
            )
        out[...] = ~forbidden if len(forbidden) else True

    def _batch(self, num_decisions: int, num_ended: int) -> Batch:
        """The first rows; the same views as before, as long as they are as many."""
        rows, ended = self._decisions, self._ended
        if self._views is not None and self._views[0] == (num_decisions, num_ended):
            return self._views[1]
        batch = Batch(
            rows.ids[:num_decisions],
            rows.rewards[:num_decisions],
            rows.group_ids[:num_decisions],
            rows.group_rewards[:num_decisions],
            tuple(part[:num_decisions] for part in rows.observations),
            None if rows.masks is None else rows.masks[:num_decisions],
            Ended(
                ended.ids[:num_ended],
                ended.rewards[:num_ended],
                ended.group_ids[:num_ended],
                ended.group_rewards[:num_ended],
                ended.interrupted[:num_ended],
                tuple(part[:num_ended] for part in ended.observations),
            ),
            self.behavior,
        )
        self._views = (num_decisions, num_ended), batch
        return batch
