"""`Child`: a process that is ours, from its start to its end.

It leads a session and a group of its own, and the whole group ends with it. It does not
outlive us, whatever ends us: the kernel kills it, even if it is stopped. (Not its own children,
should we be killed: a script that starts a player has to `exec` it.) Our own programs ask the
kernel for that themselves. For a foreign executable a few lines of Python ask, and then
become it: 16 ms on our machine, however large this process is. What asks between fork and
exec takes the page tables along (60 ms at 2 GB) and may meet a lock that another thread of
ours held at that moment; TensorFlow and gRPC have many.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from gamebridge.supervision import launching, logs

RUNNING = "is running"

_PAUSE_S = 0.005
_LOOK = os.WEXITED | os.WNOHANG | os.WNOWAIT
# What it wrote last is read by another thread; a child of its own may keep the pipe open.
_LAST_WORDS_S = 0.5
_BECOMING_S = 30.0

# No core file of a crashed player fills the disk. Python ignores two signals and may set a
# variable, in place of the locale C; what it becomes is to have them as they were.
_BECOME = """
import ctypes, os, resource, signal, sys
parent, report, path, *rest = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[4:]
ctypes.CDLL(None).prctl(1, int(signal.SIGKILL), 0, 0, 0)
if os.getppid() != parent:
    os._exit(1)
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
for number in (signal.SIGPIPE, signal.SIGXFSZ):
    signal.signal(number, signal.SIG_DFL)
os.set_inheritable(report, False)
os.environ.pop("LC_CTYPE", None)
if sys.argv[3]:
    os.environ["LC_CTYPE"] = sys.argv[3][1:]
try:
    os.execve(path, [path, *rest], os.environ)
except OSError as error:
    os.write(report, str(error.errno).encode("ascii"))
os._exit(127)
"""


class Child:
    """A process, from its start to its end; see this module.

    Attributes:
      label: names it in messages.
    """

    def __init__(
        self,
        label: str,
        command: Sequence[str],
        log: logs.Log,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        pass_fds: Sequence[int] = (),
        *,
        kept: pathlib.Path | None = None,
        is_foreign: bool = True,
    ) -> None:
        """Starts the process.

        Args:
          label: names it in messages and in the log.
          command: the executable's path and its arguments.
          log: takes what it writes to stdout and stderr.
          env: its environment; None for ours.
          cwd: its working directory; None for ours.
          pass_fds: file descriptors that it gets.
          kept: a file that gets what it writes too.
          is_foreign: whether the kernel has to be asked for it to end with us; False for a
            program that does so itself.

        Raises:
          OSError: it cannot be started.
        """
        self.label = label
        self._popen: subprocess.Popen[bytes] | None = None
        try:
            with contextlib.ExitStack() as opened:
                report_fd = None
                with contextlib.ExitStack() as handed:  # what it then has, and we need no more
                    given = list(pass_fds)
                    if is_foreign:
                        report_fd, write_fd = os.pipe()
                        opened.callback(os.close, report_fd)
                        handed.callback(os.close, write_fd)
                        given.append(write_fd)
                        ctype = (os.environ if env is None else env).get("LC_CTYPE")
                        words = [str(os.getpid()), str(write_fd)]
                        words.append("" if ctype is None else f"={ctype}")
                        command = [sys.executable, "-I", "-S", "-c", _BECOME, *words, *command]
                    self._output = log.open(label, kept)
                    handed.callback(os.close, self._output.write_fd)
                    self._launch(command, env, cwd, given)
                if report_fd is not None:
                    _await_becoming(report_fd)
        except BaseException:  # Ctrl-C too
            self.end(0)
            raise

    def _launch(
        self,
        command: Sequence[str],
        env: Mapping[str, str] | None,
        cwd: str | os.PathLike[str] | None,
        pass_fds: Sequence[int],
    ) -> None:
        def start() -> None:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output.write_fd,
                stderr=self._output.write_fd,
                env=env,
                cwd=cwd,
                pass_fds=pass_fds,
                start_new_session=True,
            )

        launching.launch(start)

    @property
    def pid(self) -> int:
        """The process id, which is its group's too."""
        return -1 if self._popen is None else self._popen.pid

    def tail(self) -> list[str]:
        """The newest lines that it wrote; all there will ever be once it has ended."""
        return self._output.tail(0.0 if self.is_alive() else _LAST_WORDS_S)

    def is_alive(self) -> bool:
        """Whether it runs; one that has ended stays a zombie until `end`."""
        if self._popen is None or self._popen.returncode is not None:
            return False
        try:
            return os.waitid(os.P_PID, self.pid, _LOOK) is None
        except ChildProcessError:  # somebody else in this process waits for all children
            return False

    def wait(self, timeout_s: float) -> bool:
        """Waits so long for its end; returns whether it has ended."""
        until_s = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() >= until_s:
                return False
            time.sleep(_PAUSE_S)
        return True

    def ending(self) -> str:
        """Says how it ended, such as "exited with code 3"; `RUNNING` where it did not."""
        if self._popen is None:
            return "was not started"
        code = self._popen.returncode
        if code is None:
            try:
                found = os.waitid(os.P_PID, self.pid, _LOOK)
            except ChildProcessError:
                return "ended"
            if found is None:
                return RUNNING
            exited = found.si_code == os.CLD_EXITED
            code = found.si_status if exited else -found.si_status
        return f"exited with code {code}" if code >= 0 else f"was killed by {_signal_name(-code)}"

    def end(self, timeout_s: float) -> None:
        """Waits so long for its end, then kills it and whatever it started. May be called twice."""
        self.wait(timeout_s)
        if self._popen is not None and self._popen.returncode is None:
            # Before the process is reaped: its id is still its group's own.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self._popen.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:  # one of the real-time signals
        return f"signal {number}"


def _await_becoming(report_fd: int) -> None:
    """Waits until the child is what it was to become.

    Raises:
      OSError: it cannot be that.
    """
    poll = select.poll()
    poll.register(report_fd, select.POLLIN)
    if not poll.poll(_BECOMING_S * 1e3):
        return
    # Nothing at all: the end was closed by the exec, or the process was killed before it.
    code = os.read(report_fd, 16)
    if code:
        raise OSError(int(code), os.strerror(int(code)))
