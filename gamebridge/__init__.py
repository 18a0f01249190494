"""Train TF-Agents agents on real games: plugins in, one TFEnvironment out.

import gamebridge

env = gamebridge.make("gym/CartPole-v1", num_slots=8)   # a TF-Agents TFEnvironment
run = gamebridge.train("gym/CartPole-v1", agent="dqn", steps=50_000)
print(gamebridge.evaluate(run, record=True).return_mean)
"""

from gamebridge.api import evaluate, make, make_game, resume, train

__all__ = ["evaluate", "make", "make_game", "resume", "train"]
__version__ = "0.1.0"
