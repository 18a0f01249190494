"""What is added as a build is plain files inside its folder; all else is refused, whole."""

import gzip
import hashlib
import io
import os
import pathlib
import stat
import tarfile
import time
import zipfile

import pytest

from gamebridge import errors
from gamebridge_unity import adding, archives, builds

SCRIPT = b"#!/bin/sh\nexit 0\n"
RACE = {"race/race.x86_64": SCRIPT, "race/race_Data/level0": b"level" * 1000, "race/a/b/c": b""}


@pytest.fixture
def into(tmp_path):
    """A folder of builds that is not there yet."""
    return tmp_path / "builds"


def make_zip(path, files=RACE, **attributes):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            member = zipfile.ZipInfo(name)
            member.external_attr = attributes.get(name, stat.S_IFREG | 0o644) << 16
            archive.writestr(member, content)
    return path


def make_tar(path, files=RACE, mode="w:gz", **kinds):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.mode = 0o6777
            member.type, member.linkname = kinds.get(name, (tarfile.REGTYPE, ""))
            member.size = len(content) if member.isreg() else 0
            archive.addfile(member, io.BytesIO(content))
    return path


def make_folder(path, files=RACE):
    for name, content in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return path


MAKE = {"race.zip": make_zip, "race.tar.gz": make_tar, "race.tgz": make_tar, "race": make_folder}


