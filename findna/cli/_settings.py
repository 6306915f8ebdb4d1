"""Options made from the fields of a configuration, so that neither can lack what the other has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import click


def setting_options(kind: type, prefix: str = "") -> Callable[[Any], Any]:
    """One option per field of a configuration, its default shown but not set."""

    def apply(command: Any) -> Any:
        hints = get_type_hints(kind)
        for item in reversed(dataclasses.fields(kind)):
            command = click.option(
                f"--{item.name.replace('_', '-')}",
                item.name,
                type=hints[item.name],
                default=None,
                help=f"{prefix}{item.metadata['help'].capitalize()}.  [default: {item.default}]",
            )(command)
        return command

    return apply


def settings_of(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that were given on the command line."""
    names = [item.name for item in dataclasses.fields(kind)]
    return {name: values[name] for name in names if values[name] is not None}
