"""`Decoder`: what a player's messages say of the agents of one behaviour, as arrays.

The arrays are the decoder's own and are written anew with every message. An agent whose
episode ended is a row of `Batch.ended`; one that asks for its next action is a row of the
batch itself. One agent may be both: its old episode's end and the next one's begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from gamebridge import errors
from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors, incoming, layouts, wire
from gamebridge_unity.batches import Batch, Ended, Rows, first_bad
from gamebridge_unity.parts import Part

__all__ = ["Batch", "Decoder", "Ended", "first_bad", "parse"]

# More is refused before it is allocated: a few bytes of PNG can stand for many pixels.
MAX_BATCH_BYTES = 1 << 30
# Layouts are given up where so many do not do.
MAX_LAYOUTS = 64
_MAX_NEW_LAYOUTS = 8


class _Group(NamedTuple):
    """Agents of one layout: which of the message's, and where each begins."""

    layout: layouts.Layout
    which: Array
    starts: layouts.Starts


class Decoder:
    """Turns messages into a `Batch`. Arrays are good until the next message."""

    def __init__(self, behavior: behaviors.Behavior) -> None:
        """Starts with room for one agent."""
        self.behavior = behavior
        self._parts = [Part(behavior.name, part) for part in behavior.observations]
        # To look for layouts costs as much as to parse a few agents, but not their pictures.
        has_frames = any(part.is_frame for part in behavior.observations)
        self._least_agents = 1 if has_frames else 8
        self._least_group = 1 if has_frames else 4
        self._row_bytes = sum(part.row_bytes for part in self._parts)
        self._layouts: dict[int, list[layouts.Layout]] = {}
        # A PNG's length is hardly ever that of the one before.
        is_plain = all(part.compression == "none" for part in behavior.observations)
        self._num_layouts_left = MAX_LAYOUTS if is_plain else 0
        self._decisions = Rows(behavior)
        self._ended = Rows(behavior)
        self.empty = self._batch(0, 0)

    def decode(self, raw: bytes, infos: incoming.Infos) -> Batch:
        """Reads the agents of one message.

        Raises:
          errors.GameError: what an agent says does not fit the behaviour.
          wire.Malformed: it is no message.
        """
        self._check_size(len(infos.starts))
        claimed = self._claim(raw, infos) if len(infos.starts) >= self._least_agents else None
        if claimed is None:
            return self.decode_parsed(parse(raw, infos))
        groups, others = claimed
        # In the order of the message, whatever the layout: at first none of them ended.
        rows = np.arange(len(infos.starts))
        ended = np.zeros(len(rows), np.bool_)
        for group in groups:
            if group.layout.is_terminal:
                ended[group.which] = True
        for which, info in others:
            ended[which] = info.done
        num_ended = int(np.count_nonzero(ended))
        if num_ended:
            rows = np.where(ended, ended.cumsum(), (~ended).cumsum()) - 1
        self._reserve(len(rows) - num_ended, num_ended)
        for group in groups:
            into = self._ended if group.layout.is_terminal else self._decisions
            self._copy(raw, group, into, rows[group.which])
        for which, info in others:
            self._write(info, self._ended if info.done else self._decisions, int(rows[which]))
        return self._batch(len(rows) - num_ended, num_ended)

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

    def _check_size(self, num_agents: int) -> None:
        if num_agents * self._row_bytes > MAX_BATCH_BYTES:
            raise errors.GameError(
                f"{behaviors.shown(self.behavior.name)} sends {num_agents:,} agents of "
                f"{self._row_bytes:,} bytes at once: expected at most {MAX_BATCH_BYTES:,} bytes "
                "together. Use fewer agents or smaller pictures."
            )

    def _reserve(self, num_decisions: int, num_ended: int) -> None:
        self._decisions.reserve(num_decisions)
        self._ended.reserve(num_ended)

    def _claim(
        self, raw: bytes, infos: incoming.Infos
    ) -> tuple[list[_Group], list[tuple[int, Any]]] | None:
        """Finds layouts for most agents and parses the others; None where there are too many."""
        groups = []
        others: list[tuple[int, Any]] = []
        num_new = 0
        starts = np.array(infos.starts)
        lengths = set(infos.lengths)
        for length in lengths:
            left = np.arange(len(starts))
            if len(lengths) > 1:
                left = np.flatnonzero(np.array(infos.lengths) == length)
            known = iter(self._layouts.get(length, ()))
            while len(left) >= self._least_group:
                layout = next(known, None)
                if layout is None:
                    num_new += 1
                    layout = self._new_layout(raw, int(starts[left[0]]), length, num_new)
                if layout is None:
                    return None
                begin = _starts(starts, left)
                same = layout.claims(raw, begin)
                if same.all():
                    groups.append(_Group(layout, left, begin))
                    left = left[:0]
                elif same.any():
                    groups.append(_Group(layout, left[same], starts[left[same]]))
                    left = left[~same]
            for which in left.tolist():
                start = infos.starts[which]
                one = raw[start : start + length]
                others.append((which, _parsed(wire.messages().AgentInfoProto, one)))
        return groups, others

    def _new_layout(
        self, raw: bytes, start: int, length: int, num_new: int
    ) -> layouts.Layout | None:
        if num_new > _MAX_NEW_LAYOUTS or not self._num_layouts_left:
            return None
        self._num_layouts_left -= 1
        one = raw[start : start + length]
        # What is the same with all agents of a layout is checked here, once.
        self._reserve(1, 1)
        self._write(_parsed(wire.messages().AgentInfoProto, one), self._decisions, 0)
        made = layouts.make(one, self.behavior)
        if made is not None:
            self._layouts.setdefault(length, []).append(made)
        return made

    def _copy(self, raw: bytes, group: _Group, into: Rows, rows: Array) -> None:
        """Copies what agents of one layout say to their rows, which ascend."""
        layout, _, starts = group
        first, last = int(rows[0]), int(rows[-1])
        is_block = last - first + 1 == len(rows)
        at: Any = slice(first, last + 1) if is_block else rows
        into.rewards[at] = layouts.gather_floats(raw, starts, layout.reward_at)
        into.group_rewards[at] = layouts.gather_floats(raw, starts, layout.group_reward_at)
        into.ids[at] = layouts.gather_numbers(raw, starts, *layout.id_at)
        into.group_ids[at] = layouts.gather_numbers(raw, starts, *layout.group_at)
        into.interrupted[at] = layout.is_interrupted
        if into.masks is not None:
            into.masks[at] = True
            if layout.mask_at >= 0:
                width = self.behavior.num_choices
                forbidden = layouts.gather(raw, starts, layout.mask_at, layouts.BYTE, width)
                into.masks[at] = forbidden == 0
        for part, place, out in zip(self._parts, layout.payloads, into.observations, strict=True):
            part.copy(raw, starts, place, into.ids[at], out, at)

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
        rows, ended = self._decisions, self._ended
        return Batch(
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


def _starts(starts: Array, which: Array) -> layouts.Starts:
    """Where some agents of one length begin, in the shortest form."""
    first, last, count = int(which[0]), int(which[-1]), len(which)
    # One after the other, with nothing between them but as many bytes of length and tag.
    if count > 1 and last - first + 1 == count:
        step = int(starts[first + 1] - starts[first])
        if int(starts[last] - starts[first]) == step * (count - 1):
            return layouts.Even(int(starts[first]), step, count)
    return starts[which]


def parse(raw: bytes, infos: incoming.Infos) -> Sequence[Any]:
    """Returns the AgentInfoProtos of a behaviour.

    Raises:
      wire.Malformed: they are none.
    """
    listed = wire.messages().UnityRLOutputProto.ListAgentInfoProto
    return list(_parsed(listed, raw[infos.begin : infos.end]).value)


def _parsed(message_class: Any, raw: bytes) -> Any:
    from google.protobuf import message

    try:
        return message_class.FromString(raw)
    except message.DecodeError as error:
        raise wire.Malformed(str(error)) from error
