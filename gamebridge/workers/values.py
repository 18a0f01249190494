"""Specs and settings as JSON, for a worker in whatever Python it runs.

No pickle: what crosses is text, and a class is named by its module, which the worker
imports from the same plugin.
"""

from __future__ import annotations

import base64
import dataclasses
import importlib
from typing import Any

import numpy as np

from gamebridge.contract import specs


def pack(value: Any) -> Any:
    """Returns plain values, lists, tuples, dicts and dataclasses as what JSON can hold.

    Raises:
      TypeError: anything else is in them.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, list):
        return [pack(part) for part in value]
    if isinstance(value, tuple):
        return {"tuple": [pack(part) for part in value]}
    if isinstance(value, dict):
        return {"dict": [[pack(key), pack(part)] for key, part in value.items()]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        kind = type(value)
        fields = {
            field.name: pack(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.init
        }
        return {"record": [kind.__module__, kind.__qualname__], "fields": fields}
    raise TypeError(
        f"A setting is a {type(value).__name__}, which a worker process cannot be given: expected "
        "text, numbers, lists, tuples, dicts or dataclasses."
    )


def unpack(value: Any) -> Any:
    """Returns what `pack` was given; dataclasses are imported by their module's name."""
    if isinstance(value, list):
        return [unpack(part) for part in value]
    if not isinstance(value, dict):
        return value
    if "tuple" in value:
        return tuple(unpack(part) for part in value["tuple"])
    if "dict" in value:
        return {unpack(key): unpack(part) for key, part in value["dict"]}
    module, name = value["record"]
    kind: Any = importlib.import_module(module)
    for part in name.split("."):
        kind = getattr(kind, part)
    return kind(**{name: unpack(part) for name, part in value["fields"].items()})


def pack_spec(spec: specs.Spec) -> Any:
    """Returns a nest of specs as what JSON can hold."""
    if isinstance(spec, dict):
        return {"dict": {key: pack_spec(part) for key, part in spec.items()}}
    if isinstance(spec, tuple):
        return {"tuple": [pack_spec(part) for part in spec]}
    return {
        "shape": list(spec.shape),
        "dtype": spec.dtype.str,
        "minimum": _pack_bound(spec.minimum),
        "maximum": _pack_bound(spec.maximum),
        "name": spec.name,
        "kind": spec.kind,
        "num_stacked": spec.num_stacked,
    }


def unpack_spec(value: Any) -> specs.Spec:
    """Returns the nest of specs that `pack_spec` was given."""
    if "dict" in value:
        return {key: unpack_spec(part) for key, part in value["dict"].items()}
    if "tuple" in value:
        return tuple(unpack_spec(part) for part in value["tuple"])
    shape, dtype = tuple(value["shape"]), np.dtype(value["dtype"])
    return specs.ArraySpec(
        shape,
        dtype,
        _unpack_bound(value["minimum"], shape, dtype),
        _unpack_bound(value["maximum"], shape, dtype),
        value["name"],
        value["kind"],
        value["num_stacked"],
    )


def pack_telemetry(spec: dict[str, specs.TelemetrySpec]) -> Any:
    """Returns a telemetry spec as what JSON can hold."""
    return {
        name: [part.unit, part.reduce, np.dtype(part.dtype).str, part.summary]
        for name, part in spec.items()
    }


def unpack_telemetry(value: Any) -> dict[str, specs.TelemetrySpec]:
    """Returns the telemetry spec that `pack_telemetry` was given."""
    return {
        name: specs.TelemetrySpec(unit, reduce, np.dtype(dtype), summary)
        for name, (unit, reduce, dtype, summary) in value.items()
    }


def _pack_bound(bound: Any) -> Any:
    if bound is None:
        return None
    # The bounds of a picture are one number many times over.
    flat = np.unique(bound)
    packed = flat if flat.size == 1 else bound
    return base64.b64encode(np.ascontiguousarray(packed).tobytes()).decode("ascii")


def _unpack_bound(value: Any, shape: Any, dtype: Any) -> Any:
    if value is None:
        return None
    flat = np.frombuffer(base64.b64decode(value), dtype)
    return flat.reshape(shape) if flat.size != 1 or shape == () else flat[0]
