"""What is read of a machine, whole or broken."""

import time

from gamebridge import doctor, machine


def write_distribution(folder, name, version, *requirements):
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info" / "METADATA"
    metadata.parent.mkdir()
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {text}" for text in requirements]
    metadata.write_text("\n".join([*lines, ""]))


def test_versions_are_those_of_the_distributions_on_the_path(tmp_path, monkeypatch):
    write_distribution(tmp_path, "Ray", "2.60.0")
    write_distribution(tmp_path, "pydantic", "1.10.18")
    write_distribution(tmp_path, "numpy", "2.1.3")
    write_distribution(tmp_path, "gamebridge", "9.9", "numpy<2", "typing_extensions==4.5.0")
    (tmp_path / "broken-1.0.dist-info").mkdir()
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    versions, requirements = machine.installed()
    assert versions == {
        "gamebridge": "9.9",
        "numpy": "2.1.3",
        "pydantic": "1.10.18",
        "ray": "2.60.0",
    }
    assert requirements == {"gamebridge": ("numpy<2", "typing_extensions==4.5.0")}
    monkeypatch.setattr(machine, "_PROBES", {})
    seen = machine.read()
    monkeypatch.undo()  # the doctor reads with packaging, which is not on that path
    named = [finding.name for finding in doctor.examine(seen) if finding.ok is False]
    assert named == ["numpy", "typing-extensions", "pydantic beside ray"]


def test_of_two_copies_the_one_that_is_imported_counts(tmp_path, monkeypatch):
    for folder, version in (("first", "1.26.4"), ("second", "2.1.3")):
        (tmp_path / folder).mkdir()
        write_distribution(tmp_path / folder, "numpy", version)
    monkeypatch.setattr("sys.path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert machine.installed() == ({"numpy": "1.26.4"}, {})


def test_probes_run_in_processes_of_their_own_and_cannot_hang():
    start = time.perf_counter()
    probes = machine.probe(
        {
            "good": "print('noise'); print('7.1')",
            "silent": "pass",
            "raises": "import nothing_of_this_name",
            "dies": "import os; os.kill(os.getpid(), 9)",
            "hangs": "import time; time.sleep(600)",
        },
        timeout_s=3,
    )
    assert time.perf_counter() - start < 10
    assert probes["good"] == machine.Probe(0, "7.1")
    assert probes["silent"] == machine.Probe(0, "")
    assert probes["raises"].returncode == 1
    assert probes["raises"].output.endswith("No module named 'nothing_of_this_name'")
    assert probes["dies"].returncode == -9
    assert probes["hangs"] == machine.Probe(None, "no answer within 3 s")


def test_a_folder_that_is_gone_has_no_known_space(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "_PROBES", {})
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    assert machine.read().free_disk is None


def test_only_the_variables_of_its_rules_are_read(monkeypatch):
    monkeypatch.setattr(machine, "_PROBES", {})
    monkeypatch.setenv("SECRET_TOKEN", "canary")
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert "canary" not in repr(machine.read())
    assert machine.read().environment["KERAS_BACKEND"] == "jax"
