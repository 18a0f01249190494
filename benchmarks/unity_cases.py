"""What the Unity rows send: a player's messages, made before the clock runs."""

from __future__ import annotations

import dataclasses
import pathlib

NAME = "Car?team=0"
NUM_ACTIONS = 2
# That many messages, over and over: no two in a row are the same.
NUM_MESSAGES = 4
HELLO, EMPTY, FIRST = "hello", "empty", "first"
FOLDER = pathlib.Path(__file__).resolve().parents[1] / "build" / "bench" / "unity"


@dataclasses.dataclass(frozen=True)
class Case:
    """Agents of one behaviour.

    Attributes:
      name: in a path.
      title: in the table.
      num_agents: all of which ask for an action in every message.
      shape: of what each observes.
      is_png: whether that is a PNG.
    """

    name: str
    title: str
    num_agents: int
    shape: tuple[int, ...]
    is_png: bool = False

    @property
    def folder(self) -> pathlib.Path:
        """Where its messages are."""
        return FOLDER / self.name


CASES = {
    case.name: case
    for case in (
        Case("1x8", "1 agent x 8 floats", 1, (8,)),
        Case("32x64", "32 agents x 64 floats", 32, (64,)),
        Case("8-png", "8 agents x PNG 84x84x3", 8, (84, 84, 3), True),
        Case("8-raw", "8 agents x raw 84x84x3", 8, (84, 84, 3)),
        Case("1000x32", "1,000 agents x 32 floats", 1000, (32,)),
    )
}


def read(case: Case, name: str) -> bytes:
    """Returns one message of a case."""
    return (case.folder / f"{name}.bin").read_bytes()


def write(case: Case) -> None:
    """Makes a case's messages, for all that play it."""
    import numpy as np

    from gamebridge_unity import wire

    messages = wire.messages()
    random = np.random.default_rng(0)
    case.folder.mkdir(parents=True, exist_ok=True)

    def save(name: str, message: object) -> None:
        (case.folder / f"{name}.bin").write_bytes(message.SerializeToString())

    def new() -> object:
        message = messages.UnityMessageProto()
        message.header.status = wire.NORMAL
        return message

    hello = new()
    introduction = hello.unity_output.rl_initialization_output
    introduction.name = "AcademySingleton"
    introduction.communication_version = wire.COMMUNICATION_VERSION
    introduction.package_version = "2.2.1-exp.1"
    for capability in wire.CAPABILITY_NAMES:
        setattr(introduction.capabilities, capability, True)
    save(HELLO, hello)
    save(EMPTY, new())
    for number in range(NUM_MESSAGES):
        message = new()
        listed = message.unity_output.rl_output.agentInfos[NAME]
        for agent in range(case.num_agents):
            info = listed.value.add(id=agent, reward=float(random.random()))
            seen = info.observations.add(shape=case.shape, name="sensor")
            seen.dimension_properties.extend([2, 2, 1] if len(case.shape) == 3 else [1])
            if case.is_png:
                seen.compression_type = wire.PNG
                seen.compressed_data = _png(random, case.shape)
            elif len(case.shape) == 3:
                image = random.integers(0, 256, case.shape).astype(np.float32) / np.float32(255)
                seen.float_data.data.extend(image.ravel().tolist())
            else:
                seen.float_data.data.extend(random.normal(size=case.shape).tolist())
        save(str(number), message)
        if number == 0:
            said = message.unity_output.rl_initialization_output.brain_parameters.add()
            said.brain_name = NAME
            said.is_training = True
            said.action_spec.num_continuous_actions = NUM_ACTIONS
            save(FIRST, message)


def _png(random: object, shape: tuple[int, ...]) -> bytes:
    """A smooth picture, some 12 KB, as those of a camera are."""
    import cv2
    import numpy as np

    height, width, channels = shape
    coarse = random.integers(0, 256, (height // 6, width // 6, channels), dtype=np.uint8)
    return cv2.imencode(".png", cv2.resize(coarse, (width, height)))[1].tobytes()
