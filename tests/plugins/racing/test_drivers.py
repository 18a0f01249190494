"""The scripted drivers: how near the limit the careful one is, and what walls are worth."""

from __future__ import annotations

import types

import av
import numpy as np
import pytest

from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

import gamebridge  # noqa: E402
import gamebridge_racing  # noqa: E402
from gamebridge import errors  # noqa: E402
from gamebridge.contract import LAST, GameRequest, seeding  # noqa: E402
from gamebridge_racing import agents, drivers, garage  # noqa: E402
from gamebridge_racing.roads import limits  # noqa: E402

NUM_SLOTS = 8
PACE = {"careful-driver": agents.Pursuit().pace, "wall-rider": agents.WallRide().pace}


def make(game_id, **chosen):
    record = {r.id: r for r in gamebridge_racing.gamebridge_games()}[game_id]
    return record.make(GameRequest(game_id, NUM_SLOTS, False, record.settings(**chosen)))


def driven(game_id, agent, **chosen):
    """Drives one episode of each slot; its last telemetry, and the contacts of all of it."""
    game = make(game_id, **chosen)
    act = tf.function(lambda seen: drivers.pursue(seen, PACE[agent]), autograph=False)
    step, contacts = game.reset(seeding.slot_seeds(1, NUM_SLOTS)), np.zeros(NUM_SLOTS)
    while not (step.step_type == LAST).any():
        step = game.step(act(tf.constant(step.observation)).numpy())
        contacts += game.telemetry()["wall_contacts"]
    assert (step.step_type == LAST).all()
    told = {name: np.array(value) for name, value in game.telemetry().items()}
    return types.SimpleNamespace(contacts=contacts, **told)


@pytest.fixture(scope="module")
def careful():
    return driven("racing/oval-line", "careful-driver")


def test_the_careful_driver_is_near_the_limit_from_every_start(careful):
    assert (careful.laps >= 2).all()
    assert (careful.last_lap_s <= 1.06 * careful.limit_lap_s).all()
    # Nobody beats the limit without a wall.
    assert (careful.best_lap_s > careful.limit_lap_s).all()


def test_the_careful_driver_touches_no_wall(careful):
    assert careful.contacts.sum() == 0


def test_the_careful_driver_starts_from_a_standstill_on_the_line():
    found = driven("racing/oval-line", "careful-driver", start="line")
    assert found.contacts.sum() == 0
    assert (found.last_lap_s <= 1.06 * found.limit_lap_s).all()


def test_the_careful_driver_knows_circuits_that_nobody_drove_before():
    found = driven("racing/random-line", "careful-driver", episode_s=80.0)
    assert np.median(found.best_lap_s / found.limit_lap_s) <= 1.08
    assert np.median(found.contacts) == 0


def test_half_the_substep_changes_a_lap_time_by_less_than_half_a_percent(careful):
    finer = driven("racing/oval-line", "careful-driver", substeps=10)
    assert finer.best_lap_s == pytest.approx(careful.best_lap_s, rel=0.005)


def test_walls_are_worth_more_than_three_percent_of_a_lap(careful):
    riding = driven("racing/oval-line", "wall-rider")
    assert np.median(riding.best_lap_s) < 0.97 * np.median(careful.best_lap_s)
    assert (riding.contacts > careful.contacts).all()


def test_the_line_that_is_shown_keeps_away_from_the_walls():
    game = make("racing/oval-line")
    game.reset()
    entry = game._entries[0]
    limit = limits.lap_limit(entry.track, game._settings.car)
    assert entry.limit.lap_s == limit.lap_s
    to_walls = np.concatenate([entry.track.left, entry.track.right])
    nearest = np.hypot(*(entry.line[:, None] - to_walls[None]).T).min()
    of_limit = np.hypot(*(limit.line[:, None] - to_walls[None]).T).min()
    assert nearest > of_limit + 0.8 * garage.SHOWN_ROOM_M


@pytest.mark.parametrize(
    ("distance", "expected"), [(-5.0, 0.0), (0.0, 0.0), (9.0, 1.5), (1e6, 11.0)]
)
def test_values_between_points_are_between_theirs(distance, expected):
    values = tf.reshape(tf.range(12, dtype=tf.float32), [1, 12, 1])
    np.testing.assert_allclose(drivers._at(values, tf.constant([distance])), expected, atol=2e-3)


def test_the_slip_angle_is_the_tyres_formula_the_other_way_round():
    used = np.array([-0.9, -0.3, 0.0, 0.5, 0.95], np.float32)
    car = make("racing/oval-line")._settings.car
    angle = drivers._slip_angle(tf.constant(used), car).numpy()
    held = np.sin(car.shape * np.arctan(car.stiffness / car.shape * angle))
    np.testing.assert_allclose(held, used, atol=1e-5)


def test_a_pace_of_nothing_is_refused():
    with pytest.raises(ValueError) as caught:
        agents.WallRide(pace=0.0)
    assert str(caught.value) == "pace is 0.0; expected more than 0, such as 1.0."


def test_a_game_that_shows_no_line_is_refused_in_one_line(tmp_path):
    with pytest.raises(errors.FitError) as caught:
        gamebridge.train("racing/oval", "careful-driver", steps=64, run=tmp_path / "run")
    message = str(caught.value)
    assert "This game shows float32 [" in message
    assert "racing/oval-line" in message
    assert "\n" not in message


@pytest.mark.parametrize("agent", sorted(PACE))
def test_they_are_trained_and_evaluated_like_any_agent(agent, tmp_path):
    run = gamebridge.train(
        "racing/oval-line", agent, steps=512, run=tmp_path / "run", num_slots=4,
        settings={"game": {"episode_s": 5.0}, "training": {"validation_episodes": 2}},
    )  # fmt: skip
    result = gamebridge.evaluate(run, episodes=2)
    assert len(result.episodes) == 2


def test_a_game_suggests_slots_and_training_settings_and_flags_overrule_them(tmp_path):
    plan = gamebridge.train(
        "racing/oval-line", "careful-driver", steps=64, run=tmp_path / "suggested",
        settings={"training": {"validation_episodes": 0}},
    ).plan()  # fmt: skip
    assert plan.run.num_slots == 32
    assert plan.training["checkpoint_interval_steps"] == 400_000
    assert plan.training["validation_episodes"] == 0


def test_a_policy_is_judged_under_other_settings_and_filmed_at_the_games_own_speed(tmp_path):
    run = gamebridge.train(
        "racing/oval-line", "careful-driver", steps=64, run=tmp_path / "run", num_slots=1,
        settings={"game": {"episode_s": 9.0}, "training": {"validation_episodes": 0}},
    )  # fmt: skip
    result = gamebridge.evaluate(run, 1, record=1, settings={"episode_s": 0.5, "laps": 3})
    assert result.episodes[0].length == 10
    with av.open(result.videos[0].path) as video:
        assert video.streams.video[0].average_rate == 20
    assert gamebridge.evaluate(run, 1).episodes[0].length == 180
    with pytest.raises(errors.ConfigError, match="episode"):
        gamebridge.evaluate(run, 1, settings={"episodes_s": 0.5})
