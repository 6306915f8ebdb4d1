"""Settings as frozen dataclasses, and their way from and to YAML and JSON.

One field is one YAML key and one command-line option; its default and its help are written in the
dataclass and nowhere else. Unknown keys are errors.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import yaml

from findna.errors import ConfigError

ConfigT = TypeVar("ConfigT")


def setting(default: Any, help: str, choices: tuple[str, ...] | None = None) -> Any:
    """Declare a field with its default, its help text and, if it has them, its choices."""
    return field(default=default, metadata={"help": help, "choices": choices})


def check(condition: bool, message: str) -> None:
    """Raise ConfigError unless a condition holds."""
    if not condition:
        raise ConfigError(message)


_LARGEST = 2**53  # exact in JSON readers, and no digits to fill a screen in a message


def check_values(config: Any) -> None:
    """Check what holds for every field: a known choice, a finite number of usual size."""
    for item in dataclasses.fields(config):
        name, choices, value = item.name, item.metadata.get("choices"), getattr(config, item.name)
        if choices:
            check(value in choices, f"{name} must be one of {', '.join(choices)}, not {value!r}")
        if isinstance(value, int | float):
            check(abs(value) <= _LARGEST, f"{name} must be a finite number of usual size")


def _coerce(name: str, value: Any, hint: Any) -> Any:
    """Check a plain value from YAML or JSON against a field's annotation."""
    if get_origin(hint) is tuple:
        items = value if isinstance(value, list | tuple) else [value]
        return tuple(_coerce(name, item, get_args(hint)[0]) for item in items)
    if hint is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        try:
            return float(value)  # of text too: YAML 1.1 reads 3e-4 as a string
        except (ValueError, OverflowError):
            pass
    if isinstance(value, hint) and isinstance(value, bool) == (hint is bool):
        return value
    raise ConfigError(f"{name} must be of type {getattr(hint, '__name__', hint)}, not {value!r}")


def from_dict(kind: type[ConfigT], values: Mapping[str, Any]) -> ConfigT:
    """Build a configuration from plain values, nested where a field is itself a configuration.

    Raises
    ------
    ConfigError
        A key is unknown, or a value has the wrong type or lies out of range.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{kind.__name__} must be a mapping of names to values, not {values!r}")
    hints = get_type_hints(kind)
    unknown = sorted(str(key) for key in values if key not in hints)
    if unknown:
        raise ConfigError(f"unknown setting {unknown[0]!r}; known are {', '.join(sorted(hints))}")
    arguments = {
        name: from_dict(hints[name], value)
        if dataclasses.is_dataclass(hints[name])
        else _coerce(name, value, hints[name])
        for name, value in values.items()
    }
    return kind(**arguments)


def to_dict(config: Any) -> dict[str, Any]:
    """Return plain nested values of a configuration, ready for YAML or JSON."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in dataclasses.asdict(config).items()
    }


def merge(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested values; later layers win, section by section.

    Raises
    ------
    ConfigError
        A key is a section in one layer and a plain value in another.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            before = merged.get(key)
            if before is not None and isinstance(before, Mapping) != isinstance(value, Mapping):
                raise ConfigError(f"{key} must be a mapping of names to values in every source")
            merged[key] = merge(before or {}, value) if isinstance(value, Mapping) else value
    return merged


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the settings of a YAML file; an empty file is an empty mapping.

    Raises
    ------
    ConfigError
        The file is not YAML or does not hold a mapping.
    """
    try:
        values = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path}: not a YAML file: {reason}") from error
    if not isinstance(values, dict | None):
        raise ConfigError(f"{path}: expected 'name: value' lines")
    return values or {}
