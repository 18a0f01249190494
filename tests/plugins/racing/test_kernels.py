"""Compiled functions, with and without a place to keep them."""

from __future__ import annotations

from gamebridge_racing import kernels


def test_a_kernel_is_compiled_where_nothing_can_be_kept(monkeypatch):
    from numba.core import caching

    monkeypatch.setattr(caching.CacheImpl, "_locator_classes", [])

    @kernels.kernel()
    def doubled(x):
        return 2 * x

    assert doubled(21) == 42
    assert doubled.signatures


def test_a_kernel_is_kept_where_something_can_be(tmp_path, monkeypatch):
    monkeypatch.setattr("numba.core.config.CACHE_DIR", str(tmp_path))

    @kernels.kernel()
    def tripled(x):
        return 3 * x

    assert tripled(14) == 42
    assert list(tmp_path.rglob("*.nbi"))
