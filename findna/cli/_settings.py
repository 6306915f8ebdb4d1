"""Options made from the fields of a configuration, so that neither can lack what the other has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import click

from findna.cli._options import Decorator, option_group
from findna.settings import from_dict

Config = TypeVar("Config")


class SettingOption(click.Option):
    """An option that is a field of a configuration."""


class GroupedCommand(click.Command):
    """A command whose help shows settings apart from other options, under a title of their own."""

    def __init__(self, *arguments: Any, settings_title: str, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.settings_title = settings_title

    def format_options(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        """Write two lists of options in place of one."""
        for title, settings in (("Options", False), (self.settings_title, True)):
            records = [
                parameter.get_help_record(context)
                for parameter in self.get_params(context)
                if isinstance(parameter, click.Option)
                and isinstance(parameter, SettingOption) is settings
            ]
            with formatter.section(title):
                formatter.write_dl([record for record in records if record])


def _with_default(item: dataclasses.Field[Any]) -> str:
    """Return a field's help and default."""
    text = item.metadata["help"]
    return f"{text[0].upper()}{text[1:]}.  [default: {item.default}]"


def _settings(kind: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of a configuration that are settings, not sections of settings."""
    return [item for item in dataclasses.fields(kind) if "help" in item.metadata]


def setting_options(
    kind: type, help_of: Callable[[dataclasses.Field[Any]], str] = _with_default
) -> Decorator:
    """Return a decorator that adds one option per setting of a configuration.

    An option's value is None, or an empty tuple, unless it is given. ``help_of`` makes its help.
    """
    options, hints = [], get_type_hints(kind)
    for item in _settings(kind):
        hint, choices = hints[item.name], item.metadata["choices"]
        repeatable = get_origin(hint) is tuple
        if choices:
            value: Any = click.Choice(choices)
        else:
            value = get_args(hint)[0] if repeatable else hint
        name = item.name.replace("_", "-")
        options.append(
            click.option(
                f"--{name}/--no-{name}" if hint is bool else f"--{name}",
                item.name,
                type=value,
                multiple=repeatable,
                cls=SettingOption,
                default=None,
                help=help_of(item),
            )
        )
    return option_group(*options)


def removed_options(messages: Mapping[str, str]) -> Decorator:
    """Return a decorator that adds settings that were removed: each, if given, is its message."""

    def refuse(_: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(messages[str(parameter.name)])

    options: dict[str, Any] = {"hidden": True, "expose_value": False, "callback": refuse}
    flags = {name: f"--{name.replace('_', '-')}" for name in messages}
    return option_group(*(click.option(flag, name, **options) for name, flag in flags.items()))


def needing_mode_full(kind: type[Config], options: Mapping[str, Any]) -> Config:
    """Return the configuration that was given; without ``--mode full`` no setting may be."""
    given = settings_of(kind, options)
    if given and options["mode"] != "full":
        raise click.UsageError(f"--{next(iter(given)).replace('_', '-')} needs --mode full")
    return from_dict(kind, given)


def settings_of(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that were given on the command line."""
    names = [item.name for item in _settings(kind)]
    return {name: values[name] for name in names if values[name] not in (None, ())}
