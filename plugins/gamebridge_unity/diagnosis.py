"""`likely_cause`: why a player failed, told from what it wrote and how far it had come.

The lines are those that Unity, the ML-Agents package, the dynamic linker and X libraries write;
what no line tells is told from the moment: a player that connects and shows no agent most
often has agents that ask for no decision.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Sequence
from typing import Literal

Stage = Literal["start", "connect", "agents", "step"]

_INSTALL = "`ldd` shows all that are missing; install them, or build a Dedicated Server"
# What a line tells; the first rule that any line fits counts. Named groups go into the cause.
_RULES: tuple[tuple[str, str], ...] = (
    (
        r"error while loading shared libraries: (?P<what>[^:]+)",
        f"it lacks the library {{what}}: {_INSTALL}.",
    ),
    (
        r"version [`'](?P<what>GLIBC(XX)?_[\d.]+)' not found",
        "it is made for a newer Linux than this one ({what} is not there): run it on a newer one, "
        "or build it with an older Unity.",
    ),
    (
        r"No module named '?(?P<what>gamebridge_unity|mlagents_envs|grpc|google)\b",
        "the Python that runs it lacks {what}: set GAMEBRIDGE_PLAYER_PYTHON to one that has "
        "gamebridge installed.",
    ),
    (
        r"IL2CPP does not support marshaling|NotSupportedException: .*IL2CPP",
        "it was built with the IL2CPP scripting backend, with which ML-Agents cannot connect: "
        "build it with Mono.",
    ),
    (
        r"DllNotFoundException: .*grpc|Error loading native library .*grpc",
        "its gRPC library cannot be loaded (another architecture, or it was left out of the "
        "build): build it anew for Linux x86_64 with Mono.",
    ),
    (
        r"communication API version|API version is not compatible|[Pp]rotocol version .*mismatch",
        "it speaks another version of the ML-Agents protocol than 1.5.0: build it with the "
        "package com.unity.ml-agents 2.x or 3.x.",
    ),
    (
        r"[Nn]o display|[Cc]an(?:no|')t open display|[Uu]nable to open (?:X )?display|"
        r"opening default X display|failed to create batchmode window|"
        r"(?:Authorization required|No protocol specified)|"
        r"Desktop is 0 x 0(?s:.*)valid graphics context",
        "it found no display: {display}",
    ),
    (
        r"Failed to create valid graphics context|supported OpenGL core profile|"
        r"No supported renderers found|GLX.*(?:[Ff]ail|[Ee]rror|missing|BadValue)|"
        r"Failed to initialize graphics|"
        r"Unable to (?:load|initialize) (?:Vulkan|[Gg]raphics)|GfxDevice.*[Ff]ail",
        "it found no graphics it could use: {graphics}",
    ),
    (
        r"(?:Couldn't|Could not) connect to trainer on port",
        "it could not reach us on its port: a proxy or a firewall on the loopback, IL2CPP, or a "
        "second --mlagents-port among the arguments.",
    ),
    (
        r"[Aa]ddress already in use|[Pp]ort .* (?:already )?in use",
        "a port that it wants is taken: end what holds it (`ss -ltnp` shows that).",
    ),
    (
        r"[Nn]o valid .*licen[sc]e|[Ll]icen[sc]e .*(?:expired|invalid|not found|missing)|"
        r"[Ll]icen[sc]ing.*(?:[Ff]ail|[Ee]rror)",
        "its licence was refused: start the build by hand once, or name the licence's environment "
        "variables in build.toml (environment).",
    ),
    (
        r"[Oo]ut of memory|Could not allocate memory|std::bad_alloc|MemoryError|Cannot allocate",
        "the memory was not enough: take fewer players (--players), or fewer agents.",
    ),
    (r"No space left on device", "the disk is full: make room where its log is written."),
    (
        r"Permission denied",
        "a file may not be read or executed: run `chmod -R u+rX` on the build's folder.",
    ),
)  # fmt: skip

_GRAPHICS = {
    "none": "it was told to draw nothing (-nographics) and draws all the same: use "
    "--graphics virtual.",
    "virtual": "use a build without cameras with --graphics none, or install Mesa's software "
    "rendering (Debian: apt-get install libgl1-mesa-dri).",
    "display": "check the display's driver, or use --graphics virtual.",
}
_DISPLAYS = {
    "none": "it draws although it was told not to (-nographics): use --graphics virtual.",
    "virtual": "the virtual display has ended, or its cookie was not passed on.",
    "display": "check that $DISPLAY names one and lets this user in, or use --graphics virtual.",
}


def likely_cause(
    stage: Stage,
    ending: str,
    lines: Sequence[str],
    executable: pathlib.Path | None = None,
    *,
    graphics: str = "none",
) -> str:
    """Returns a sentence, or "" where nothing tells.

    Args:
      stage: what the player was to do: "start" and "connect", show its "agents", or "step".
      ending: how it ended, as `Child.ending` has it; "is running" where it did not.
      lines: what it wrote last, of all its logs.
      executable: its file.
      graphics: how it was started.
    """
    cause = _told(lines, graphics) or _timed(stage, ending, executable)
    return f"Likely cause: {cause}" if cause else ""


def _told(lines: Sequence[str], graphics: str) -> str:
    about = {
        "display": _DISPLAYS.get(graphics, _DISPLAYS["display"]),
        "graphics": _GRAPHICS.get(graphics, _GRAPHICS["display"]),
    }
    for pattern, cause in _RULES:
        # The newest line first; all of them for what two lines tell together.
        for text in (*reversed(lines), "\n".join(lines)):
            match = re.search(pattern, text)
            if match:
                named = {key: what.strip() for key, what in match.groupdict("").items()}
                return cause.format(**about, **named)
    return ""


def _timed(stage: Stage, ending: str, executable: pathlib.Path | None) -> str:
    if ending == "was killed by SIGKILL":
        return (
            "nobody but the system kills so: the memory was not enough (`dmesg` tells), or a "
            "person or a scheduler ended it."
        )
    if ending in ("was killed by SIGILL", "was killed by SIGSEGV", "was killed by SIGABRT"):
        return "it crashed: its log, or starting it by hand, shows where."
    if ending == "exited with code 127":
        return "a program that its script calls is not there: start it by hand to see which."
    if ending == "exited with code 126":
        return "a file that it runs is not executable: run `chmod +x` on it."
    if stage in ("start", "connect"):
        return _silent(ending, executable)
    if stage == "agents":
        return (
            "it connected and no agent asked for a decision: add a Decision Requester to the "
            "agents, set their Behavior Type to Default, and check that the first scene has "
            "agents that are enabled."
        )
    return ""


def _silent(ending: str, executable: pathlib.Path | None) -> str:
    if executable is not None and _is_il2cpp(executable):
        return (
            "it was built with the IL2CPP scripting backend (GameAssembly.so), with which "
            "ML-Agents cannot connect: build it with Mono."
        )
    if ending == "exited with code 0":
        return "it ended by itself before it had spoken: is it a game with ML-Agents in it?"
    if ending != "is running":
        return ""
    return (
        "it runs and never spoke: its first scene has no agent (nothing starts the ML-Agents "
        "Academy), it waits for a click, or it is no build with the ML-Agents package."
    )


def _is_il2cpp(executable: pathlib.Path) -> bool:
    return (executable.parent / "GameAssembly.so").is_file()
