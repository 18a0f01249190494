"""Every stack of wrappers does to each slot what the one-slot model does."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import toy_games

from gamebridge import assembly, contract
from gamebridge.contract import FIRST, LAST, seeding
from gamebridge.wrappers import episodes
from gamebridge.wrappers.settings import ImageSettings, WrapperSettings

IMAGES = [
    None,
    ImageSettings(crop_top=2, crop_left=1, crop_right=1, grey=True, height=5, width=4, stack=3),
    ImageSettings(stack=3),
    ImageSettings(grey=True, height=15, stack=6),
]


class EpisodeModel:
    """What an episode log should have noted about one slot."""

    def __init__(self) -> None:
        self.rows = None

    def hear(self, slot, row, seed):
        if row is None:
            return []
        if row.step_type == FIRST:
            self.rows = []
        if self.rows is None:
            return []
        self.rows.append(row)
        if row.step_type != LAST:
            return []
        rows, self.rows = self.rows, None
        return [
            episodes.Episode(
                slot=slot,
                episode_return=pytest.approx(sum(float(r.reward) for r in rows)),
                length=len(rows) - 1,
                ended="terminated" if row.discount == 0 else "truncated",
                telemetry={
                    "bumps": sum(r.telemetry["bumps"] for r in rows),
                    "place": rows[-1].telemetry["place"],
                    "speed": max(r.telemetry["speed"] for r in rows),
                },
                seed=seed,
            )
        ]


def check_rows(time_step, telemetry, expected):
    np.testing.assert_array_equal(time_step.valid, [row is not None for row in expected])
    for slot, row in enumerate(expected):
        if row is None:
            continue
        assert time_step.step_type[slot] == row.step_type
        assert time_step.reward[slot] == row.reward
        assert time_step.discount[slot] == row.discount
        np.testing.assert_array_equal(time_step.observation["eyes"][0][slot], row.frame)
        np.testing.assert_array_equal(time_step.observation["vector"][slot], row.vector)
        assert {name: values[slot] for name, values in telemetry.items()} == row.telemetry


@pytest.mark.parametrize(
    ("repeat", "limit", "images", "silence", "guard"),
    [
        *itertools.product([1, 3], [None, 1, 4], IMAGES, [0.0, 0.3], ["refuse"]),
        (2, 3, IMAGES[1], 0.2, "clip"),
        (2, 3, IMAGES[1], 0.2, "off"),
    ],
)
def test_slots_behind_wrappers_are_as_if_each_were_alone(repeat, limit, images, silence, guard):
    num_slots, shape = 4, (12, 10, 3)
    wrappers = WrapperSettings(images, repeat, limit, guard)
    record = contract.GameRecord(
        "toy/game", "Toy.", lambda request: toy_games.ToyGame(num_slots, shape, silence)
    )
    game = episodes.EpisodeLog(
        assembly.assemble(record, num_slots=num_slots, settings=None, wrappers=wrappers)
    )
    models = [toy_games.SlotModel(0, shape, silence, wrappers) for _ in range(num_slots)]
    logs = [EpisodeModel() for _ in range(num_slots)]
    rng = np.random.default_rng(5)
    seeds = seeding.slot_seeds(1, num_slots)
    expected = [model.reset(int(seed)) for model, seed in zip(models, seeds, strict=True)]
    named = np.ones(num_slots, bool)
    time_step = game.reset(seeds)
    for _ in range(80):
        check_rows(time_step, game.telemetry(), expected)
        ended = []
        for slot in np.flatnonzero(named):
            solo = models[slot].solo
            seed = seeding.episode_seeds(np.array([solo.seed]), np.array([solo.number]))[0]
            ended += logs[slot].hear(slot, expected[slot], seed)
        assert game.take() == ended

        named = rng.random(num_slots) < 0.7
        mask = named
        if rng.random() < 0.4:
            named, mask = np.ones(num_slots, bool), None
        if rng.random() < 0.1:
            seeds = seeding.slot_seeds(int(rng.integers(99)), num_slots)
            seeds = seeds if rng.random() < 0.5 else None
            time_step = game.reset(seeds, mask)
            for slot in np.flatnonzero(named):
                logs[slot].rows = None
                expected[slot] = models[slot].reset(None if seeds is None else int(seeds[slot]))
        else:
            action = rng.integers(0, 5, num_slots)
            time_step = game.step(action, mask)
            for slot in np.flatnonzero(named):
                expected[slot] = models[slot].step(int(action[slot]))


def test_wrappers_hand_on_render_and_close():
    toy = toy_games.ToyGame()
    record = contract.GameRecord("toy/game", "Toy.", lambda request: toy)
    wrappers = WrapperSettings(IMAGES[1], action_repeat=2, episode_limit=3)
    with assembly.assemble(record, num_slots=3, settings=None, wrappers=wrappers) as game:
        assert game.render(2).max() == 2
    assert toy.num_closed == 1
