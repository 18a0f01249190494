"""The player library, and the program of the example, before a trainer of the fewest lines."""

from __future__ import annotations

import pathlib
import signal
import struct
import subprocess
import sys
import threading
import time
import uuid

import numpy as np
import pytest
import trainers

from gamebridge_unity import player, wire
from gamebridge_unity.player import arguments, channels, records, session, telemetry

EXAMPLE = pathlib.Path(__file__).resolve().parents[3] / "examples" / "unity_player.py"
NAME = "Thing?team=0"
GAME_CHANNEL = uuid.UUID("0a0b0c0d-0102-0304-0506-0708090a0b0c")


class Scripted(player.Scene):
    """Does what a list of functions says, one a step; asks everybody unless one returns False."""

    def __init__(self, behavior, count, script=(), fields=()):
        super().__init__()
        self.things = self.add(behavior, count, fields)
        self.script = list(script)
        self.num_resets = self.num_steps = 0

    def begin(self, trainer):
        self.trainer = trainer

    def reset(self):
        self.num_resets += 1
        self.things.request()

    def step(self):
        self.num_steps += 1
        deed = self.script.pop(0) if self.script else None
        if deed is None or deed(self) is not False:
            self.things.request()


VECTOR = player.Behavior(NAME, (player.Vector("b", 2), player.Vector("a", 1)), 1, (3, 2))


@pytest.fixture
def serve():
    """Serves a scene to a trainer in a thread, and ends both."""
    served = []

    def start(scene, *words, trainer=None, **keywords):
        trainer = trainer or trainers.Trainer()
        argv = ["--mlagents-port", str(trainer.port), *words]
        codes = []
        thread = threading.Thread(
            target=lambda: codes.append(player.serve(lambda: scene, argv, **keywords))
        )
        thread.start()
        served.append((trainer, thread))
        trainer.code = lambda: thread.join(5) or codes[0]
        return trainer

    yield start
    for trainer, thread in served:
        trainer.stop()
        thread.join(5)
        assert not thread.is_alive()


def act(*rows):
    return {NAME: rows}


# The command line.


def test_the_command_line_is_read_as_a_unity_build_reads_it():
    words = "-nographics -batchmode --mlagents-port 1 -LOGFILE a.log --mlagents-port 5005 "
    given = arguments.scan([*words.split(), "-screen-width", "80", "--scene", "x"])
    assert given == arguments.Arguments(
        5005, "a.log", True, ("-screen-width", "80", "--scene", "x")
    )


@pytest.mark.parametrize("words", [[], ["--mlagents-port"], ["--mlagents-port", "x"]])
def test_without_a_port_the_player_says_what_starts_it(words, caplog):
    assert player.serve(lambda: pytest.fail("made"), words) == session.NO_PORT
    assert "--mlagents-port PORT is not on the command line. Start" in caplog.text


# The handshake.


def test_the_first_message_says_what_a_unity_build_says(serve):
    scene = Scripted(VECTOR, 1)
    trainer = serve(scene, "-nographics")
    hello = trainer.meet(seed=17, num_areas=2)
    assert hello.name == "AcademySingleton"
    assert hello.communication_version == "1.5.0"
    assert all(wire.capabilities_of(hello.capabilities))
    assert not hello.brain_parameters
    trainer.reset()
    assert scene.trainer == player.Trainer(17, 2, "0.28.0", True)


def test_a_behaviour_is_introduced_with_its_first_infos_and_once(serve):
    trainer = serve(Scripted(VECTOR, 2))
    trainer.meet()
    assert not trainer.specs
    trainer.reset()
    sent = trainer.specs[NAME]
    assert (sent.is_training, sent.action_spec.num_continuous_actions) == (True, 1)
    assert list(sent.action_spec.discrete_branch_sizes) == [3, 2]
    assert sent.action_spec.num_discrete_actions == 2
    trainer.step()  # `Trainer` fails if one comes twice


def test_a_trainer_of_another_protocol_is_refused_with_both_versions(serve, caplog, monkeypatch):
    trainer = serve(Scripted(VECTOR, 1), trainer=trainers.Trainer(version="2.0.0"))
    monkeypatch.setattr(trainers, "LIMIT_S", 0.5)
    with pytest.raises(AssertionError, match="said nothing"):
        trainer.meet()
    assert trainer.code() == session.NO_TRAINER
    assert "version '2.0.0' of the protocol, this player 1.5.0" in caplog.text


# Infos.


