"""DDPG, TD3 and SAC: targets, bounds, rows that must not teach, and nothing left to chance."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge import errors
from gamebridge.contract import FIRST, specs
from gamebridge.testing import fakes
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.trajectories import time_step as ts  # noqa: E402, TID253

from gamebridge.evaluation import rollout  # noqa: E402
from gamebridge.tf import encoders, environment, replay  # noqa: E402
from gamebridge.training import checkpoints, drivers, off_policy  # noqa: E402

AGENTS = ("ddpg", "td3", "sac")
SMALL = {"units": (16,), "batch_size": 16, "replay_capacity": 2000, "warm_up_steps": 20}
SEED = tf.constant([1, 2])
COUNT = 16


def weights_of(learner):
    """Everything that a training step may change."""
    root = tf.train.Checkpoint(**learner.trackables())
    parts = tf.train.TrackableView(root).descendants()
    return [part.numpy() for part in parts if isinstance(part, tf.Variable) and part.shape.rank]


def same(left, right):
    return all(np.array_equal(a, b) for a, b in zip(left, right, strict=True))


def batch_of(weight=None, reward=1.0, discount=1.0, size=1, count=COUNT):
    rng = np.random.default_rng(0)

    def rows(low):
        return tf.constant(rng.uniform(low, 1.0, (count, size)), tf.float32)

    return replay.Transition(
        observation=rows(-1.0),
        action=rows(-1.0),
        reward=tf.zeros([count]) + tf.constant(reward, tf.float32),
        discount=tf.zeros([count]) + tf.constant(discount, tf.float32),
        next_observation=rows(-1.0),
        weight=tf.constant(np.ones(count) if weight is None else weight, tf.float32),
    )


def as_stock(learner):
    """Gives a learner TF-Agents' own agent, everything else left as it is."""
    learner._agent.__class__ = type(learner._agent).__mro__[1]
    return learner


def critics_of(learner):
    parts = learner.trackables()
    return [parts[name] for name in ("critic", "critic_1", "critic_2") if name in parts]


def targets_of(learner):
    parts = learner.trackables()
    names = ("target_critic", "target_critic_1", "target_critic_2")
    return [parts[name] for name in names if name in parts]


def value_of(critic, observation, action):
    return critic((observation, action))[0].numpy()


# --- what is learned ---


@pytest.fixture(scope="module", params=AGENTS)
def sittings(request, make_learner, tmp_path_factory):
    """A driver, its learner, and all weights after two halves and after the second one again."""

    def half(count):
        before = learner.trackables()["train_step"].numpy()
        driver.restart()
        driver.advance(count)
        driver.end_episodes()
        # An odd number, so that TD3 stands between two updates of its actor.
        assert (learner.trackables()["train_step"].numpy() - before) % 2 == 1
        return weights_of(learner)

    game = fakes.Target(3, num_steps=7)
    settings = {**SMALL, "learning_rate": 3e-3, "units": (32,), "gamma": 0.5}
    learner = make_learner(request.param, game, 3, **settings)
    driver = off_policy.OffPolicyDriver(environment.GameTFEnvironment(game), learner, 3)
    folder = tmp_path_factory.mktemp(request.param)
    saved = checkpoints.Checkpoints(folder, driver.trackables(), driver.replay)
    half(161)
    saved.save(driver.num_steps, {})
    once = half(161)
    # What no checkpoint held would still be that of the end, and lead elsewhere.
    saved.restore()
    return driver, learner, once, half(161)


def test_an_agent_learns_to_say_what_it_is_shown(sittings):
    learner = sittings[1]
    game = fakes.Target(4, num_steps=7)
    played = rollout.play(game, rollout.GraphPolicy(learner.policy), range(8), max_steps=10)
    # Saying 0 costs a third a step, saying anything two thirds.
    assert np.mean([episode.episode_return for episode in played]) > -7 * 0.05


def test_training_in_two_sittings_equals_one(sittings):
    _, _, once, again = sittings
    assert same(once, again)


