"""bc: that it imitates, what its loss is, and which rows it does not learn from."""

from __future__ import annotations

import numpy as np
import pytest

import gamebridge
from gamebridge import api, errors, opening
from gamebridge.contract import new_time_step, seeding, specs
from gamebridge.evaluation import results
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.training import drivers, offline  # noqa: E402

TRAINING = {"checkpoint_interval_steps": 3_000, "validation_episodes": 4}


@pytest.fixture(scope="module", autouse=True)
def toy_games(toy_plugins):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(opening.PLUGIN_FOLDER_VARIABLE, str(toy_plugins))
        yield


def right(observation):
    """The best that can be done in a corridor."""
    return np.ones(len(observation), np.int64)


def teach(game, act, folder, steps, run, episodes=20, **settings):
    taught = gamebridge.demonstrate(game, act, folder, episodes)
    agent = {"episodes": str(folder), "units": [32], "learning_rate": 5e-3, **settings}
    run = gamebridge.train(game, "bc", steps, run, 2, 0, {"agent": agent, "training": TRAINING})
    return float(np.mean([episode.episode_return for episode in taught])), run


def test_integers_are_imitated_until_the_teachers_return_is_reached(tmp_path):
    taught, run = teach("toys/corridor", right, tmp_path / "saved", 3_000, tmp_path / "run")
    assert gamebridge.evaluate(run, 20).return_mean == pytest.approx(taught, abs=0.1)


def test_floats_are_imitated_until_the_teachers_return_is_reached(tmp_path):
    taught, run = teach("toys/target", lambda o: o, tmp_path / "saved", 9_000, tmp_path / "run", 40)
    assert taught == 0.0
    # Ten guesses an episode; a random one costs 0.67.
    assert gamebridge.evaluate(run, 20).return_mean > -0.05


class Pair(fakes.Target):
    """Floats and two integers: what is shown, its sign, and always 1."""

    def __init__(self, num_slots=1, with_floats=True):
        self._with_floats = with_floats
        super().__init__(num_slots)

    def action_spec(self):
        floats = (specs.box((1,), -1.0, 1.0),) if self._with_floats else ()
        return (specs.discrete(2), specs.discrete(3), *floats)


@pytest.mark.parametrize("with_floats", [False, True], ids=["branches", "hybrid"])
def test_several_integers_and_floats_are_imitated_together(make_learner, with_floats):
    game = Pair(1, with_floats)
    learner = make_learner("bc", game, units=(32,), learning_rate=1e-2)
    seen = np.random.default_rng(0).uniform(-1, 1, (200, 1)).astype(np.float32)
    ones = np.ones(200, np.int64)
    action = ((seen[:, 0] > 0).astype(np.int64), ones, *((seen,) if with_floats else ()))
    lesson, seed = lesson_of(seen, action), tf.constant([0, 0])
    train = drivers.in_graph(lambda: learner.train(lesson, seed))
    before = float(learner.measure(lesson)[0])
    for _ in range(150):
        train()
    assert float(learner.measure(lesson)[0]) < before
    time_step = new_time_step((), 200)._replace(observation=seen)
    done, _ = rollout.GraphPolicy(learner.policy)(time_step, ())
    assert (done[0] == action[0]).mean() > 0.95
    assert (done[1] == 1).all()
    if with_floats:
        assert np.abs(done[2] - seen).mean() < 0.1


def make(make_learner, game, **settings):
    return make_learner("bc", game, units=(8,), **settings)


def lesson_of(observation, action, weight=None):
    count = len(tf.nest.flatten(action)[0])
    weight = np.ones(count, np.float32) if weight is None else np.asarray(weight, np.float32)
    return tf.nest.map_structure(tf.constant, offline.Lesson(observation, action, weight))


def test_the_loss_of_integers_is_the_cross_entropy(make_learner):
    learner = make(make_learner, fakes.Corridor(1))
    seen = np.random.default_rng(0).uniform(size=(5, 2)).astype(np.float32)
    action = np.array([0, 1, 1, 0, 1])
    logits = learner._actor(tf.constant(seen))[0].logits_parameter().numpy()
    wanted = np.log(np.exp(logits).sum(1)) - logits[np.arange(5), action]
    total, count = learner.measure(lesson_of(seen, action))
    assert (float(total), float(count)) == (pytest.approx(wanted.sum(), rel=1e-4), 5)


def test_the_loss_of_floats_is_that_of_the_gaussian_and_no_sample(make_learner):
    learner = make(make_learner, fakes.Target(1), initial_std=0.5)
    seen = np.random.default_rng(0).uniform(size=(5, 1)).astype(np.float32)
    action = np.linspace(-1, 1, 5, dtype=np.float32)[:, None]
    mean = learner._actor(tf.constant(seen))[0].mean().numpy()
    wanted = 0.5 * ((action - mean) / 0.5) ** 2 + np.log(0.5) + 0.5 * np.log(2 * np.pi)
    # TF-Agents' own loss is another one each time.
    for _ in range(2):
        total, _ = learner.measure(lesson_of(seen, action))
        assert float(total) == pytest.approx(wanted.sum(), rel=1e-4)


class Masked(fakes.Corridor):
    """A corridor that says which ways are open."""

    def observation_spec(self):
        mask = specs.box((2,), 0, 1, dtype=np.bool_)
        return {"observation": super().observation_spec(), "action_mask": mask}