def test_infos_hold_what_the_columns_held_when_it_was_said(serve):
    def deed(scene):
        things = scene.things
        things.observations["a"][:] = [[1], [2], [3]]
        things.observations["b"][:] = [[1.5, -1.5], [2.5, -2.5], [3.5, -3.5]]
        things.rewards += [0.25, 0.5, 0]
        things.group_rewards += 1
        things.groups[:] = [0, 7, 2**31 - 1]
        things.allowed[1] = [True, False, True, False, True]

    trainer = serve(Scripted(VECTOR, 3, [deed]))
    trainer.meet()
    trainer.reset()
    ends, asked = trainers.infos(trainer.step(), NAME)
    assert not ends
    assert [each.id for each in asked] == [0, 1, 2]
    assert [each.reward for each in asked] == [0.25, 0.5, 0]
    assert [each.group_reward for each in asked] == [1, 1, 1]
    assert [each.group_id for each in asked] == [0, 7, 2**31 - 1]
    # True is what is forbidden.
    assert list(asked[1].action_mask) == [False, True, False, True, False]
    seen = asked[2].observations
    assert [each.name for each in seen] == ["a", "b"]  # sorted
    assert [list(each.shape) for each in seen] == [[1], [2]]
    assert [list(each.float_data.data) for each in seen] == [[3], [3.5, -3.5]]
    assert [list(each.dimension_properties) for each in seen] == [[1], [1]]


def test_rewards_are_those_since_the_last_info(serve):
    def earn(scene):
        scene.things.rewards += 1

    def earn_in_silence(scene):
        earn(scene)
        return False

    trainer = serve(Scripted(VECTOR, 1, [earn_in_silence, earn_in_silence, earn, earn]))
    trainer.meet()
    trainer.reset()
    assert trainers.infos(trainer.step(), NAME)[1][0].reward == 3
    assert trainers.infos(trainer.step(), NAME)[1][0].reward == 1


def test_an_end_and_the_next_decision_of_one_id_go_in_one_message_the_end_first(serve):
    def deed(scene):
        scene.things.observations["a"][:] = 5
        scene.things.rewards += 1
        scene.things.end([True, False])
        scene.things.observations["a"][:] = 6

    trainer = serve(Scripted(VECTOR, 2, [deed]))
    trainer.meet()
    trainer.reset()
    rows = list(trainer.step().agentInfos[NAME].value)
    said = [(row.id, row.done, row.reward, row.observations[0].float_data.data[0]) for row in rows]
    assert said == [(0, True, 1, 5), (0, False, 0, 6), (1, False, 1, 6)]


def test_an_interrupted_episode_is_told_from_one_that_ended(serve):
    def deed(scene):
        scene.things.end(np.asarray([0, 2]), np.asarray([True, False, False]))

    trainer = serve(Scripted(VECTOR, 3, [deed]))
    trainer.meet()
    trainer.reset()
    ends, _ = trainers.infos(trainer.step(), NAME)
    assert [(each.id, each.max_step_reached) for each in ends] == [(0, True), (2, False)]


def test_a_message_may_hold_ends_alone_and_its_answer_no_actions(serve):
    def end_alone(scene):
        scene.things.end([0])
        return False

    trainer = serve(Scripted(VECTOR, 2, [end_alone]))
    trainer.meet()
    trainer.reset()
    ends, asked = trainers.infos(trainer.step(), NAME)
    assert (len(ends), len(asked)) == (1, 0)
    _, asked = trainers.infos(trainer.step(), NAME)
    assert len(asked) == 2


def test_a_second_end_without_a_decision_between_is_not_told_nor_its_reward(serve):
    def end(scene):
        scene.things.rewards += 1
        scene.things.end()
        return scene.num_steps == 2

    trainer = serve(Scripted(VECTOR, 1, [end, end]))
    trainer.meet()
    trainer.reset()
    ends, asked = trainers.infos(trainer.step(), NAME)
    assert (len(ends), len(asked)) == (1, 0)
    ends, asked = trainers.infos(trainer.step(), NAME)
    assert (len(ends), [each.reward for each in asked]) == (0, [0])


def test_agents_come_with_ids_that_nobody_had_and_go_with_an_end(serve):
    def go(scene):
        scene.things.leave([1])

    def come(scene):
        scene.things.enter([1])

    trainer = serve(Scripted(VECTOR, 2, [go, come]))
    trainer.meet()
    trainer.reset()
    ends, asked = trainers.infos(trainer.step(), NAME)
    assert [(each.id, each.max_step_reached) for each in ends] == [(1, False)]
    assert [each.id for each in asked] == [0]
    ends, asked = trainers.infos(trainer.step(), NAME)
    assert not ends
    assert [each.id for each in asked] == [0, 2]


