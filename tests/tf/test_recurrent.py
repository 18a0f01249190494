"""Memories of networks: nothing is left of an episode in the next one, whatever the outer axes."""

from __future__ import annotations

import numpy as np
import pytest

from gamebridge.contract import FIRST, LAST, MID, specs
from gamebridge.tf import start

start.load()

import tensorflow as tf  # noqa: E402, TID253
from tf_agents.specs import tensor_spec  # noqa: E402, TID253

from gamebridge.tf import environment, networks, recurrent  # noqa: E402


def tensors(spec):
    return tensor_spec.from_spec(environment.to_array_spec(spec))


def network_of(cell, seed=0):
    return networks.QNetwork(
        tensors(specs.box((2,))),
        tensors(specs.discrete(3)),
        seed,
        units=(8,),
        memory=recurrent.MemorySettings(cell, 4),
    )


def observations(*outer):
    return tf.constant(np.random.default_rng(0).normal(size=(*outer, 2)), tf.float32)


def step_by_step(network, observation, step_type):
    """The values of a sequence [N, T, ...], the state handed from each step to the next."""
    state, values = (), []
    for step in range(observation.shape[1]):
        value, state = network(observation[:, step], step_type[:, step], state)
        values.append(value)
    return tf.stack(values, 1), state


def test_a_gru_of_one_number_is_its_formula():
    memory = recurrent.Memory(recurrent.MemorySettings("gru", 1), seed=0)
    memory(tf.zeros([1, 1, 1]), None, ())
    # Columns are update gate, reset gate and candidate; the second row of biases is recurrent.
    memory.set_weights([np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 2.0]]), np.zeros((2, 3))])
    features = tf.constant([[[0.5], [0.0], [0.25]]])
    outputs, state = memory(features, tf.constant([[MID, MID, FIRST]]), (tf.constant([[0.2]]),))
    first = 0.5 * 0.2 + 0.5 * np.tanh(0.5 + 0.5 * 2.0 * 0.2)
    second = 0.5 * first + 0.5 * np.tanh(0.0 + 0.5 * 2.0 * first)
    # Nothing is left at FIRST.
    third = 0.5 * np.tanh(0.25)
    np.testing.assert_allclose(outputs[0, :, 0], [first, second, third], rtol=1e-5)
    np.testing.assert_allclose(state[0], [[third]], rtol=1e-5)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_a_sequence_at_once_is_the_same_as_step_by_step(cell):
    network = network_of(cell)
    observation = observations(2, 6)
    step_type = tf.constant(
        [[FIRST, MID, MID, LAST, FIRST, MID], [MID, LAST, FIRST, MID, MID, MID]]
    )
    expected, last = step_by_step(network, observation, step_type)
    found, state = network(observation, step_type, ())
    np.testing.assert_allclose(found, expected, atol=1e-6)
    tf.nest.map_structure(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6), state, last)
    tf.nest.assert_same_structure(state, network.state_spec)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_an_episode_in_the_middle_begins_without_a_past(cell):
    network = network_of(cell)
    observation = observations(1, 5)
    joined, _ = network(observation, tf.constant([[FIRST, MID, LAST, FIRST, MID]]), ())
    alone, _ = network(observation[:, 3:], tf.constant([[FIRST, MID]]), ())
    np.testing.assert_allclose(joined[:, 3:], alone, atol=1e-6)
    unmarked, _ = network(observation, tf.constant([[FIRST, MID, LAST, MID, MID]]), ())
    assert np.abs(unmarked[:, 3:] - alone).max() > 1e-4


def test_a_copy_has_weights_of_its_own_and_the_same_memory():
    network = network_of("gru")
    network.create_variables()
    copy = network.copy(name="Target")
    copy.create_variables()
    assert copy.state_spec == network.state_spec
    assert len(copy.variables) == len(network.variables)
    assert not {id(variable) for variable in copy.variables} & {
        id(variable) for variable in network.variables
    }


def test_a_seed_decides_the_weights_of_the_memory():
    first, again, other = (network_of("lstm", seed) for seed in (1, 1, 2))
    for network in (first, again, other):
        network.create_variables()
    # A kernel and a bias of the encoder's layer and of the head's, and three of the cell.
    assert len(first.variables) == 7
    for left, right, far in zip(first.variables, again.variables, other.variables, strict=True):
        np.testing.assert_array_equal(left, right)
        if len(left.shape) > 1:
            assert not np.array_equal(left, far), left.name
