"""Offers a game to any trainer of the ML-Agents communication protocol 1.5.0.

    from gamebridge_unity import player

    class Catch(player.Scene):
        ...                       # agents, reset, step: examples/unity_player.py is a whole one

    sys.exit(player.serve(Catch))

A trainer starts the program, as it starts a Unity build, and plays what the scene's agents
ask it to. This package is for games that are written in Python or can be driven from it;
what it says to the trainer is what a Unity build says.
"""

from __future__ import annotations

from gamebridge_unity.player.agents import Agents
from gamebridge_unity.player.behaviors import Behavior, Buffer, Frame, Vector
from gamebridge_unity.player.channels import Aggregation, Channels
from gamebridge_unity.player.process import Quit
from gamebridge_unity.player.scene import Scene, Trainer
from gamebridge_unity.player.session import serve
from gamebridge_unity.player.telemetry import Field

__all__ = [
    "Agents",
    "Aggregation",
    "Behavior",
    "Buffer",
    "Channels",
    "Field",
    "Frame",
    "Quit",
    "Scene",
    "Trainer",
    "Vector",
    "serve",
]
