"""Pages of the command line, one per command, from the commands themselves.

They are written in place of sphinx-click's, which wraps examples and does not know the second list
of options that `findna pretrain` and `findna finetune` have.
"""

import inspect
import re
import textwrap
from pathlib import Path

import click

from findna.cli import COMMANDS, main
from findna.cli._settings import GroupedCommand, SettingOption

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|$~])")  # of Markdown


def write_pages(folder: Path) -> None:
    """Write NAME.md for every command; a page that is as it should be is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    root = click.Context(main, info_name="findna", **main.context_settings)
    for name in COMMANDS:
        command = main.get_command(root, name)
        assert command is not None
        text = "\n".join(_page(click.Context(command, root, name), 1)) + "\n"
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def _page(context: click.Context, level: int) -> list[str]:
    """Lines of one command, and of its subcommands below it."""
    command, name = context.command, context.command_path
    lines = [f"{'#' * level} {name}", "", *_prose(command.help or "", first=True)]
    usage = " ".join(command.collect_usage_pieces(context))
    lines += ["```text", f"{name} {usage}", "```", ""]
    lines += _prose(command.help or "", first=False)
    options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    lines += [f"```{{program}} {name}", "```", ""]
    titles = {False: "Options"}
    if isinstance(command, GroupedCommand):
        titles[True] = command.settings_title
    for is_setting, title in titles.items():
        lines += [f"{'#' * (level + 1)} {title}", ""]
        for option in options:
            record = option.get_help_record(context)
            if record is not None and isinstance(option, SettingOption) is is_setting:
                lines += [f"````{{option}} {record[0]}", _plain(record[1]), "````", ""]
    if isinstance(command, click.Group):
        for sub in command.list_commands(context):
            found = command.get_command(context, sub)
            assert found is not None
            lines += _page(click.Context(found, context, sub), level + 1)
    return lines


def _prose(text: str, *, first: bool) -> list[str]:
    """The first paragraph of a help text, or the others, as Markdown."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    lines: list[str] = []
    for paragraph in paragraphs[:1] if first else paragraphs[1:]:
        if paragraph.lstrip().startswith(("\b", "\\b")):  # click's mark: lines stay as they are
            _, title, *block = paragraph.split("\n")
            code = textwrap.dedent("\n".join(block)).split("\n")
            lines += [_plain(title.strip()), "", "```bash", *code, "```", ""]
        else:
            lines += [_plain(" ".join(paragraph.split())), ""]
    return lines


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)
