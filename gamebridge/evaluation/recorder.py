"""`Recorder`, one H.264 MP4 that a browser plays, written while the game goes on.

The frames go to NAME.partial.mp4, in fragments of about a second that each decode
without the rest, so a killed process leaves a video that ends a second or two early.
`close` turns the fragments into a plain MP4 and renames it to NAME.mp4: what has no
"partial" in its name is whole.
"""

from __future__ import annotations

import errno
import fractions
import logging
import math
import os
import pathlib
import types
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from gamebridge import errors, files
from gamebridge.contract.specs import Array

if TYPE_CHECKING:
    from typing_extensions import Self

_LOG = logging.getLogger(__name__)

# ITU-R BT.709, limited range: said in the file, so that every player shows the same colours.
_BT709 = 1
_LIMITED = 1
# x264 holds one frame back for each of its threads, so their number must not follow the machine's.
_NUM_THREADS = 2
# Bytes: a fragment reaches the disk in one write, so a full disk never cuts one in the middle.
_BUFFER_SIZE = 8 * 2**20
# The longest side that H.264 allows at its highest level, 6.2.
_MAX_SIDE = 16_384


class Recorder:
    """Writes frames of one size to one MP4; use it in a `with`.

    Attributes:
      path: the file that is there after `close`.
      partial_path: the file that is there until then, and stays if recording failed.
      num_frames: how many frames were taken.
    """

    def __init__(self, path: str | os.PathLike[str], fps: float = 30.0, *, crf: int = 20) -> None:
        """Creates the partial file, so that a folder that cannot be written is known at once.

        Args:
          path: where the video goes; ends in ".mp4". An older file is replaced by `close`.
          fps: frames a second of the video, above 0 and at most 1000.
          crf: x264's constant rate factor: 0 is lossless, 51 the worst.

        Raises:
          ValueError: the name does not end in ".mp4", or `fps` or `crf` is out of bounds.
          StorageError: the partial file cannot be created.
        """
        self.path = pathlib.Path(path)
        self.num_frames = 0
        if self.path.suffix.lower() != ".mp4":
            raise ValueError(f"A recording is an MP4: '{path}' does not end in '.mp4'.")
        if not (math.isfinite(fps) and 0 < fps <= 1000):
            raise ValueError(f"fps is {fps}; expected a number above 0 and at most 1000.")
        if not 0 <= crf <= 51:
            raise ValueError(f"crf is {crf}; expected 0 (lossless) to 51 (worst).")
        self.partial_path = self.path.with_name(f"{self.path.stem}.partial.mp4")
        self._fps = fractions.Fraction(fps).limit_denominator(1000)
        self._crf = crf
        self._shape: tuple[int, ...] | None = None
        self._container: Any = None
        self._stream: Any = None
        self._closed = False
        try:
            if self.path.is_dir():
                raise IsADirectoryError(errno.EISDIR, "a folder has this name")
            self._file = _PartialFile(self.partial_path)
        except OSError as error:
            raise self._storage_error(error) from error

    def write(self, frame: Array) -> None:
        """Adds a frame; the first one fixes the size.

        Args:
          frame: uint8 [height, width, 3] RGB. An odd height or width is made even by
            repeating the last row or column, which H.264's halved colour planes need.

        Raises:
          GameError: the frame has another shape or dtype. It is not recorded; the next may be.
          StorageError: the disk refused. The recorder is closed and the partial file stays.
          ValueError: the recorder is closed.
        """
        if self._closed:
            raise ValueError(f"The recording '{self.path}' is closed: make a new Recorder.")
        check_frame(frame, self._shape, f"frame {self.num_frames} of '{self.path.name}'")
        height, width = frame.shape[:2]
        if height % 2 or width % 2:
            frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        try:
            if self._container is None:
                self._open(*frame.shape[:2])
            self._encode(frame)
        except (OSError, av.FFmpegError) as error:
            self._abandon()
            raise self._failure(error) from error
        self._shape = (height, width, 3)
        self.num_frames += 1

    def close(self) -> None:
        """Completes the video and gives it its name. May be called twice.

        Raises:
          GameError: no frame was written; no file is left.
          StorageError: the disk refused. The partial file stays.
        """
        if self._closed:
            return
        try:
            self._flush()
            self._close_container()
            self._file.sync()
        except (OSError, av.FFmpegError) as error:
            self._abandon()
            raise self._failure(error) from error
        self._closed = True
        self._file.close()
        try:
            if self.num_frames:
                os.replace(self.partial_path, self.path)
            else:
                self.partial_path.unlink()
        except OSError as error:
            raise self._storage_error(error) from error
        if not self.num_frames:
            raise errors.GameError(
                f"Nothing to record in '{self.path}': no frame was written. "
                "Make the game with picture=True and write what `render` returns."
            )

    def __enter__(self) -> Self:
        """Returns the recorder itself: `with` closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        """Closes the recorder; after an exception the video keeps its partial name."""
        if kind is None:
            self.close()
        elif not self._closed:
            self._abandon()

    def _open(self, height: int, width: int) -> None:
        # hybrid_fragmented: fragments while recording, and a plain MP4 with an index once
        # closed. Without flush_packets a finished fragment would wait in a buffer.
        options = {"movflags": "hybrid_fragmented", "flush_packets": "1"}
        self._container = av.open(
            self._file, "w", format="mp4", options=options, buffer_size=_BUFFER_SIZE
        )
        stream = self._container.add_stream("libx264", rate=self._fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        # Frames that x264 still looks ahead at are lost in a crash: a third of a second.
        lookahead = min(10, int(self._fps / 3))
        stream.options = {
            "crf": str(self._crf),
            "preset": "veryfast",
            "x264-params": f"rc-lookahead={lookahead}:sync-lookahead=0:bframes={min(3, lookahead)}",
        }
        codec = stream.codec_context
        codec.thread_count = _NUM_THREADS
        codec.gop_size = max(1, round(self._fps))
        codec.color_range = _LIMITED
        codec.colorspace = codec.color_primaries = codec.color_trc = _BT709
        self._stream = stream

    def _encode(self, frame: Array) -> None:
        rgb = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        picture = rgb.reformat(format="yuv420p", dst_colorspace=_BT709, dst_color_range=_LIMITED)
        for packet in self._stream.encode(picture):
            self._container.mux(packet)

    def _flush(self) -> None:
        """Writes the frames that the encoder still holds."""
        if self._container is not None:
            for packet in self._stream.encode(None):
                self._container.mux(packet)

    def _close_container(self) -> None:
        """Ends the MP4."""
        if self._container is not None:
            self._container.close()

    def _abandon(self) -> None:
        """Frees everything and keeps what was recorded under its partial name."""
        self._closed = True
        for finish in (self._flush, self._close_container):
            try:
                finish()
            except (OSError, ValueError, av.FFmpegError) as error:
                _LOG.debug("the end of '%s' is lost: %s", self.partial_path, error)
        self._file.close()
        if not self.num_frames:
            self.partial_path.unlink(missing_ok=True)

    def _failure(self, error: Exception) -> errors.Error:
        if self._file.error is not None or not isinstance(error, av.FFmpegError):
            return self._storage_error(self._file.error or error)
        return errors.GameError(
            f"Frame {self.num_frames} of '{self.path.name}' cannot be encoded: {error}. "
            "Give frames of a usual size, such as 480 rows and 640 columns."
        )

    def _storage_error(self, error: Exception) -> errors.StorageError:
        reason = getattr(error, "strerror", None) or str(error)
        rest = f" {self.num_frames} frames are in '{self.partial_path}'." if self.num_frames else ""
        return errors.StorageError(
            f"Cannot write the recording '{self.path}': {reason}; {_free_space(self.path)}. "
            f"Free some space or record into a folder that can be written.{rest}"
        )


class _PartialFile:
    """The file under the muxer, which takes nothing more once a write failed.

    The muxer's last act is to turn the header of the fragments into that of a plain MP4.
    On a full disk that one write would succeed and make all the fragments unreadable.
    The write that failed is taken back, for a cut fragment stops some players.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self.error: OSError | None = None
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115 - closed by close()

    def write(self, data: bytes | memoryview) -> int:
        if self.error is not None:
            raise self.error
        left = memoryview(data)
        size, start = len(left), self._file.tell()
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.error = error
            self._file.truncate(start)
            raise
        return size

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def sync(self) -> None:
        # A network disk may say only now that it is full.
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def check_frame(frame: object, shape: tuple[int, ...] | None, label: str) -> None:
    """Refuses what is not a frame, or not one of the shape wanted.

    Args:
      frame: expected to be uint8 [height, width, 3].
      shape: the shape it must have; None where it is the first.
      label: what the message calls it.

    Raises:
      GameError: names what came and what was expected.
    """
    if not isinstance(frame, np.ndarray):
        got = type(frame).__name__
    else:
        got = f"{frame.dtype} {list(frame.shape)}"
        is_frame = frame.ndim == 3 and frame.shape[2] == 3 and frame.size > 0
        fits = frame.shape == shape if shape else is_frame and max(frame.shape) <= _MAX_SIDE
        if frame.dtype == np.uint8 and fits:
            return
    wanted = f"uint8 {list(shape)}, as the first frame" if shape else "uint8 [height, width, 3]"
    raise errors.GameError(
        f"The {label} is {got}; expected {wanted}. "
        "Let the game's `render` return RGB pictures of constant size."
    )


def _free_space(path: pathlib.Path) -> str:
    try:
        return f"{files.free_mib(path.parent):,.0f} MiB are free there"
    except OSError:
        return f"the folder '{path.parent}' cannot be read"
