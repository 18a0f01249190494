"""What a report means: the bottleneck and its cure, and estimates of time and cores."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from gamebridge.benching import results

# A wake-up and a wait, where no worker was measured.
_ROUND_TRIP_US = 60.0
# Differences below this are no reason to change anything.
_WORTH = 1.1
# Load a core above which others are heard in the figures.
_BUSY = 0.5
_MIB = 2**20


@dataclasses.dataclass(frozen=True)
class MoreCores:
    """What twice the cores would do, as an estimate.

    Attributes:
      cores: twice as many.
      workers: that would play the game then.
      steps_per_s: of all slots together.
    """

    cores: int
    workers: int
    steps_per_s: float


def suited(costs: Mapping[int, float], automatic: int) -> int:
    """Returns the best number of workers: of those as good as the best one the likeliest.

    Args:
      costs: number of workers -> cost of a step.
      automatic: the number that is taken where nobody says; then the lowest counts.
    """
    least = min(costs.values())
    good = [count for count, cost in costs.items() if cost < _WORTH * least]
    return automatic if automatic in good else min(good)


def bottleneck(report: results.Report) -> str:
    """Returns what takes most of a step: "game", "bridge", "acting" or "learning"."""
    shares = {
        "game": report.share("game"),
        "bridge": report.share("bridge", "door"),
        "acting": report.share("acting"),
        "learning": report.share("learning"),
    }
    return max(shares, key=lambda name: shares[name])


def twice_the_cores(report: results.Report) -> MoreCores:
    """Estimates what twice the cores would do.

    The slots are shared among more workers, each as fast as one is now; a batch keeps what
    its way to the workers and back costs now; all else is taken as it is.
    """
    cores = 2 * report.cores
    now_us = report.workers[report.played_by]
    workers, then_us = report.played_by, now_us
    if report.is_split:
        count = min(report.num_slots, cores)
        batch_us = math.ceil(report.num_slots / count) * _step_us(report) + _round_trip_us(report)
        # More of them are not taken where they do not pay.
        if _WORTH * batch_us / report.num_slots < now_us and count > report.played_by:
            workers, then_us = count, batch_us / report.num_slots
    played_us = report.parts["game"] + report.parts.get("bridge", 0.0)
    saved_us = played_us * (1 - then_us / now_us)
    return MoreCores(cores, workers, 1e6 / (report.step_us - saved_us))


def to_dict(report: results.Report) -> dict[str, Any]:
    """Returns the report and what it means as plain values, for JSON."""
    more = twice_the_cores(report)
    return {
        "game": report.game,
        "agent": report.agent,
        "num_slots": report.num_slots,
        "cores": report.cores,
        "load": round(report.load, 2),
        "seconds": report.seconds,
        "layers": results.table(report.layers),
        "workers": [
            {"count": count, "us": round(cost, 3), "steps_per_s": round(1e6 / cost, 1)}
            for count, cost in sorted(report.workers.items())
        ],
        "best_workers": suited(report.workers, report.automatic),
        "played_by_workers": report.played_by,
        "automatic_workers": report.automatic,
        "is_split": report.is_split,
        "waits": report.waits,
        "parts": results.table(report.parts),
        "steps_per_s": round(report.steps_per_s, 1),
        "steps_per_s_overlapped": round(_steps_per_s_overlapped(report), 1),
        "steps": report.steps,
        "duration_s": round(report.steps / report.steps_per_s, 1),
        "memory": {
            "process_bytes": report.memory.process,
            "worker_bytes": list(report.memory.workers),
            "experience_bytes": report.memory.experience,
            "total_bytes": report.memory.total,
        },
        "twice_the_cores": dataclasses.asdict(more),
        "bottleneck": bottleneck(report),
        "advice": lines(report),
    }


def lines(report: results.Report) -> list[str]:
    """Says in plain words what the report means."""
    said = [_BOTTLENECKS[bottleneck(report)](report)]
    if report.automatic != report.played_by:
        said.append(_choice(report))
    said.append(_duration(report))
    at_best = _steps_per_s_overlapped(report)
    if at_best > _WORTH * report.steps_per_s:
        said.append(
            f"That is in turn. Training plays the next step while {report.agent} learns "
            f"(training.overlap): up to {at_best:,.0f} steps/s with cores enough for both."
        )
    said += [_memory(report), _more_cores(report)]
    if report.load > _BUSY * report.cores:
        said.append(
            f"The machine was busy (load {report.load:.1f} on {report.cores} cores): all is "
            "slower than it could be, and workers gain least. Measure again when it is quiet."
        )
    if report.agent is None:
        said.append("With --agent ID, such as ppo, you see what acting and learning take as well.")
    return said


def _step_us(report: results.Report) -> float:
    """A step of one slot, where nothing is shared."""
    if 0 in report.workers:
        return report.workers[0]
    count = min(report.workers)
    return report.workers[count] * report.num_slots / math.ceil(report.num_slots / count)


def _round_trip_us(report: results.Report) -> float:
    """What a batch costs beside the steps of the slots that one worker plays in turn."""
    count = max((count for count in report.workers if count <= report.cores), default=0)
    if count == 0:
        return _ROUND_TRIP_US
    in_turn_us = math.ceil(report.num_slots / count) * _step_us(report)
    return max(0.0, report.workers[count] * report.num_slots - in_turn_us)


def _percent(report: results.Report, *names: str) -> str:
    return f"{100 * report.share(*names):.0f} %"


def _game(report: results.Report) -> str:
    takes = f"The game takes {_percent(report, 'game')} of a step"
    slots = report.num_slots
    if not report.is_split:
        return (
            f"{takes}. It steps its {slots} slots at once in one process, which is never split "
            "unless asked (workers.count): a faster core helps, more cores only as far as the "
            "game itself uses them."
        )
    if report.waits:
        return (
            f"{takes}, and waits rather than computes: more workers than cores help, up to one "
            f"a slot ({slots})."
        )
    if set(report.workers) == {0} and report.is_asked:
        return (
            f"{takes}. It is played in this process, as asked; without workers.count it is found "
            "out whether workers are quicker."
        )
    if report.played_by == 0:
        if report.cores == 1 or slots == 1:
            lack = "core" if report.cores == 1 else "slot"
            return f"{takes}: with one {lack} it is played here; a faster core helps."
        return (
            f"{takes}, and is too cheap for worker processes to pay: a faster core helps, more "
            "cores do not."
        )
    if report.played_by < min(slots, report.cores):
        return (
            f"{takes}. More than {_workers(report.played_by)} did not help here, though there are "
            f"{report.cores} cores: a faster core helps."
        )
    if report.played_by >= slots:
        return (
            f"{takes}. Each slot has a worker of its own: more cores help once there are more "
            "slots (--num-slots)."
        )
    return f"{takes}: more cores help, up to {slots} workers (one a slot)."


def _bridge(report: results.Report) -> str:
    bridge_us = report.parts.get("bridge", 0.0) + report.parts.get("door", 0.0)
    return (
        f"The bridge takes {_percent(report, 'bridge', 'door')} of a step, as the game is cheap: "
        f"{bridge_us * report.num_slots:,.0f} us a batch, most of it whatever the batch's size. "
        f"More slots share it: try --num-slots {4 * report.num_slots}."
    )


def _acting(report: results.Report) -> str:
    acting_us = report.parts["acting"] * report.num_slots
    smaller = " A smaller network (agent.units) helps too." if _has(report, "units") else ""
    return (
        f"Acting in TensorFlow takes {_percent(report, 'acting')} of a step, {acting_us:,.0f} us a "
        "batch: more workers do not help. More slots share a call of the network: try "
        f"--num-slots {4 * report.num_slots}.{smaller}"
    )


def _learning(report: results.Report) -> str:
    cures = [
        f"{what} (agent.{name})"
        for name, what in (
            ("num_epochs", "fewer epochs"),
            ("train_interval", "training less often"),
            ("minibatch_size", "larger minibatches"),
            ("batch_size", "smaller batches"),
            ("units", "a smaller network"),
        )
        if _has(report, name)
    ]
    helps = " or ".join(cures[:2]) or "other settings of the agent"
    do = "do" if len(cures[:2]) > 1 or not cures else "does"
    return (
        f"Learning takes {_percent(report, 'learning')} of a step: more workers do not help; "
        f"{helps} {do}."
    )


_BOTTLENECKS = {"game": _game, "bridge": _bridge, "acting": _acting, "learning": _learning}


def _has(report: results.Report, name: str) -> bool:
    return name in report.agent_settings


def _workers(count: int) -> str:
    return "this process" if count == 0 else f"{count} worker{'s' if count > 1 else ''}"


def _choice(report: results.Report) -> str:
    taken = report.workers.get(report.automatic)
    what = f"Unless told otherwise, {_workers(report.automatic)} would play it; "
    if taken is None:
        return (
            f"{what}{_workers(report.played_by)} measured best (workers.count={report.played_by})."
        )
    times = taken / report.workers[report.played_by]
    if times >= _WORTH:
        return (
            f"{what}{_workers(report.played_by)} measured {times:.1f} times as fast "
            f"(workers.count={report.played_by})."
        )
    if 1 / times >= _WORTH:
        return f"{what}it measured {1 / times:.1f} times as fast as what was asked for."
    return f"{what}it measured about as fast."


def _steps_per_s_overlapped(report: results.Report) -> float:
    """What it would be at best, where the game is played while the agent learns."""
    if not report.overlaps:
        return report.steps_per_s
    played_us = report.parts["game"] + report.parts["bridge"]
    return 1e6 / (report.step_us - min(played_us, report.parts["learning"]))


def _duration(report: results.Report) -> str:
    what = "of training" if report.agent else "of play without learning"
    return (
        f"{report.steps:,} steps {what} take about {_time(report.steps / report.steps_per_s)} here "
        f"({report.steps_per_s:,.0f} steps/s), checkpoints and validation aside."
    )


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    if hours < 72:
        return f"{hours} h" if hours >= 10 else f"{minutes // 60} h {minutes % 60:02} min"
    return f"{seconds / 86400:.1f} days"


def _memory(report: results.Report) -> str:
    memory = report.memory
    said = [f"Memory: {memory.process / _MIB:,.0f} MiB in this process"]
    if memory.experience >= _MIB:
        said.append(
            f", of which {memory.experience / _MIB:,.0f} MiB hold the steps that {report.agent} "
            "learns from"
        )
    if memory.workers:
        said.append(f", {max(memory.workers) / _MIB:,.0f} MiB in each worker")
        said.append(f"; {memory.total / _MIB:,.0f} MiB in all")
    return "".join([*said, "."])


def _more_cores(report: results.Report) -> str:
    more = twice_the_cores(report)
    if more.workers == report.played_by:
        return (
            f"Twice the cores ({more.cores}): about the same, as an estimate: the game would "
            "have no more workers, and TensorFlow's part is taken as it is."
        )
    return (
        f"Twice the cores ({more.cores}): about {more.steps_per_s:,.0f} steps/s with "
        f"{more.workers} workers, as an estimate from one slot's step and the way to the "
        "workers and back as measured here; TensorFlow's part is taken as it is."
    )
