"""A player's life as the client sees it, over real gRPC."""

from __future__ import annotations

import logging
import queue

import numpy as np
import pytest
import talkers

from gamebridge import errors
from gamebridge_unity import channels as channels_module
from gamebridge_unity import client as clients
from gamebridge_unity import encoding, texts, wire

NAME = "Car?team=0"
ANNOUNCED = talkers.parameters(NAME, continuous=2)


def nothing():
    """A player's process that is always there."""


@pytest.fixture
def channels():
    return channels_module.Channels()


@pytest.fixture
def client(channels):
    made = clients.Client("player 1", channels=channels)
    yield made
    made.close()


@pytest.fixture
def talk(client):
    """Makes players."""
    made = []

    def make():
        made.append(talkers.Talker(client.port))
        return made[-1]

    yield make
    for talker in made:
        talker.close()


def shake(client, talker, **said):
    """Comes to terms; returns what the client learnt and the call that waits for an order."""
    first = talker.say(talkers.hello(**said))
    second = queue.SimpleQueue()
    first.add_done_callback(lambda call: second.put(talker.say(talkers.empty())))
    hello = client.handshake(7, 3, 20.0, nothing)
    return hello, second.get(timeout=20.0), talkers.heard(first)


def tell(client, talker, *agents, announced=None, name=NAME, side_channel=b""):
    """Says news of agents; returns the batches and the call that waits for an order."""
    call = talker.say(talkers.news(name, agents, announced, side_channel))
    return client.receive(20.0, nothing), call


def car(number, *values, **said):
    return talkers.agent(number, talkers.floats(values or [0.5, 0.25], "rays"), **said)


def test_a_whole_life(client, talk):
    talker = talk()
    hello, waiting, introduction = shake(client, talker)
    assert (hello.communication_version, hello.package_version) == ("1.5.0", "2.2.1-exp.1")
    assert hello.capabilities == wire.Capabilities(*[True] * 7)
    said = introduction.unity_input.rl_initialization_input
    assert (said.seed, said.num_areas, said.communication_version) == (7, 3, "1.5.0")
    assert said.package_version == "0.28.0"
    assert wire.capabilities_of(said.capabilities) == hello.capabilities
    assert introduction.header.status == 200

    client.send_reset()
    order = talkers.heard(waiting)
    assert (order.header.status, order.unity_input.rl_input.command) == (200, wire.RESET)

    batches, call = tell(client, talker, car(3, reward=1.5), car(5), announced=ANNOUNCED)
    assert batches[NAME].ids.tolist() == [3, 5]
    assert batches[NAME].rewards.tolist() == [1.5, 0.0]
    assert batches[NAME].observations[0].tolist() == [[0.5, 0.25], [0.5, 0.25]]
    assert client.behaviors[NAME].num_continuous == 2

    client.send_step({NAME: clients.Actions(np.array([[1, 2], [3, 4]], np.float32))})
    order = talkers.heard(call)
    assert order.unity_input.rl_input.command == wire.STEP
    listed = order.unity_input.rl_input.agent_actions[NAME].value
    assert [list(one.continuous_actions) for one in listed] == [[1.0, 2.0], [3.0, 4.0]]
    assert [list(one.vector_actions_deprecated) for one in listed] == [[], []]

    _, call = tell(client, talker, car(3))
    client.say_goodbye()
    assert talkers.heard(call).header.status == 400


