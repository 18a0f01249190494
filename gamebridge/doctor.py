"""What is wrong with an environment, and the command that cures it.

The rules judge a `machine.Machine`, which is plain values, so that every rule can be shown
a broken environment without having one.
"""

from __future__ import annotations

import dataclasses
import re
import signal
from collections.abc import Iterator
from typing import Any

from gamebridge import machine
from gamebridge.machine import Machine

_GIB = 2**30

# What breaks, where a version says it less clearly than it could.
_REASONS = {
    "numpy": "TensorFlow 2.15 is built for numpy 1; other packages lift it in passing",
    "gymnasium": "gymnasium 1.4 needs a newer typing-extensions than tf-agents allows",
    "typing-extensions": "tf-agents 0.19 pins it, which rules out pydantic 2",
    "keras": "tf-agents 0.19 does not work with Keras 3",
    "protobuf": "TensorFlow 2.15 reads protobuf 4",
}


@dataclasses.dataclass(frozen=True)
class Finding:
    """What one rule found.

    Attributes:
      name: what was looked at.
      ok: False is an error, None a warning.
      found: what is there.
      cure: the command or change that mends it; "" if there is nothing to mend.
    """

    name: str
    ok: bool | None
    found: str
    cure: str = ""


def examine(seen: Machine | None = None) -> list[Finding]:
    """Returns every finding, the good ones too.

    Args:
      seen: what to judge; None looks at this machine, which takes some seconds because
        TensorFlow is imported in a process of its own.
    """
    looked_at = seen or machine.read()
    return [finding for rule in _RULES for finding in rule(looked_at)]


def _check_python(seen: Machine) -> Iterator[Finding]:
    found = ".".join(map(str, seen.python))
    ok = (3, 10) <= seen.python < (3, 12)
    cure = "Make the environment with Python 3.11: python3.11 -m venv .venv"
    yield Finding("Python version", ok, found, "" if ok else f"{cure} (TensorFlow 2.15 ends there)")


def _check_requirements(seen: Machine) -> Iterator[Finding]:
    if "gamebridge" not in seen.requirements:
        yield Finding(
            "gamebridge", False, "not installed in this environment", "pip install gamebridge"
        )
    try:
        from packaging import requirements
    except ImportError:
        yield Finding(
            "packaging", False, "not installed; versions were not compared", "pip install packaging"
        )
        return
    judged: dict[str, Finding] = {}
    for asker, asked in seen.requirements.items():
        for text in asked:
            need = requirements.Requirement(text)
            name = machine.canonical(need.name)
            version = seen.versions.get(name)
            if not _is_asked(need, asker, version is not None):
                continue
            if version is not None and need.specifier.contains(version, prereleases=True):
                # What others ask for is worth a line only where it is not met.
                if asker == "gamebridge":
                    judged.setdefault(name, Finding(name, True, version))
            elif name not in judged or judged[name].ok:
                reason = f" ({_REASONS[name]})" if name in _REASONS else ""
                wanted = f"{asker} asks for {name}{need.specifier}{reason}"
                cure = f"pip install '{name}{need.specifier}'"
                judged[name] = Finding(name, False, f"{version or 'missing'}; {wanted}", cure)
    yield from judged.values()


def _is_asked(need: Any, asker: str, is_there: bool) -> bool:
    """Whether a requirement holds here; one of our extras does where the package is there."""
    if need.marker is None or need.marker.evaluate({"extra": ""}):
        return True
    extras = set(re.findall(r"extra == [\"'](\w+)", str(need.marker))) - {"dev"}
    ours = asker == "gamebridge" and is_there
    return ours and any(need.marker.evaluate({"extra": extra}) for extra in extras)


