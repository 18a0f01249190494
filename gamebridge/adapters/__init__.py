"""Adapters: environments of gymnasium, gym, dm_env and TF-Agents lifted to Games.

No library is imported by them; each is told by looking at the object.
"""

from gamebridge.adapters.choose import adapt
from gamebridge.adapters.slots import Single, SlotGame

__all__ = ["Single", "SlotGame", "adapt"]
