"""What is on this machine: versions, requirements, and whether the heavy packages work.

Nothing heavy is imported here: versions are metadata, and the rest is tried in processes
of their own, with a time limit.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping

# Distributions whose requirements are checked: ours, and those of the packages that pin others.
_ASKERS = ("gamebridge", "tf-agents", "tensorflow", "tensorflow-probability")

_VARIABLES = ("KERAS_BACKEND", "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION", "TF_USE_LEGACY_KERAS")

_PROBES = {
    "tensorflow import": "import tensorflow; print(tensorflow.__version__)",
    "cv2 import": "import cv2; print(cv2.__version__)",
    "H.264 encoder": "import av; av.Codec('libx264', 'w'); print('libx264 in av', av.__version__)",
    "protobuf backend": (
        "from google.protobuf.internal import api_implementation; print(api_implementation.Type())"
    ),
}


@dataclasses.dataclass(frozen=True)
class Probe:
    """How a line of Python ended in a process of its own.

    Attributes:
      returncode: 0 is success, -n death by signal n, None a time-out.
      output: its output, or the last line of its errors.
    """

    returncode: int | None
    output: str


@dataclasses.dataclass(frozen=True)
class Machine:
    """What was seen; the doctor judges it.

    Attributes:
      python: version of the interpreter, such as (3, 11, 7).
      versions: distribution name, lower case with hyphens -> version.
      requirements: distribution -> its requirements, each as in its metadata.
      environment: environment variables.
      probes: name of a probe -> how it ended.
      num_cores: cores this process may use.
      free_memory: bytes; None where it cannot be known.
      free_disk: bytes in the working folder; None where it cannot be known.
    """

    python: tuple[int, int, int]
    versions: Mapping[str, str]
    requirements: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, str]
    probes: Mapping[str, Probe]
    num_cores: int
    free_memory: int | None
    free_disk: int | None


def read(timeout_s: float = 120.0) -> Machine:
    """Looks at this machine.

    Args:
      timeout_s: how long all the probes together may take.
    """
    versions, requirements = installed()
    try:
        free_disk = shutil.disk_usage(os.getcwd()).free
    except OSError:
        free_disk = None
    return Machine(
        python=sys.version_info[:3],
        versions=versions,
        requirements=requirements,
        environment={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        probes=probe(_PROBES, timeout_s),
        num_cores=len(os.sched_getaffinity(0)),
        free_memory=_free_memory(),
        free_disk=free_disk,
    )


def installed() -> tuple[dict[str, str], dict[str, tuple[str, ...]]]:
    """Returns `Machine.versions` and `Machine.requirements` of this interpreter."""
    versions: dict[str, str] = {}
    requirements: dict[str, tuple[str, ...]] = {}
    for distribution in importlib.metadata.distributions():
        # A damaged folder has no name; of two folders the first one is imported.
        name = canonical(distribution.metadata["Name"] or "")
        if name and name not in versions:
            versions[name] = distribution.metadata["Version"] or "0"
            requirements[name] = tuple(distribution.requires or ())
    return versions, {name: requirements[name] for name in _ASKERS if name in requirements}


def probe(codes: Mapping[str, str], timeout_s: float) -> dict[str, Probe]:
    """Runs each line of Python in a process of its own, all at once.

    Args:
      codes: name -> code, which prints what is worth knowing.
      timeout_s: for all of them together.
    """
    environment = {
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONSAFEPATH": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    deadline = time.monotonic() + timeout_s
    children: dict[str, subprocess.Popen[str]] = {}
    probes = {}
    try:
        for name, code in codes.items():
            children[name] = subprocess.Popen(
                [sys.executable, "-c", code],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
            )
        for name, child in children.items():
            try:
                output, complaint = child.communicate(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                probes[name] = Probe(None, f"no answer within {timeout_s:.0f} s")
                continue
            text = output if child.returncode == 0 else complaint
            probes[name] = Probe(child.returncode, (text.strip().splitlines() or [""])[-1])
    finally:
        for child in children.values():
            with child:
                child.kill()
    return probes


def _free_memory() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as file:
            found = re.search(r"^MemAvailable:\s*(\d+) kB", file.read(), re.M)
    except OSError:
        return None
    return int(found[1]) * 1024 if found else None


def canonical(name: str) -> str:
    """Returns a distribution's name in the one spelling that can be compared: tf-agents."""
    return re.sub(r"[-_.]+", "-", name).lower()
