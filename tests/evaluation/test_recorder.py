"""What a recording holds, and what is left of it when something goes wrong."""

import os
import pathlib
import signal
import subprocess
import sys
import textwrap
import time

import av
import numpy as np
import pytest

from gamebridge import errors
from gamebridge.evaluation import recorder


def picture(index, height=48, width=64):
    frame = np.zeros((height, width, 3), np.uint8)
    frame[:, (index * 2) % width] = 255
    return frame


def decoded(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(video=0))
        return stream, frames


def run_child(code, *arguments, **options):
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )


def test_a_video_has_every_frame_and_plays_in_a_browser(tmp_path):
    path = tmp_path / "play.mp4"
    with recorder.Recorder(path, fps=30) as video:
        for index in range(75):
            video.write(picture(index))
        assert video.num_frames == 75
        assert video.partial_path.exists() and not path.exists()
    stream, frames = decoded(path)
    assert len(frames) == stream.frames == 75
    assert stream.codec_context.name == "h264"
    assert stream.codec_context.pix_fmt == "yuv420p"
    assert (stream.width, stream.height) == (64, 48)
    assert stream.average_rate == 30
    assert not video.partial_path.exists()
    assert [frame.pts for frame in frames] == sorted(frame.pts for frame in frames)


def test_frames_come_back_in_order(tmp_path):
    path = tmp_path / "play.mp4"
    with recorder.Recorder(path, fps=10, crf=0) as video:
        for index in range(30):
            video.write(np.full((16, 16, 3), index * 8, np.uint8))
    levels = [int(frame.to_ndarray(format="rgb24").mean()) for frame in decoded(path)[1]]
    np.testing.assert_allclose(levels, np.arange(30) * 8, atol=2)


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 100, 50)])
def test_colours_are_kept(tmp_path, colour):
    path = tmp_path / "play.mp4"
    with recorder.Recorder(path) as video:
        video.write(np.full((64, 64, 3), colour, np.uint8))
    shown = decoded(path)[1][0].to_ndarray(format="rgb24")[32, 32]
    np.testing.assert_allclose(shown, colour, atol=4)


def test_a_closed_video_has_a_plain_index(tmp_path):
    path = tmp_path / "play.mp4"
    with recorder.Recorder(path, fps=5) as video:
        for index in range(30):
            video.write(picture(index))
    data = path.read_bytes()
    kind = data.find(b"mdat")
    assert 0 < kind < 64  # one block of media data, no fragments before it
    assert data.rfind(b"moov") > kind


@pytest.mark.parametrize("size", [(47, 63), (1, 1), (84, 83), (2, 500)])
def test_odd_sizes_are_padded_to_even_ones(tmp_path, size):
    path = tmp_path / "odd.mp4"
    with recorder.Recorder(path) as video:
        video.write(np.full((*size, 3), 200, np.uint8))
    shown = decoded(path)[1][0].to_ndarray(format="rgb24")
    assert shown.shape == (size[0] + size[0] % 2, size[1] + size[1] % 2, 3)
    assert shown.min() > 190  # the edge is repeated, not black


def test_a_view_of_a_larger_picture_is_recorded(tmp_path):
    with recorder.Recorder(tmp_path / "view.mp4") as video:
        video.write(picture(0, 96, 128)[::2, ::2])
    assert len(decoded(tmp_path / "view.mp4")[1]) == 1