def test_nothing_is_traced_again(sittings):
    assert sittings[0]._advance.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("agent", AGENTS)
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(make_learner, agent):
    trained = []
    for seed in (0, 0, 1):
        learner = make_learner(agent, fakes.Target(1), seed, **SMALL)
        tf.random.normal([])  # moves TensorFlow's own generator on
        learner.train(batch_of(), SEED)
        trained.append(weights_of(learner))
    assert same(trained[0], trained[1])
    assert not same(trained[0], trained[2])


@pytest.mark.parametrize("agent", ["td3", "sac"])
def test_tf_agents_own_training_does_not_repeat(make_learner, agent):
    trained = []
    for _ in range(2):
        learner = as_stock(make_learner(agent, fakes.Target(1), **SMALL))
        learner.train(batch_of(), SEED)
        trained.append(weights_of(learner))
    assert not same(*trained)


@pytest.mark.parametrize("agent", ["td3", "sac"])
def test_the_two_critics_begin_with_weights_of_their_own(make_learner, agent):
    learner = make_learner(agent, fakes.Target(1), **SMALL)
    first, second = critics_of(learner)
    assert not same(first.get_weights()[:1], second.get_weights()[:1])
    # TF-Agents' way: a copy is made by the same initializers, and so is the same.
    copy = first.copy(name="Copy")
    copy.create_variables()
    assert same(first.get_weights(), copy.get_weights())


# --- the targets of the critics ---


def expected_targets(agent, learner, batch, seed, settings):
    parts = learner.trackables()
    steps = ts.restart(batch.next_observation, COUNT)
    bonus = 0.0
    if agent == "sac":
        distribution = learner._agent.collect_policy.distribution(steps).action
        action = distribution.sample(seed=tf.random.split(seed, 3)[0])
        bonus = -settings["initial_alpha"] * distribution.log_prob(action).numpy()
    else:
        action, _ = parts["target_actor"](batch.next_observation)
    after = np.min(
        [value_of(critic, batch.next_observation, action) for critic in targets_of(learner)], 0
    )
    return 2.0 * batch.reward.numpy() + 0.9 * batch.discount.numpy() * (after + bonus)


@pytest.mark.parametrize("agent", AGENTS)
def test_the_critics_loss_is_that_of_a_target_which_only_the_discount_ends(make_learner, agent):
    extra = {"td3": {"target_noise": 0.0}, "sac": {"initial_alpha": 0.3}}.get(agent, {})
    learner = make_learner(agent, fakes.Target(1), gamma=0.9, reward_scale=2.0, **extra, **SMALL)
    # Otherwise all values are nearly 0.
    for critic in targets_of(learner):
        critic._head.bias.assign([5.0])
    weight = np.ones(COUNT)
    weight[:4] = 0
    # Terminated, truncated or in mid-episode, the end of three steps.
    discount = np.resize([0.0, 1.0, 0.81], COUNT)
    batch = batch_of(weight, np.linspace(-1, 1, COUNT), discount)
    targets = expected_targets(agent, learner, batch, SEED, extra)
    errors_ = [
        (value_of(critic, batch.observation, batch.action) - targets) ** 2
        for critic in critics_of(learner)
    ]
    share = 0.5 if agent == "sac" else 1.0
    found = float(learner.train(batch, SEED)["critic_loss"])
    np.testing.assert_allclose(found, share * np.mean(np.sum(errors_, 0) * weight), rtol=1e-4)


def short_episodes():
    """Episodes of one step, each worth 1: those of slot 0 terminate, of slot 1 are truncated."""
    spec = specs.box((1,), -1.0, 1.0)
    tensor_spec = tf.TensorSpec(spec.shape, tf.float32)
    rows = replay.Replay(tensor_spec, tensor_spec, 2, 200)
    observation = tf.constant([[-1.0], [1.0]])

    def step(step_type, reward, discount):
        return ts.TimeStep(
            tf.fill([2], step_type), tf.fill([2], reward), tf.constant(discount), observation
        )

    first = step(ts.StepType.FIRST, 0.0, [1.0, 1.0])
    last = step(ts.StepType.LAST, 1.0, [0.0, 1.0])
    rng = np.random.default_rng(0)
    for _ in range(50):
        action = tf.constant(rng.uniform(-1, 1, (2, 1)), tf.float32)
        rows.add(first, action, last)
        rows.add(last, action, first)
    return rows


