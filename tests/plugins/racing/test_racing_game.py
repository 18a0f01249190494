"""The racing games keep the contract, in all their forms."""

from __future__ import annotations

import numpy as np
import pytest

import gamebridge
import gamebridge_racing
from gamebridge import errors
from gamebridge.contract import LAST, GameRequest, seeding
from gamebridge.testing import GameConformance
from gamebridge_racing import game, garage, settings
from gamebridge_racing.roads import tracks

FORMS = {
    "racing/oval": "lidar",
    "racing/oval-discrete": "lidar",
    "racing/oval-line": "line",
    "racing/oval-pixels": "pixels",
    "racing/oval-pixels-discrete": "pixels",
}


def make(game_id="racing/oval", num_slots=2, picture=False, **chosen):
    chosen = {"num_rays": 11, **chosen}
    record = {r.id: r for r in gamebridge_racing.gamebridge_games()}[game_id]
    return record.make(GameRequest(game_id, num_slots, picture, record.settings(**chosen)))


def drive(made, action, num_steps, seed=0):
    """Plays one action; returns all time steps' rewards and observations."""
    made.reset(seeding.slot_seeds(seed, made.num_slots))
    rows = []
    for _ in range(num_steps):
        step = made.step(np.tile(np.float32(action), (made.num_slots, 1)))
        rows.append((step.reward.copy(), step.observation.copy()))
    return rows


class RacingConformance(GameConformance):
    game_id = "racing/oval"
    num_steps = 120

    def make(self):
        return self.make_with(2)

    def make_with(self, num_slots):
        # Short episodes, so that ends and beginnings are met.
        return make(self.game_id, num_slots, episode_s=2.0)


class TestLidar(RacingConformance):
    pass


class TestDiscrete(RacingConformance):
    game_id = "racing/oval-discrete"


class TestLine(RacingConformance):
    game_id = "racing/oval-line"


class TestPixels(RacingConformance):
    game_id = "racing/oval-pixels"


class TestRandomCircuits(RacingConformance):
    game_id = "racing/random"


class TestVaried(RacingConformance):
    """Everything random at once is still the same for the same seed."""

    def make_with(self, num_slots):
        varied = settings.Randomisation(
            (0.8, 1.2), (0.9, 1.1), (0.7, 1.3), delay_steps=(0, 3), sensor_noise=0.02
        )
        return make("racing/oval", num_slots, episode_s=2.0, randomisation=varied)


@pytest.mark.parametrize("game_id", FORMS)
def test_every_form_observes_what_its_spec_says(game_id):
    made = make(game_id)
    observation = made.reset(np.asarray([1, 2])).observation
    spec = made.observation_spec()
    assert observation.shape == (2, *spec.shape)
    assert observation.dtype == spec.dtype
    assert (spec.kind == "frame") == (FORMS[game_id] == "pixels")
    assert observation[0].any()


def test_same_seed_and_actions_give_the_same_trajectory_to_the_bit():
    chosen = np.random.default_rng(5).uniform(-1, 1, (300, 3, 2)).astype(np.float32)
    played = []
    for _ in range(2):
        made = make(num_slots=3)
        made.reset(seeding.slot_seeds(9, 3))
        rows = []
        for action in chosen:
            step = made.step(action)
            rows.append(step.observation.tobytes() + step.reward.tobytes())
        played.append(rows)
    assert played[0] == played[1]


def test_a_lap_is_counted_and_timed_once_it_is_complete():
    made = make(num_slots=1, start="line", episode_s=1000.0)
    made.reset(np.asarray([1]))
    for _ in range(2000):
        # Towards the side with more room, at walking pace: slow, but round.
        left, right = made._rows.observation[0, 1:5].mean(), made._rows.observation[0, 6:10].mean()
        wheel = np.clip(3.0 * (left - right) / (left + right), -1, 1)
        pedal = 0.3 if made._rows.observation[0, 11] < 0.2 else 0.0
        made.step(np.float32([[wheel, pedal]]))
        told = made.telemetry()
        if told["laps"][0] == 1:
            break
    assert told["laps"][0] == 1
    assert told["last_lap_s"][0] == told["best_lap_s"][0] > told["limit_lap_s"][0]


def test_driving_backwards_over_the_line_counts_no_lap():
    made = make(num_slots=1, start="line", stuck_s=0.0)
    made.reset(np.asarray([1]))
    made._cars[:, game.columns.SPEED_ALONG] = -8.0
    for _ in range(60):
        step = made.step(np.zeros((1, 2), np.float32))
    assert made._cars[0, game.columns.PROGRESS] < -5
    assert made.telemetry()["laps"][0] == 0
    assert step.reward[0] < 0


def test_a_car_that_does_not_move_ends_its_episode_and_pays():
    made = make(num_slots=1, start="line", stuck_s=1.0)
    made.reset(np.asarray([1]))
    steps = 0
    while True:
        step = made.step(np.zeros((1, 2), np.float32))
        steps += 1
        if step.step_type[0] == LAST:
            break
    assert steps * 0.05 == pytest.approx(1.0, abs=0.11)
    assert step.discount[0] == 0.0
    assert step.reward[0] < -settings.Reward().stuck * 0.9


