"""`Dataset`: saved episodes as rows to learn from, in shuffled blocks that fit into memory.

The rows are pairs of what was seen and what was done there; the last observation of an
episode, at which nothing was done, is none. Runs of neighbouring rows are dealt into
blocks, anew in each epoch, and the rows of a block are shuffled: of data that fit into one block
this is a perfect shuffle, of more it is as good as runs are short against a block. All of
it hangs on (seed, epoch, block), so that a place in it is three numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.training import trained_specs
from gamebridge.wrappers import actions, bounds
from gamebridge.wrappers import episodes as episode_logs

if TYPE_CHECKING:
    from gamebridge.evaluation import saved_episodes

# Rows that are read in one piece: a disk reads these at its full speed.
_RUN_LENGTH = 256


class Rows(NamedTuple):
    """Rows to learn from.

    Attributes:
      observation: nest of arrays [n, ...], as the agent sees it.
      action: nest of arrays [n, ...], as the agent would have given it.
    """

    observation: specs.Nest
    action: specs.Nest


class _Run(NamedTuple):
    episode: int
    start: int
    stop: int


class Dataset:
    """The rows of a folder of episodes, for a game joined to an agent.

    Attributes:
      num_rows: rows to learn from, in an epoch.
      num_held_out: rows of the episodes that are not learned from.
      block_rows: the most rows that a block has.
    """

    def __init__(
        self,
        episodes: saved_episodes.SavedEpisodes,
        game: games.Game,
        seed: int,
        holdout: float,
        block_bytes: int,
    ) -> None:
        """Divides the episodes; nothing is read yet.

        Args:
          episodes: that were saved.
          game: as the agent plays it: with what makes its actions canonical around it.
          seed: fixes which episodes are held out, and the order of rows.
          holdout: share of the episodes that is held out, one at least where it is not 0;
            none of a single episode.
          block_bytes: memory for a block.

        Raises:
          FitError: the episodes are of a game with other specs, or the agent plays it through
            an adaptor that has no way back.
        """
        self._episodes = episodes
        self._canonical, own = _unwrapped(game)
        _check(episodes, own)
        self._seed = seed
        self._kept: Rows | None = None
        count = len(episodes)
        num_held = 0 if holdout == 0 or count == 1 else max(1, round(holdout * count))
        order = np.random.default_rng([seed, 0]).permutation(count)
        held, learned = np.sort(order[:num_held]), np.sort(order[num_held:])
        lengths = episodes.lengths
        self.num_rows = int(lengths[learned].sum())
        row = sum(
            leaf.dtype.itemsize * int(np.prod(leaf.shape, dtype=np.int64))
            for spec in (game.observation_spec(), game.action_spec())
            for leaf in specs.leaves(spec)
        )
        room = max(_RUN_LENGTH, block_bytes // max(1, row))
        self.block_rows = min(room, self.num_rows)
        self._runs = _runs(learned, lengths)
        self._held_runs = _fitting(_shuffled(_runs(held, lengths), [seed, 1]), room)[0]
        self.num_held_out = sum(run.stop - run.start for run in self._held_runs)
        self._epoch: tuple[int, list[list[_Run]]] = (-1, [])

    def num_blocks(self, epoch: int) -> int:
        """How many blocks an epoch has."""
        return len(self._blocks(epoch))

    def block(self, epoch: int, index: int) -> Rows:
        """Reads a block: at most `block_rows` rows, in the order in which they are read.

        Raises:
          StorageError: a file is damaged.
        """
        if self.block_rows < self.num_rows:
            return self._read(self._blocks(epoch)[index])
        if self._kept is None:
            self._kept = self._read(self._runs)
        return self._kept

    def order(self, epoch: int, index: int, count: int) -> Array:
        """Returns int64 [count]: the order in which the rows of a block are learned from."""
        return np.random.default_rng([self._seed, 2, epoch, index]).permutation(count)

    def held_out(self) -> Rows:
        """Reads the rows that are not learned from, as many as a block may have.

        Raises:
          StorageError: a file is damaged.
        """
        return self._read(self._held_runs)

    def _blocks(self, epoch: int) -> list[list[_Run]]:
        if self._epoch[0] != epoch:
            runs = _shuffled(self._runs, [self._seed, 3, epoch])
            blocks = []
            while runs:
                block, runs = _fitting(runs, self.block_rows)
                blocks.append(block)
            self._epoch = (epoch, blocks)
        return self._epoch[1]

    def _read(self, runs: Sequence[_Run]) -> Rows:
        count = sum(run.stop - run.start for run in runs)
        observation = specs.zeros(self._episodes.observation_spec, count)
        action = specs.zeros(self._episodes.action_spec, count)
        filled, number, episode = 0, -1, None
        for run in runs:
            if episode is None or run.episode != number:
                number, episode = run.episode, self._episodes[run.episode]
            there, here = slice(run.start, run.stop), slice(filled, filled + run.stop - run.start)
            for to, of in ((observation, episode.observation), (action, episode.action)):
                for rows, saved in zip(specs.leaves(to), specs.leaves(of), strict=True):
                    rows[here] = saved[there]
            filled = here.stop
        if self._canonical is not None:
            action = self._canonical.undo(action)
        return Rows(observation, action)


def _runs(episodes: Array, lengths: Array) -> list[_Run]:
    return [
        _Run(episode, start, min(start + _RUN_LENGTH, int(lengths[episode])))
        for episode in episodes.tolist()
        for start in range(0, int(lengths[episode]), _RUN_LENGTH)
    ]


def _shuffled(runs: list[_Run], seed: list[int]) -> list[_Run]:
    return [runs[index] for index in np.random.default_rng(seed).permutation(len(runs))]


def _fitting(runs: list[_Run], num_rows: int) -> tuple[list[_Run], list[_Run]]:
    """Returns the first runs, as many as have so many rows together, and the others."""
    ends = np.cumsum([run.stop - run.start for run in runs])
    count = int(np.searchsorted(ends, num_rows, side="right"))
    return runs[:count], runs[count:]


def _unwrapped(game: games.Game) -> tuple[actions.Canonical | None, games.Game]:
    """Returns what makes the game's actions canonical, and the game itself."""
    while isinstance(game, (episode_logs.EpisodeLog, bounds.Bounded)):
        game = game.game
    if isinstance(game, actions.Canonical):
        return game, game.game
    if isinstance(game, actions.Adaptor):
        raise errors.FitError(
            f"{game.name} takes {actions.shown(game.game.action_spec())}, of which the agent only "
            f"gives {actions.shown(game.action_spec())}: nobody knows what it would have given for "
            "what was played. Choose a game whose actions the agent gives as they are."
        )
    return None, game


def _check(episodes: saved_episodes.SavedEpisodes, game: games.Game) -> None:
    for what, ours, theirs in (
        ("observation", game.observation_spec(), episodes.observation_spec),
        ("action", game.action_spec(), episodes.action_spec),
    ):
        difference = specs.first_difference(
            trained_specs.without_bounds(ours), trained_specs.without_bounds(theirs)
        )
        if difference is not None:
            raise errors.FitError(
                f"The episodes in {episodes.folder} are of {episodes.origin['game']}, which has "
                f"another {what} than {game.name}: {difference} (the game's and the episodes'). "
                "Take episodes of this game, saved with the same wrappers."
            )
