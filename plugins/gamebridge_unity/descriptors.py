"""`install`: mlagents_envs 0.28.0 to 1.1.0 on protobuf 4 and later, by an import hook.

The package's `communicator_objects/*_pb2.py` were generated for protobuf 3 and refuse to
be imported by protobuf 4. But each holds the serialized descriptor of its file as a
literal. The hook takes that literal out of the installed file's syntax tree and builds the
module from it, as newly generated code would. Nothing is generated or copied, and
`mlagents_envs.communicator_objects.unity_message_pb2` is what it always was, only faster.

Two more things in that package are of their time: `np.bool`, gone since numpy 1.24, and
`distutils`, gone since Python 3.12. Both are given to the modules that ask for them and to
nobody else.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import importlib.abc
import importlib.machinery
import pathlib
import re
import sys
import threading
import types
from collections.abc import Iterator, Sequence
from typing import Any

_PACKAGE = "mlagents_envs"
_MESSAGES = f"{_PACKAGE}.communicator_objects"
_USES_NUMPY_BOOL = frozenset({f"{_PACKAGE}.base_env", f"{_PACKAGE}.rpc_utils"})
_USES_DISTUTILS = frozenset({f"{_PACKAGE}.environment"})
# Of Python 3.12's missing module; "1.5.0" or "1.5", with "a1" or "b1" at most.
_VERSION = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?(?:([ab])(\d+))?")

_lock = threading.Lock()


def install() -> None:
    """Lets mlagents_envs be imported. May be called from any thread, and again.

    A process that has imported its messages already keeps them, whoever made them.
    """
    with _lock:
        if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
            sys.meta_path.insert(0, _Finder())


class _Finder(importlib.abc.MetaPathFinder):
    """Finds the modules of mlagents_envs that need help; others are not its business."""

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: types.ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        """Returns the usual spec with another loader in it."""
        if not fullname.startswith(f"{_PACKAGE}."):
            return None
        is_message = fullname.startswith(f"{_MESSAGES}.") and fullname.endswith("_pb2")
        if is_message and (_runs_generated_code() or _has_messages()):
            return None
        if not is_message and fullname not in _USES_NUMPY_BOOL | _USES_DISTUTILS:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is None or not isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            return spec
        loader = _MessageLoader if is_message else _OldTimeLoader
        spec.loader = loader(fullname, spec.loader.path)
        return spec


class _MessageLoader(importlib.machinery.SourceFileLoader):
    """Makes a module of messages from the descriptor inside its file."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Fills the module as generated code does: classes, enums and their values."""
        from google.protobuf import descriptor_pb2, descriptor_pool

        # What the generated code of every protoc since 3.20 calls.
        from google.protobuf.internal import builder

        serialized = serialized_descriptor(pathlib.Path(self.path))
        declared = descriptor_pb2.FileDescriptorProto.FromString(serialized)
        for dependency in declared.dependency:
            importlib.import_module(dependency.removesuffix(".proto").replace("/", ".") + "_pb2")
        pool = descriptor_pool.Default()
        pool.AddSerializedFile(serialized)
        content: dict[str, Any] = vars(module)
        content["DESCRIPTOR"] = found = pool.FindFileByName(declared.name)
        builder.BuildMessageAndEnumDescriptors(found, content)
        builder.BuildTopDescriptorsAndMessages(found, module.__name__, content)


class _OldTimeLoader(importlib.machinery.SourceFileLoader):
    """Gives a module what numpy or Python has dropped since it was written."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Runs the module's own code."""
        with _distutils() if module.__name__ in _USES_DISTUTILS else contextlib.nullcontext():
            super().exec_module(module)
        if module.__name__ in _USES_NUMPY_BOOL:
            vars(module)["np"] = _numpy_with_bool(vars(module)["np"])


def serialized_descriptor(path: pathlib.Path) -> bytes:
    """Returns the serialized FileDescriptorProto that a generated file holds.

    Args:
      path: a `*_pb2.py`, of protoc 3.6 (`serialized_pb=`) or later (`AddSerializedFile`).

    Raises:
      ImportError: there is no such literal in it.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call = node.value
            named = [word.value for word in call.keywords if word.arg == "serialized_pb"]
            is_added = isinstance(call.func, ast.Attribute) and call.func.attr.startswith(
                "AddSerializedFile"
            )
            for value in named or (call.args[:1] if is_added else []):
                # Once it was _b('...'), which made bytes of text on Python 3.
                inner = value.args[0] if isinstance(value, ast.Call) and value.args else value
                if isinstance(inner, ast.Constant) and isinstance(inner.value, bytes):
                    return inner.value
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    return inner.value.encode("latin1")
    raise ImportError(
        f"{path} holds no serialized descriptor: expected `serialized_pb=` or "
        "`AddSerializedFile(...)`, as in mlagents-envs 0.28.0 and 1.1.0. Install "
        "mlagents-envs==0.28.0.",
        path=str(path),
    )


def _runs_generated_code() -> bool:
    """Whether this protobuf still takes code generated for protobuf 3."""
    import google.protobuf

    return int(google.protobuf.__version__.split(".")[0]) < 4


def _has_messages() -> bool:
    """Whether some of the messages were imported before, without the hook."""
    return any(
        name.startswith(f"{_MESSAGES}.")
        and name.endswith("_pb2")
        and not isinstance(getattr(module, "__loader__", None), _MessageLoader)
        for name, module in list(sys.modules.items())
    )


def _numpy_with_bool(numpy: types.ModuleType) -> types.ModuleType:
    if "bool" in vars(numpy):
        return numpy
    stand_in = types.ModuleType(numpy.__name__, numpy.__doc__)
    vars(stand_in).update(vars(numpy), bool=bool)
    return stand_in


@contextlib.contextmanager
def _distutils() -> Iterator[None]:
    """Puts a `distutils.version` in place while a module is imported, if there is none."""
    if "distutils" in sys.modules or importlib.machinery.PathFinder.find_spec("distutils"):
        yield
        return
    package = types.ModuleType("distutils")
    version = types.ModuleType("distutils.version")
    vars(version)["StrictVersion"] = StrictVersion
    vars(package).update(version=version, __path__=[])
    stand_ins = {"distutils": package, "distutils.version": version}
    sys.modules.update(stand_ins)
    try:
        yield
    finally:
        for name in stand_ins:
            sys.modules.pop(name, None)


class StrictVersion:
    """As much of distutils' class of that name as mlagents_envs uses."""

    def __init__(self, text: str) -> None:
        """Reads `text`.

        Raises:
          ValueError: it is not like "1.5.0".
        """
        match = _VERSION.fullmatch(text)
        if match is None:
            raise ValueError(f"invalid version number '{text}'")
        major, minor, patch, letter, number = match.groups()
        self.version = (int(major), int(minor), int(patch or 0))
        self.prerelease = (letter, int(number)) if letter else None

    def __str__(self) -> str:
        return ".".join(map(str, self.version))
