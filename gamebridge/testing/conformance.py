"""`GameConformance`: every rule of the contract as a test of one's own game.

An author's whole test::

    class TestOval(GameConformance):
        def make(self) -> Game:
            return RacingGame(track="oval", num_slots=2)
"""

from __future__ import annotations

from gamebridge.testing import episode_rules, row_rules


class GameConformance(row_rules.RowRules, episode_rules.EpisodeRules):
    """Pytest runs its methods in a subclass that overrides at least `make`.

    Also to be overridden: `make_with(num_slots)`, `action`, and the attributes
    `num_steps`, `seed` and `is_repeatable`; see `rules.Rules`.
    """