def files_in(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", MAKE)
def test_an_archive_or_a_folder_becomes_a_build(tmp_path, into, name):
    source = MAKE[name](tmp_path / name)
    added = adding.add(source, into=into)
    folder = into / "race"
    assert files_in(folder) == {"race.x86_64", "race_Data/level0", "a/b/c", "build.toml"}
    assert (folder / "race_Data/level0").read_bytes() == b"level" * 1000
    assert added.build == builds.named("race", [into])
    assert added.build.command() == [str(folder / "race.x86_64")]
    assert [path.name for path in into.iterdir()] == ["race"]
    runnable = {path.name for path in folder.rglob("*") if path.is_file() and os.access(path, 1)}
    assert runnable == {"race.x86_64"}
    assert not any(path.stat().st_mode & 0o6022 for path in folder.rglob("*"))
    text = (folder / "build.toml").read_text()
    if source.is_file():
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        assert added.sha256 == digest
        assert f"# From {name}, sha256 {digest}" in text


def test_the_digest_has_to_be_the_one_that_was_told(tmp_path, into):
    source = make_zip(tmp_path / "race.zip")
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    with pytest.raises(errors.SecurityError, match=f"sha256 {digest}; expected 0000"):
        adding.add(source, sha256="0" * 64, into=into)
    assert not into.exists()
    with pytest.raises(errors.ConfigError, match="expected 64 hexadecimal digits"):
        adding.add(source, sha256="abc", into=into)
    with pytest.raises(errors.ConfigError, match="is a folder, which has no digest"):
        adding.add(make_folder(tmp_path / "race"), sha256=digest, into=into)
    assert adding.add(source, sha256=digest.upper(), into=into).sha256 == digest


LINK = (tarfile.SYMTYPE, "/etc/passwd")
REFUSED = {
    "zip ..": ("race.zip", {"../evil": b"x"}, {}, "leads out of its folder: '../evil'"),
    "zip inner ..": ("race.zip", {"a/../../evil": b"x"}, {}, "leads out of its folder"),
    "zip absolute": ("race.zip", {"/tmp/evil": b"x"}, {}, "leads out of its folder: '/tmp/evil'"),
    "zip backslash": ("race.zip", {"..\\evil": b"x"}, {}, "a name with odd characters"),
    "zip drive": ("race.zip", {"C:evil": b"x"}, {}, "a name with odd characters"),
    "zip line": ("race.zip", {"a\nb": b"x"}, {}, "a name with odd characters"),
    "zip long": ("race.zip", {"n" * 2000: b"x"}, {}, "a name with odd characters or too many"),
    "zip link": ("race.zip", {"l": b"/etc"}, {"l": stat.S_IFLNK | 0o777}, "a link: 'l'"),
    "zip pipe": ("race.zip", {"p": b""}, {"p": stat.S_IFIFO | 0o644}, "a device or pipe: 'p'"),
    "tar ..": ("race.tar.gz", {"../evil": b"x"}, {}, "leads out of its folder: '../evil'"),
    "tar absolute": ("race.tar.gz", {"/tmp/evil": b"x"}, {}, "leads out of its folder"),
    "tar link": ("race.tar.gz", {"l": b""}, {"l": LINK}, "a link: 'l'; expected files and"),
    "tar hard link": ("race.tar.gz", {"l": b""}, {"l": (tarfile.LNKTYPE, "race/a")}, "a link: 'l'"),
    "tar device": ("race.tar.gz", {"d": b""}, {"d": (tarfile.CHRTYPE, "")}, "a device, a pipe or"),
    "tar pipe": ("race.tar.gz", {"p": b""}, {"p": (tarfile.FIFOTYPE, "")}, "a device, a pipe or"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_no_build_holds_is_refused_and_nothing_is_left(tmp_path, into, case):
    name, files, kinds, message = REFUSED[case]
    source = MAKE[name](tmp_path / name, {**RACE, **files}, **kinds)
    before = {str(path) for path in tmp_path.rglob("*")}
    began_s = time.monotonic()
    with pytest.raises(errors.SecurityError, match="It was not added") as caught:
        adding.add(source, into=into)
    assert time.monotonic() - began_s < 5.0
    assert message in str(caught.value)
    assert str(source) in str(caught.value)
    assert {str(path) for path in tmp_path.rglob("*")} == before
    assert not pathlib.Path("/tmp/evil").exists()


def test_a_file_through_a_link_is_never_written(tmp_path, into):
    outside = tmp_path / "outside"
    outside.mkdir()
    link = (tarfile.SYMTYPE, str(outside))
    files = {"l": b"", "l/evil": b"x"}
    with pytest.raises(errors.SecurityError, match="a link"):
        adding.add(make_tar(tmp_path / "race.tar.gz", files, l=link), into=into)
    assert not list(outside.iterdir())


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["race.zip", "race.tar.gz"])
def test_a_name_that_comes_twice_is_refused(tmp_path, into, name):
    files = {**RACE, "race/./race.x86_64": b"other"}
    with pytest.raises(errors.SecurityError, match=r"'race/race\.x86_64' twice"):
        adding.add(MAKE[name](tmp_path / name, files), into=into)


@pytest.mark.parametrize("name", ["race.zip", "race.tar.gz"])
@pytest.mark.parametrize(
    "files", [{"a": b"x", "a/b": b"x"}, {"a/b": b"x", "a": b"x"}, {"n" * 300: b"x"}]
)
def test_names_that_no_folder_can_hold_are_to_blame_and_not_the_disk(tmp_path, into, name, files):
    source = MAKE[name](tmp_path / name, files)
    with pytest.raises(errors.SecurityError) as caught:
        adding.add(source, into=into)
    assert f"{source} cannot be unpacked into {into}: " in str(caught.value)
    assert repr(min(files)[:60]) in str(caught.value)
    assert "is too long, or the name of a file and of a folder" in str(caught.value)
    assert not into.exists()


@pytest.mark.parametrize("name", ["", "."])
def test_a_file_without_a_name_is_refused(tmp_path, into, name):
    source = make_zip(tmp_path / "race.zip", {**RACE, name: b"x"})
    with pytest.raises(errors.SecurityError, match="holds a file without a name"):
        adding.add(source, into=into)


def test_a_folder_with_links_or_pipes_is_refused(tmp_path, into):
    source = make_folder(tmp_path / "race")
    (source / "link").symlink_to("/etc/passwd")
    with pytest.raises(errors.SecurityError, match="holds a link: 'link'"):
        adding.add(source, into=into)
    (source / "link").unlink()
    os.mkfifo(source / "pipe")
    with pytest.raises(errors.SecurityError, match="a device or pipe: 'pipe'"):
        adding.add(source, into=into)
    assert not into.exists()


def forged_zip(path, size, content=bytes(1 << 20)):
    """A zip that says of its one file that it is so large."""
    make_zip(path, {"race.x86_64": content})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        place = data.index(signature) + offset
        data[place : place + 4] = size.to_bytes(4, "little")
    path.write_bytes(data)
    return path


def bomb(path, num_gib):
    """A tar.gz of one file of so many GiB of zeros; gzip may be joined out of parts."""
    member = tarfile.TarInfo("race.x86_64")
    member.size = num_gib << 30
    zeros = gzip.compress(bytes(64 << 20), 9)
    with open(path, "wb") as file:
        file.write(gzip.compress(member.tobuf(tarfile.PAX_FORMAT)))
        for _ in range(num_gib * 16):
            file.write(zeros)
    return path


@pytest.mark.parametrize(
    "make, name",
    [(lambda path: forged_zip(path, 4_000_000_000), "race.zip"), (lambda p: bomb(p, 10), "b.tgz")],
)
def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path, into, make, name):
    source = make(tmp_path / name)
    began_s = time.monotonic()
    with pytest.raises(errors.SecurityError, match=r"unpacks to [\d,]+ times its size or more"):
        adding.add(source, into=into)
    assert time.monotonic() - began_s < 5.0
    assert not into.exists()


def test_a_header_that_is_a_bomb_is_refused(tmp_path, into):
    """What a tar says of a file may itself be gigabytes; no such size is believed."""
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, (8 << 30) - 512
    source = tmp_path / "race.tar.gz"
    with open(source, "wb") as file:
        file.write(gzip.compress(header.tobuf()))
        zeros = gzip.compress(bytes(64 << 20), 9)
        for _ in range(32):
            file.write(zeros)
    began_s = time.monotonic()
    with pytest.raises(errors.SecurityError, match="times its size"):
        adding.add(source, into=into)
    assert time.monotonic() - began_s < 5.0


@pytest.mark.parametrize("name", MAKE)
def test_size_and_number_of_files_have_limits(tmp_path, into, name):
    source = MAKE[name](tmp_path / name)
    small = archives.Limits(most_bytes=1000)
    with pytest.raises(errors.SecurityError, match=r"more than .* GiB; --max-size-gib allows more"):
        adding.add(source, into=into, limits=small)
    few = archives.Limits(most_files=2)
    with pytest.raises(errors.SecurityError, match="holds more than 2 files"):
        adding.add(source, into=into, limits=few)
    assert not into.exists()


def test_a_file_that_is_larger_than_it_says_is_a_damaged_archive(tmp_path, into):
    with pytest.raises(errors.ConfigError, match="is damaged: Bad CRC"):
        adding.add(forged_zip(tmp_path / "race.zip", 10), into=into)
    assert not into.exists()


@pytest.mark.parametrize(
    "name, spoil, message",
    [
        ("race.zip", lambda data: data[: len(data) // 2], "is damaged: File is not a zip file"),
        ("race.tar.gz", lambda data: data[: len(data) // 2], "is damaged: Compressed file ended"),
        ("race.tar.gz", lambda data: data[:-6] + b"123456", "is damaged: "),
        ("race.zip", lambda data: b"", "is neither a zip nor a tar.gz archive"),
        ("race.zip", lambda data: b"7z\xbc\xaf" + data, "is neither a zip nor a tar.gz archive"),
    ],
)
def test_a_damaged_archive_is_told_from_an_evil_one(tmp_path, into, name, spoil, message):
    source = MAKE[name](tmp_path / name, {**RACE, "race/noise": os.urandom(50_000)})
    source.write_bytes(spoil(source.read_bytes()))
    with pytest.raises(errors.ConfigError, match=message):
        adding.add(source, into=into)
    assert not into.exists()


def test_what_is_there_is_not_overwritten(tmp_path, into):
    source = make_zip(tmp_path / "race.zip")
    adding.add(source, into=into)
    with pytest.raises(errors.ConfigError, match="is there already"):
        adding.add(source, into=into)
    assert adding.add(source, into=into, name="other").build.name == "other"
    assert sorted(path.name for path in into.iterdir()) == ["other", "race"]
    # Before the source is looked at, however large it is.
    with pytest.raises(errors.ConfigError, match="is there already"):
        adding.add(tmp_path / "race.tar", into=into)
    (into / "gone").symlink_to(tmp_path / "nowhere")
    with pytest.raises(errors.ConfigError, match="is there already"):
        adding.add(source, into=into, name="gone")


def test_a_build_that_comes_with_us_is_not_hidden(tmp_path, into):
    source = make_zip(tmp_path / "racing.zip")
    with pytest.raises(errors.ConfigError, match="unity/racing comes with gamebridge"):
        adding.add(source, into=into)
    assert adding.add(source, into=into, name="our-racing").build.name == "our-racing"


@pytest.mark.parametrize("name", ["build", "../evil", "a/b", ".hidden", "", "a b"])
def test_a_name_is_one_word(tmp_path, into, name):
    source = make_zip(tmp_path / "race.zip")
    if name:
        with pytest.raises(errors.ConfigError, match="A build cannot be called"):
            adding.add(source, into=into, name=name)
    odd = source.rename(tmp_path / "My Race (v1.2).zip")
    assert adding.add(odd, into=into).build.name == "My-Race-v1.2"


@pytest.mark.parametrize(
    "files, message",
    [
        ({"readme.txt": b"hello"}, "no program is in it. Expected a Linux build"),
        ({"race.exe": b"MZ\x90", "race_Data/x": b""}, r"race\.exe is a Windows program. Build it"),
        ({"race": b"\x7fELF\2\1\1" + bytes(9) + b"\2\0\xb7\0" + bytes(44)}, "is built for 64-bit"),
        ({"a.sh": SCRIPT, "b.sh": SCRIPT}, r"may be any of a\.sh, b\.sh. Name it: --executable"),
        ({"x/race.x86_64": b"", "build.toml": b"[executables]\nlinux='x'"}, "x is not in it"),
        ({"race": SCRIPT, "build.toml": b"agnets = 1"}, "unknown key 'agnets'"),
    ],
)
def test_without_one_program_there_is_no_build(tmp_path, into, files, message):
    with pytest.raises(errors.ConfigError, match=message):
        adding.add(make_zip(tmp_path / "race.zip", files), into=into)
    assert not into.exists()


def test_a_wrong_build_toml_is_named_where_it_came_from(tmp_path, into):
    files = {**RACE, "race/build.toml": b"agents = 2\nagnets = 1"}
    for name, make in MAKE.items():
        source = make(tmp_path / name, files)
        with pytest.raises(errors.ConfigError) as caught:
            adding.add(source, into=into)
        assert str(caught.value).startswith(f"{source}/build.toml:2: unknown key 'agnets'")
        assert str(into) not in str(caught.value)


def test_which_program_it_is_can_be_said(tmp_path, into):
    source = make_zip(tmp_path / "race.zip", {"bin/a.sh": SCRIPT, "bin/b.sh": SCRIPT})
    for wrong in ("b.s", "../b.sh", "/bin/sh"):
        with pytest.raises(errors.ConfigError, match="--executable"):
            adding.add(source, into=into, executable=wrong)
    added = adding.add(source, into=into, executable="b.sh")
    assert added.build.executable == into / "race" / "b.sh"


def test_a_build_toml_of_its_own_is_kept(tmp_path, into):
    text = b"agents = 4\nbehavior = 'Car'\nenvironment = ['LICENCE']\n"
    added = adding.add(
        make_zip(tmp_path / "race.zip", {**RACE, "race/build.toml": text}), into=into
    )
    assert added.had_description
    assert (added.build.agents, added.build.behavior) == (4, "Car")
    assert (into / "race" / "build.toml").read_bytes() == text


def test_what_is_no_archive_does_not_hold_us_up(tmp_path, into):
    os.mkfifo(tmp_path / "pipe.zip")
    for name, message in (("pipe.zip", "is no file"), ("none.zip", "cannot be read: No such file")):
        with pytest.raises(errors.ConfigError, match=message):
            adding.add(tmp_path / name, into=into)
    assert not into.exists()


def test_a_full_disk_leaves_nothing(tmp_path, into, monkeypatch):
    def no_space(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(archives.shutil, "copyfileobj", no_space)
    for name, make in MAKE.items():
        with pytest.raises(errors.StorageError, match="No space left on device"):
            adding.add(make(tmp_path / name), into=into)
        assert not into.exists()
