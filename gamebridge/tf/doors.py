"""`Door`: what both environments do with a game; numpy in and numpy out.

It keeps what the game raised, since TensorFlow hands on nothing but its text, and knows
what to do where rows are not valid (an agent that has not asked for a decision, a player
being replaced, a slot whose worker is still busy): wait until all slots have something
to say, or hand the validity on.

A game that cannot hold the other slots back cannot be waited for. Where all rows have to be
valid, a slot of it that has nothing to say repeats its row as a step in which nothing
happened: reward 0, discount 1, MID in an episode and LAST between two. Its next row is the
outcome of the action before; who wants to know better looks at the validity.
"""

from __future__ import annotations

import logging
import time
from typing import Any

import numpy as np

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.contract import specs
from gamebridge.contract.specs import Array
from gamebridge.tf import aside, threads

_LOG = logging.getLogger(__name__)

# How long `close` waits for a step that is under way, in seconds.
_CLOSING_S = 5.0


class Door:
    """Resets and steps a game, one call at a time.

    Attributes:
      game: the game.
      waits: whether it waits until all rows are valid.
      error: what the game raised in the newest call, if anything.
    """

    def __init__(
        self, game: games.Game, seeds: Array | None, valid_timeout_s: float, *, waits: bool = True
    ) -> None:
        """Opens the door to `game` and takes over its closing.

        Args:
          game: any Game.
          seeds: int64 [B], slot seeds of the first reset.
          valid_timeout_s: how long a slot may stay invalid, in seconds.
          waits: whether to wait until all rows are valid.
        """
        self.game = game
        self.waits = waits
        self.error: Exception | None = None
        self._seeds = seeds
        self._valid_timeout_s = valid_timeout_s
        self._aside = aside.Aside(f"{game.name}, a step ahead")
        # The newest valid row of each slot, where the game cannot be waited for.
        self._kept: games.TimeStep | None = None
        # Since when a slot has been silent, as time.monotonic(); infinite where it is not.
        self._silent_since: Array | None = None

    def restart(self, seeds: Array) -> None:
        """Makes the next `start` give every slot a new seed: int64 [B]."""
        self._seeds = seeds

    def start(self) -> games.TimeStep:
        """Resets all slots, with the seeds that were given last if they are new."""
        threads.keep_state()
        self._settle()
        seeds, self._seeds = self._seeds, None
        self._silent_since = self._kept = None
        return self._play(self.game.reset, seeds)

    def play(self, action: Any) -> games.TimeStep:
        """Steps all slots; the rows are the game's own, good until the next call."""
        threads.keep_state()
        self._settle()
        return self._play(self.game.step, action)

    def begin(self, action: Any) -> None:
        """Starts a step in a thread of its own, and returns while it is under way.

        Until `end`, or until another call has waited for the step and given it up, the
        game must be left alone.
        """
        self._settle()
        action = specs.map_leaves(np.copy, action)
        self._aside.begin(lambda: self._play(self.game.step, action))

    def end(self) -> games.TimeStep:
        """Waits for the step that `begin` started; returns and raises what `play` would."""
        threads.keep_state()
        time_step: games.TimeStep = self._aside.end()
        return time_step

    def close(self) -> None:
        """Closes the game. A step that is under way is waited for, but not for ever."""
        try:
            self._settle(_CLOSING_S)
        except TimeoutError:
            _LOG.warning(
                "%s: closed in the middle of a step that has not ended in %g s",
                self.game.name,
                _CLOSING_S,
            )
        self._aside.close()
        self.game.close()

    def _settle(self, timeout_s: float | None = None) -> None:
        """Waits for a step that nobody asked the outcome of, as an error came in between."""
        if not self._aside.is_busy:
            return
        try:
            self._aside.end(timeout_s)
        except Exception:
            if self._aside.is_busy:
                raise  # it has not ended
            _LOG.info("%s: a step that was given up raised", self.game.name, exc_info=True)

    def _play(self, call: Any, argument: Any) -> games.TimeStep:
        self.error = None
        try:
            time_step: games.TimeStep = call(argument)
            # As bytes: a fraction of what numpy's all() takes on a few slots.
            if self.waits and not self.game.can_hold:
                time_step = self._repeat(time_step)
            elif b"\0" in time_step.valid.tobytes():
                if self.waits:
                    time_step = self._wait_until_valid(argument, time_step)
                else:
                    self._refuse_silence(time_step.valid)
            elif self._silent_since is not None:
                self._silent_since = None
        except Exception as error:
            self.error = error
            raise
        except SystemExit as error:
            self.error = errors.GameError(
                f"{self.game.name} asked Python to exit ({error}) in the middle of a step. "
                "Mend the game: let it end an episode instead."
            )
            raise self.error from error
        return time_step

    def _wait_until_valid(self, action: Any, time_step: games.TimeStep) -> games.TimeStep:
        deadline = time.monotonic() + self._valid_timeout_s
        while not time_step.valid.all():
            missing = ~time_step.valid
            if time.monotonic() > deadline:
                raise self._silence(missing)
            if action is None:
                action = specs.zeros(self.game.action_spec(), self.game.num_slots)
            time_step = self.game.step(action, missing)
        return time_step

    def _repeat(self, time_step: games.TimeStep) -> games.TimeStep:
        """Takes what is valid into the kept rows, and returns those."""
        if self._kept is None:
            self._kept = games.new_time_step(self.game.observation_spec(), self.game.num_slots)
            # Before an episode, as after one: nothing is learnt from such a row.
            self._kept.step_type[...] = games.LAST
        kept, valid = self._kept, time_step.valid
        self._refuse_silence(valid)
        is_running = kept.step_type != games.LAST
        np.copyto(kept.step_type, games.MID, where=is_running)
        kept.reward[...] = 0
        kept.discount[...] = 1
        for old, new in zip(_arrays(kept), _arrays(time_step), strict=True):
            old[valid] = new[valid]
        return kept

    def _refuse_silence(self, valid: Array) -> None:
        now = time.monotonic()
        if self._silent_since is None:
            self._silent_since = np.full(self.game.num_slots, np.inf)
        self._silent_since[valid] = np.inf
        np.minimum(self._silent_since, now, out=self._silent_since, where=~valid)
        late = now - self._silent_since > self._valid_timeout_s
        if late.any():
            raise self._silence(late)

    def _silence(self, missing: Array) -> errors.GameError:
        return errors.GameError(
            f"{self.game.name}: slots {np.flatnonzero(missing).tolist()} had nothing to "
            f"say for {self._valid_timeout_s:g} s. Check that the game asks for "
            "decisions, or raise valid_timeout_s."
        )


def _arrays(time_step: games.TimeStep) -> list[Array]:
    return [*time_step[:3], *specs.leaves(time_step.observation)]
