"""The rules of rows: specs, shapes, dtypes, values, step types, telemetry, pictures."""

from __future__ import annotations

import numpy as np

from gamebridge.contract import FIRST, LAST, MID, seeding, specs
from gamebridge.testing import playing, rules

_HEADS = {"step_type": np.int32, "reward": np.float32, "discount": np.float32, "valid": np.bool_}


class RowRules(rules.Rules):
    """What must hold of every row that a game returns."""

    def test_specs_stay_the_same(self) -> None:
        """Specs before, during and after play are equal."""
        with self.make() as game:
            before = game.observation_spec(), game.action_spec(), game.telemetry_spec()
            for _ in self.steps(game):
                pass
            for what, ours, theirs in (
                ("observation", before[0], game.observation_spec()),
                ("action", before[1], game.action_spec()),
            ):
                difference = specs.first_difference(ours, theirs)
                rules.check(difference is None, f"the {what} spec changed in play: {difference}")
            rules.check(game.telemetry_spec() == before[2], "the telemetry spec changed in play")

    def test_rows_fit_the_specs(self) -> None:
        """Every array is [B, ...] with the spec's shape and dtype."""
        with self.make() as game:
            spec, num_slots = game.observation_spec(), game.num_slots
            for step, said in self.steps(game):
                for name, dtype in _HEADS.items():
                    rules.check_array(step, name, getattr(said, name), (num_slots,), dtype)
                try:
                    pairs = specs.map_leaves(
                        lambda leaf, rows: [leaf, rows], spec, said.observation
                    )
                except ValueError as error:
                    raise AssertionError(f"step {step}: the observation: {error}") from error
                for path, (leaf, rows) in specs.named_leaves(pairs, "observation"):
                    rules.check_array(step, path, rows, (num_slots, *leaf.shape), leaf.dtype)

    def test_step_types_follow_each_other(self) -> None:
        """Every slot's valid rows are FIRST, MID ..., LAST, FIRST ..."""
        with self.make() as game:
            before = np.full(game.num_slots, LAST)
            for step, said in self.steps(game):
                for slot in np.flatnonzero(said.valid):
                    now = int(said.step_type[slot])
                    expected = (FIRST,) if before[slot] == LAST else (MID, LAST)
                    rules.check(
                        now in expected,
                        f"step {step}, slot {slot}: step type {now} after {before[slot]}: "
                        f"expected one of {expected} (FIRST {FIRST}, MID {MID}, LAST {LAST})",
                    )
                    before[slot] = now

    def test_first_has_reward_0_and_discount_1(self) -> None:
        """An episode begins with reward 0 and discount 1."""
        with self.make() as game:
            for step, said in self.steps(game):
                first = said.valid & said.is_first()
                rewards, discounts = said.reward[first], said.discount[first]
                rules.check(
                    np.all(rewards == 0) and np.all(discounts == 1),
                    f"step {step}: FIRST has rewards {rewards} and discounts {discounts}: "
                    "expected 0 and 1",
                )

    def test_only_last_has_discount_0(self) -> None:
        """Discounts are in 0 ... 1, and 0 only where an episode terminates."""
        with self.make() as game:
            for step, said in self.steps(game):
                discount = said.discount[said.valid]
                rules.check(
                    np.all((discount >= 0) & (discount <= 1)),
                    f"step {step}: discounts {discount}: expected values in 0 ... 1",
                )
                inner = said.discount[said.valid & ~said.is_last()]
                rules.check(
                    np.all(inner > 0),
                    f"step {step}: discount 0 before LAST: expected 0 at a termination only",
                )

    def test_values_are_finite_and_in_bounds(self) -> None:
        """No NaN, no infinity, and no observation outside its spec's bounds."""
        with self.make() as game:
            spec = dict(specs.named_leaves(game.observation_spec(), "observation"))
            for step, said in self.steps(game):
                rules.check(
                    np.all(np.isfinite(said.reward[said.valid])), f"step {step}: reward not finite"
                )
                for path, rows in specs.named_leaves(said.observation, "observation"):
                    leaf, values = spec[path], rows[said.valid]
                    rules.check(np.all(np.isfinite(values)), f"step {step}: {path} is not finite")
                    rules.check(
                        (leaf.minimum is None or np.all(values >= leaf.minimum))
                        and (leaf.maximum is None or np.all(values <= leaf.maximum)),
                        f"step {step}: {path} leaves its bounds: {leaf}",
                    )

    def test_rows_stay_valid_until_the_next_step(self) -> None:
        """Reading telemetry and pictures does not change what the step returned."""
        with self.make() as game:
            everyone = np.arange(game.num_slots)
            for step, said in self.steps(game):
                before = playing.copy(said)
                game.telemetry()
                game.render()
                difference = playing.first_difference(before, said, everyone)
                rules.check(
                    difference is None, f"step {step}: {difference} changed before the next step"
                )

    def test_slots_share_no_memory(self) -> None:
        """Rows of two slots, and of two games, are different memory."""
        with self.make() as game, self.make() as other:
            seeds = seeding.slot_seeds(self.seed, game.num_slots)
            ours = specs.leaves(tuple(game.reset(seeds)))
            theirs = specs.leaves(tuple(other.reset(seeds)))
            for left, right in zip(ours, theirs, strict=True):
                rules.check(not np.shares_memory(left, right), "two games write into the same rows")
                rules.check(
                    left.size < 2 or 0 not in left.strides,
                    "two slots share the memory of one row",
                )

    def test_telemetry_fits_its_spec(self) -> None:
        """Telemetry has the names of its spec, each [B] and of its dtype."""
        with self.make() as game:
            spec = game.telemetry_spec()
            for step, _ in self.steps(game):
                told = game.telemetry()
                rules.check(
                    set(told) == set(spec),
                    f"step {step}: telemetry is {sorted(told)}, expected {sorted(spec)}",
                )
                for name, values in told.items():
                    label = f"telemetry '{name}'"
                    rules.check_array(step, label, values, (game.num_slots,), spec[name].dtype)

    def test_pictures_keep_their_size(self) -> None:
        """`render` gives None always, or uint8 [height, width, 3] of one size."""
        with self.make() as game:
            shapes: set[tuple[int, ...] | None] = set()
            for step, _ in self.steps(game, num_steps=min(self.num_steps, 20)):
                for slot in range(game.num_slots):
                    picture = game.render(slot)
                    if picture is None:
                        shapes.add(None)
                        continue
                    rules.check(
                        picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3,
                        f"step {step}: the picture is {picture.dtype} {list(picture.shape)}, "
                        "expected uint8 [height, width, 3]",
                    )
                    shapes.add(picture.shape)
            rules.check(len(shapes) == 1, f"pictures have several sizes: {shapes}")

    def test_close_may_be_called_twice(self) -> None:
        """The second `close` does nothing."""
        game = self.make()
        game.close()
        game.close()