def test_a_behaviour_may_come_later_and_one_without_news_is_still_named(serve):
    other = player.Behavior("Other?team=1", (player.Vector("x", 1),), 1)

    def deed(scene):
        scene.add(other, 1).request()
        return False

    trainer = serve(Scripted(VECTOR, 1, [deed]))
    trainer.meet()
    trainer.reset()
    output = trainer.step()
    assert trainers.infos(output, NAME) == ([], [])
    assert set(output.agentInfos) == {NAME, "Other?team=1"}
    assert trainers.infos(output, "Other?team=1")[1][0].id == 1
    assert set(trainer.specs) == {NAME, "Other?team=1"}


# Resets and actions.


def test_a_reset_keeps_ids_tells_no_ends_and_forgets_what_was_earned(serve):
    def earn(scene):
        scene.things.rewards += 1

    scene = Scripted(VECTOR, 2, [earn])
    trainer = serve(scene)
    trainer.meet()
    trainer.reset()
    trainer.step()
    scene.things.rewards += 5
    ends, asked = trainers.infos(trainer.reset(), NAME)
    assert not ends
    assert [(each.id, each.reward) for each in asked] == [(0, 0), (1, 0)]
    assert scene.num_resets == 2


def test_actions_go_by_position_to_those_who_asked(serve):
    taken = []

    def ask_two(scene):
        scene.things.request([2, 0])
        return False

    def note(scene):
        taken.append((scene.things.continuous.copy(), scene.things.discrete.copy()))

    trainer = serve(Scripted(VECTOR, 3, [ask_two, note]))
    trainer.meet()
    trainer.reset()
    trainer.step(act(([0.1], [0, 1]), ([0.2], [1, 0]), ([0.3], [2, 1])))
    trainer.step(act(([0.5], [1, 1]), ([-0.5], [2, 0])))
    continuous, discrete = taken[0]
    np.testing.assert_array_equal(continuous, np.float32([[-0.5], [0.2], [0.5]]))
    np.testing.assert_array_equal(discrete, [[2, 0], [1, 0], [1, 1]])


def test_no_actions_at_all_are_zeros(serve):
    scene = Scripted(VECTOR, 1)
    trainer = serve(scene)
    trainer.meet()
    trainer.reset()
    trainer.step(act(([1.0], [2, 1])))
    assert scene.things.continuous[0, 0] == 1
    trainer.step()
    assert scene.things.continuous[0, 0] == 0
    assert not scene.things.discrete.any()


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([([0.1], [0, 0])], "sent 1 actions for 'Thing?team=0'; 2 agents asked"),
        ([([0.1], [0])] * 2, "sent 2 numbers for 2 agents; expected 2 each"),
        ([([], [0, 0])] * 2, "sent 0 numbers for 2 agents; expected 1 each"),
    ],
)
def test_actions_that_do_not_fit_end_the_player_and_say_how(
    serve, caplog, monkeypatch, rows, message
):
    trainer = serve(Scripted(VECTOR, 2))
    trainer.meet()
    trainer.reset()
    monkeypatch.setattr(trainers, "LIMIT_S", 0.3)
    with pytest.raises(AssertionError, match="said nothing"):
        trainer.step(act(*rows))
    assert trainer.code() == session.BROKEN
    assert message in caplog.text


# Frames.

FRAMES = player.Behavior(
    NAME,
    (
        player.Frame("a", 4, 5, 3),
        player.Frame("b", 4, 5, 1, stack=2),
        player.Frame("c", 4, 5, 2, is_compressed=False),
        player.Vector("d", 2, is_goal=True),
        player.Buffer("e", 3, 2),
    ),
    branches=(2,),
)


def write_frames(scene):
    random = np.random.default_rng(0)
    seen = scene.things.observations
    for name in ("a", "b"):
        seen[name][:] = random.integers(0, 256, seen[name].shape)
    for name in ("c", "d", "e"):
        seen[name][:] = random.random(seen[name].shape)


