"""What is said beside the game, as mlagents_envs' own channels say and read it."""

from __future__ import annotations

import logging
import struct
import uuid

import pytest

from gamebridge import errors
from gamebridge_unity import channels, stats, texts, wire

FLOAT_STATS = struct.Struct("<fi")


@pytest.fixture
def stock():
    """mlagents_envs' own side channels."""
    wire.messages()
    import mlagents_envs.side_channel as package
    from mlagents_envs.side_channel import (
        engine_configuration_channel,
        environment_parameters_channel,
        float_properties_channel,
        raw_bytes_channel,
        side_channel_manager,
        stats_side_channel,
    )

    found = {}
    for module in (
        package,
        engine_configuration_channel,
        environment_parameters_channel,
        float_properties_channel,
        raw_bytes_channel,
        side_channel_manager,
        stats_side_channel,
    ):
        found |= vars(module)
    return found


def said_by(stock, *stock_channels):
    return bytes(stock["SideChannelManager"](list(stock_channels)).generate_side_channel_messages())


def record(identity, content):
    return identity.bytes_le + struct.pack("<i", len(content)) + content


def stat(name, value, kind):
    return record(channels.STATS, texts.packed(name) + FLOAT_STATS.pack(value, kind))


def test_engine_settings_are_said_as_mlagents_envs_says_them(stock):
    theirs = stock["EngineConfigurationChannel"]()
    theirs.set_configuration_parameters(80, 60, 1, 20.0, -1, 60)
    ours = channels.Channels(channels.EngineSettings(80, 60, 1, 20.0, -1, 60))
    assert ours.outgoing() == said_by(stock, theirs)
    assert ours.outgoing() == b""


def test_settings_that_are_none_are_left_alone():
    ours = channels.Channels(channels.EngineSettings(time_scale=20.0))
    assert ours.outgoing().hex() == (
        "2c3451e97e4fea11b238784f4387d1f7" + "08000000" + "02000000" + "0000a041"
    )
    ours.set_engine(channels.EngineSettings(quality=2))
    assert (ours.engine.time_scale, ours.engine.quality) == (20.0, 2)
    assert len(ours.outgoing()) == 28


def test_parameters_and_samplers_are_said_as_mlagents_envs_says_them(stock):
    theirs = stock["EnvironmentParametersChannel"]()
    theirs.set_float_parameter("gravity", -9.5)
    theirs.set_uniform_sampler_parameters("mass", 0.5, 1.5, 7)
    theirs.set_gaussian_sampler_parameters("wind", 0.0, 2.0, 8)
    theirs.set_multirangeuniform_sampler_parameters("size", [(0.0, 1.0), (4.0, 5.0)], 9)
    ours = channels.Channels()
    ours.set_parameter("gravity", -9.5)
    ours.set_sampler("mass", channels.Uniform(0.5, 1.5), 7)
    ours.set_sampler("wind", channels.Gaussian(0.0, 2.0), 8)
    ours.set_sampler("size", channels.MultiRange(((0.0, 1.0), (4.0, 5.0))), 9)
    assert ours.outgoing() == said_by(stock, theirs)


def test_what_is_set_twice_is_said_once_as_it_was_set_last():
    ours = channels.Channels()
    ours.set_parameter("gravity", 1.0)
    ours.set_parameter("gravity", 2.0)
    alone = channels.Channels()
    alone.set_parameter("gravity", 2.0)
    assert ours.outgoing() == alone.outgoing()


def test_the_next_player_is_told_all_that_is_in_force():
    ours = channels.Channels(channels.EngineSettings(quality=3))
    ours.set_parameter("gravity", 1.0)
    ours.set_property("level", 4.0)
    said = ours.outgoing()
    ours.set_parameter("gravity", 1.0)
    ours.outgoing()
    ours.set_engine(channels.EngineSettings(quality=3))
    ours.outgoing()
    ours.renew()
    # Its order may be another: what was set last is said last.
    assert sorted(records(ours.outgoing())) == sorted(records(said))


def records(blob):
    found = []
    while blob:
        length = 20 + int.from_bytes(blob[16:20], "little")
        found.append(blob[:length])
        blob = blob[length:]
    return found


def test_stats_are_averages_sums_and_last_values_since_they_were_taken():
    ours = channels.Channels()
    for value in (1.0, 3.0):
        ours.incoming(
            stat("speed", value, stats.AVERAGE)
            + stat("coins", value, stats.SUM)
            + stat("level", value, stats.MOST_RECENT)
            + stat("steer", value, stats.HISTOGRAM)
        )
    assert ours.take_stats() == {"speed": 2.0, "coins": 4.0, "level": 3.0, "steer": 2.0}
    assert ours.take_stats() == {}


