"""Compares what a game delivered with what its player logged of itself."""

from __future__ import annotations

import collections
import dataclasses
import json

import numpy as np

from gamebridge.contract import FIRST, LAST
from gamebridge_unity.reference import ledger


@dataclasses.dataclass
class Episode:
    """What was observed, done and paid, in turns; and how it ended, if it did."""

    turns: list
    end: tuple | None = None

    def key(self):
        return (*self.turns, self.end)


class Heard:
    """What the slots of a game were told: whole episodes, and those that still run."""

    def __init__(self, game, float_frames=()):
        self._game = game
        self._float_frames = float_frames
        self.running = [None] * game.num_slots
        self.ended = []
        self.num_rows = 0

    def note(self, action, rows):
        """Takes a step's action, None for a reset, and its rows."""
        for slot in range(self._game.num_slots):
            episode = self.running[slot]
            if action is not None and episode is not None and episode.turns[-1][0] == "saw":
                episode.turns.append(("did", *_action(action, slot)))
            if not rows.valid[slot]:
                continue
            self.num_rows += 1
            saw = ("saw", self._seen(rows.observation, slot))
            if rows.step_type[slot] == FIRST:
                assert action is None or episode is None, f"slot {slot}: FIRST in mid-episode"
                assert (rows.reward[slot], rows.discount[slot]) == (0, 1)
                self.running[slot] = Episode([saw])
                continue
            assert episode is not None, f"slot {slot}: no FIRST before this row"
            episode.turns.append(("earned", float(rows.reward[slot])))
            if rows.step_type[slot] == LAST:
                episode.end = (*saw, bool(rows.discount[slot]))
                self.ended.append(episode)
                self.running[slot] = None
            else:
                assert rows.discount[slot] == 1
                episode.turns.append(saw)

    def _seen(self, observation, slot):
        mask = ""
        if isinstance(observation, dict) and "action_mask" in observation:
            parts = observation["action_mask"]
            allowed = np.concatenate([part[slot] for part in parts])
            mask = "".join("01"[not each] for each in allowed)
            observation = observation["observation"]
        if not isinstance(observation, dict):
            observation = {"": observation}
        seen = []
        for name, values in observation.items():
            row = values[slot]
            if name in self._float_frames:
                row = row.astype(np.float32) / 255
            seen.append(_hashable(ledger.summary(row)))
        return (tuple(seen), mask)


def logged(path, behavior, *, adds_group_reward=True, masks=False, resets=2):
    """Returns the episodes that a ledger has of a behaviour since so many resets.

    Those without a decision are left out: nobody is told of what did not begin.

    Returns:
      The ended ones, those that run, and how many infos there were.
    """
    running, ended, num_infos = {}, [], 0
    num_resets = 0
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        if "reset" in entry:
            num_resets = entry["reset"]
            running, ended, num_infos = {}, [], 0
            continue
        if num_resets < resets or not entry["behavior"].startswith(behavior):
            continue
        for agent, continuous, discrete in entry.get("actions", ()):
            did = ("did", tuple(np.float32(continuous).tolist()), tuple(discrete))
            if agent in running:
                running[agent].turns.append(did)
        for agent, done, interrupted, reward, _, group_reward, seen, forbidden in entry.get(
            "infos", ()
        ):
            num_infos += 1
            paid = np.float32(reward)
            if adds_group_reward:
                paid += np.float32(group_reward)
            mask = (forbidden if not done else "0" * len(forbidden)) if masks else ""
            saw = ("saw", (tuple(map(_hashable, seen)), mask))
            episode = running.get(agent)
            if episode is not None:
                episode.turns.append(("earned", float(paid)))
            if done:
                if episode is not None:
                    episode.end = (*saw, bool(interrupted))
                    ended.append(running.pop(agent))
            elif episode is None:
                running[agent] = Episode([saw])
            else:
                episode.turns.append(saw)
    assert num_resets == resets
    return ended, list(running.values()), num_infos


def compare(heard, ended, running):
    """Fails where an episode was lost, doubled, joined with another or told wrongly."""
    ours = collections.Counter(episode.key() for episode in heard.ended)
    theirs = collections.Counter(episode.key() for episode in ended)
    assert len(theirs) > 0.9 * len(ended), "episodes are not told apart by what is in them"
    invented = ours - theirs
    assert not invented, f"{len(invented)} episodes were told that never were"
    # Of the newest message not all may have been told yet, and of the newest actions not all
    # been sent: that is done when all that decide have theirs.
    lost = theirs - ours
    prefixes = []
    for episode in heard.running:
        if episode is not None:
            is_unsent = episode.turns[-1][0] == "did"
            prefixes.append(tuple(episode.turns[:-1] if is_unsent else episode.turns))
    for key in lost.elements():
        match = [turns for turns in prefixes if turns == key[: len(turns)]]
        assert match and len(key) - len(match[0]) <= 5, f"lost: an episode of {len(key)}"
        prefixes.remove(match[0])
    for turns in prefixes:
        match = [e.turns for e in running if tuple(e.turns[: len(turns)]) == turns]
        assert match and len(match[0]) - len(turns) <= 4, "a running episode is told wrongly"


def _action(action, slot):
    parts = action if isinstance(action, dict) else {}
    if not isinstance(action, dict):
        kind = "continuous" if action.dtype.kind == "f" else "discrete"
        parts = {kind: action}
    continuous = parts.get("continuous")
    discrete = parts.get("discrete")
    return (
        () if continuous is None else tuple(np.float32(continuous[slot]).tolist()),
        () if discrete is None else tuple(np.atleast_1d(discrete[slot]).tolist()),
    )


def _hashable(summary):
    return tuple(summary) if isinstance(summary, list) else summary