def test_a_message_of_ends_alone_has_no_row_to_act_for(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    _, call = tell(client, talker, car(1), announced=ANNOUNCED)
    client.send_step({NAME: clients.Actions(np.zeros((1, 2), np.float32))})
    call.result()
    batches, call = tell(client, talker, car(1, done=True, max_step_reached=True))
    assert (len(batches[NAME].ids), batches[NAME].ended.interrupted.tolist()) == (0, [True])
    client.send_step({NAME: clients.Actions(np.zeros((0, 2), np.float32))})
    assert talkers.heard(call).unity_input.rl_input.agent_actions[NAME].value == []


def test_behaviours_may_come_later_and_all_known_ones_are_in_every_answer(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    batches, call = tell(client, talker, car(1), announced=ANNOUNCED)
    assert list(batches) == [NAME]
    client.send_step({})
    call.result()
    truck = talkers.parameters("Truck?team=1", branches=(4,))
    batches, call = tell(client, talker, car(2, 9.0), announced=truck, name="Truck?team=1")
    assert {name: batch.ids.tolist() for name, batch in batches.items()} == {
        NAME: [],
        "Truck?team=1": [2],
    }
    assert batches["Truck?team=1"].masks.tolist() == [[True] * 4]
    client.send_step({"Truck?team=1": clients.Actions(discrete=np.array([[3]]))})
    actions = talkers.heard(call).unity_input.rl_input.agent_actions
    assert [list(one.discrete_actions) for one in actions["Truck?team=1"].value] == [[3]]
    assert list(actions) == ["Truck?team=1"]


def test_a_player_of_before_hybrid_actions_gets_the_older_field_as_well(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker, capabilities={"baseRLCapabilities": True})
    client.send_reset()
    waiting.result()
    hybrid = talkers.parameters(NAME, continuous=2, branches=(3, 500))
    _, call = tell(client, talker, car(1), announced=hybrid)
    actions = clients.Actions(np.array([[0.5, -1.0]], np.float32), np.array([[2, 300]]))
    client.send_step({NAME: actions})
    (one,) = talkers.heard(call).unity_input.rl_input.agent_actions[NAME].value
    assert list(one.continuous_actions) == [0.5, -1.0]
    assert list(one.discrete_actions) == [2, 300]
    assert list(one.vector_actions_deprecated) == [0.5, -1.0, 2.0, 300.0]


@pytest.mark.parametrize(
    ("actions", "match"),
    [
        (clients.Actions(np.zeros((2, 2), np.float32)), r"shape \[2, 2\]: expected \[1, 2\]"),
        (clients.Actions(), r"shape \[1, 0\]: expected \[1, 2\]"),
        (
            clients.Actions(np.zeros((1, 2), np.float32), np.zeros((1, 1), np.int32)),
            r"shape \[1, 1\]: expected \[1, 0\]",
        ),
    ],
)
def test_actions_that_are_not_as_many_as_agents_asked_are_their_caller_s_error(
    client, talk, actions, match
):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    tell(client, talker, car(1), announced=ANNOUNCED)
    with pytest.raises(ValueError, match=match):
        client.send_step({NAME: actions})


def test_another_version_is_an_error_that_names_both(client, talk):
    call = talk().say(talkers.hello(version="2.0.0", package="9.9.9"))
    match = r"speaks ML-Agents communication '2.0.0' \(package '9.9.9'\): expected 1.5.0"
    with pytest.raises(errors.PlayerError, match=match):
        client.handshake(1, 1, 20.0, nothing)
    assert talkers.heard(call).header.status == 400


@pytest.mark.parametrize("version", ["1.0.0", "1.9.0", "1.5.0-exp.2"])
def test_versions_that_differ_behind_the_first_number_get_on(client, talk, version):
    hello, _, _ = shake(client, talk(), version=version)
    assert hello.communication_version == version


def test_a_player_that_says_nothing_of_what_it_can_do_is_taken_for_one_that_can_nothing(
    client, talk, caplog
):
    with caplog.at_level(logging.WARNING):
        hello, _, _ = shake(client, talk(), capabilities={})
    assert hello.capabilities == wire.Capabilities()
    assert "player 1 says nothing of what it can do" in caplog.text


@pytest.mark.parametrize(
    ("message", "match"),
    [
        (talkers.empty(500), "sent status 500: expected 200"),
        (talkers.empty(400), r"quit by itself \(status 400\)"),
        (talkers.empty(), "does not introduce it"),
        (b"", "sent status 0"),
        (b"\xff\xff\xff", r"sent 3 bytes that cannot be read"),
        (b"\x0b" * 1000, r"sent 1,000 bytes that cannot be read"),
        (b"\x0a\x03\x08\xc8\x01\x12\x04\x12\x02\x0a\x07", "introduced itself unreadably"),
    ],
)
def test_a_first_message_that_is_none_is_told(client, talk, message, match):
    call = talk().say(message)
    with pytest.raises(clients.Broken, match=match):
        client.handshake(1, 1, 20.0, nothing)
    client.renew()
    assert talkers.heard(call).header.status == 400


def test_the_handshake_s_time_is_that_of_both_calls(client, talk):
    first = talk().say(talkers.hello())
    with pytest.raises(clients.Late):
        client.handshake(1, 1, 0.5, nothing)
    assert talkers.heard(first).header.status == 200


def test_a_behaviour_that_changes_is_refused_and_both_are_shown(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    _, call = tell(client, talker, car(1), announced=ANNOUNCED)
    client.send_step({})
    call.result()
    wider = talkers.parameters(NAME, continuous=3)
    match = r"it was .*'Car\?team=0'.* 2 continuous.*; now it is .* 3 continuous"
    with pytest.raises(errors.GameError, match=match):
        tell(client, talker, car(1), announced=wider)


def test_a_behaviour_that_is_announced_again_as_it_was_is_none_the_worse(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    _, call = tell(client, talker, car(1), announced=ANNOUNCED)
    client.send_step({})
    call.result()
    batches, _ = tell(client, talker, car(4), announced=ANNOUNCED)
    assert batches[NAME].ids.tolist() == [4]


def test_observations_that_change_are_refused(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    _, call = tell(client, talker, car(1), announced=ANNOUNCED)
    client.send_step({})
    call.result()
    with pytest.raises(errors.GameError, match=r"shape \[3\]: expected \[2\], as at first"):
        tell(client, talker, car(1, 1.0, 2.0, 3.0), announced=ANNOUNCED)


def test_agents_of_a_behaviour_that_was_never_announced_are_refused(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    with pytest.raises(errors.GameError, match="which it never announced: expected one of"):
        tell(client, talker, car(1))


def test_the_next_player_plays_the_same_game_and_is_told_what_is_in_force(client, channels, talk):
    channels.set_parameter("gravity", 3.0)
    for _ in range(2):
        talker = talk()
        _, waiting, _ = shake(client, talker)
        client.send_reset()
        assert b"gravity" in talkers.heard(waiting).unity_input.rl_input.side_channel
        batches, call = tell(client, talker, car(1), announced=ANNOUNCED)
        assert batches[NAME].ids.tolist() == [1]
        client.send_step({})
        assert talkers.heard(call).unity_input.rl_input.side_channel == b""
        client.renew()
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    with pytest.raises(errors.GameError, match="changed a behaviour"):
        tell(client, talker, car(1), announced=talkers.parameters(NAME, branches=(2,)))


def test_a_package_of_3_0_sends_channels_first(client, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker, package="3.0.0-exp.1")
    client.send_reset()
    waiting.result()
    values = np.linspace(0.0, 1.0, 24, dtype=np.float32).reshape(3, 2, 4)
    agent = talkers.agent(0, talkers.floats(values, "camera"))
    batches, _ = tell(client, talker, agent, announced=ANNOUNCED)
    (frames,) = batches[NAME].observations
    assert (frames[0] == np.rint(values.transpose(1, 2, 0) * 255)).all()


def test_side_channels_are_carried_both_ways(client, channels, talk):
    talker = talk()
    _, waiting, _ = shake(client, talker)
    client.send_reset()
    waiting.result()
    content = texts.packed("lap") + np.array([1.25], "<f4").tobytes() + bytes(4)
    blob = channels_module.STATS.bytes_le + len(content).to_bytes(4, "little") + content
    _, call = tell(client, talker, car(1), announced=ANNOUNCED, side_channel=blob)
    assert channels.take_stats() == {"lap": 1.25}
    channels.set_parameter("wind", 1.0)
    client.send_step({})
    assert b"wind" in talkers.heard(call).unity_input.rl_input.side_channel
    with pytest.raises(clients.Broken, match="sent what cannot be read: a side channel's record"):
        tell(client, talker, car(1), side_channel=b"short")


def test_a_goodbye_has_no_content():
    message = wire.messages().UnityMessageProto.FromString(encoding.GOODBYE)
    assert message.header.status == 400 and not message.HasField("unity_input")


@pytest.mark.parametrize("most", [1, 127, 128, 70_000])
def test_choices_of_any_size_are_read_as_they_were_meant(most):
    from gamebridge_unity import behaviors

    behavior = behaviors.Behavior(NAME, (), 0, (most + 1, most + 1))
    discrete = np.array([[0, most], [most, 1]])
    raw = encoding.rows(behavior, encoding.Actions(discrete=discrete), 2, hybrid=True)
    listed = wire.messages().UnityRLInputProto.ListAgentActionProto.FromString(raw)
    assert [list(one.discrete_actions) for one in listed.value] == discrete.tolist()
    with pytest.raises(ValueError, match="choice -1: expected 0 or more"):
        encoding.rows(behavior, encoding.Actions(discrete=discrete - 1), 2, hybrid=True)
