"""Options made from the fields of a configuration, so that neither can lack what the other has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import click


class SettingOption(click.Option):
    """An option that is a field of a configuration."""


class GroupedCommand(click.Command):
    """Shows the settings of a configuration apart from the other options.

    Parameters
    ----------
    settings_title : str
        Heading of that part of the help.
    """

    def __init__(self, *arguments: Any, settings_title: str = "Settings", **more: Any) -> None:
        super().__init__(*arguments, **more)
        self.settings_title = settings_title

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write two lists of options in place of one."""
        plain: list[tuple[str, str]] = []
        settings: list[tuple[str, str]] = []
        for parameter in self.get_params(context):
            record = parameter.get_help_record(context)
            if record:
                (settings if isinstance(parameter, SettingOption) else plain).append(record)
        with formatter.section("Options"):
            formatter.write_dl(plain)
        with formatter.section(self.settings_title):
            formatter.write_dl(settings)


def setting_options(kind: type) -> Callable[[Any], Any]:
    """One option per field of a configuration, its default shown but not set."""

    def apply(command: Any) -> Any:
        hints = get_type_hints(kind)
        for item in reversed(dataclasses.fields(kind)):
            said = item.metadata["help"]
            command = click.option(
                f"--{item.name.replace('_', '-')}",
                item.name,
                type=hints[item.name],
                cls=SettingOption,
                default=None,
                help=f"{said[0].upper()}{said[1:]}.  [default: {item.default}]",
            )(command)
        return command

    return apply


def settings_of(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Those settings that were given on the command line."""
    names = [item.name for item in dataclasses.fields(kind)]
    return {name: values[name] for name in names if values[name] is not None}
