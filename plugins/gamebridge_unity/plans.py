"""`Planner`: how the agents of one message are read, found once for messages that look alike.

Agents of the same layout are read together; the few that are like no other are parsed as
protocol buffers. Most messages look like the one before, with other numbers: then its plan
is used again, after a look at all that must be the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gamebridge.contract.specs import Array
from gamebridge_unity import behaviors, incoming, layouts, wire

# Layouts are given up where so many do not do. The first are made for whoever comes, even
# one agent; the last only for several that are alike.
_MAX_LAYOUTS = 64
_MAX_LAYOUTS_FOR_ONE = 32
_MAX_NEW_LAYOUTS = 8
_SEVERAL = 4


class Group(NamedTuple):
    """Agents of one layout: which of the message's, where each begins, and their rows."""

    layout: layouts.Layout
    which: Array
    starts: layouts.Starts
    rows: slice | Array = slice(0)


class Other(NamedTuple):
    """An agent that is parsed for itself: which of the message's, its row, and what it says."""

    which: int
    row: int
    info: Any


class Plan(NamedTuple):
    """How one message was read, and so how the next one may be that looks like it."""

    infos: incoming.Infos
    groups: list[Group]
    others: list[Other]
    num_ended: int


class Planner:
    """Makes plans for the agents of one behaviour."""

    def __init__(self, behavior: behaviors.Behavior, check: Callable[[Any], None]) -> None:
        """Takes a check of an AgentInfoProto, which raises if it does not fit the behaviour."""
        self._behavior = behavior
        self._check = check
        # To look for layouts costs as much as to parse a few agents, but not their pictures.
        has_frames = any(part.is_frame for part in behavior.observations)
        self._least_agents = 1 if has_frames else 4
        self._layouts: dict[int, list[layouts.Layout]] = {}
        # A PNG's length is hardly ever that of the one before.
        is_plain = all(part.compression == "none" for part in behavior.observations)
        self._num_layouts_left = _MAX_LAYOUTS if is_plain else 0
        self._last: Plan | None = None

    def plan(self, raw: bytes, infos: incoming.Infos) -> Plan | None:
        """Returns how to read a message; None if all of it is to be parsed.

        Raises:
          wire.Malformed: it is no message.
        """
        if len(infos.starts) < self._least_agents:
            return None
        self._last = self._plan_again(raw, infos) or self._new_plan(raw, infos)
        return self._last

    def _plan_again(self, raw: bytes, infos: incoming.Infos) -> Plan | None:
        """Returns the last plan if it does for this message; it hardly ever does not."""
        plan = self._last
        if plan is None or infos.starts != plan.infos.starts or infos.lengths != plan.infos.lengths:
            return None
        if not all(group.layout.claims(raw, group.starts).all() for group in plan.groups):
            return None
        others = [other._replace(info=_info(raw, infos, other.which)) for other in plan.others]
        if any(
            new.info.done != old.info.done for new, old in zip(others, plan.others, strict=True)
        ):
            return None
        return plan._replace(others=others)

    def _new_plan(self, raw: bytes, infos: incoming.Infos) -> Plan | None:
        """Finds layouts and rows for all agents; None where that cannot be done."""
        claimed = self._claim(raw, infos)
        if claimed is None:
            return None
        groups, others = claimed
        ended = np.zeros(len(infos.starts), np.bool_)
        for group in groups:
            ended[group.which] = group.layout.is_terminal
        for other in others:
            ended[other.which] = other.info.done
        # In the order of the message, whatever the layout.
        rows = np.where(ended, ended.cumsum(), (~ended).cumsum()) - 1
        return Plan(
            infos,
            [group._replace(rows=_rows(rows[group.which])) for group in groups],
            [other._replace(row=int(rows[other.which])) for other in others],
            int(np.count_nonzero(ended)),
        )

    def _claim(self, raw: bytes, infos: incoming.Infos) -> tuple[list[Group], list[Other]] | None:
        """Finds layouts for most agents and parses the others; None where there are too many."""
        groups = []
        others: list[Other] = []
        num_new = 0
        starts, lengths = np.array(infos.starts), np.array(infos.lengths)
        for length in set(infos.lengths):
            left = np.flatnonzero(lengths == length)
            known = iter(self._layouts.get(length, ()))
            while len(left):
                layout = next(known, None)
                if layout is None:
                    is_spare = self._num_layouts_left > _MAX_LAYOUTS - _MAX_LAYOUTS_FOR_ONE
                    if len(left) < _SEVERAL and not is_spare:
                        break
                    num_new += 1
                    layout = self._new_layout(raw, int(starts[left[0]]), length, num_new)
                if layout is None:
                    return None
                begin = _starts(starts, left)
                same = layout.claims(raw, begin)
                if same.all():
                    groups.append(Group(layout, left, begin))
                    left = left[:0]
                elif same.any():
                    groups.append(Group(layout, left[same], starts[left[same]]))
                    left = left[~same]
            others += [Other(which, 0, _info(raw, infos, which)) for which in left.tolist()]
        return groups, others

    def _new_layout(
        self, raw: bytes, start: int, length: int, num_new: int
    ) -> layouts.Layout | None:
        if num_new > _MAX_NEW_LAYOUTS or not self._num_layouts_left:
            return None
        self._num_layouts_left -= 1
        one = raw[start : start + length]
        # What is the same with all agents of a layout is checked here, once.
        self._check(_parsed(wire.messages().AgentInfoProto, one))
        made = layouts.make(one, self._behavior)
        if made is not None:
            self._layouts.setdefault(length, []).append(made)
        return made


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


def _starts(starts: Array, which: Array) -> layouts.Starts:
    """Where some agents of one length begin, in the shortest form."""
    first, last, count = int(which[0]), int(which[-1]), len(which)
    # One after the other, with nothing between them but as many bytes of length and tag.
    if last - first + 1 == count:
        step = int(starts[first + 1] - starts[first]) if count > 1 else 1
        if int(starts[last] - starts[first]) == step * (count - 1):
            return layouts.Even(int(starts[first]), step, count)
    return starts[which]


def _rows(rows: Array) -> slice | Array:
    """Rows that ascend, in the shortest form."""
    first, last = int(rows[0]), int(rows[-1])
    return slice(first, last + 1) if last - first + 1 == len(rows) else rows


def _info(raw: bytes, infos: incoming.Infos, which: int) -> Any:
    start = infos.starts[which]
    one = raw[start : start + infos.lengths[which]]
    return _parsed(wire.messages().AgentInfoProto, one)