def test_rows_that_mean_nothing_or_were_not_allowed_are_not_learned_from(make_learner):
    seen = np.random.default_rng(0).uniform(size=(4, 2)).astype(np.float32)
    mask = np.array([[1, 1], [1, 0], [0, 1], [1, 1]], np.bool_)
    action = np.array([0, 1, 1, 1])
    rows = {"observation": seen, "action_mask": mask}
    # The second was not allowed, the last has no weight.
    lesson = lesson_of(rows, action, [1, 1, 1, 0])
    few = lesson_of(tf.nest.map_structure(lambda leaf: leaf[[0, 2]], rows), action[[0, 2]])
    one, other = (make(make_learner, Masked(1)) for _ in range(2))
    assert float(one.measure(lesson)[1]) == 2
    assert float(one.measure(lesson)[0]) == pytest.approx(float(other.measure(few)[0]), rel=1e-5)
    seed = tf.constant([0, 0])
    losses = [learner.train(part, seed)["loss"] for learner, part in ((one, lesson), (other, few))]
    assert float(losses[0]) == pytest.approx(float(losses[1]), rel=1e-5)
    for left, right in zip(one.policy.variables(), other.policy.variables(), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-5)


def test_what_a_run_has_learned_can_be_saved_and_learned_from_again(tmp_path):
    first = gamebridge.train("toys/corridor", "random", 64, tmp_path / "first", 2, 0)
    evaluation = gamebridge.evaluate(first, 6, save_episodes=tmp_path / "saved")
    assert evaluation.saved == str(tmp_path / "saved")
    assert isinstance(evaluation, results.Evaluation)
    episodes = gamebridge.load_episodes(tmp_path / "saved")
    assert list(episodes.lengths) == [episode.length for episode in evaluation.episodes]
    assert episodes.origin["agent"] == "random"
    assert episodes.origin["settings"]["length"] == 6
    # Never those that an evaluation plays.
    evaluated = {episode.seed for episode in gamebridge.evaluate(first, 6).episodes}
    seeds = {episode.seed for episode in episodes}
    assert not seeds & evaluated
    assert seeds == set(seeding.slot_seeds(0, 6).tolist())
    run = gamebridge.train(
        "toys/corridor", "bc", 500, tmp_path / "run", 2, 0,
        {"agent": {"episodes": str(tmp_path / "saved")}, "training": TRAINING},
    )  # fmt: skip
    # Where the folder is gone the run can still be judged.
    (tmp_path / "saved").rename(tmp_path / "elsewhere")
    assert len(gamebridge.evaluate(run, 2).episodes) == 2
    with pytest.raises(errors.ConfigError, match="is no folder of saved episodes"):
        gamebridge.resume(run, 1000)


def test_actions_are_saved_as_the_run_was_told_to_cut_them(tmp_path):
    settings = {
        "agent": {"units": [4], "warm_up_steps": 8, "batch_size": 4, "replay_capacity": 100},
        "wrappers": {"action_bins": 2},
        "training": {"validation_episodes": 0},
    }
    run = gamebridge.train("toys/target", "dqn", 16, tmp_path / "run", 2, 0, settings)
    gamebridge.evaluate(run, 4, save_episodes=tmp_path / "saved")
    episodes = gamebridge.load_episodes(tmp_path / "saved")
    # The ends of the range: with any other number of values there is one in between.
    assert {float(abs(one)) for episode in episodes for one in episode.action.flat} == {1.0}


def test_actions_that_lasted_other_than_those_that_are_learned_are_refused(tmp_path):
    gamebridge.demonstrate(
        "toys/corridor", right, tmp_path / "saved", 4, wrappers={"action_repeat": 2}
    )

    def learn(action_repeat):
        return gamebridge.train(
            "toys/corridor", "bc", 500, tmp_path / "run", 2, 0,
            {
                "agent": {"episodes": str(tmp_path / "saved")},
                "training": TRAINING,
                "wrappers": {"action_repeat": action_repeat},
            },
        )  # fmt: skip

    with pytest.raises(errors.ConfigError, match=r"lasts 2 .* training 1\. .*action_repeat=2"):
        learn(1)
    assert not (tmp_path / "run").exists()
    learn(2)


@pytest.mark.parametrize("function", ["evaluate", "demonstrate"])
def test_a_folder_with_something_in_it_is_refused_before_anything_is_played(tmp_path, function):
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(errors.ConfigError, match="is there already and not an empty folder"):
        if function == "evaluate":
            gamebridge.evaluate(tmp_path, save_episodes=tmp_path)
        else:
            gamebridge.demonstrate("toys/corridor", right, tmp_path)


@pytest.mark.parametrize(("name", "value"), [("episodes", 0), ("max_steps", 0)])
def test_demonstrations_of_nothing_are_refused(tmp_path, name, value):
    with pytest.raises(errors.ConfigError, match=f"{name} is 0; expected 1 or more"):
        gamebridge.demonstrate("toys/corridor", right, tmp_path, **{name: value})


def test_what_refuses_to_learn_leaves_no_run_behind(tmp_path):
    with pytest.raises(errors.ConfigError, match=r"agent\.episodes is not given"):
        gamebridge.train("toys/corridor", "bc", 500, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_there_is_nothing_to_bench():
    with pytest.raises(errors.ConfigError, match="plays no game meanwhile: there is no step to"):
        api.bench("toys/corridor", "bc", 2, seconds=0.001)


@pytest.mark.parametrize("holdout", [-0.1, 1.0, 1.5])
def test_a_share_that_leaves_nothing_to_learn_is_refused(make_learner, holdout):
    with pytest.raises(ValueError, match="holdout is "):
        make(make_learner, fakes.Corridor(1), holdout=holdout)
