"""The likely cause is told from the lines that are really written in such a case, or the moment."""

import pytest

from gamebridge_unity import diagnosis

RUNS, KILLED, DONE, CODE_1 = (
    "is running", "was killed by SIGKILL", "exited with code 0", "exited with code 1",
)  # fmt: skip

NOISE = [
    "[UnityMemory] Configuration Parameters - Can be set up in boot.config",
    "Mono path[0] = '/builds/race_Data/Managed'",
    "Mono config path = '/builds/race_Data/MonoBleedingEdge/etc'",
    "Initialize engine version: 2022.3.16f1 (d2c21f0ef2f1)",
    "[Subsystems] Discovering subsystems at path /builds/race_Data/UnitySubsystems",
    "GfxDevice: creating device client; threaded=1; jobified=0",
    "Forcing GfxDevice: Null",
    "NullGfxDevice:",
    "    Renderer: Null Device",
    "Begin MonoManager ReloadAssembly",
    "- Completed reload, in  0.045 seconds",
    "PlayerPrefs - Creating folder: /home/player/.config/unity3d/Company",
    "Unable to preload the following plugins:",
    "\tScreenSelector.so",
]

LINES = {
    "it lacks the library libGL.so.1: `ldd`": [
        "./race.x86_64: error while loading shared libraries: libGL.so.1: cannot open shared "
        "object file: No such file or directory"
    ],
    "made for a newer Linux than this one (GLIBC_2.38 is not": [
        "./race: /lib/x86_64-linux-gnu/libc.so.6: version `GLIBC_2.38' not found (required by ./r)"
    ],
    "the Python that runs it lacks gamebridge_unity: set GAMEBRIDGE_PLAYER_PYTHON": [
        "ModuleNotFoundError: No module named 'gamebridge_unity'"
    ],
    "built with the IL2CPP scripting backend": [
        "NotSupportedException: IL2CPP does not support marshaling delegates that point to "
        "instance methods to native code. The method we're attempting to marshal is: Grpc.Core"
    ],
    "its gRPC library cannot be loaded": [
        "Unexpected exception when trying to initialize communication: System.IO.IOException: "
        'Error loading native library "/builds/race_Data/Plugins/libgrpc_csharp_ext.x64.so"'
    ],
    "speaks another version of the ML-Agents protocol": [
        "Communication API version is not compatible: 0.13.0 and 1.5.0"
    ],
    "it found no display": [
        "Desktop is 0 x 0 @ 0 Hz",
        "Unable to find a supported OpenGL core profile",
        "Failed to create valid graphics context: please ensure you meet the minimum requirements",
    ],
    "it found no graphics it could use": [
        "Desktop is 1024 x 768 @ 0 Hz",
        "Unable to find a supported OpenGL core profile",
        "Failed to create valid graphics context: please ensure you meet the minimum requirements",
        "Vulkan detection: 0",
        "No supported renderers found, exiting",
    ],
    "it could not reach us on its port": [
        "Couldn't connect to trainer on port 5005 using API version 1.5.0. Will perform inference "
        "instead."
    ],
    "a port that it wants is taken": ["System.Net.Sockets.SocketException: Address already in use"],
    "its licence was refused": ["[Licensing::Module] Error: no valid license found"],
    "the memory was not enough: take fewer players": [
        "Could not allocate memory: System out of memory!"
    ],
    "the disk is full": ["System.IO.IOException: No space left on device"],
    "chmod -R u+rX": ["sh: 1: ./tool: Permission denied"],
}


@pytest.mark.parametrize("cause", LINES)
def test_a_line_tells(cause):
    lines = [*NOISE, *LINES[cause], "  at UnityEngine.Debug:Log (object)"]
    for stage in ("connect", "step"):
        told = diagnosis.likely_cause(stage, CODE_1, lines, graphics="display")
        assert told.startswith("Likely cause: ")
        assert cause in told
        assert told.endswith(".")
        assert "{" not in told
        assert "\n" not in told


def test_what_every_log_says_is_no_cause():
    assert diagnosis.likely_cause("step", CODE_1, NOISE) == ""
    lines = [*NOISE, "Desktop is 0 x 0 @ 0 Hz", "GLX: extension found"]
    assert diagnosis.likely_cause("step", CODE_1, lines) == ""
    assert diagnosis.likely_cause("step", RUNS, []) == ""


@pytest.mark.parametrize(
    "graphics, cure",
    [
        ("none", "told not to (-nographics): use --graphics virtual"),
        ("virtual", "the virtual display has ended"),
        ("display", "check that $DISPLAY names one"),
    ],
)
@pytest.mark.parametrize(
    "line",
    [
        "Error opening default X display",
        "Error: Can't open display: :0",
        "failed to create batchmode window",
        "No display: this scene draws in a window and DISPLAY is not set.",
        "No protocol specified",
    ],
)
def test_the_cure_of_a_missing_display_depends_on_the_graphics(graphics, cure, line):
    told = diagnosis.likely_cause("start", CODE_1, [line], graphics=graphics)
    assert "it found no display" in told
    assert cure in told


@pytest.mark.parametrize(
    "stage, ending, cause",
    [
        (
            "agents",
            RUNS,
            "it connected and no agent asked for a decision: add a Decision Requester",
        ),
        ("agents", DONE, "set their Behavior Type to Default"),
        ("connect", RUNS, "it runs and never spoke: its first scene has no agent"),
        ("connect", DONE, "it ended by itself before it had spoken"),
        ("start", KILLED, "the memory was not enough (`dmesg` tells), or a person"),
        ("step", KILLED, "nobody but the system kills so"),
        ("step", "was killed by SIGSEGV", "it crashed"),
        ("start", "exited with code 127", "a program that its script calls is not there"),
        ("start", "exited with code 126", "run `chmod +x` on it"),
    ],
)
def test_where_no_line_tells_the_moment_does(stage, ending, cause):
    assert cause in diagnosis.likely_cause(stage, ending, NOISE)


def test_an_il2cpp_build_is_known_by_its_files(tmp_path):
    (tmp_path / "GameAssembly.so").touch()
    executable = tmp_path / "race.x86_64"
    told = diagnosis.likely_cause("connect", RUNS, NOISE, executable)
    assert "(GameAssembly.so), with which ML-Agents cannot connect: build it with Mono" in told
    assert diagnosis.likely_cause("step", RUNS, NOISE, executable) == ""


def test_the_newest_line_of_a_kind_counts():
    lines = [f"error while loading shared libraries: {name}: no" for name in ("liba", "libb")]
    assert "the library libb" in diagnosis.likely_cause("start", CODE_1, lines)
