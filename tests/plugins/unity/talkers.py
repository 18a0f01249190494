"""A player in as few lines as can be, over real gRPC: for tests of what it talks to."""

from __future__ import annotations

import grpc

from gamebridge_unity import wire

CAPABLE = dict.fromkeys(wire.CAPABILITY_NAMES, True)


class Talker:
    """Says what a test lets it say, and keeps what it hears."""

    def __init__(self, port):
        options = [(f"grpc.max_{way}_message_length", -1) for way in ("send", "receive")]
        self._channel = grpc.insecure_channel(
            f"localhost:{port}", [*options, ("grpc.use_local_subchannel_pool", 1)]
        )
        self._exchange = self._channel.unary_unary(wire.PATH)

    def say(self, message):
        """Begins a call; its `heard` waits for the reply."""
        raw = message if isinstance(message, bytes) else message.SerializeToString()
        return self._exchange.future(raw, timeout=20.0, wait_for_ready=True)

    def close(self):
        self._channel.close()


def heard(call):
    """The reply to a call."""
    return wire.messages().UnityMessageProto.FromString(call.result())


def hello(version="1.5.0", package="2.2.1-exp.1", capabilities=None):
    """The first message of a player."""
    message = empty()
    said = message.unity_output.rl_initialization_output
    said.name = "AcademySingleton"
    said.communication_version = version
    said.package_version = package
    for name, value in (CAPABLE if capabilities is None else capabilities).items():
        setattr(said.capabilities, name, value)
    return message


def empty(status=wire.NORMAL):
    """The second message of a player."""
    message = wire.messages().UnityMessageProto()
    message.header.status = status
    return message


def news(behavior="Car?team=0", agents=(), announced=None, side_channel=b""):
    """A message about agents; `announced` is what `parameters` returned."""
    message = empty()
    output = message.unity_output.rl_output
    output.agentInfos[behavior].value.extend(agents)
    output.side_channel = side_channel
    if announced is not None:
        message.unity_output.rl_initialization_output.brain_parameters.append(announced)
    return message


def parameters(name="Car?team=0", continuous=0, branches=()):
    """What a player announces of a behaviour."""
    said = wire.messages().BrainParametersProto(brain_name=name, is_training=True)
    said.action_spec.num_continuous_actions = continuous
    said.action_spec.num_discrete_actions = len(branches)
    said.action_spec.discrete_branch_sizes.extend(branches)
    return said


def agent(number, *observations, **values):
    """What a player says of one agent."""
    return wire.messages().AgentInfoProto(id=number, observations=observations, **values)


def floats(values, name="", shape=None, kinds=(), **fields):
    """An uncompressed observation."""
    import numpy as np

    values = np.asarray(values, np.float32)
    said = wire.messages().ObservationProto(
        name=name, shape=values.shape if shape is None else shape, dimension_properties=kinds
    )
    said.float_data.data.extend(values.ravel().tolist())
    for field, value in fields.items():
        setattr(said, field, value)
    return said


def picture(data, shape, mapping=(), kinds=(2, 2, 1), name="camera"):
    """A compressed observation."""
    return wire.messages().ObservationProto(
        name=name,
        shape=shape,
        compression_type=wire.PNG,
        compressed_data=data,
        compressed_channel_mapping=mapping,
        dimension_properties=kinds,
    )


def png(image):
    """An RGB picture as a PNG file, as Unity sends it."""
    return encoded(image[..., ::-1])


def encoded(image, kind=".png"):
    """A file of a picture, in OpenCV's order of channels."""
    import cv2

    return cv2.imencode(kind, image)[1].tobytes()
