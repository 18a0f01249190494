"""From messages to arrays: the same as mlagents_envs reads, and nothing that is wrong."""

from __future__ import annotations

import numpy as np
import pytest
import talkers

from gamebridge import errors
from gamebridge_unity import behaviors, decoding, incoming, parts, wire

NAME = "Car?team=0"


def read(agents, announced=None):
    raw = talkers.news(NAME, agents, announced).SerializeToString()
    message = incoming.read(raw)
    return raw, message.infos[NAME]


def decoder_of(agents, *, continuous=0, branches=(), channels_first=False):
    observations = behaviors.read_observations(NAME, agents, channels_first=channels_first)
    return decoding.Decoder(behaviors.Behavior(NAME, observations, continuous, branches))


def decode(agents, **behavior):
    return decoder_of(agents, **behavior).decode(*read(agents))


def shuffled(random, num_agents, branches=()):
    """Agents of all kinds: with and without every field, in no order."""
    agents = []
    for number in range(num_agents):
        said = {}
        if random.random() < 0.8:
            said["reward"] = float(np.float32(random.normal()))
        if random.random() < 0.3:
            said |= {"group_id": int(random.integers(1, 400)), "group_reward": 0.5}
        done = random.random() < 0.3
        if done:
            said |= {"done": True, "max_step_reached": bool(random.integers(2))}
        if branches and random.random() < 0.5:
            said["action_mask"] = random.integers(2, size=sum(branches)).astype(bool).tolist()
        number = int(random.choice([number, number + 200, number + 40_000]))
        vector = talkers.floats(random.normal(size=5), "vector", kinds=(1,))
        buffer = talkers.floats(random.normal(size=(3, 2)), "buffer", kinds=(4, 1))
        agents.append(talkers.agent(number, vector, buffer, **said))
    return agents


@pytest.mark.filterwarnings("ignore:The distutils package:DeprecationWarning")
@pytest.mark.parametrize("num_agents", [1, 3, 12, 90])
@pytest.mark.parametrize("branches", [(), (3, 2)])
def test_agents_are_read_as_mlagents_envs_reads_them(num_agents, branches):
    wire.messages()
    from mlagents_envs import rpc_utils

    random = np.random.default_rng(num_agents)
    announced = talkers.parameters(NAME, continuous=2, branches=branches)
    decoder = decoder_of(shuffled(random, 1), continuous=2, branches=branches)
    for _ in range(20):
        agents = shuffled(random, num_agents, branches)
        spec = rpc_utils.behavior_spec_from_proto(announced, agents[0])
        decisions, terminals = rpc_utils.steps_from_proto(agents, spec)
        raw, infos = read(agents)
        for batch in (decoder.decode(raw, infos), decoder.decode_parsed(agents)):
            for rows, theirs in ((batch, decisions), (batch.ended, terminals)):
                assert rows.ids.tolist() == theirs.agent_id.tolist()
                assert rows.rewards.tolist() == theirs.reward.tolist()
                assert rows.group_ids.tolist() == list(theirs.group_id)
                assert rows.group_rewards.tolist() == theirs.group_reward.tolist()
                for ours, other in zip(rows.observations, theirs.obs, strict=True):
                    assert ours.dtype == np.float32 and (ours == other).all()
            assert batch.ended.interrupted.tolist() == terminals.interrupted.tolist()
            if branches and len(batch.ids):
                forbidden = np.concatenate(decisions.action_mask, axis=1)
                assert (batch.masks == ~forbidden).all()


@pytest.mark.parametrize("place", [0, 1, 7])
def test_a_message_that_only_looks_like_the_one_before_is_read_as_what_it_is(place):
    # As many bytes for the end of an episode as for a group; agent 0 is shorter than others.
    agents = [talkers.agent(n, talkers.floats([n, 0.5]), group_id=3) for n in range(12)]
    decoder = decoder_of(agents)
    for _ in range(2):
        assert decoder.decode(*read(agents)).ids.tolist() == list(range(12))
    agents[place].ClearField("group_id")
    agents[place].done = True
    for _ in range(2):
        batch = decoder.decode(*read(agents))
        others = [number for number in range(12) if number != place]
        assert (batch.ids.tolist(), batch.ended.ids.tolist()) == (others, [place])
        assert batch.ended.observations[0].tolist() == [[place, 0.5]]
        assert batch.observations[0][:, 0].tolist() == others
        assert set(batch.group_ids.tolist()) == {3}


