"""What the figures of a bench mean, with figures that were made up."""

from __future__ import annotations

import dataclasses

import pytest

from gamebridge.benching import advice, arrangements, results, rounds

SLOW = results.Report(
    game="toys/slow",
    agent="ppo",
    num_slots=8,
    cores=2,
    load=0.1,
    seconds=1.0,
    is_split=True,
    waits=False,
    layers={"game": 990.0, "adapter": 6.0, "value guard": 4.0},
    workers={0: 1000.0, 1: 1020.0, 2: 520.0},
    played_by=2,
    automatic=2,
    parts={"game": 500.0, "bridge": 20.0, "door": 10.0, "acting": 30.0, "learning": 65.0},
    memory=results.Memory(600 * 2**20, (40 * 2**20, 41 * 2**20), 3 * 2**20),
    steps=1_000_000,
    agent_settings={"num_epochs": 10, "minibatch_size": 128},
)


def changed(**values):
    return dataclasses.replace(SLOW, **values)


def first(report):
    return advice.lines(report)[0]


def test_a_slow_game_that_splits_wants_cores():
    assert advice.bottleneck(SLOW) == "game"
    assert first(SLOW) == (
        "The game takes 80 % of a step: more cores help, up to 8 workers (one a slot)."
    )


def test_a_game_with_a_worker_a_slot_wants_slots_too():
    report = changed(num_slots=2)
    assert "once there are more slots (--num-slots)" in first(report)


def test_a_game_that_is_never_split_wants_a_faster_core():
    report = changed(is_split=False, workers={0: 520.0}, played_by=0, automatic=0)
    assert "which is never split unless asked (workers.count): a faster core" in first(report)
    assert advice.twice_the_cores(report).workers == 0


def test_a_game_that_waits_wants_workers_beyond_the_cores():
    assert "more workers than cores help, up to one a slot (8)" in first(changed(waits=True))


def test_a_cheap_game_wants_neither():
    report = changed(workers={0: 520.0, 1: 700.0, 2: 600.0}, played_by=0, automatic=0)
    assert "too cheap for worker processes to pay" in first(report)
    assert "with one slot it is played here" in first(
        changed(num_slots=1, workers={0: 520.0, 1: 600.0}, played_by=0, automatic=0)
    )


def test_a_game_that_was_to_stay_here_is_not_judged_by_workers_that_were_not_tried():
    report = changed(workers={0: 520.0}, played_by=0, is_asked=True)
    assert "It is played in this process, as asked" in first(report)


def test_workers_that_did_not_help_are_not_praised():
    report = changed(cores=4, played_by=2, workers={0: 1000.0, 2: 520.0, 4: 540.0})
    assert "More than 2 workers did not help here, though there are 4 cores" in first(report)


def test_learning_names_the_settings_that_this_agent_has():
    parts = {**SLOW.parts, "learning": 5000.0}
    assert first(changed(parts=parts)) == (
        "Learning takes 90 % of a step: more workers do not help; fewer epochs "
        "(agent.num_epochs) or larger minibatches (agent.minibatch_size) do."
    )
    said = first(changed(parts=parts, agent_settings={"train_interval": 1}))
    assert said.endswith("training less often (agent.train_interval) does.")
    said = first(changed(parts=parts, agent_settings={}))
    assert said.endswith("other settings of the agent do.")


def test_the_bridge_and_acting_want_more_slots():
    report = changed(parts={"game": 4.0, "bridge": 3.0, "door": 12.0})
    assert advice.bottleneck(report) == "bridge"
    assert "120 us a batch" in first(report) and "--num-slots 32" in first(report)
    report = changed(parts={**SLOW.parts, "acting": 900.0}, agent_settings={"units": (64,)})
    assert "Acting in TensorFlow takes 60 % of a step, 7,200 us a batch" in first(report)
    assert "(agent.units)" in first(report)


def test_the_best_number_of_workers_is_the_automatic_one_where_it_is_as_good():
    costs = {0: 100.0, 1: 60.0, 2: 52.0, 4: 50.0}
    assert advice.suited(costs, automatic=4) == 4
    assert advice.suited(costs, automatic=0) == 2
    assert advice.suited({0: 10.0, 2: 30.0}, automatic=2) == 0