def test_what_is_truncated_bootstraps_and_what_terminated_does_not(make_learner):
    def values(*, joined):
        settings = {**SMALL, "gamma": 0.5, "learning_rate": 0.02, "target_update_tau": 0.2}
        learner = make_learner("ddpg", fakes.Target(1), **settings)

        def train(number):
            seeds = tf.random.split(tf.stack([number, 0]), 2)
            batch = episodes.sample(COUNT, 1, 0.5, seeds[0])
            weight = tf.ones([COUNT]) if joined else batch.weight
            learner.train(batch._replace(weight=weight), seeds[1])
            return number + 1

        drivers.in_graph(lambda: tf.while_loop(lambda number: number < 200, train, [0]))()
        shown = tf.constant([[-1.0], [1.0]])
        return value_of(critics_of(learner)[0], shown, tf.zeros([2, 1]))

    episodes = short_episodes()
    np.testing.assert_allclose(values(joined=False), [1.0, 2.0], atol=0.1)
    # TF-Agents learns from the way from an end to the next beginning as from any other step.
    assert values(joined=True)[1] < 1.5


# --- rows without weight ---


@pytest.mark.parametrize("agent", AGENTS)
def test_rows_without_weight_do_not_teach(make_learner, agent):
    learner = make_learner(agent, fakes.Target(1), **SMALL)
    before = [network.get_weights() for network in (*critics_of(learner), learner_actor(learner))]
    learner.train(batch_of(np.zeros(COUNT), reward=1e6), SEED)
    after = [network.get_weights() for network in (*critics_of(learner), learner_actor(learner))]
    assert all(same(a, b) for a, b in zip(before, after, strict=True))


def learner_actor(learner):
    return learner.trackables()["actor"]


def trained_on(learner, poison):
    half = (np.arange(COUNT) % 2).astype(np.float32)
    batch = batch_of(half)
    strange = {
        name: tf.where(half[:, None] > 0, rows, poison)
        for name, rows in batch._asdict().items()
        if len(rows.shape) == 2
    }
    learner.train(batch._replace(**strange, reward=tf.where(half > 0, batch.reward, poison)), SEED)
    return [network.get_weights() for network in (*critics_of(learner), learner_actor(learner))]


@pytest.mark.parametrize("agent", AGENTS)
def test_what_stands_in_such_rows_does_not_matter(make_learner, agent):
    trained = [
        trained_on(make_learner(agent, fakes.Target(1), **SMALL), poison)
        for poison in (0.25, -0.75)
    ]
    for left, right in zip(*trained, strict=True):
        assert same(left, right)


def test_tf_agents_own_ddpg_lets_such_rows_teach_its_actor(make_learner):
    trained = [
        trained_on(as_stock(make_learner("ddpg", fakes.Target(1), **SMALL)), poison)
        for poison in (0.25, -0.75)
    ]
    assert not same(trained[0][-1], trained[1][-1])


# --- target networks ---


@pytest.mark.parametrize("agent", ["ddpg", "sac"])
def test_the_targets_follow_by_their_share(make_learner, agent):
    learner = make_learner(agent, fakes.Target(1), target_update_tau=0.25, **SMALL)
    before = [critic.get_weights() for critic in targets_of(learner)]
    assert all(map(same, before, [critic.get_weights() for critic in critics_of(learner)]))
    learner.train(batch_of(), SEED)
    for old, critic, target in zip(before, critics_of(learner), targets_of(learner), strict=True):
        for was, new, now in zip(old, critic.get_weights(), target.get_weights(), strict=True):
            np.testing.assert_allclose(now, 0.75 * was + 0.25 * new, atol=1e-6)
        assert not same(old, target.get_weights())


