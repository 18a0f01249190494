"""Games of Unity scenes: the contract, and what scenes add to it."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import unity_games as games

from gamebridge import errors
from gamebridge.contract import FIRST, LAST, MID, GameRequest, seeding
from gamebridge.testing import GameConformance, episode_rules, playing, rules
from gamebridge_unity import making
from gamebridge_unity.settings import EditorSettings

_NEXT_EPISODE = "a scene goes on with its random numbers: no agent has a next episode of its own."


class TestWalkers(GameConformance):
    """A scene whose one random generator fixes everything."""

    num_steps = 100

    def make(self):
        return games.make("basic", 3, "--agents", 3)

    def test_a_reset_without_seeds_starts_the_next_episode(self):
        pytest.skip(_NEXT_EPISODE)


class TestWalkersOfTwoPlayers(episode_rules.EpisodeRules):
    """With an array of two branches, and telemetry of the game's own."""

    num_steps = 60

    def make(self):
        return games.make("masks", 4, "--agents", 2, players=2)

    def test_a_reset_without_seeds_starts_the_next_episode(self):
        pytest.skip(_NEXT_EPISODE)


class TestRacing(episode_rules.EpisodeRules):
    """A game of ours behind the protocol: its slots do have next episodes."""

    num_steps = 60

    def make(self):
        return games.make("racing", 2, "--agents", 2, "--set", "episode_s=1.5")


# Slots that were told nothing yet, and those that wait.


def test_while_one_begins_the_others_have_nothing_to_say():
    with games.make("numbered", 4, "--agents", 4) as game:
        game.reset()
        said = games.play_until(game, lambda now: now.is_last().any() and now.valid.all())
        last = said[-1].is_last()
        after = playing.copy(game.step(next(games.actions(game))))
        assert (after.valid == last).all() and after.is_first()[last].all()
        # What the others did was taken before; what is given now counts for who begins alone.
        begun = {
            "continuous": np.full((4, 1), 0.125, np.float32), "discrete": np.full(4, 77)
        }  # fmt: skip
        now = game.step(begun)
        echo = now.observation[:, 3:] == np.array([77, 0.125], np.float32)
        assert now.valid.all() and (echo.all(1) == last).all()


def test_actions_are_those_of_the_step_in_which_the_decision_was_at_hand():
    with games.make("numbered", 2, "--agents", 2) as game:
        before = playing.copy(game.reset())
        for action in itertools.islice(games.actions(game), 200):
            now = game.step(action)
            both = now.valid & before.valid & ~before.is_last() & ~now.is_first()
            assert (now.observation[both, 3] == action["discrete"][both]).all()
            before = playing.copy(now)


def test_slots_that_are_held_hold_their_player_and_no_other():
    with games.make("numbered", 4, "--agents", 2, players=2) as game:
        game.reset()
        games.play_until(game, lambda now: (now.step_type == MID).all() and now.valid.all())
        held = np.array([False, True, True, True])
        before = playing.copy(game.step(next(games.actions(game))))
        for _ in range(5):
            rows = game.step(next(games.actions(game, 1)), held)
            assert playing.first_difference(before, rows, np.array([0])) is None
            # Its neighbour took its action once, and waits with it.
            assert not rows.valid[1] or rows.step_type[1] == LAST
        assert rows.valid[2:].any()
        assert game.step(next(games.actions(game))).valid[:2].all()


def test_a_step_before_any_reset_begins_episodes():
    with games.make("basic", 2, "--agents", 2) as game:
        assert game.step(np.zeros(2, np.int64)).is_first().all()


# Resets.


def test_a_reset_of_a_whole_player_resets_its_scene_and_no_other():
    with games.make("numbered", 4, "--agents", 2, players=2) as game:
        game.reset()
        games.play_until(game, lambda now: now.valid.all() and (now.step_type == MID).all())
        before = playing.copy(game.step(next(games.actions(game))))
        named = np.array([True, True, False, False])
        rows = game.reset(slots=named)
        assert rows.valid[:2].all() and rows.is_first()[:2].all()
        assert (rows.reward[:2] == 0).all() and (rows.observation[:2, 2] == 0).all()
        assert playing.first_difference(before, rows, np.array([2, 3])) is None
        games.play(game, 20)


def test_a_reset_of_one_slot_lets_its_running_episode_go_on_as_a_new_one():
    with games.make("numbered", 2, "--agents", 2) as game:
        game.reset()
        games.play_until(game, lambda now: now.valid.all() and (now.step_type == MID).all())
        before = playing.copy(game._sheet.time_step)
        rows = playing.copy(game.reset(slots=np.array([True, False])))
        assert rows.step_type.tolist() == [FIRST, MID] and rows.reward[0] == 0
        assert np.array_equal(rows.observation, before.observation)
        now = game.step(next(games.actions(game)))
        assert now.observation[0, 2] == rows.observation[0, 2] + 1


