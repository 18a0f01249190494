"""What the doctor says of a broken environment, each broken in one way."""

import dataclasses
import re
import sys

import pytest

from gamebridge import doctor, machine

_HEALTHY = machine.Machine(
    python=(3, 11, 7),
    versions={
        "gamebridge": "0.1.0",
        "gymnasium": "1.3.0",
        "numpy": "1.26.4",
        "opencv-python-headless": "4.11.0.86",
        "protobuf": "4.25.9",
        "pygame": "2.1.3",
        "setuptools": "80.0",
        "tensorflow": "2.15.1",
        "tf-agents": "0.19.0",
        "typing-extensions": "4.5.0",
    },
    requirements={
        "gamebridge": (
            "gymnasium==1.3.0",
            "numpy<2,>=1.23.5",
            "protobuf<5,>=4.25",
            "tomli>=2; python_version < '3.0'",
            "pytest>=8; extra == 'dev'",
            "dm-reverb==0.14.0; python_version >= '3.0' and extra == 'reverb'",
            "dm-reverb==0.14.0; extra == 'dev'",
            "tf_agents==0.19.0",
        ),
        "tf-agents": ("typing-extensions ==4.5.0", "pygame ==2.1.3", "numpy >=1.19.0"),
    },
    environment={},
    probes={
        "tensorflow import": machine.Probe(0, "2.15.1"),
        "cv2 import": machine.Probe(0, "4.11.0"),
        "H.264 encoder": machine.Probe(0, "libx264 in av 18.1.0"),
        "protobuf backend": machine.Probe(0, "upb"),
    },
    num_cores=8,
    free_memory=16 * 2**30,
    free_disk=100 * 2**30,
)


def broken(versions=None, probes=None, **changes):
    """A healthy machine, but for the changes; a version of None is not installed."""
    merged = {**_HEALTHY.versions, **(versions or {})}
    return dataclasses.replace(
        _HEALTHY,
        versions={name: version for name, version in merged.items() if version is not None},
        probes={**_HEALTHY.probes, **(probes or {})},
        **changes,
    )


def complaints(seen):
    return [finding for finding in doctor.examine(seen) if finding.ok is not True]


def test_a_healthy_machine_has_nothing_to_mend():
    findings = doctor.examine(_HEALTHY)
    assert all(finding.ok is True and finding.cure == "" for finding in findings)
    found = {finding.name: finding.found for finding in findings}
    assert found["Python version"] == "3.11.7"
    assert found["numpy"] == "1.26.4"
    assert found["protobuf backend"] == "upb"
    assert found["free memory"] == "16.0 GiB"
    assert {"tomli", "pytest", "dm-reverb"}.isdisjoint(found)


def test_what_an_extra_asks_for_is_judged_where_it_is_there():
    (right,) = [one for one in doctor.examine(broken({"dm-reverb": "0.14.0"})) if "rev" in one.name]
    assert (right.ok, right.found) == (True, "0.14.0")
    (wrong,) = complaints(broken({"dm-reverb": "0.13.0", "pytest": "7.0"}))
    assert wrong.found == "0.13.0; gamebridge asks for dm-reverb==0.14.0"


_NO_GL = "ImportError: libGL.so.1: cannot open shared object file: No such file or directory"

