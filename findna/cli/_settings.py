"""Options made from the fields of a configuration, so that neither can lack what the other has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import click

from findna.settings import from_dict

Config = TypeVar("Config")


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


def _with_default(item: dataclasses.Field[Any]) -> str:
    """Return a field's help and default."""
    text = item.metadata["help"]
    return f"{text[0].upper()}{text[1:]}.  [default: {item.default}]"


def _settings(kind: type) -> list[dataclasses.Field[Any]]:
    """Return the fields of a configuration that are settings, not sections of settings."""
    return [item for item in dataclasses.fields(kind) if "help" in item.metadata]


def setting_options(
    kind: type, help_of: Callable[[dataclasses.Field[Any]], str] = _with_default
) -> Callable[[Any], Any]:
    """Return a decorator that adds one option per setting of a configuration.

    An option's value is None, or an empty tuple, unless it is given.

    Parameters
    ----------
    help_of : callable, optional
        Help of an option; a field's own and its default unless given.
    """

    def apply(command: Any) -> Any:
        hints = get_type_hints(kind)
        for item in reversed(_settings(kind)):
            hint: Any = hints[item.name]
            repeatable = get_origin(hint) is tuple
            choices = item.metadata["choices"]
            name = item.name.replace("_", "-")
            command = click.option(
                f"--{name}/--no-{name}" if hint is bool else f"--{name}",
                item.name,
                type=click.Choice(choices)
                if choices
                else get_args(hint)[0]
                if repeatable
                else hint,
                multiple=repeatable,
                cls=SettingOption,
                default=None,
                help=help_of(item),
            )(command)
        return command

    return apply


def removed_options(messages: Mapping[str, str]) -> Callable[[Any], Any]:
    """Return a decorator that adds options which do nothing but say that they were removed.

    Parameters
    ----------
    messages : mapping
        What is said of each setting, by its name.
    """

    def refuse(_: click.Context, parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            raise click.UsageError(messages[str(parameter.name)])

    def apply(command: Any) -> Any:
        for name in messages:
            flag = f"--{name.replace('_', '-')}"
            command = click.option(flag, name, hidden=True, expose_value=False, callback=refuse)(
                command
            )
        return command

    return apply


def needing_mode_full(kind: type[Config], options: Mapping[str, Any]) -> Config:
    """Return the configuration that was given; without ``--mode full`` no setting may be."""
    given = settings_of(kind, options)
    if given and options["mode"] != "full":
        raise click.UsageError(f"--{next(iter(given)).replace('_', '-')} needs --mode full")
    return from_dict(kind, given)


def settings_of(kind: type, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings that were given on the command line."""
    names = [item.name for item in _settings(kind)]
    return {name: values[name] for name in names if values[name] not in (None, ())}