def test_names_without_end_do_not_fill_the_memory():
    ours = channels.Channels()
    for number in range(channels.MAX_STATS + 50):
        ours.incoming(stat(f"name {number}", 1.0, 0))
    assert len(ours.take_stats()) == channels.MAX_STATS


def test_properties_go_both_ways(stock):
    theirs = stock["FloatPropertiesChannel"]()
    theirs.set_property("level", 2.5)
    ours = channels.Channels()
    ours.incoming(said_by(stock, theirs))
    assert (ours.property("level"), ours.property("other")) == (2.5, None)
    ours.set_property("level", 3.0)
    assert ours.properties() == {"level": 3.0}
    stock["SideChannelManager"]([theirs]).process_side_channel_message(ours.outgoing())
    assert theirs.get_property("level") == 3.0


def test_text_of_any_language_goes_out_and_what_is_no_text_is_replaced():
    ours = channels.Channels()
    ours.set_parameter("Schwerkraft für Ölwannen", 1.0)
    assert "für Ölwannen".encode() in ours.outgoing()
    broken = struct.pack("<i", 3) + b"a\xff\xfe" + FLOAT_STATS.pack(1.0, 0)
    ours.incoming(record(channels.STATS, broken))
    assert ours.take_stats() == {"a\ufffd\ufffd": 1.0}


def test_a_plugin_s_channel_gets_and_sends_what_it_likes(stock):
    class Chat(stock["SideChannel"]):
        def __init__(self):
            super().__init__(uuid.UUID(int=7))
            self.read = []

        def on_message_received(self, message):
            self.read.append(message.read_string())

    ours, chat = channels.Channels(), Chat()
    ours.add(chat)
    ours.incoming(record(chat.channel_id, texts.packed("grüß dich")))
    answer = texts.outgoing()
    answer.write_string("grüß Gott")
    chat.queue_message_to_send(answer)
    assert chat.read == ["grüß dich"]
    assert ours.outgoing() == record(chat.channel_id, texts.packed("grüß Gott"))
    assert ours.outgoing() == b""
    with pytest.raises(ValueError, match=r"side channel 00000000-.* already"):
        ours.add(Chat())


def test_raw_bytes_of_mlagents_envs_own_class_are_carried(stock):
    ours, raw = channels.Channels(), stock["RawBytesChannel"](uuid.UUID(int=8))
    ours.add(raw)
    raw.send_raw_data(bytearray(b"\x00\x01"))
    assert ours.outgoing() == record(uuid.UUID(int=8), b"\x00\x01")
    ours.incoming(record(uuid.UUID(int=8), b"\xff"))
    assert raw.get_and_clear_received_messages() == [b"\xff"]


def test_a_plugin_s_channel_that_raises_is_named(stock):
    class Broken(stock["SideChannel"]):
        def on_message_received(self, message):
            raise ZeroDivisionError("oops")

    ours = channels.Channels()
    ours.add(Broken(uuid.UUID(int=9)))
    with pytest.raises(errors.PluginError, match=r"\(Broken\) raised ZeroDivisionError .*: oops"):
        ours.incoming(record(uuid.UUID(int=9), b""))


def test_a_channel_that_nobody_reads_is_told_once(caplog):
    ours = channels.Channels()
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            ours.incoming(record(uuid.UUID(int=10), b"news"))
    assert [line.getMessage() for line in caplog.records] == [
        "The player uses side channel 00000000-0000-0000-0000-00000000000a, which nobody reads."
    ]


@pytest.mark.parametrize(
    "blob",
    [
        b"short",
        record(uuid.UUID(int=1), b"news")[:-1],
        uuid.UUID(int=1).bytes_le + struct.pack("<i", -5),
        record(channels.STATS, struct.pack("<i", 10**9)),
        record(channels.STATS, struct.pack("<i", -1) + b"abcdefgh"),
        record(channels.PROPERTIES, texts.packed("name")),
    ],
)
def test_a_record_that_is_cut_short_is_malformed(blob):
    with pytest.raises(wire.Malformed):
        channels.Channels().incoming(blob)


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"width": 80}, "width 80 with height None: set both"),
        ({"time_scale": 0.0}, r"time_scale is 0.0: expected a number above 0"),
        ({"time_scale": float("nan")}, "time_scale is nan"),
        ({"width": -1, "height": 5}, "width is -1"),
    ],
)
def test_engine_settings_that_cannot_be_are_refused(values, match):
    with pytest.raises(ValueError, match=match):
        channels.EngineSettings(**values)
