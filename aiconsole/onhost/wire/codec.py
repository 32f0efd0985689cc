"""JSON out of the shapes and, strictly, back into them."""

from __future__ import annotations

import dataclasses
import math
import types
from typing import Any, Literal, TypeVar, cast, get_args, get_origin, get_type_hints

from aiconsole.onhost.wire.plan import STEP_KINDS, Step

_HINTS: dict[Any, dict[str, Any]] = {}
"""Resolved annotations of each shape; resolving them again costs 50 µs a line."""


class WireError(ValueError):
    """What came over the line is not one of the shapes of this room."""


def to_json(value: Any) -> Any:
    """Turn a shape of this file into what `json.dumps` takes; steps carry their `kind`."""
    if isinstance(value, Step):
        shallow = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": value.kind, **shallow}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_json(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_json(item) for key, item in value.items()}
    return value


T = TypeVar("T")


def from_json(shape: type[T], value: Any) -> T:
    """Read a shape of this file back, strictly.

    Raises:
        WireError: A key is missing, unknown, or of another type; the message names its path.
    """
    return cast(T, _read(shape, value, shape.__name__))


def _read(shape: Any, value: Any, where: str) -> Any:
    if isinstance(shape, type) and dataclasses.is_dataclass(shape):
        return _read_dataclass(shape, value, where)
    origin, args = get_origin(shape), get_args(shape)
    if origin is types.UnionType:
        # The only union on the wire is `X | None`: None is a reading that nobody has.
        return None if value is None else _read(args[0], value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise WireError(f"{where}: expected a list, got {type(value).__name__}")
        return tuple(_read(args[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Literal:
        if value not in args:
            raise WireError(f"{where}: {value!r} is none of {', '.join(map(str, args))}")
        return value
    if shape is Any:
        return value
    if shape is float and type(value) in (int, float):
        return _read_float(value, where)
    if origin is dict and isinstance(value, dict):
        return {key: _read(args[1], item, f"{where}.{key}") for key, item in value.items()}
    plain = origin or shape
    if not isinstance(value, plain) or (plain is not bool and isinstance(value, bool)):
        raise WireError(f"{where}: expected {plain.__name__}, got {type(value).__name__}")
    return value


def _read_float(value: float, where: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise WireError(f"{where}: {value!r:.20} is not a finite number")
    return number


def _read_dataclass(shape: type[Any], value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise WireError(f"{where}: expected an object, got {type(value).__name__}")
    given = dict(value)
    if issubclass(shape, Step):
        kind = given.pop("kind", "")
        if kind not in STEP_KINDS:
            raise WireError(f"{where}: unknown kind of step {kind!r}")
        shape = STEP_KINDS[kind]
    hints = _hints(shape)
    fields = {f.name: f for f in dataclasses.fields(shape)}
    if unknown := given.keys() - fields.keys():
        raise WireError(f"{where}: unknown key {sorted(unknown)[0]!r}")
    for name, spec in fields.items():
        required = (
            spec.default is dataclasses.MISSING and spec.default_factory is dataclasses.MISSING
        )
        if required and name not in given:
            raise WireError(f"{where}: {name!r} is missing")
    return shape(**{k: _read(hints[k], v, f"{where}.{k}") for k, v in given.items()})


def _hints(shape: Any) -> dict[str, Any]:
    if shape not in _HINTS:
        _HINTS[shape] = get_type_hints(shape)
    return _HINTS[shape]