def test_an_episode_is_truncated_when_its_time_is_over():
    made = make(num_slots=1, episode_s=0.5, stuck_s=0.0)
    made.reset(np.asarray([1]))
    steps = [made.step(np.zeros((1, 2), np.float32)) for _ in range(10)]
    assert steps[-1].step_type[0] == LAST
    assert steps[-1].discount[0] == 1.0


def test_a_crash_ends_the_episode_where_it_is_told_to():
    for crash_speed, ends in ((0.0, False), (3.0, True)):
        made = make(num_slots=1, start="line", crash_speed_m_s=crash_speed, stuck_s=0.0)
        made.reset(np.asarray([1]))
        ended = False
        for _ in range(150):
            step = made.step(np.float32([[0.3, 1.0]]))
            ended = ended or (step.step_type[0] == LAST and step.discount[0] == 0.0)
        assert ended == ends


def test_walls_cost_what_their_weights_say():
    def total(**weights):
        made = make(num_slots=1, start="line", reward=settings.Reward(**weights), stuck_s=0.0)
        rewards, contacts, impulse, progress = 0.0, 0.0, 0.0, 0.0
        made.reset(np.asarray([1]))
        for _ in range(100):
            rewards += made.step(np.float32([[0.2, 1.0]])).reward[0]
            told = made.telemetry()
            contacts += told["wall_contact"][0]
            impulse += told["wall_impulse"][0]
            progress += told["progress_m"][0]
        return rewards, contacts, impulse / made._settings.car.mass_kg, progress

    reward, contacts, impulse, progress = total(progress=2.0, contact=3.0, impulse=7.0, time=0.5)
    assert contacts > 0
    expected = 2.0 * progress - 3.0 * contacts - 7.0 * impulse - 0.5 * 100 * 0.05
    assert reward == pytest.approx(expected, rel=1e-3)


def test_an_action_that_is_late_moves_the_car_later():
    def first_move(delay):
        late = settings.Randomisation(delay_steps=(delay, delay))
        made = make(num_slots=1, start="line", randomisation=late)
        made.reset(np.asarray([1]))
        for number in range(10):
            if made.step(np.float32([[0.0, 1.0]])).observation[0, 11] > 0.001:
                return number
        return None

    assert [first_move(delay) for delay in (0, 1, 4)] == [0, 1, 4]


def test_randomised_cars_differ_and_stay_in_their_ranges():
    varied = settings.Randomisation(grip=(0.5, 0.9), mass=(1.1, 1.3), power=(0.7, 0.8))
    made = make(num_slots=64, randomisation=varied)
    made.reset(seeding.slot_seeds(0, 64))
    for column, (low, high), unit in (
        (game.columns.GRIP, (0.5, 0.9), 1.0),
        (game.columns.POWER, (0.7, 0.8), 1.0),
        (game.columns.MASS, (1.1, 1.3), made._settings.car.mass_kg),
    ):
        values = made._cars[:, column] / unit
        assert low <= values.min() < values.max() <= high
        assert np.ptp(values) > 0.5 * (high - low)


def test_sensors_err_only_where_they_are_told_to():
    exact, noisy = (
        make(num_slots=1, randomisation=settings.Randomisation(sensor_noise=noise))
        .reset(np.asarray([3]))
        .observation.copy()
        for noise in (0.0, 0.05)
    )
    error = noisy - exact
    assert 0.01 < np.abs(error).mean() < 0.15


def test_training_and_evaluation_drive_on_different_circuits():
    choice = garage.by_seed(50, lambda number: number)
    numbers = {
        domain: {choice.number(int(s)) for s in seeding.slot_seeds(0, 500, domain)}
        for domain in seeding.Domain
    }
    assert len(numbers[seeding.Domain.TRAINING]) == 50
    assert not numbers[seeding.Domain.TRAINING] & numbers[seeding.Domain.EVALUATION]
    assert not numbers[seeding.Domain.VALIDATION] & numbers[seeding.Domain.EVALUATION]
    assert len(numbers[seeding.Domain.EVALUATION]) > 480


def test_rays_are_denser_in_front_and_symmetric():
    angles = game.ray_angles_rad(11, np.radians(200))
    assert np.allclose(angles, -angles[::-1])
    assert angles[0] == pytest.approx(np.radians(100))
    gaps = -np.diff(angles)
    assert (np.diff(gaps[:5]) < 0).all()


def test_the_picture_is_the_same_size_and_follows_the_car():
    made = make(num_slots=2, picture=True)
    made.reset(np.asarray([1, 2]))
    first = made.render(1).copy()
    for _ in range(20):
        made.step(np.float32([[0.0, 1.0]] * 2))
    second = made.render(1)
    assert first.shape == second.shape == (720, 1280, 3)
    assert (first != second).any()


