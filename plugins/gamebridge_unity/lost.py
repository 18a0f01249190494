"""`Lost`: why a player is of no more use, and what is told of it."""

from __future__ import annotations

from gamebridge import errors
from gamebridge_unity import client as clients
from gamebridge_unity import diagnosis, players

_SHOWN_LINES = 5


class Lost(Exception):
    """The player is gone, or of no use; the message says why.

    Attributes:
      stage: what the player was to do.
      error: of the game, where it is alive and says what it must not.
    """

    def __init__(
        self, why: str, stage: diagnosis.Stage, error: errors.GameError | None = None
    ) -> None:
        """Keeps both."""
        super().__init__(why)
        self.stage = stage
        self.error = error

    def told(self, label: str, moment: str, player: players.Player | None) -> str:
        """Says what happened, when and why, and what the player wrote last.

        Args:
          label: names the player.
          moment: when, such as "step 17".
          player: what is left of it; None where it was not ours.
        """
        text = f"{label}, {moment}: {str(self).rstrip('.')}."
        if player is None:
            return text
        cause = player.likely_cause(self.stage)
        lines = player.tail(_SHOWN_LINES)
        said = f" It wrote last: {' | '.join(lines)}" if lines else ""
        return f"{text}{f' {cause}' if cause else ''}{said} (log: {player.told_in})"


def why(error: Exception, label: str, player: players.Player | None) -> str:
    """Says why a player is lost; that its process has ended says more than anything else.

    Args:
      error: what was noticed.
      label: names the player, as most errors of the client do themselves.
      player: what may have ended.
    """
    if isinstance(error, clients.Broken) and player is not None:
        try:
            player.check()
        except players.Gone as gone:
            return str(gone)
    return str(error).removeprefix(label).lstrip(" :,")