def test_td3_moves_its_actor_and_its_targets_in_every_second_step_only(make_learner):
    learner = make_learner("td3", fakes.Target(1), **SMALL)
    parts = learner.trackables()
    moved = []
    for _ in range(4):
        before = [parts[name].get_weights() for name in ("actor", "target_actor", "critic_1")]
        learner.train(batch_of(), SEED)
        after = [parts[name].get_weights() for name in ("actor", "target_actor", "critic_1")]
        moved.append([not same(*pair) for pair in zip(before, after, strict=True)])
    actor, target, critic = np.transpose(moved)
    assert actor.tolist() == [True, False, True, False]
    assert target.tolist() == [False, True, False, True]
    assert critic.all()


def test_only_ours_of_td3s_target_actions_are_held_to_the_bounds(make_learner):
    def seen_by_critic(learner):
        seen = []
        critic = learner._agent._target_critic_network_1
        call = critic.call
        critic.call = lambda inputs, *rest, **named: (
            seen.append(inputs[1].numpy()),
            call(inputs, *rest, **named),
        )[1]
        learner._agent._target_actor_network._head.bias.assign([5.0])
        learner.train(batch_of(), SEED)
        return seen[0]

    def learner():
        return make_learner("td3", fakes.Target(1), target_noise=0.5, **SMALL)

    ours = seen_by_critic(learner())
    assert ours.max() == 1.0
    assert 0.4 <= ours.min() < 0.9
    assert seen_by_critic(as_stock(learner())).max() > 1.05


# --- the temperature of SAC ---


@pytest.mark.parametrize(("target", "falls"), [(-5.0, True), (5.0, False)])
def test_the_temperature_falls_where_there_is_more_entropy_than_wanted(make_learner, target, falls):
    learner = make_learner("sac", fakes.Target(1), target_entropy=target, **SMALL)
    before = float(learner._agent._log_alpha)
    metrics = learner.train(batch_of(), SEED)
    after = float(learner._agent._log_alpha)
    assert (after < before) == falls
    np.testing.assert_allclose(float(metrics["alpha"]), np.exp(after), rtol=1e-6)


# --- actions ---

BOUNDS = specs.box((2,), np.array([-2.0, 0.0], np.float32), np.array([6.0, 1.0], np.float32))


def bounded(num_slots=1, observation=None, action=BOUNDS):
    script = [fakes.Moment(step_type=FIRST)]
    return fakes.Scripted(*[script] * num_slots, observation_spec=observation, action_spec=action)


@pytest.fixture(params=AGENTS)
def many(request, make_learner):
    """A learner of 500 slots, all of which see the same, and its time step."""
    settings = {} if request.param == "sac" else {"exploration_noise": 0.5}
    learner = make_learner(request.param, bounded(500), **settings, **SMALL)
    return learner, ts.restart(tf.zeros([500, 1]), 500)


def check_within(actions):
    assert (actions >= [-2.0, 0.0]).all()
    assert (actions <= [6.0, 1.0]).all()


def test_the_first_actions_are_anything_within_the_bounds(many):
    learner, step = many
    actions = learner.act(step, tf.constant(19, tf.int64), SEED).numpy()
    check_within(actions)
    np.testing.assert_allclose(actions.mean(0), [2.0, 0.5], atol=0.4)
    np.testing.assert_allclose(actions.std(0), [8 / 12**0.5, 1 / 12**0.5], rtol=0.1)


def test_later_ones_are_drawn_about_the_policys_and_held_to_the_bounds(many):
    learner, step = many
    later = tf.constant(20, tf.int64)
    actions = learner.act(step, later, SEED).numpy()
    check_within(actions)
    assert len(np.unique(actions[:, 0])) > 300
    assert same([actions], [learner.act(step, later, SEED).numpy()])
    assert not same([actions], [learner.act(step, later, SEED + 1).numpy()])
    np.testing.assert_allclose(actions.mean(0), [2.0, 0.5], atol=0.4)