@pytest.mark.parametrize(
    ("package", "layout"),
    [("0.28.0", "hwc"), ("0.30.0", "hwc"), ("1.0.0", "chw"), ("1.1.0", "chw"), ("", "hwc")],
)
def test_frames_go_in_the_order_of_axes_that_the_trainer_expects(serve, package, layout):
    import cv2

    scene = Scripted(FRAMES, 2, [write_frames])
    trainer = serve(scene, trainer=trainers.Trainer(package_version=package))
    trainer.meet()
    trainer.reset()
    _, asked = trainers.infos(trainer.step(), NAME)
    for row, info in enumerate(asked):
        a, b, c, d, e = info.observations
        shapes = [[4, 5, 3], [4, 5, 2], [4, 5, 2]]
        properties = [2, 2, 1]
        if layout == "chw":
            shapes = [[each[2], *each[:2]] for each in shapes]
            properties = [1, 2, 2]
        assert [list(each.shape) for each in (a, b, c)] == shapes
        assert all(list(each.dimension_properties) == properties for each in (a, b, c))
        wanted = scene.things.observations
        decoded = cv2.imdecode(np.frombuffer(a.compressed_data, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded[:, :, ::-1], wanted["a"][row])
        assert not a.compressed_channel_mapping
        assert list(b.compressed_channel_mapping) == [0, 0, 0, 1, 1, 1]
        second = b.compressed_data.rindex(b"\x89PNG\r\n\x1a\n")
        for place, part in enumerate((b.compressed_data[:second], b.compressed_data[second:])):
            decoded = cv2.imdecode(np.frombuffer(part, np.uint8), cv2.IMREAD_UNCHANGED)
            assert decoded.shape == (4, 5, 3)
            np.testing.assert_array_equal(decoded[:, :, 0], wanted["b"][row, :, :, place])
        floats = np.asarray(c.float_data.data, np.float32).reshape(shapes[2])
        np.testing.assert_array_equal(
            floats if layout == "hwc" else floats.transpose(1, 2, 0), wanted["c"][row]
        )
        assert d.observation_type == wire.GOAL_SIGNAL
        assert (list(e.shape), list(e.dimension_properties)) == ([3, 2], [4, 1])


def test_a_trainer_that_cannot_map_channels_gets_floats(serve):
    scene = Scripted(FRAMES, 1, [write_frames])
    trainer = serve(scene, trainer=trainers.Trainer(can_map=False))
    trainer.meet()
    trainer.reset()
    _, asked = trainers.infos(trainer.step(), NAME)
    a, b = asked[0].observations[:2]
    assert (a.compression_type, b.compression_type) == (wire.PNG, wire.UNCOMPRESSED)
    np.testing.assert_allclose(
        np.asarray(b.float_data.data).reshape(4, 5, 2) * 255, scene.things.observations["b"][0]
    )


def test_the_layout_can_be_chosen(serve):
    trainer = serve(Scripted(FRAMES, 1), layout="chw")
    trainer.meet()
    _, asked = trainers.infos(trainer.reset(), NAME)
    assert list(asked[0].observations[0].shape) == [3, 4, 5]


# Side channels.


def text(words):
    data = words.encode()
    return struct.pack("<i", len(data)) + data


def floats(*values):
    return struct.pack(f"<{len(values)}f", *values)


def ints(*values):
    return struct.pack(f"<{len(values)}i", *values)


def test_side_channels_are_heard_before_the_reset_that_they_come_with(serve):
    heard = []

    class Asks(Scripted):
        def reset(self):
            super().reset()
            heard.append(self.channels.parameter("Größe", 1.0))

    trainer = serve(Asks(VECTOR, 1))
    trainer.meet()
    trainer.reset()
    trainer.reset(
        trainers.record(channels.PARAMETERS, text("Größe") + ints(0) + floats(2.5))
        + trainers.record(channels.ANALYTICS, b"whatever")
        + trainers.record(uuid.uuid4(), b"nobody's")
    )
    assert heard == [1.0, 2.5]


def test_engine_settings_and_properties_are_kept():
    heard = channels.Channels()
    for payload in (
        ints(0, 80, 60), ints(1, 5), ints(2) + floats(0.5), ints(3, -1), ints(4, 60)
    ):  # fmt: skip
        heard.deliver(trainers.record(channels.ENGINE, payload))
    assert heard.engine == channels.Engine(80, 60, 5, 1.0, -1, 60)
    heard.deliver(trainers.record(channels.PROPERTIES, text("x") + floats(3)))
    assert heard.properties == {"x": 3}
    heard.set_property("y", 4)
    assert heard.take() == trainers.record(channels.PROPERTIES, text("y") + floats(4))
    assert heard.take() == b""


@pytest.mark.parametrize(
    ("kind", "payload", "least", "greatest", "mean"),
    [
        (0, floats(2, 4), 2, 4, 3),
        (1, floats(10, 1), 4, 16, 10),
        (2, ints(4) + floats(0, 1, 9, 10), 0, 10, 5),
    ],
)
def test_samplers_draw_anew_each_time_and_the_same_of_one_seed(
    kind, payload, least, greatest, mean
):
    def draws():
        heard = channels.Channels()
        heard.deliver(trainers.record(channels.PARAMETERS, text("s") + ints(1, -7, kind) + payload))
        return [heard.parameter("s", 0) for _ in range(500)]

    values = draws()
    assert values == draws()
    assert len(set(values)) > 400
    assert least <= min(values) and max(values) <= greatest
    assert np.mean(values) == pytest.approx(mean, abs=0.5)
    if kind == 2:
        assert not any(1 < value < 9 for value in values)


@pytest.mark.parametrize(
    "blob",
    [
        b"\x01" * 7,
        trainers.record(channels.ENGINE, b"")[:-1],
        channels.ENGINE.bytes_le + ints(-5),
        channels.ENGINE.bytes_le + ints(1_000_000),
        trainers.record(channels.PARAMETERS, ints(2**30)),
        trainers.record(channels.PARAMETERS, text("x") + ints(9)),
        trainers.record(channels.PARAMETERS, text("x") + ints(1, 0, 2, 3) + floats(1, 2, 3)),
        trainers.record(channels.PROPERTIES, ints(2) + b"\xff\xff"),
        trainers.record(channels.ENGINE, ints(99)),
    ],
)
def test_a_side_channel_that_breaks_off_is_told_of_and_passed_over(blob, caplog):
    channels.Channels().deliver(blob)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_game_has_channels_of_its_own_and_statistics(serve):
    heard = []

    def tell(scene):
        scene.channels.send(GAME_CHANNEL, b"from the game")
        scene.channels.add_stat("laps", 3, player.Aggregation.SUM)

    scene = Scripted(VECTOR, 1, [tell])
    scene.channels.receive(GAME_CHANNEL, heard.append)
    trainer = serve(scene)
    trainer.meet()
    trainer.reset(trainers.record(GAME_CHANNEL, b"to the game"))
    assert heard == [b"to the game"]
    assert trainer.step().side_channel == trainers.record(
        GAME_CHANNEL, b"from the game"
    ) + trainers.record(channels.STATS, text("laps") + floats(3) + ints(2))


FIELDS = (player.Field("speed", "m/s", "max", "how fast"), player.Field("bumps"))


def payloads(blob):
    """The telemetry in a blob."""
    found = []
    while blob:
        name, length = uuid.UUID(bytes_le=blob[:16]), int.from_bytes(blob[16:20], "little")
        if name == telemetry.CHANNEL:
            found.append(telemetry.read(blob[20 : 20 + length]))
        blob = blob[20 + length :]
    return found


def test_telemetry_goes_to_those_who_ask_row_by_row(serve):
    def deed(scene):
        scene.things.telemetry["speed"][:] = [1, 2]
        scene.things.end([1])
        scene.things.telemetry["speed"][1] = 0

    trainer = serve(Scripted(VECTOR, 2, [deed], FIELDS))
    trainer.meet()
    told = payloads(
        trainer.reset(trainers.record(telemetry.CHANNEL, telemetry.SUBSCRIBE)).side_channel
    )
    assert told[0] == telemetry.Fields(NAME, FIELDS)
    assert told[1].values.tolist() == [[0, 0], [0, 0]]
    (told,) = payloads(trainer.step().side_channel)
    assert told.behavior == NAME
    assert told.ids.tolist() == [1, 0, 1]
    assert told.done.tolist() == [True, False, False]
    assert told.values.tolist() == [[2, 0], [1, 0], [0, 0]]


def test_who_does_not_ask_hears_no_telemetry(serve):
    trainer = serve(Scripted(VECTOR, 2, (), FIELDS))
    trainer.meet()
    assert trainer.reset().side_channel == b""
    assert trainer.step().side_channel == b""


@pytest.mark.parametrize(
    "message",
    [
        b"", b"\x07" + text("x"), b"\x00" + text("x"), b"\x00" + ints(99),
        b"\x01" + text("x") + ints(-1, 2), b"\x01" + text("x") + ints(1, 1) + b"abc",
        b"\x00" + text("x") + ints(1) + text("n") + text("m") + text("mean") + text(""),
    ],
)  # fmt: skip
def test_telemetry_that_is_none_is_refused(message):
    with pytest.raises(ValueError, match=r"[Tt]elemetry"):
        telemetry.read(message)


# Ends.


def test_the_player_goes_when_the_trainer_says_goodbye(serve):
    trainer = serve(Scripted(VECTOR, 1))
    trainer.meet()
    trainer.reset()
    start = time.monotonic()
    trainer.say(wire.CLOSING)
    assert trainer.code() == session.DONE
    assert time.monotonic() - start < 1


def test_the_player_goes_when_the_trainer_is_gone(serve):
    trainer = serve(Scripted(VECTOR, 1))
    trainer.meet()
    trainer.reset()
    start = time.monotonic()
    trainer.stop()
    assert trainer.code() == session.DONE
    assert time.monotonic() - start < 2


def test_a_player_that_quits_says_goodbye(serve):
    def deed(scene):
        raise player.Quit("enough")

    trainer = serve(Scripted(VECTOR, 1, [deed]))
    trainer.meet()
    trainer.reset()
    trainer.say(wire.NORMAL)
    last = trainer.take()
    assert last.header.status == wire.CLOSING
    assert not last.HasField("unity_output")
    assert trainer.code() == session.DONE


def test_a_scene_that_breaks_ends_with_its_traceback_in_the_log(serve, tmp_path):
    def deed(scene):
        raise ZeroDivisionError("of the scene")

    log = tmp_path / "player.log"
    trainer = serve(Scripted(VECTOR, 1, [deed]), "-logFile", str(log))
    trainer.meet()
    trainer.reset()
    trainer.say(wire.NORMAL)
    assert trainer.code() == session.BROKEN
    assert "in deed" in log.read_text() and "ZeroDivisionError: of the scene" in log.read_text()


def test_without_a_trainer_the_player_tries_for_a_while_and_tells(caplog):
    from gamebridge_unity.player import connection

    port = trainers.Trainer()
    port.stop()
    code = player.serve(
        lambda: Scripted(VECTOR, 1), ["--mlagents-port", str(port.port)],
        dial=lambda port: connection.Connection(port, 0.3),
    )  # fmt: skip
    assert code == session.NO_TRAINER
    assert f"No trainer listens on localhost:{port.port}; tried for 0.3 s" in caplog.text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_example_at_once_with_code_0(number, tmp_path):
    log = tmp_path / "player.log"
    with trainers.Trainer() as trainer:
        words = ["--mlagents-port", str(trainer.port), "-logFile", str(log)]
        child = subprocess.Popen([sys.executable, str(EXAMPLE), *words])
        trainer.players.append(child)
        trainer.meet()
        trainer.reset()
        start = time.monotonic()
        child.send_signal(number)
        assert child.wait(5) == 0
        assert time.monotonic() - start < 1.5
    assert f"Ending: {number.name} came." in log.read_text()


def test_the_example_is_played(tmp_path):
    name = "Basket?team=0"
    with trainers.Trainer() as trainer:
        words = ["--mlagents-port", str(trainer.port), "-logFile", str(tmp_path / "log")]
        child = subprocess.Popen([sys.executable, str(EXAMPLE), *words])
        trainer.players.append(child)
        trainer.meet()
        output = trainer.reset()
        returns = []
        for _ in range(40):
            ends, asked = trainers.infos(output, name)
            returns += [each.reward for each in ends]
            # Towards the fruit.
            seen = [each.observations[0].float_data.data for each in asked]
            actions = [([], [1 + (fruit > basket) - (fruit < basket)]) for basket, fruit, _ in seen]
            output = trainer.step({name: actions})
        assert returns == [1] * 8 * 4
        trainer.say(wire.CLOSING)
        assert child.wait(5) == 0


# Speed, so that the player is not what is measured when clients are.


@pytest.mark.parametrize(("count", "size", "limit_ms"), [(32, 64, 0.5), (1_000, 32, 3.0)])
def test_what_many_agents_say_is_written_quickly(count, size, limit_ms):
    scene = Scripted(player.Behavior(NAME, (player.Vector("v", size),), 2), count)
    scene.things.use(records.Wire())
    best = np.inf
    for _ in range(50):
        start = time.perf_counter()
        scene.things.request()
        list(scene.things.take())
        best = min(best, time.perf_counter() - start)
        scene.things.act(np.zeros((0, 2)), np.zeros((0, 0)))
    assert best * 1e3 < limit_ms
