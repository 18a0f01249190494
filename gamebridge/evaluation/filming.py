"""`Film`: watches episodes as they are played and records the first few, one MP4 each."""

from __future__ import annotations

import pathlib
import types
from typing import TYPE_CHECKING

from gamebridge import errors
from gamebridge.contract import game as games
from gamebridge.evaluation import overlay, recorder, results, rollout

if TYPE_CHECKING:
    from typing_extensions import Self


class Film:
    """A watcher for `rollout.play`. A context manager: whoever opens it closes it."""

    def __init__(
        self, game: games.Game, folder: pathlib.Path, num_episodes: int, fps: float = 30.0
    ) -> None:
        """Records episodes 0 ... num_episodes - 1 of `game` as folder/episode-000.mp4 ...

        Args:
          game: made with `picture=True`.
          folder: made if need be.
          num_episodes: how many of the episodes to record.
          fps: frames, and so steps, a second.
        """
        self._game = game
        self._folder = folder
        self._num_episodes = num_episodes
        self._fps = fps
        self._open: dict[int, recorder.Recorder] = {}
        self.videos: list[results.Video] = []

    def __call__(self, moment: rollout.Moment) -> None:
        """Records the picture after a step, with what was done and what it brought.

        Raises:
          GameError: the game gives no picture.
          StorageError: the video cannot be written.
        """
        if moment.episode >= self._num_episodes:
            return
        picture = self._game.render(moment.slot)
        if picture is None:
            raise errors.GameError(
                f"{self._game.name} gives no picture, so it cannot be recorded. Leave out "
                "--record, or let the game's render() return uint8 [height, width, 3]."
            )
        film = self._open.get(moment.episode)
        if film is None:
            path = self._folder / f"episode-{moment.episode:03d}.mp4"
            film = self._open[moment.episode] = recorder.Recorder(path, self._fps)
        lines = overlay.describe(
            moment.step, moment.action, moment.reward, moment.episode_return, moment.telemetry
        )
        film.write(overlay.draw(picture, lines))
        if moment.ended:
            del self._open[moment.episode]
            film.close()
            name = f"episode-{moment.episode:03d}.mp4"
            self.videos.append(
                results.Video(str(self._folder / name), moment.episode, film.num_frames)
            )

    def __enter__(self) -> Self:
        """Makes the folder.

        Raises:
          StorageError: the folder cannot be made.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise errors.StorageError(
                f"Cannot make the folder {self._folder} for recordings: {error}. "
                "Make it writable, or leave out --record."
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Closes what is still open; a video cut short by an error stays marked as partial."""
        for film in self._open.values():
            film.__exit__(kind, error, traceback)
        self._open.clear()