def test_an_agent_may_end_and_begin_in_one_message():
    vector = talkers.floats([1.0]), talkers.floats([2.0])
    batch = decode([talkers.agent(7, vector[0], done=True), talkers.agent(7, vector[1])])
    assert (batch.ids.tolist(), batch.ended.ids.tolist()) == ([7], [7])
    assert (batch.observations[0].item(), batch.ended.observations[0].item()) == (2.0, 1.0)


@pytest.mark.parametrize("num_agents", [2, 20])
def test_numbers_of_agents_may_be_negative(num_agents):
    agents = [talkers.agent(-5 - number, talkers.floats([0.5])) for number in range(num_agents)]
    assert decode(agents).ids.tolist() == [-5 - number for number in range(num_agents)]


def test_true_allows_an_action_which_on_the_wire_forbids_it():
    one = talkers.agent(0, talkers.floats([0.0]), action_mask=[True, False, False])
    batch = decode([one, talkers.agent(1, talkers.floats([0.0]))], branches=(3,))
    assert batch.masks.tolist() == [[False, True, True], [True, True, True]]
    assert decode([talkers.agent(0, talkers.floats([0.0]))], continuous=1).masks is None


def test_a_mask_of_another_length_is_refused():
    agents = [talkers.agent(4, talkers.floats([0.0]), action_mask=[True] * 4)]
    with pytest.raises(errors.GameError, match=r"agent 4, sends an action mask of 4: expected 3"):
        decode(agents, branches=(3,))
    agents[0].done = True
    assert len(decode(agents, branches=(3,)).ended.ids) == 1


def shown(layout, image):
    values = image.astype(np.float32) / np.float32(255)
    if layout == "chw":
        return talkers.floats(values.transpose(2, 0, 1), "camera", kinds=(1, 2, 2))
    return talkers.floats(values, "camera", kinds=(2, 2, 1))


@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_uncompressed_pictures_come_out_as_they_were(layout, channels):
    images = np.random.default_rng(1).integers(0, 256, (9, 6, 8, channels), dtype=np.uint8)
    agents = [talkers.agent(number, shown(layout, image)) for number, image in enumerate(images)]
    decoder = decoder_of(agents)
    for batch in (decoder.decode(*read(agents)), decoder.decode_parsed(agents)):
        assert batch.observations[0].dtype == np.uint8
        assert (batch.observations[0] == images).all()


def test_compressed_pictures_come_out_as_they_were_whatever_layout_they_announce():
    images = np.random.default_rng(2).integers(0, 256, (5, 6, 8, 3), dtype=np.uint8)
    for shape, kinds in (((6, 8, 3), (2, 2, 1)), ((3, 6, 8), (1, 2, 2))):
        agents = [
            talkers.agent(number, talkers.picture(talkers.png(image), shape, kinds=kinds))
            for number, image in enumerate(images)
        ]
        assert (decode(agents).observations[0] == images).all()


def test_a_grid_keeps_its_floats_with_its_channels_last():
    values = np.random.default_rng(3).normal(size=(2, 3, 4)).astype(np.float32)
    part = talkers.floats(values, "grid", kinds=(1, 2, 2))
    for number in (1, 10):
        (read_back,) = decode([talkers.agent(0, part)] * number).observations
        assert (read_back[-1] == values.transpose(1, 2, 0)).all()


@pytest.mark.parametrize("value", [1.5, -0.25, np.nan, np.inf])
@pytest.mark.parametrize("num_agents", [1, 9])
def test_what_was_a_picture_must_stay_one(value, num_agents):
    image = np.zeros((6, 8, 3), np.float32)
    agents = [
        talkers.agent(number + 30, talkers.floats(image, "camera", kinds=(2, 2, 1)))
        for number in range(num_agents)
    ]
    decoder = decoder_of(agents)
    image[2, 3, 1] = value
    agents[-1].observations[0].CopyFrom(talkers.floats(image, "camera", kinds=(2, 2, 1)))
    match = rf"agent {29 + num_agents}, observation 'camera' is {value:g} at \[2, 3, 1\]"
    with pytest.raises(parts.BadValue, match=match):
        decoder.decode(*read(agents))


def test_minus_zero_is_a_picture_s_zero():
    image = np.full((6, 8, 3), -0.0, np.float32)
    assert not decode([talkers.agent(0, talkers.floats(image))]).observations[0].any()