def test_there_is_no_picture_unless_it_was_asked_for():
    made = make()
    made.reset(np.asarray([1, 2]))
    assert made.render() is None


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"substeps": 2}, "substeps is 2"),
        ({"substeps": 10**8}, "substeps is 100000000; expected 1 to 1000"),
        ({"step_s": 1e-9}, "step_s is 1e-09"),
        ({"radius_m": 1e9}, "radius_m is 1000000000.0; expected 2 to 2000"),
        ({"start_speed_m_s": float("nan")}, "start_speed_m_s is nan"),
        ({"num_rays": 0}, "num_rays is 0"),
        ({"episode_s": 0.0}, "episode_s is 0.0"),
        ({"stuck_s": -1.0}, "stuck_s is -1.0"),
        ({"radius_m": 5.0}, "radius_m is 5.0"),
        ({"track_width_m": 1.0}, "track_width_m is 1.0"),
        ({"straight_m": -1.0}, "straight_m is -1.0"),
    ],
)
def test_settings_with_which_nobody_could_drive_are_refused(chosen, words):
    with pytest.raises(ValueError, match=words):
        settings.Oval(**chosen)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"grip": (1.2, 0.8)}, "grip is"),
        ({"power": (0.0, 1.0)}, "power is"),
        ({"mass": (1.0, 1e300)}, r"mass is \[1, 1e\+300\]"),
        ({"sensor_noise": 1e6}, "sensor_noise is"),
        ({"delay_steps": (2, 1)}, "delay_steps is"),
        ({"sensor_noise": -0.1}, "sensor_noise is"),
    ],
)
def test_ranges_that_are_none_are_refused(chosen, words):
    with pytest.raises(ValueError, match=words):
        settings.Randomisation(**chosen)


def test_no_circuits_at_all_are_refused():
    with pytest.raises(ValueError, match="num_circuits is 0"):
        settings.Random(num_circuits=0)


def test_a_track_is_made_once():
    made = []

    def count(number):
        made.append(number)
        return tracks.oval()

    kept = garage.Garage(garage.by_seed(3, count), settings.Oval().car)
    entries = [kept.entry(seed) for seed in range(30)]
    assert sorted(made) == [0, 1, 2]
    assert entries[0] is entries[3]
    assert len(kept.road) == sum(e.track.num_gates + 1 for e in entries[:3])


@pytest.mark.parametrize("game_id", [r.id for r in gamebridge_racing.gamebridge_games()])
def test_all_racing_games_pass_the_validation_of_tf_agents(game_id):
    from gamebridge.tf import start

    start.load()
    from tf_agents.environments import utils

    from gamebridge.tf import environment

    with gamebridge.make_game(game_id, num_slots=2, seed=1, episode_s=1.0) as played:
        utils.validate_py_environment(environment.GamePyEnvironment(played), episodes=2)


def test_a_circuit_is_read_from_the_file_that_settings_name(tmp_path):
    corners = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    lines = [f"{60 * np.cos(a):.3f},{60 * np.sin(a):.3f},5,5" for a in corners]
    path = tmp_path / "round.csv"
    path.write_text("\n".join(["# x_m,y_m,w_tr_right_m,w_tr_left_m", *lines]) + "\n")
    with gamebridge.make_game("racing/circuit", path=str(path)) as played:
        played.reset()
        # A circle of 60 m at the grip of the tyres takes about 14 s.
        assert 12 < played.telemetry()["limit_lap_s"][0] < 17


def test_the_path_of_a_circuit_is_kept_so_that_any_folder_finds_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert settings.Circuit(path="my.csv").path == str(tmp_path / "my.csv")
    assert settings.Circuit().path == ""
    with pytest.raises(ValueError, match="name of a file"):
        settings.Circuit(path="a\nb.csv")


def test_walls_closer_than_the_car_is_wide_are_refused(tmp_path):
    corners = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    path = tmp_path / "narrow.csv"
    path.write_text(
        "".join(f"{60 * np.cos(a):.3f},{60 * np.sin(a):.3f},0.5,0.5\n" for a in corners)
    )
    with pytest.raises(errors.ConfigError, match=r"1\.00 m apart"):
        gamebridge.make_game("racing/circuit", path=str(path))


def test_weights_that_no_learner_survives_are_refused():
    with pytest.raises(ValueError, match="progress is 1e\\+300"):
        settings.Reward(progress=1e300)


def test_a_circuit_that_is_not_there_is_one_line():
    with pytest.raises(errors.ConfigError, match=r"nowhere\.csv") as raised:
        gamebridge.make_game("racing/circuit", path="nowhere.csv")
    assert "\n" not in str(raised.value)


def test_each_of_many_episodes_has_the_seed_of_the_contract():
    made = make(num_slots=2)
    slots = np.asarray([5, 6])
    made.reset(slots)
    starts = []
    for number in range(40):
        expected = seeding.episode_seeds(slots, np.full(2, number))
        assert [made._seed(slot) for slot in range(2)] == expected.tolist()
        starts.append(made._rows.observation.tobytes())
        made.reset()
    assert len(set(starts)) == 40
