"""Supervision: processes that are started, watched and ended, and how often they are replaced.

For worker processes, and for players that a game's plugin starts. `settings` is carried into
other Pythons, and keeps to Python 3.8.
"""