@pytest.mark.parametrize(
    ("frame", "got"),
    [
        (np.zeros((48, 64), np.uint8), r"uint8 \[48, 64\]"),
        (np.zeros((48, 64, 4), np.uint8), r"uint8 \[48, 64, 4\]"),
        (np.zeros((48, 64, 3), np.float32), r"float32 \[48, 64, 3\]"),
        (np.zeros((0, 64, 3), np.uint8), r"uint8 \[0, 64, 3\]"),
        (np.zeros((2, 20_000, 3), np.uint8), r"uint8 \[2, 20000, 3\]"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_frame_is_refused(tmp_path, frame, got):
    video = recorder.Recorder(tmp_path / "play.mp4")
    expected = rf"frame 0 of 'play.mp4' is {got}; expected uint8 \[height, width, 3\]"
    with pytest.raises(errors.GameError, match=expected):
        video.write(frame)
    video.write(picture(0))
    video.close()
    assert len(decoded(video.path)[1]) == 1


def test_a_frame_of_another_size_is_refused_and_the_rest_goes_on(tmp_path):
    with recorder.Recorder(tmp_path / "play.mp4") as video:
        video.write(picture(0))
        with pytest.raises(errors.GameError, match=r"frame 1 .* \[50, 64, 3\]; .*\[48, 64, 3\]"):
            video.write(picture(1, 50, 64))
        with pytest.raises(errors.GameError, match=r"float64 \[48, 64, 3\]; expected uint8"):
            video.write(picture(1).astype(np.float64))
        video.write(picture(1))
    assert len(decoded(video.path)[1]) == video.num_frames == 2


def test_no_frames_is_an_error_and_leaves_no_file(tmp_path):
    video = recorder.Recorder(tmp_path / "empty.mp4")
    with pytest.raises(errors.GameError, match=r"no frame was written.*picture=True"):
        video.close()
    video.close()
    assert list(tmp_path.iterdir()) == []


def test_close_may_be_called_twice_and_ends_writing(tmp_path):
    video = recorder.Recorder(tmp_path / "play.mp4")
    video.write(picture(0))
    video.close()
    video.close()
    with pytest.raises(ValueError, match="is closed: make a new Recorder"):
        video.write(picture(1))


def test_an_exception_leaves_the_video_marked_as_partial(tmp_path):
    with (
        pytest.raises(RuntimeError, match="game broke"),
        recorder.Recorder(tmp_path / "play.mp4") as video,
    ):
        for index in range(40):
            video.write(picture(index))
        raise RuntimeError("game broke")
    assert [path.name for path in tmp_path.iterdir()] == ["play.partial.mp4"]
    assert len(decoded(video.partial_path)[1]) == 40


def test_an_exception_before_the_first_frame_leaves_nothing(tmp_path):
    with (
        pytest.raises(RuntimeError, match="game broke"),
        recorder.Recorder(tmp_path / "play.mp4"),
    ):
        raise RuntimeError("game broke")
    assert list(tmp_path.iterdir()) == []


def test_an_older_video_is_replaced_only_by_a_whole_one(tmp_path):
    path = tmp_path / "play.mp4"
    path.write_bytes(b"old")
    with pytest.raises(RuntimeError), recorder.Recorder(path) as video:
        video.write(picture(0))
        raise RuntimeError
    assert path.read_bytes() == b"old"
    with recorder.Recorder(path) as video:
        video.write(picture(0))
    assert len(decoded(path)[1]) == 1


def test_a_path_may_have_spaces_and_other_letters(tmp_path):
    folder = tmp_path / "Läufe und Stürze"
    folder.mkdir()
    with recorder.Recorder(folder / "größte Fahrt.mp4") as video:
        video.write(picture(0))
    assert len(decoded(video.path)[1]) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"path": "play.avi"}, "does not end in '.mp4'"),
        ({"path": "play.mp4", "fps": 0}, "fps is 0; expected a number above 0"),
        ({"path": "play.mp4", "fps": float("nan")}, "fps is nan"),
        ({"path": "play.mp4", "crf": 52}, "crf is 52; expected 0"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        recorder.Recorder(**arguments)


def test_a_folder_that_cannot_be_written_is_known_before_the_first_frame(tmp_path):
    missing = tmp_path / "nowhere" / "play.mp4"
    with pytest.raises(errors.StorageError, match=r"nowhere/play.mp4': No such file.*cannot be"):
        recorder.Recorder(missing)
    (tmp_path / "file").write_text("")
    with pytest.raises(errors.StorageError, match="Not a directory"):
        recorder.Recorder(tmp_path / "file" / "play.mp4")
    (tmp_path / "folder.mp4").mkdir()
    with pytest.raises(errors.StorageError, match=r"a folder has this name; .* MiB are free"):
        recorder.Recorder(tmp_path / "folder.mp4")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_an_error_of_storage(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(errors.StorageError, match="Permission denied"):
        recorder.Recorder(tmp_path / "play.mp4")


def test_a_folder_removed_meanwhile_is_an_error_of_storage(tmp_path):
    (tmp_path / "run").mkdir()
    video = recorder.Recorder(tmp_path / "run" / "play.mp4")
    video.write(picture(0))
    (tmp_path / "run" / "play.partial.mp4").unlink()
    with pytest.raises(errors.StorageError, match="No such file"):
        video.close()


_RECORD_UNTIL_KILLED = """
    import sys
    import numpy as np
    from gamebridge.evaluation import recorder
    fps = float(sys.argv[2])
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    video = recorder.Recorder(sys.argv[1], fps=fps)
    for index in range(int(sys.argv[3])):
        video.write(np.roll(noise, index, axis=1))
    print(video.num_frames, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize(
    ("fps", "num_frames"), [(30, 209), (30, 300), (60, 419), (8, 80), (4, 39), (1, 10)]
)
def test_a_killed_process_leaves_a_video_short_of_two_seconds(tmp_path, fps, num_frames):
    path = tmp_path / "play.mp4"
    code = textwrap.dedent(_RECORD_UNTIL_KILLED)
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(path), str(fps), str(num_frames)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert int(child.stdout.readline()) == num_frames
        child.send_signal(signal.SIGKILL)
    assert not path.exists()
    readable = len(decoded(tmp_path / "play.partial.mp4")[1])
    assert readable >= num_frames - 2 * fps
    assert readable >= 0.8 * (num_frames - 2 * fps)


_RECORD_ON_A_FULL_DISK = """
    import resource, sys
    import numpy as np
    from gamebridge import errors
    from gamebridge.evaluation import recorder
    limit = int(sys.argv[2])
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    noise = np.random.default_rng(0).integers(0, 256, (96, 96, 3), dtype=np.uint8)
    video = recorder.Recorder(sys.argv[1], fps=30)
    try:
        for index in range(int(sys.argv[3])):
            video.write(np.roll(noise, index, axis=1))
        video.close()
    except errors.StorageError as error:
        print(video.num_frames, error, sep="\\n")
        video.close()
        sys.exit(error.exit_code)
"""


def test_a_full_disk_is_an_error_and_keeps_what_was_recorded(tmp_path):
    path = tmp_path / "play.mp4"
    child = run_child(_RECORD_ON_A_FULL_DISK, path, 300_000, 2000)
    assert child.returncode == 6, child.stderr
    num_frames, message = child.stdout.splitlines()
    assert f"Cannot write the recording '{path}': File too large; " in message
    assert "MiB are free there. Free some space" in message
    assert f"{num_frames} frames are in '{tmp_path / 'play.partial.mp4'}'" in message
    assert not path.exists()
    readable = len(decoded(tmp_path / "play.partial.mp4")[1])
    assert readable >= 0.8 * (int(num_frames) - 60) > 0


def test_a_disk_that_is_full_at_the_very_end_keeps_the_fragments(tmp_path):
    whole = tmp_path / "whole.mp4"
    assert run_child(_RECORD_ON_A_FULL_DISK, whole, 10**9, 150).returncode == 0
    path = tmp_path / "play.mp4"
    # Room for all frames, not for the index that comes after them.
    child = run_child(_RECORD_ON_A_FULL_DISK, path, whole.stat().st_size - 200, 150)
    assert child.returncode == 6, child.stderr
    assert not path.exists()
    assert len(decoded(tmp_path / "play.partial.mp4")[1]) >= 120


def test_recording_keeps_up_with_play(tmp_path):
    start = time.process_time()
    with recorder.Recorder(tmp_path / "play.mp4") as video:
        for index in range(300):
            video.write(picture(index, 480, 480))
    assert time.process_time() - start < 10  # ten seconds of video


def test_a_path_may_be_text_or_a_path(tmp_path):
    video = recorder.Recorder(str(tmp_path / "play.mp4"))
    assert video.path == pathlib.Path(tmp_path / "play.mp4")
    assert video.partial_path.name == "play.partial.mp4"
    with pytest.raises(errors.GameError):
        video.close()
