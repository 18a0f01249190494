"""Array specs of dm_env and TF-Agents, told by their attributes: neither is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gamebridge.adapters import conversion, limits
from gamebridge.contract import specs
from gamebridge.contract.specs import ArraySpec


class ArraySpecs(conversion.Dialect):
    """Specs that have a shape, a dtype, and perhaps bounds; see `conversion.Dialect`."""

    def split(self, node: Any) -> dict[str, Any] | tuple[Any, ...] | None:
        """Mappings, lists and tuples, named ones too, have parts."""
        if isinstance(node, Mapping):
            return dict(node)
        return tuple(node) if isinstance(node, (list, tuple)) else None

    def leaf(self, node: Any, label: str, name: str, *, is_action: bool) -> ArraySpec | None:
        """Every array whose dtype is a number."""
        dtype = np.dtype(node.dtype)
        if dtype.kind not in "biuf":
            return None
        shape = limits.check_shape(label, tuple(node.shape))
        limits.check_name(label, node.name or "")
        minimum, maximum = _bound(node, "minimum"), _bound(node, "maximum")
        if is_action and not shape and dtype.kind in "iu" and None not in (minimum, maximum):
            limits.check_actions(label, int(maximum) - int(minimum) + 1)
        if (
            dtype == np.uint8
            and len(shape) == 3
            and shape[2] in (1, 3, 4)
            and (minimum is None or np.all(minimum == 0))
            and (maximum is None or np.all(maximum == 255))
        ):
            return specs.frame(*shape, name=name)
        return specs.box(shape, minimum, maximum, dtype=dtype, name=name)

    def writer(self, node: Any) -> conversion.Function | None:
        """Both libraries check an action's dtype, which a Python number does not carry."""
        return lambda value: np.asarray(value, node.dtype)

    def join(self, node: Any, parts: dict[str, Any] | tuple[Any, ...]) -> Any:
        """Gives a list or a named tuple back as such."""
        if isinstance(parts, dict):
            return parts
        if hasattr(node, "_fields"):
            return type(node)(*parts)
        return list(parts) if isinstance(node, list) else parts


def _bound(node: Any, which: str) -> Any:
    bound = getattr(node, which, None)
    if bound is None:
        return None
    bound = np.asarray(bound)
    if bound.dtype.kind != "f" or np.dtype(node.dtype).kind != "f":
        return bound
    # TF-Agents writes an infinite bound as the largest finite number.
    unbounded = np.abs(bound) >= np.finfo(node.dtype).max
    if np.all(unbounded):
        return None
    # Where only some of the values are unbounded the infinities stay, to say which.
    return np.where(unbounded, np.copysign(np.inf, bound), bound)
