"""`Evaluator`: the process that evaluates checkpoints beside training, as the trainer sees it.

Both know of each other by the run folder alone. The trainer saves checkpoints; the evaluator
takes the newest, plays, adds a point to the curve and keeps the best. It is replaced where
it dies, within the budget of [supervision], and ends with the trainer, whatever ends that.
What it writes to its output goes to train.log.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Sequence

from gamebridge.supervision import budget as budgets
from gamebridge.supervision import children, logs
from gamebridge.supervision.settings import SupervisionSettings

_LOG = logging.getLogger(__name__)

# It plays a few slots on the processor: more threads would only take turns, and what a trainer
# left free on a graphics card is not for it.
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TF_NUM_INTEROP_THREADS": "1",
    "TF_NUM_INTRAOP_THREADS": "1",
}


class Evaluator:
    """The evaluator of a run, from the start of a training to its end."""

    def __init__(self, command: Sequence[str], supervision: SupervisionSettings) -> None:
        """Starts nothing yet.

        Args:
          command: the program and its arguments.
          supervision: how often it is replaced, and how long it may take to end.
        """
        self._command = list(command)
        self._supervision = supervision
        self._budget = budgets.Budget(supervision)
        self._log: logs.Log | None = None
        self._child: children.Child | None = None
        self._due_s = 0.0
        #: Whether it was lost for good: nothing is evaluated any more.
        self.is_lost = False

    @property
    def pid(self) -> int | None:
        """Its process id; None while there is none."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Starts it; one that cannot be started is an evaluator that died."""
        self._log = logs.Log()
        self._launch(self._log)

    def tend(self) -> None:
        """Replaces it where it died; to be called often."""
        if self._child is not None and not self._child.is_alive():
            self._note_death(self._child.ending(), self._child.tail())
        if self._log is None or self._child is not None or self.is_lost:
            return
        if time.monotonic() >= self._due_s:
            self._launch(self._log)

    def close(self) -> None:
        """Ends it. May be called twice."""
        if self._child is not None:
            if self._child.is_alive():
                # So that what it plays is closed in an orderly way.
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._child.pid, signal.SIGTERM)
            self._child.end(self._supervision.close_timeout_s)
            self._child = None
        if self._log is not None:
            self._log.close()
            self._log = None

    def _launch(self, log: logs.Log) -> None:
        try:
            self._child = children.Child(
                "the evaluator", self._command, log, {**os.environ, **_ENVIRONMENT}
            )
        except OSError as error:
            self._note_death(f"cannot be started: {error.strerror}", [])
        else:
            self._budget.note_up()

    def _note_death(self, ending: str, tail: Sequence[str]) -> None:
        if self._child is not None:
            self._child.end(0.0)
            self._child = None
        said = f" It said: {' | '.join(tail[-3:])}" if tail else ""
        wait_s = self._budget.spend()
        if wait_s is None:
            self.is_lost = True
            _LOG.warning(
                "the evaluator %s and is not replaced any more: checkpoints are validated in the "
                "training game from now on. %s%s",
                ending,
                self._budget.describe(),
                said,
            )
            return
        self._due_s = time.monotonic() + wait_s
        _LOG.warning("the evaluator %s; another one starts in %g s.%s", ending, wait_s, said)