@pytest.mark.parametrize("num_slots", [2, 4])
def test_seeds_fix_a_scene(num_slots):
    players = num_slots // 2
    with games.make("basic", num_slots, "--agents", 2, players=players) as game:
        seeds = seeding.slot_seeds(3, num_slots)
        stream = games.actions(game)
        played = [next(stream) for _ in range(60)]
        expected = playing.play(game, played, seeds)
        rules.check_same("the same game", expected, playing.play(game, played, seeds))
        other = playing.play(game, played, seeding.slot_seeds(4, num_slots))
        with pytest.raises(AssertionError):
            rules.check_same("other seeds", expected, other)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"seeds": np.zeros(3, np.int64)}, r"seeds is int64 \[3\], expected int64 \[2\]"),
        ({"seeds": np.zeros(2)}, r"seeds is float64 \[2\]"),
        ({"slots": np.zeros(2, np.int64)}, r"slots is int64 \[2\], expected bool \[2\]"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments, text):
    with games.make("basic", 2, "--agents", 2) as game, pytest.raises(ValueError, match=text):
        game.reset(**arguments)


# Agents.


def test_an_action_mask_is_observed_and_a_forbidden_action_is_counted():
    with games.make("masks", 4, "--agents", 4, action_mask=True) as game:
        assert list(game.telemetry_spec())[-1] == "forbidden_action"
        rows = playing.copy(game.reset())
        for action in itertools.islice(games.actions(game), 40):
            waiting = rows.valid & ~rows.is_last()
            sides, runs = rows.observation["action_mask"]
            allowed = np.take_along_axis(sides, action[:, :1], 1)[:, 0]
            allowed &= np.take_along_axis(runs, action[:, 1:], 1)[:, 0]
            rows = playing.copy(game.step(action))
            told = game.telemetry()["forbidden_action"]
            assert np.array_equal(told[waiting], ~allowed[waiting])
            assert not told[~waiting].any()


def test_group_rewards_are_told_apart_in_telemetry():
    with games.make("groups", 4, "--agents", 4) as game:
        game.reset()
        total = 0.0
        for action in itertools.islice(games.actions(game), 400):
            rows = game.step(action)
            group = game.telemetry()["group_reward"]
            total += group.sum()
            own = (rows.reward - group)[rows.valid & ~rows.is_first()]
            assert np.all(np.isclose(own, -0.01) | np.isclose(own, 1.0))
        assert total > 0


def test_there_is_no_telemetry_of_what_a_scene_does_not_have():
    with games.make("basic", 2, "--agents", 2) as game:
        assert list(game.telemetry_spec()) == ["moved", "place"]


def test_agents_beyond_the_slots_are_warned_of_once_and_driven(caplog):
    with games.make("basic", 2, "--agents", 5, others="zero") as game:
        game.reset()
        games.play(game, 100)
        stats = game.take_stats()
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 1 and "3 agents of behaviour 'Walker?team=0' have no slot" in warned[0]
    assert stats


def test_several_behaviours_and_none_chosen_are_told():
    text = (
        r"2 behaviours could learn: 'Runner\?team=1', 'Walker\?team=0'. Choose one: game.behavior="
    )
    with pytest.raises(errors.ConfigError, match=text):
        games.make("two-behaviors", 4)


@pytest.mark.parametrize("name", ["Walker", "Walker?team=0"])
def test_a_behaviour_is_chosen_with_or_without_its_team(name):
    with games.make("two-behaviors", 4, behavior=name) as game:
        assert game.reset().observation.shape == (4, 3)


def test_a_behaviour_that_never_comes_is_told_with_those_that_did():
    text = r"no behaviour 'Flyer': within 0\.3 s .* it has shown .*'Walker.*Set game\.behavior"
    with pytest.raises(errors.ConfigError, match=text):
        games.make("two-behaviors", 4, behavior="Flyer", agents_timeout_s=0.3)


def test_slots_must_be_a_multiple_of_the_players():
    with pytest.raises(errors.ConfigError, match="num_slots is 5, of which 2 players cannot have"):
        games.make("basic", 5, players=2)


def test_an_agent_that_vanishes_is_truncated():
    """Half of the agents of this scene come late and leave; some seats are empty for long."""
    with games.make("comers", 8, late_agents=True, vanish_after=3) as game:
        game.reset()
        said = games.play(game, 400)
    cut = [now.valid & now.is_last() & (now.reward == 0) & (now.discount == 1) for now in said]
    assert sum(map(np.count_nonzero, cut)) > 0


# What is said beside the game.


def test_telemetry_is_that_of_the_row():
    with games.make("numbered", 4, "--agents", 4, players=1) as game:
        assert game.telemetry_spec()["step"].reduce == "last"
        game.reset()
        for action in itertools.islice(games.actions(game), 100):
            rows = game.step(action)
            step = game.telemetry()["step"]
            assert (step[rows.valid] == rows.observation[rows.valid, 2]).all()


def test_a_player_that_knows_no_telemetry_has_none():
    with games.make("window", 2, "--agents", 2) as game:
        assert game.telemetry_spec() == {}


