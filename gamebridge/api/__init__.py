"""The public functions, and the only place where all the layers are put together.

TensorFlow is loaded by those that need it, when they are called.
"""

from gamebridge.api.episodes import demonstrate, load_episodes
from gamebridge.api.judging import evaluate
from gamebridge.api.learning import resume, train
from gamebridge.api.making import make, make_game
from gamebridge.api.measuring import bench

__all__ = [
    "bench",
    "demonstrate",
    "evaluate",
    "load_episodes",
    "make",
    "make_game",
    "resume",
    "train",
]
