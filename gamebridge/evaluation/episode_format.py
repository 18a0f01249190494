"""The columns of saved episodes: nests of arrays as Arrow arrays, specs as Minari's spaces.

A saved episode of T steps is one record batch of T + 1 rows in FOLDER/NUMBER/part-0.arrow, an
Arrow IPC file without compression, so that it can be mapped into memory. It is the layout of
Minari's `arrow` storage (from 0.5.4 on, which stores pictures as they are where
`jpeg_encoding` is false). Its library is not used: it needs numpy 2.

docs/episodes.md has all columns and all keys.
"""

from __future__ import annotations

import hashlib
import mmap
import pathlib
from typing import Any

import numpy as np
import pyarrow as pa

from gamebridge.contract import specs

FORMAT = 1
METADATA = "metadata.json"
DATA = "part-0.arrow"
MINARI_VERSION = "0.5.4"


def to_arrow(spec: specs.Spec, nest: specs.Nest) -> pa.Array:
    """Returns a nest of arrays [n, ...] as one Arrow array of n rows, without a copy.

    A dict or tuple is a struct; an integer out of a few a plain number; any other array a list
    of fixed length, its values in C order. A bool is an int8.
    """
    if isinstance(spec, dict):
        names = sorted(spec)
        parts = [to_arrow(spec[name], nest[name]) for name in names]
        return pa.StructArray.from_arrays(parts, names)
    if isinstance(spec, tuple):
        parts = [to_arrow(part, rows) for part, rows in zip(spec, nest, strict=True)]
        return pa.StructArray.from_arrays(parts, [str(index) for index in range(len(parts))])
    rows = np.ascontiguousarray(nest)
    if rows.dtype == np.bool_:
        rows = rows.view(np.int8)
    kind = pa.from_numpy_dtype(rows.dtype)
    flat = pa.Array.from_buffers(kind, rows.size, [None, pa.py_buffer(rows)])
    if _is_plain(spec):
        return flat
    size = int(np.prod(spec.shape, dtype=np.int64))
    return pa.FixedSizeListArray.from_buffers(
        pa.list_(kind, size), len(rows), [None], children=[flat]
    )


def from_arrow(spec: specs.Spec, array: pa.Array) -> specs.Nest:
    """Returns what `to_arrow` was given, without a copy: arrays that cannot be written to.

    Raises:
      ValueError: the array does not have the spec's structure.
    """
    if isinstance(spec, dict):
        return {name: from_arrow(spec[name], _field(array, name)) for name in sorted(spec)}
    if isinstance(spec, tuple):
        return tuple(from_arrow(part, _field(array, str(index))) for index, part in enumerate(spec))
    flat = array if _is_plain(spec) else array.flatten()
    rows = flat.to_numpy(zero_copy_only=True)
    stored = np.dtype(np.int8) if spec.dtype == np.bool_ else spec.dtype
    if rows.dtype != stored:
        raise ValueError(f"a column is {rows.dtype}; expected {stored}")
    return rows.view(spec.dtype).reshape(len(array), *spec.shape)


def to_space(spec: specs.Spec) -> dict[str, Any]:
    """Returns a nest of specs as Minari writes the gymnasium space of the same values."""
    if isinstance(spec, dict):
        return {"type": "Dict", "subspaces": {name: to_space(spec[name]) for name in sorted(spec)}}
    if isinstance(spec, tuple):
        return {"type": "Tuple", "subspaces": [to_space(part) for part in spec]}
    if _is_plain(spec):
        start = 0 if spec.minimum is None else int(spec.minimum)
        count = 2 if spec.num_values is None else spec.num_values
        return {"type": "Discrete", "dtype": "int64", "start": start, "n": count}
    if spec.dtype == np.bool_:
        return {"type": "MultiBinary", "n": list(spec.shape)}
    least, greatest = (-np.inf, np.inf)
    if spec.is_discrete:
        least, greatest = np.iinfo(spec.dtype).min, np.iinfo(spec.dtype).max
    low = spec.minimum if spec.minimum is not None else np.full(spec.shape, least, spec.dtype)
    high = spec.maximum if spec.maximum is not None else np.full(spec.shape, greatest, spec.dtype)
    return {
        "type": "Box",
        "dtype": str(spec.dtype),
        "shape": list(spec.shape),
        "low": low.tolist(),
        "high": high.tolist(),
    }


def digest(path: pathlib.Path) -> str:
    """Returns the SHA-256 of a file that is not empty, in hexadecimal."""
    with (
        open(path, "rb") as file,
        mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        return hashlib.sha256(content).hexdigest()


def _is_plain(spec: specs.ArraySpec) -> bool:
    return not spec.shape and (spec.dtype == np.bool_ or spec.num_values is not None)


def _field(array: pa.Array, name: str) -> pa.Array:
    if not isinstance(array, pa.StructArray) or array.type.get_field_index(name) < 0:
        raise ValueError(f"there is no part '{name}'")
    return array.field(name)
