"""The rules of episodes: seeds, what follows LAST, and slots that are held."""

from __future__ import annotations

import functools

import numpy as np

from gamebridge.contract import FIRST, seeding, specs
from gamebridge.contract.specs import Array
from gamebridge.testing import playing, rules


class EpisodeRules(rules.Rules):
    """What must hold from step to step, and between two games with the same seeds."""

    def test_same_seeds_give_the_same_episodes(self) -> None:
        """Two games, and one game twice, repeat themselves."""
        self.need_repeatable()
        with self.make() as game, self.make() as other:
            actions, seeds = self.actions(game), seeding.slot_seeds(self.seed, game.num_slots)
            expected = playing.play(game, actions, seeds)
            rules.check_same("a second game", expected, playing.play(other, actions, seeds))
            rules.check_same("the same game again", expected, playing.play(game, actions, seeds))

    def test_a_reset_without_seeds_starts_the_next_episode(self) -> None:
        """It is the episode that would have come after LAST."""
        self.need_repeatable()
        with self.make() as game, self.make() as other:
            seeds = seeding.slot_seeds(self.seed, game.num_slots)
            said = playing.play(game, self.actions(game), seeds)
            other.reset(seeds)
            jumped = playing.copy(other.reset())
            for slot in range(game.num_slots):
                firsts = [s for s in said if s.valid[slot] and s.step_type[slot] == FIRST]
                if len(firsts) > 1:
                    difference = playing.first_difference(firsts[1], jumped, np.array([slot]))
                    rules.check(
                        difference is None,
                        f"slot {slot}: {difference} after reset() is not that of the next episode",
                    )

    def test_the_step_after_last_ignores_the_action(self) -> None:
        """Whatever the action, the next episode begins in the same way."""
        self.need_repeatable()
        with self.make() as game, self.make() as other:
            # Another seed than that of `actions`, or both would be the same.
            generator = np.random.default_rng(self.seed + 1)
            everyone = np.arange(game.num_slots)
            seeds = seeding.slot_seeds(self.seed, game.num_slots)
            said, theirs = game.reset(seeds), other.reset(seeds)
            for step, action in enumerate(self.actions(game), 1):
                last = said.valid & said.is_last()
                varied = specs.map_leaves(
                    functools.partial(_choose_rows, last), action, self.action(game, generator)
                )
                said, theirs = game.step(action), other.step(varied)
                difference = playing.first_difference(said, theirs, everyone)
                rules.check(
                    difference is None,
                    f"step {step}: {difference} depends on the action given after LAST",
                )

    def test_slots_that_are_not_active_are_held(self) -> None:
        """A held slot's row stays, and its stream goes on later as if nothing had been."""
        self.need_repeatable()
        with self.make() as game, self.make() as other:
            self.need_hold(game)
            generator = np.random.default_rng(self.seed)
            seeds = seeding.slot_seeds(self.seed, game.num_slots)
            actions = self.actions(game)
            expected = playing.play(other, actions, seeds)
            played = np.zeros(game.num_slots, np.int64)
            before = playing.copy(game.reset(seeds))
            for step in range(1, self.num_steps + 1):
                active = generator.random(game.num_slots) < 0.5
                action = _rows_at(actions, played)
                said = playing.copy(game.step(action, active))
                difference = playing.first_difference(before, said, np.flatnonzero(~active))
                rules.check(difference is None, f"step {step}: {difference} of a held slot changed")
                played += active
                for slot in np.flatnonzero(active):
                    wanted = expected[played[slot]]
                    difference = playing.first_difference(wanted, said, np.array([slot]))
                    rules.check(
                        difference is None,
                        f"step {step}, slot {slot}: {difference} depends on having been held",
                    )
                before = said

    def test_a_reset_of_some_slots_leaves_the_others(self) -> None:
        """Slots not named keep their rows; those named say FIRST."""
        with self.make() as game:
            self.need_hold(game)
            *_, (_, said) = self.steps(game)
            before = playing.copy(said)
            named = np.arange(game.num_slots) % 2 == 0
            after = game.reset(slots=named)
            difference = playing.first_difference(before, after, np.flatnonzero(~named))
            rules.check(difference is None, f"{difference} of a slot that was not reset changed")
            rules.check(
                np.all(after.step_type[named & after.valid] == FIRST),
                f"slots that were reset have step types {after.step_type[named]}: expected FIRST",
            )

    def test_episodes_do_not_depend_on_the_number_of_slots(self) -> None:
        """Slot 0 alone plays what it plays beside others."""
        with self.make_with(3) as game, self.make_with(1) as alone:
            self.need_repeatable()
            seeds, actions = seeding.slot_seeds(self.seed, 3), self.actions(game)
            firsts = [specs.map_leaves(lambda rows: rows[:1], action) for action in actions]
            many, one = playing.play(game, actions, seeds), playing.play(alone, firsts, seeds[:1])
            for step, (left, right) in enumerate(zip(many, one, strict=True)):
                difference = playing.first_difference(left, right, np.array([0]))
                rules.check(
                    difference is None,
                    f"step {step}: {difference} of slot 0 depends on the number of slots",
                )


def _rows_at(actions: list[specs.Nest], steps: Array) -> specs.Nest:
    """Returns the action in which slot i does what it does in `actions[steps[i]]`."""
    return specs.map_leaves(
        lambda *leaves: np.stack([leaves[step][slot] for slot, step in enumerate(steps)]), *actions
    )


def _choose_rows(varied: Array, left: Array, right: Array) -> Array:
    """Returns `right`'s rows where `varied`, bool [B], and `left`'s elsewhere."""
    chosen = left.copy()
    chosen[varied] = right[varied]
    return chosen
