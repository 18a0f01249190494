"""Files that are whole or as they were before."""

from __future__ import annotations

import resource

import pytest

from gamebridge import files


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "a.json"
    for text in ("before", "after, and longer"):
        files.write_text(path, text)
        assert path.read_text() == text
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    files.write_text(path, "before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            files.write_text(path, "after, and too long")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_is_removed_and_not_what_it_leads_to(tmp_path):
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("")
    (tmp_path / "link").symlink_to(kept)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for name in ("link", "dangling"):
        files.remove(tmp_path / name)
    assert list(tmp_path.iterdir()) == [kept] and list(kept.iterdir())
    files.remove(kept)
    assert not list(tmp_path.iterdir())


def test_what_is_free_is_told_of_a_place_that_is_there(tmp_path):
    assert files.free_mib(tmp_path) > 0
    with pytest.raises(FileNotFoundError):
        files.free_mib(tmp_path / "nowhere")