def test_stats_are_the_mean_of_all_players():
    with games.make("basic", 4, "--agents", 2, players=2) as game:
        game.reset()
        games.play(game, 300)
        stats = game.take_stats()
        assert 0 < stats["walks/arrived"] < 1
        assert game.take_stats() == {}


def test_a_curriculum_is_told_to_all_players_as_steps_are_played():
    points = ((0, 1.0), (400, 3.0))
    with games.make("basic", 4, "--agents", 2, players=2, parameters={"d": points}) as game:
        told = []
        for member in game._members:
            known, tell = member.dialogue.channels.set_parameter, told.append
            member.dialogue.channels.set_parameter = lambda name, value, known=known, tell=tell: (
                tell((name, value)),
                known(name, value),
            )
        game.reset(seeding.slot_seeds(0, 4))
        games.play(game, 150)
        values = [value for name, value in told if name == "d"]
        assert values[0] < 1.1 and values[-1] == 3 and values == sorted(values)
        game.reset(seeding.slot_seeds(0, 4))
        told.clear()
        # Whoever is evaluated plays what training will come to.
        with games.make("basic", 2, "--agents", 2, parameters={"d": points}) as other:
            other.reset(seeding.slot_seeds(0, 2, seeding.Domain.EVALUATION))
            assert other._schedule.news(0) == {"d": 1.0}


# Pictures.


def test_a_camera_is_shown_large_and_in_colours():
    with games.make(
        "stacked", 2, "--agents", 2, picture=True, view="b_colours", graphics="virtual"
    ) as game:
        rows = game.reset()
        picture = game.render(1)
        assert picture.shape == (240, 288, 3) and picture.dtype == np.uint8
        assert np.array_equal(picture[::12, ::12], rows.observation["b_colours"][1, :, :, -3:])


def test_the_window_is_shown_where_nothing_else_is():
    """A game that is made without graphics gets a display when it is to be seen."""
    with games.make("window", 2, "--agents", 2, picture=True, view="window") as game:
        rows = game.reset()
        picture = game.render(0)
        assert picture.shape == (720, 1280, 3) and picture.any()
        assert rows.observation.any()
        games.play(game, 60)


def test_a_view_that_there_is_not_is_told():
    with pytest.raises(errors.ConfigError, match="view is 'windwo'; expected one of 'window'"):
        games.make("basic", 2, "--agents", 2, view="windwo")
    with games.make("stacked", 2, "--agents", 2, picture=True, view="b_colours") as game:
        game.reset()
        with pytest.raises(ValueError, match="slot is 2, expected 0 to 1"):
            game.render(2)


def test_nothing_is_shown_of_a_game_that_was_not_made_with_picture():
    with games.make("basic", 2, "--agents", 2) as game:
        assert game.render() is None


def test_a_build_that_draws_nothing_without_graphics_is_told_of():
    with games.make("window", 2, "--agents", 2, frozen_after=10) as game:
        game.reset()
        text = r"'window' is of one colour .* 10 steps long: with -nographics this build draws"
        with pytest.raises(errors.GameError, match=text):
            games.play(game, 20)


# Interruptions, and editors.


def test_a_step_that_ctrl_c_broke_off_is_finished_by_the_next_one():
    limits = games.dataclasses.replace(games.QUICK, step_timeout_s=5.0)
    with games.make("numbered", 2, "--agents", 2, limits=limits) as game:
        game.reset()
        said = games.play(game, 10)
        os.kill(game.pids[0], signal.SIGSTOP)
        threading.Timer(0.3, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            games.play(game, 10)
        os.kill(game.pids[0], signal.SIGCONT)
        more = games.play(game, 20)
        assert game.num_restarts == 0
        steps = [now.observation[0, 2] for now in (*said, *more) if now.valid[0]]
        assert all(after in (before + 1, 0) for before, after in itertools.pairwise(steps[8:]))


def test_an_editor_is_waited_for_and_not_ended():
    port = _free_port()
    editor = subprocess.Popen(
        [
            sys.executable, "-c",
            "import time, sys; time.sleep(0.7);"
            "from gamebridge_unity.reference.__main__ import main; sys.exit(main(sys.argv[1:]))",
            "--scene", "basic", "--agents", "2", "--mlagents-port", str(port),
        ],
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    settings = EditorSettings(port=port, editor_timeout_s=20.0)
    request = GameRequest("unity/editor", 2, False, settings, games.QUICK)
    with making.make(request, None) as game:
        assert game.reset().valid.all() and game.pids == [None]
        games.play(game, 20)
        editor.kill()
        editor.wait()
        with pytest.raises(errors.PlayerError, match="press Play anew"):
            games.play(game, 20)


def test_an_editor_that_nobody_plays_is_waited_for_so_long():
    settings = EditorSettings(port=_free_port(), editor_timeout_s=1.0)
    began_s = time.monotonic()
    text = r"had not connected after 1 s \(game.editor_timeout_s\)"
    with pytest.raises(errors.PlayerError, match=text):
        making.make(GameRequest("unity/editor", 2, False, settings, games.QUICK), None)
    assert time.monotonic() - began_s < 2.0


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