def _check_clashes(seen: Machine) -> Iterator[Finding]:
    versions = seen.versions
    if "ray" in versions and versions.get("pydantic", "2").startswith("1."):
        yield Finding(
            "pydantic beside ray",
            False,
            f"pydantic {versions['pydantic']} stops ray {versions['ray']} from starting",
            "pip uninstall -y pydantic",
        )
    for name, other, module in (
        ("opencv-python-headless", "opencv-python", "cv2"),
        ("opencv-python-headless", "opencv-contrib-python", "cv2"),
        ("pygame", "pygame-ce", "pygame"),
    ):
        if name in versions and other in versions:
            yield Finding(
                f"{other} beside {name}",
                False,
                f"{other} {versions[other]} and {name} {versions[name]} overwrite each other's "
                f"files of '{module}'",
                f"pip uninstall -y {other} {name} && pip install '{name}=={versions[name]}'",
            )
    setuptools = re.findall(r"\d+", versions.get("setuptools", "999"))
    if tuple(map(int, setuptools[:3])) < (78, 1, 1):
        yield Finding(
            "setuptools",
            None,
            f"{versions['setuptools']} has known holes, the last CVE-2025-47273",
            "pip install 'setuptools>=78.1.1'",
        )


def _check_environment(seen: Machine) -> Iterator[Finding]:
    legacy = seen.environment.get("TF_USE_LEGACY_KERAS")
    if legacy in ("1", "true", "True") and "tf-keras" not in seen.versions:
        yield Finding(
            "TF_USE_LEGACY_KERAS",
            False,
            f"set to {legacy} without tf_keras, which breaks tf.keras",
            "unset TF_USE_LEGACY_KERAS",
        )
    backend = seen.environment.get("KERAS_BACKEND", "tensorflow")
    if backend != "tensorflow":
        yield Finding(
            "KERAS_BACKEND",
            None,
            f"set to {backend}; Keras 2.15 knows TensorFlow only and passes over it",
            "unset KERAS_BACKEND",
        )


def _check_probes(seen: Machine) -> Iterator[Finding]:
    for name, probe in seen.probes.items():
        ok = probe.returncode == 0
        found = probe.output
        if probe.returncode is not None and probe.returncode < 0:
            found = f"died of {signal.Signals(-probe.returncode).name}"
        if name == "protobuf backend" and ok and probe.output == "python":
            ok = False
            found = "python: 20 to 30 times slower than upb, and open to CVE-2025-4565"
        yield Finding(name, ok, found, "" if ok else _probe_cure(name, found, seen))


def _probe_cure(name: str, found: str, seen: Machine) -> str:
    if name == "cv2 import" and re.search(r"lib(GL|gthread|glib)", found):
        return (
            "pip uninstall -y opencv-python opencv-python-headless && "
            "pip install 'opencv-python-headless>=4.11,<4.12'"
        )
    if name == "protobuf backend":
        if "PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION" in seen.environment:
            return "unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION"
        return "pip install --force-reinstall 'protobuf>=4.25,<5'"
    if "SIGILL" in found:
        return "Use a machine whose processor has AVX: TensorFlow's wheels are built for it"
    if seen.probes[name].returncode is None:
        return "Run it again; if it stays, look for a network disk or a machine short of memory"
    package = {"tensorflow import": "tensorflow==2.15.1", "H.264 encoder": "av>=17.1,<19"}.get(
        name, "opencv-python-headless>=4.11,<4.12"
    )
    return f"pip install --force-reinstall --no-deps '{package}'"


def _check_resources(seen: Machine) -> Iterator[Finding]:
    ok = True if seen.num_cores > 1 else None
    yield Finding(
        "cores",
        ok,
        str(seen.num_cores),
        "" if ok else "Allow two cores or more: taskset, cgroup",
    )
    for name, free, wanted, cure in (
        ("free memory", seen.free_memory, 2 * _GIB, "Close other programs"),
        ("free disk", seen.free_disk, _GIB, "Free some space or work in another folder"),
    ):
        if free is None:
            yield Finding(
                name, None, "cannot be known here", "Look at it by hand: free -h; df -h ."
            )
            continue
        ok = True if free >= wanted else None
        found = f"{free / _GIB:.1f} GiB"
        yield Finding(name, ok, found, "" if ok else f"{cure}: {wanted // _GIB} GiB are wanted")


_RULES = (
    _check_python,
    _check_requirements,
    _check_clashes,
    _check_environment,
    _check_probes,
    _check_resources,
)
