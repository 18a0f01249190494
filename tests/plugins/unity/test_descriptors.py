"""mlagents_envs on protobuf 4: descriptors come out of its own files."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import textwrap

import pytest

from gamebridge_unity import descriptors


def run(code):
    """Runs code in an interpreter that has imported nothing yet."""
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(code)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.split()


def test_all_messages_of_the_installed_package_are_imported_on_this_protobuf():
    assert run(
        """
        import importlib, pathlib
        from gamebridge_unity import descriptors
        descriptors.install()
        from mlagents_envs import communicator_objects
        names = [p.stem for p in pathlib.Path(communicator_objects.__path__[0]).glob("*_pb2*.py")]
        found = [importlib.import_module(f"{communicator_objects.__name__}.{n}") for n in names]
        from mlagents_envs.communicator_objects import observation_pb2 as o, unity_message_pb2 as m
        message = m.UnityMessageProto.FromString(m.UnityMessageProto().SerializeToString())
        print(len(found), o.PNG, o.CompressionTypeProto.Name(1))
        print(o.ObservationProto.FloatData.DESCRIPTOR.full_name)
        """
    ) == ["22", "1", "PNG", "communicator_objects.ObservationProto.FloatData"]


def test_the_stock_environment_is_imported_and_numpy_is_left_as_it_is():
    assert run(
        """
        import numpy
        from gamebridge_unity import descriptors
        descriptors.install()
        from mlagents_envs import base_env, environment, rpc_utils
        print(environment.UnityEnvironment.API_VERSION, rpc_utils.np.bool)
        print(base_env.np.zeros(1, base_env.np.bool).dtype, hasattr(numpy, "bool"))
        """
    ) == ["1.5.0", "<class", "'bool'>", "bool", "False"]


def test_it_may_be_called_from_many_threads_and_again():
    assert run(
        """
        import sys, threading
        from gamebridge_unity import descriptors
        failed = []
        gate = threading.Barrier(8)
        def load():
            try:
                gate.wait()
                descriptors.install()
                from mlagents_envs.communicator_objects import unity_message_pb2
                unity_message_pb2.UnityMessageProto()
            except BaseException as error:
                failed.append(error)
        threads = [threading.Thread(target=load) for _ in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        descriptors.install()
        print(failed, sum(type(f).__name__ == "_Finder" for f in sys.meta_path))
        """
    ) == ["[]", "1"]


def test_a_process_that_has_the_messages_already_keeps_them():
    assert run(
        """
        import sys, types
        name = "mlagents_envs.communicator_objects.header_pb2"
        mine = sys.modules[name] = types.ModuleType(name)
        from gamebridge_unity import descriptors
        descriptors.install()
        import importlib
        try:
            importlib.import_module("mlagents_envs.communicator_objects.command_pb2")
        except TypeError as error:
            print("untouched")
        print(sys.modules[name] is mine)
        """
    ) == ["untouched", "True"]


def test_protobuf_3_runs_the_package_own_code(monkeypatch):
    import google.protobuf

    name = "mlagents_envs.communicator_objects.header_pb2"
    finder = descriptors._Finder()
    monkeypatch.setattr(google.protobuf, "__version__", "3.20.3")
    assert finder.find_spec(name, None) is None


def test_distutils_is_lent_where_python_has_none_any_more():
    assert run(
        """
        import importlib.machinery, sys
        find = importlib.machinery.PathFinder.find_spec
        without = lambda name, *rest: None if name.startswith("distutils") else find(name, *rest)
        importlib.machinery.PathFinder.find_spec = without
        sys.meta_path = [f for f in sys.meta_path if "istutils" not in repr(f)]
        for name in [n for n in sys.modules if n.startswith("distutils")]:
            del sys.modules[name]
        from gamebridge_unity import descriptors
        descriptors.install()
        from mlagents_envs import environment
        version = environment.StrictVersion("1.5.0a2")
        print(type(version).__module__, version.version[1], "distutils" in sys.modules)
        """
    ) == ["gamebridge_unity.descriptors", "5", "False"]


def test_a_version_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"invalid version number '1\.5\.0-exp'"):
        descriptors.StrictVersion("1.5.0-exp")


@pytest.mark.parametrize(
    "code",
    [
        "DESCRIPTOR = _descriptor.FileDescriptor(name='x', serialized_pb=_b('\\n\\x01\\xe9'))",
        "DESCRIPTOR = _descriptor.FileDescriptor(name='x', serialized_pb=b'\\n\\x01\\xe9')",
        "DESCRIPTOR = _descriptor_pool.Default().AddSerializedFile(b'\\n\\x01\\xe9')",
    ],
    ids=["0.28.0", "bytes", "1.1.0"],
)
def test_the_descriptor_is_read_in_every_form_that_was_generated(tmp_path, code):
    path = tmp_path / "x_pb2.py"
    path.write_text(f"import nothing\n{code}\n")
    assert descriptors.serialized_descriptor(path) == b"\n\x01\xe9"


def test_a_file_without_a_descriptor_is_named(tmp_path):
    path = pathlib.Path(tmp_path / "y_pb2.py")
    path.write_text("DESCRIPTOR = make()\n")
    with pytest.raises(ImportError, match=r"y_pb2.py holds no serialized descriptor: expected"):
        descriptors.serialized_descriptor(path)
