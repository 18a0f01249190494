"""The peers' virtual environments, under build/bench: each with the versions it is measured in.

NumPy, gymnasium and ALE are the project's own versions, so that what differs is the
arrangement. One that is there already, with these requirements, is left alone.

    python benchmarks/environments.py [NAME ...]
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys

MISSING = "its environment is missing; run: make bench-peers"
_FOLDER = pathlib.Path(__file__).resolve().parents[1] / "build" / "bench"
_GAMES = (
    "numpy==1.26.4",
    "gymnasium==1.3.0",
    "ale-py==0.12.1",
    "opencv-python-headless==4.11.0.86",
)
REQUIREMENTS = {
    "gymnasium": _GAMES,
    # The plain package brings CUDA along on Linux, gigabytes that nothing here uses. With
    # PyTorch's own index of CPU builds as PIP_EXTRA_INDEX_URL pip prefers those.
    "sb3": (*_GAMES, "stable-baselines3==2.9.2", "torch==2.13.0"),
    # The stock Unity client, as it runs on Python 3.11: protobuf has no faster form of 3.20
    # there, and above 3.20 refuses its messages.
    "mlagents": (
        "mlagents-envs==0.28.0",
        "protobuf==3.20.3",
        "numpy==1.23.5",
        "grpcio==1.74.0",
    ),
    # TF-Agents' own loops, with the replay server that its tutorials use.
    "tf-agents": (
        "tf-agents==0.19.0",
        "tensorflow==2.15.1",
        "tensorflow-probability==0.23.0",
        "dm-reverb==0.14.0",
        "numpy==1.26.4",
        "protobuf==4.25.9",
        "gym==0.23.0",
        "pygame==2.1.3",
        "setuptools<81",
    ),
    "envpool": ("numpy==1.26.4", "gymnasium==1.3.0", "envpool==1.2.5"),
}


def interpreter(name: str) -> pathlib.Path | None:
    """The Python of an environment; None if it has not been made, or is out of date."""
    return _python(name) if _is_ready(name) else None


def site_packages(name: str) -> str:
    """The folder of an environment's packages."""
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    command = [str(_python(name)), "-c", code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def main() -> None:
    """Makes those that are missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(REQUIREMENTS))
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(REQUIREMENTS))
    if unknown:
        parser.error(f"unknown environment {unknown[0]}: expected {', '.join(REQUIREMENTS)}")
    for name in arguments.names or REQUIREMENTS:
        if not _is_ready(name):
            _make(name)
        print(f"{name}: {_python(name)}")


def _make(name: str) -> None:
    folder = _FOLDER / name
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([str(_python(name)), *install, *REQUIREMENTS[name]], check=True)
    (folder / ".ready").write_text(_mark(name), encoding="utf-8")


def _python(name: str) -> pathlib.Path:
    return _FOLDER / name / "bin" / "python"


def _is_ready(name: str) -> bool:
    mark = _FOLDER / name / ".ready"
    return mark.is_file() and mark.read_text(encoding="utf-8") == _mark(name)


def _mark(name: str) -> str:
    return f"{sys.version}\n" + "\n".join(REQUIREMENTS[name])


if __name__ == "__main__":
    main()