def test_the_greedy_policy_always_gives_the_same_and_reaches_both_bounds(many):
    learner, step = many
    found = []
    for bias in (0.0, 9.0, -9.0):
        head = learner_actor(learner)._head.bias
        head.assign(bias * np.resize([1.0, 1.0, 0.0, 0.0], head.shape))
        actions = [learner.policy.action(step).action.numpy() for _ in range(2)]
        assert same(*[[action] for action in actions])
        check_within(actions[0])
        assert (actions[0] == actions[0][0]).all()
        found.append(actions[0][0])
    np.testing.assert_allclose(found, [[2.0, 0.5], [6.0, 1.0], [-2.0, 0.0]], atol=1e-2)


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    "action",
    [
        specs.box((1,)),
        specs.box((1,), 0.0),
        specs.box((1,), np.finfo(np.float32).min, np.finfo(np.float32).max),
    ],
    ids=["none", "half", "floats"],
)
def test_actions_without_finite_bounds_are_refused(make_learner, agent, action):
    with pytest.raises(errors.FitError, match=r"to their bounds\. Set wrappers\.action_bound"):
        make_learner(agent, bounded(action=action), **SMALL)


# --- observations ---

LEAVES = {
    "camera": specs.frame(12, 12, 1),
    "pair": (specs.discrete(3, start=1), specs.box((2,), dtype=np.float64)),
}


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    ("observation", "num_features"),
    [(LEAVES, 5), (specs.frame(36, 36, 3), 0)],
    ids=["nest", "frame"],
)
def test_actor_and_critic_see_every_leaf_and_learn_from_all(
    make_learner, agent, observation, num_features
):
    learner = make_learner(
        agent, bounded(1, observation), num_features=num_features, conv_filters=(2, 2, 2), **SMALL
    )
    rng = np.random.default_rng(0)
    leaves = tf.nest.flatten(learner._request.time_step_spec.observation)

    def rows():
        drawn = []
        for spec in leaves:
            scale = 80 if encoders.is_frame(spec) else 1
            numbers = rng.integers(1, 4, [COUNT, *spec.shape]) * scale
            drawn.append(tf.constant(numbers, spec.dtype))
        return tf.nest.pack_sequence_as(learner._request.time_step_spec.observation, drawn)

    batch = batch_of(size=2)._replace(observation=rows(), next_observation=rows())
    metrics = learner.train(batch, SEED)
    assert set(metrics) == set(learner.metric_names)
    assert np.isfinite([float(value) for value in metrics.values()]).all()

    other = rows()
    for index in range(len(leaves)):
        mixed = tf.nest.flatten(batch.observation)
        mixed[index] = tf.nest.flatten(other)[index]
        mixed = tf.nest.pack_sequence_as(batch.observation, mixed)
        actions = [
            learner.policy.action(ts.restart(seen, COUNT)).action.numpy()
            for seen in (batch.observation, mixed)
        ]
        assert not same(*[[action] for action in actions])
        for critic in critics_of(learner):
            values = [value_of(critic, seen, batch.action) for seen in (batch.observation, mixed)]
            assert not same(*[[value] for value in values])


# --- settings ---


@pytest.mark.parametrize("agent", AGENTS)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size is 0; expected more than 0."),
        ({"gamma": 1.5}, "gamma is 1.5; expected 0 to 1."),
        ({"num_features": -1}, "num_features is -1; expected 0 or more."),
        ({"units": (0,)}, "units is (0,); expected sizes above 0."),
        (
            {"replay_capacity": 20, "warm_up_steps": 20},
            "replay_capacity is 20, not above warm_up_steps 20: training would never begin. "
            "Raise replay_capacity.",
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(make_learner, agent, settings, message):
    with pytest.raises(ValueError) as caught:
        make_learner(agent, fakes.Target(1), **settings)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("agent", "settings", "message"),
    [
        ("td3", {"actor_update_period": 0}, "actor_update_period is 0; expected more than 0."),
        ("td3", {"target_noise": -1.0}, "target_noise is -1.0; expected 0 or more."),
        ("ddpg", {"exploration_noise": -1.0}, "exploration_noise is -1.0; expected 0 or more."),
        ("sac", {"initial_alpha": 0.0}, "initial_alpha is 0.0; expected more than 0."),
    ],
)
def test_settings_of_one_agent_that_cannot_work_are_refused(make_learner, agent, settings, message):
    with pytest.raises(ValueError) as caught:
        make_learner(agent, fakes.Target(1), **settings)
    assert str(caught.value) == message