@pytest.mark.parametrize("num_agents", [1, 12])
@pytest.mark.parametrize(
    ("part", "match"),
    [
        (talkers.floats(np.zeros(5), "v"), r"has shape \[5\]: expected \[4\], as at first"),
        (talkers.floats(np.zeros(3), "v", shape=(4,)), r"has 3 values: expected 4"),
        (talkers.picture(b"x", (4,), kinds=(), name="v"), "comes with compression 1"),
    ],
)
def test_an_observation_that_is_not_what_it_was_is_refused(part, match, num_agents):
    good = [talkers.agent(number, talkers.floats(np.zeros(4), "v")) for number in range(12)]
    decoder = decoder_of(good)
    decoder.decode(*read(good))
    bad = [*good[: num_agents - 1], talkers.agent(12, part)]
    with pytest.raises(errors.GameError, match=rf"agent 12, observation 'v' {match}"):
        decoder.decode(*read(bad))


def test_another_number_of_observations_is_refused():
    decoder = decoder_of([talkers.agent(0, talkers.floats([0.0]))])
    with pytest.raises(errors.GameError, match="agent 3, sends 0 observations: expected 1"):
        decoder.decode(*read([talkers.agent(3)]))


def test_an_observation_s_shape_may_not_change_behind_the_same_number_of_values():
    good = [talkers.agent(number, talkers.floats(np.zeros((2, 6)))) for number in range(12)]
    decoder = decoder_of(good)
    decoder.decode(*read(good))
    good[5].observations[0].CopyFrom(talkers.floats(np.zeros((3, 4))))
    with pytest.raises(errors.GameError, match=r"shape \[3, 4\]: expected \[2, 6\]"):
        decoder.decode(*read(good))


def test_more_pictures_than_memory_are_refused_before_they_are_allocated():
    tiny = talkers.png(np.zeros((2000, 2000, 3), np.uint8))
    agents = [talkers.agent(number, talkers.picture(tiny, (2000, 2000, 3))) for number in range(99)]
    decoder = decoder_of(agents)
    with pytest.raises(errors.GameError, match="sends 99 agents of 12,000,000 bytes at once"):
        decoder.decode(*read(agents))


def test_rows_are_the_decoder_s_own_and_the_first_of_them_stay_where_they_are():
    agents = [talkers.agent(number, talkers.floats(np.full(4, number))) for number in range(20)]
    decoder = decoder_of(agents)
    first = decoder.decode(*read(agents))
    second = decoder.decode(*read(agents[:12]))
    assert np.shares_memory(first.observations[0], second.observations[0])
    assert second.observations[0].flags.aligned and second.observations[0].flags.c_contiguous


def test_the_first_number_that_is_not_finite_is_named():
    def bad(**said):
        values = said.pop("values", [[0.0, 0.0]])
        return decoding.first_bad(decode([talkers.agent(6, talkers.floats(values, "v"), **said)]))

    assert bad() is None
    assert bad(reward=np.nan) == "'Car?team=0', agent 6: reward is nan"
    assert bad(group_reward=-np.inf) == "'Car?team=0', agent 6: group reward is -inf"
    infinite = bad(values=[[0.0, np.inf]], done=True)
    assert infinite == "'Car?team=0', agent 6: observation 'v' is inf at [0, 1]"
    # Large is not infinite, though its sum is.
    assert bad(values=[[3e38, 3e38]]) is None


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_bytes_that_are_cut_short_are_no_message(cut):
    agents = [talkers.agent(number, talkers.floats(np.ones(4), "v")) for number in range(12)]
    raw = talkers.news(NAME, agents).SerializeToString()
    decoder = decoder_of(agents)
    with pytest.raises(wire.Malformed):
        message = incoming.read(raw[:-cut])
        decoder.decode(message.raw, message.infos[NAME])


@pytest.mark.parametrize("num_agents", [12, 60])
def test_garbage_never_does_more_than_to_be_refused(num_agents):
    agents = [talkers.agent(n, talkers.floats(np.ones(4), "v")) for n in range(num_agents)]
    raw = talkers.news(NAME, agents).SerializeToString()
    decoder = decoder_of(agents)
    random = np.random.default_rng(4)
    num_tried, num_read = 12_000 // num_agents, 0
    for _ in range(num_tried):
        spoilt = bytearray(raw)
        for place in random.integers(len(raw), size=random.integers(1, 4)):
            spoilt[place] = random.integers(256)
        try:
            message = incoming.read(bytes(spoilt))
            if NAME in message.infos:
                decoder.decode(message.raw, message.infos[NAME])
                num_read += 1
        except (wire.Malformed, errors.GameError):
            pass
    # A changed number is as good as another.
    assert num_read > num_tried // 4


def test_nested_groups_do_not_nest_here():
    with pytest.raises(wire.Malformed, match="wire type 3"):
        incoming.read(b"\x0b" * 200_000)