def test_another_choice_than_the_automatic_one_is_said_with_its_gain():
    report = changed(played_by=0, workers={0: 100.0, 1: 300.0, 2: 250.0})
    assert (
        "Unless told otherwise, 2 workers would play it; this process measured 2.5 times as fast "
        "(workers.count=0)."
    ) in advice.lines(report)
    assert not any("Unless told" in line for line in advice.lines(SLOW))
    asked = changed(played_by=1, workers={1: 500.0, 2: 520.0})
    assert any("would play it; it measured about as fast" in line for line in advice.lines(asked))
    asked = changed(played_by=1, automatic=0, workers={0: 100.0, 1: 500.0})
    said = "this process would play it; it measured 5.0 times as fast as what was asked for."
    assert any(said in line for line in advice.lines(asked))
    asked = changed(played_by=1, workers={0: 510.0, 1: 500.0})
    assert any("1 worker measured best (workers.count=1)" in line for line in advice.lines(asked))


def test_twice_the_cores_share_the_slots_and_keep_the_round_trip():
    # 8 slots of 1000 us by 2 workers: 4,000 us, and 160 more on the way there and back.
    # By 4 workers: 2,160 us a batch, 270 us a step instead of 520.
    more = advice.twice_the_cores(SLOW)
    assert (more.cores, more.workers) == (4, 4)
    assert more.steps_per_s == pytest.approx(1e6 / (625.0 - 520.0 * (1 - 270.0 / 520.0)))
    (line,) = [line for line in advice.lines(SLOW) if "Twice" in line]
    assert "as an estimate" in line and "TensorFlow's part is taken as it is" in line


def test_twice_the_cores_promise_nothing_to_a_cheap_game():
    report = changed(workers={0: 5.0, 1: 30.0, 2: 25.0}, played_by=0, automatic=0)
    more = advice.twice_the_cores(report)
    assert more.workers == 0
    assert more.steps_per_s == pytest.approx(report.steps_per_s)


def test_twice_the_cores_of_one_core_take_a_usual_round_trip():
    report = changed(cores=1, workers={0: 1000.0, 1: 1020.0}, played_by=0, automatic=0)
    more = advice.twice_the_cores(report)
    assert more.workers == 2
    assert more.steps_per_s > report.steps_per_s


def test_a_game_in_another_python_is_judged_by_its_workers():
    report = changed(layers={}, workers={1: 1020.0, 2: 520.0})
    assert advice.twice_the_cores(report).workers == 4


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        (10_000, "about 6 s here"),
        (1_000_000, "about 10 min here"),
        (20_000_000, "about 3 h 28 min here"),
        (100_000_000, "about 17 h here"),
        (1_000_000_000, "about 7.2 days here"),
    ],
)
def test_time_is_said_in_units_that_suit_it(steps, said):
    assert any(said in line for line in advice.lines(changed(steps=steps)))


def test_memory_is_that_of_all_processes():
    assert (
        "Memory: 600 MiB in this process, of which 3 MiB hold the steps that ppo learns from, "
        "41 MiB in each worker; 681 MiB in all."
    ) in advice.lines(SLOW)


def test_overlap_is_said_as_a_bound_where_it_may_gain():
    report = changed(overlaps=True, parts={**SLOW.parts, "learning": 500.0})
    assert any("up to 1,786 steps/s with cores enough for both" in x for x in advice.lines(report))
    assert advice.to_dict(report)["steps_per_s_overlapped"] == pytest.approx(1785.7)
    assert not any("overlap" in line for line in advice.lines(SLOW))


def test_a_busy_machine_is_named():
    assert any("load 3.0 on 2 cores" in line for line in advice.lines(changed(load=3.0)))
    assert not any("busy" in line for line in advice.lines(SLOW))


def test_rows_sum_up_and_have_shares():
    rows = results.table({"game": 30.0, "adapter": 10.0})
    assert rows == [
        {"name": "game", "us": 30.0, "share": 0.75, "steps_per_s": 33333.3},
        {"name": "adapter", "us": 10.0, "share": 0.25, "steps_per_s": 25000.0},
    ]


def test_as_many_workers_are_tried_as_can_help():
    def counts(num_slots, cores, waits=False):
        return arrangements.worker_counts(num_slots, cores, waits=waits)

    assert counts(8, 2) == [1, 2]
    assert counts(1, 16) == [1]
    assert counts(32, 12) == [1, 2, 3, 4, 8, 12]
    assert counts(6, 2, waits=True) == [1, 2, 3, 4, 6]
    assert counts(1000, 2, waits=True)[-1] == 64


def test_rounds_are_interleaved_and_begin_with_each_in_turn():
    played = []

    class Player:
        def __init__(self, name):
            self.name = name

        def play(self, seconds):
            played.append(self.name)
            return {"part": float(len(played)), "seconds": seconds}

    said = rounds.measure({"a": Player("a"), "b": Player("b")}, 1.0)
    assert played == ["a", "b", "b", "a", "a", "b", "b", "a", "a", "b"]
    assert rounds.medians(said["a"]) == {"part": 5.0, "seconds": 0.2}
    assert rounds.noise(said["a"], "part") == 3.0