BROKEN = {
    "python 3.12": (
        {"python": (3, 12, 1)},
        "Python version",
        r"^3\.12\.1$",
        r"python3\.11 -m venv",
    ),
    "numpy 2": (
        {"versions": {"numpy": "2.1.3"}},
        "numpy",
        r"^2\.1\.3; gamebridge asks for numpy<2,>=1\.23\.5 \(TensorFlow 2\.15 is built for numpy 1",
        r"^pip install 'numpy<2,>=1\.23\.5'$",
    ),
    "typing-extensions": (
        {"versions": {"typing-extensions": "4.12.2"}},
        "typing-extensions",
        r"^4\.12\.2; tf-agents asks for typing-extensions==4\.5\.0 \(.*pydantic 2\)",
        r"^pip install 'typing-extensions==4\.5\.0'$",
    ),
    "gymnasium 1.4": (
        {"versions": {"gymnasium": "1.4.0"}},
        "gymnasium",
        r"^1\.4\.0; gamebridge asks for gymnasium==1\.3\.0 \(",
        r"gymnasium==1\.3\.0",
    ),
    "protobuf 5": (
        {"versions": {"protobuf": "5.29.0"}},
        "protobuf",
        r"^5\.29\.0; ",
        r"protobuf<5,>=",
    ),
    "no tf-agents": (
        {"versions": {"tf-agents": None}},
        "tf-agents",
        r"^missing; gamebridge asks for tf-agents==0\.19\.0$",
        r"^pip install 'tf-agents==0\.19\.0'$",
    ),
    "not installed": (
        {"requirements": {}},
        "gamebridge",
        r"^not installed",
        r"^pip install gamebridge",
    ),
    "pydantic 1 beside ray": (
        {"versions": {"ray": "2.60.0", "pydantic": "1.10.18"}},
        "pydantic beside ray",
        r"^pydantic 1\.10\.18 stops ray 2\.60\.0 from starting",
        r"^pip uninstall -y pydantic$",
    ),
    "two OpenCVs": (
        {"versions": {"opencv-python": "4.12.0.88"}},
        "opencv-python beside opencv-python-headless",
        r"overwrite each other's files of 'cv2'",
        r"uninstall -y opencv-python .* && .*'opencv-python-headless==4\.11\.0\.86'",
    ),
    "pygame-ce": (
        {"versions": {"pygame-ce": "2.5.2"}},
        "pygame-ce beside pygame",
        r"pygame-ce 2\.5\.2 and pygame 2\.1\.3 overwrite",
        r"uninstall -y pygame-ce pygame && pip install 'pygame==2\.1\.3'",
    ),
    "legacy keras": (
        {"environment": {"TF_USE_LEGACY_KERAS": "1"}},
        "TF_USE_LEGACY_KERAS",
        r"^set to 1 without tf_keras, which breaks tf\.keras$",
        r"^unset TF_USE_LEGACY_KERAS$",
    ),
    "libGL": (
        {"probes": {"cv2 import": machine.Probe(1, _NO_GL)}},
        "cv2 import",
        r"libGL\.so\.1: cannot open",
        r"uninstall -y opencv-python .*install 'opencv-python-headless",
    ),
    "cv2 gone": (
        {"probes": {"cv2 import": machine.Probe(1, "ModuleNotFoundError: No module named 'cv2'")}},
        "cv2 import",
        r"No module named 'cv2'",
        r"^pip install --force-reinstall --no-deps 'opencv-python-headless",
    ),
    "no encoder": (
        {"probes": {"H.264 encoder": machine.Probe(1, "UnknownCodecError: libx264")}},
        "H.264 encoder",
        r"UnknownCodecError",
        r"'av>=17\.1,<19'",
    ),
    "TensorFlow does not answer": (
        {"probes": {"tensorflow import": machine.Probe(None, "no answer within 120 s")}},
        "tensorflow import",
        r"no answer within 120 s",
        r"Run it again",
    ),
    "no AVX": (
        {"probes": {"tensorflow import": machine.Probe(-4, "")}},
        "tensorflow import",
        r"^died of SIGILL$",
        r"AVX",
    ),
    "broken TensorFlow": (
        {"probes": {"tensorflow import": machine.Probe(1, "ImportError: x")}},
        "tensorflow import",
        r"ImportError: x",
        r"'tensorflow==2\.15\.1'",
    ),
    "protobuf in Python": (
        {"probes": {"protobuf backend": machine.Probe(0, "python")}},
        "protobuf backend",
        r"slower than upb",
        r"--force-reinstall 'protobuf>=4\.25,<5'",
    ),
    "protobuf told to be Python": (
        {
            "probes": {"protobuf backend": machine.Probe(0, "python")},
            "environment": {"PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION": "python"},
        },
        "protobuf backend",
        r"slower than upb",
        r"^unset PROTOCOL_BUFFERS_PYTHON_IMPLEMENTATION$",
    ),
}

DOUBTFUL = {
    "setuptools": (
        {"versions": {"setuptools": "65.5.0"}},
        "setuptools",
        r"65\.5\.0 has known holes",
        r"setuptools>=78\.1\.1",
    ),
    "keras backend": (
        {"environment": {"KERAS_BACKEND": "torch"}},
        "KERAS_BACKEND",
        r"^set to torch; Keras 2\.15 knows TensorFlow only",
        r"^unset KERAS_BACKEND$",
    ),
    "one core": ({"num_cores": 1}, "cores", r"^1$", r"two cores"),
    "little memory": ({"free_memory": 2**29}, "free memory", r"^0\.5 GiB$", r"2 GiB are wanted"),
    "little disk": ({"free_disk": 2**28}, "free disk", r"^0\.2 GiB$", r"1 GiB are wanted"),
    "unknown memory": ({"free_memory": None}, "free memory", r"cannot be known", r"free -h"),
}


@pytest.mark.parametrize("case", [*BROKEN, *DOUBTFUL])
def test_each_fault_is_named_with_its_cure(case):
    changes, name, found, cure = {**BROKEN, **DOUBTFUL}[case]
    (finding,) = complaints(broken(**changes))
    assert finding.name == name
    assert finding.ok is (False if case in BROKEN else None)
    assert re.search(found, finding.found)
    assert re.search(cure, finding.cure)


@pytest.mark.parametrize(
    "changes",
    [
        {"versions": {"setuptools": "78.1.1"}},
        {"versions": {"setuptools": None}},
        {"versions": {"pydantic": "1.10.18"}},
        {"versions": {"ray": "2.60.0", "pydantic": "2.9"}},
        {"versions": {"ray": "2.60.0"}},
        {"versions": {"tf-keras": "2.15.0"}, "environment": {"TF_USE_LEGACY_KERAS": "1"}},
        {"environment": {"TF_USE_LEGACY_KERAS": "0"}},
        {"environment": {"KERAS_BACKEND": "tensorflow"}},
        {"python": (3, 10, 0)},
    ],
)
def test_what_does_no_harm_is_not_complained_of(changes):
    assert complaints(broken(**changes)) == []


def test_without_packaging_versions_are_not_judged_and_that_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "packaging", None)
    (finding,) = complaints(_HEALTHY)
    assert (finding.name, finding.cure) == ("packaging", "pip install packaging")


@pytest.mark.slow
def test_this_environment_is_sound():
    errors = [finding for finding in doctor.examine() if finding.ok is False]
    assert errors == []
