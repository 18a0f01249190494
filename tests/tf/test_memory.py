"""Sizes as people write them, and how much memory there is."""

from __future__ import annotations

import os

import pytest

from gamebridge.tf import memory


@pytest.mark.parametrize(
    ("text", "expected"),
    [("4GB", 4 * 10**9), ("1.5 gib", 3 * 2**29), ("700 B", 700), ("20kB", 20_000), ("1TiB", 2**40)],
)
def test_sizes_are_read_with_their_unit(text, expected):
    assert memory.parse(text) == expected


@pytest.mark.parametrize("text", ["4", "GB", "4 G", "-1GB", "0GB", "4GB each", "1e3MB", ""])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match=rf"^'{text}' is no size: .* such as '4GB'\.$"):
        memory.parse(text)


def test_a_group_of_processes_has_no_more_than_its_limit_and_those_above_it(tmp_path):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    groups, own = tmp_path / "cgroup", tmp_path / "own"
    (groups / "jobs/one").mkdir(parents=True)
    assert memory.limit(groups, own) == machine
    own.write_text("0::/jobs/one\n")
    (groups / "jobs/one/memory.max").write_text("max\n")
    assert memory.limit(groups, own) == machine
    (groups / "jobs/memory.max").write_text("5000000\n")
    assert memory.limit(groups, own) == 5_000_000
    (groups / "memory.max").write_text("4000000\n")
    assert memory.limit(groups, own) == 4_000_000


def test_the_first_version_of_groups_is_understood_too(tmp_path):
    own, group = tmp_path / "own", tmp_path / "memory/box"
    group.mkdir(parents=True)
    own.write_text("3:cpu:/box\n2:memory:/box\n")
    (group / "memory.limit_in_bytes").write_text("3000000\n")
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert memory.limit(tmp_path, own) == 3_000_000
