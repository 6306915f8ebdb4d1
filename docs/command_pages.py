"""Pages of the command line, one per command, from the commands themselves.

They are written in place of sphinx-click's, which wraps examples and does not know the second list
of options that `findna pretrain` and `findna finetune` have. man_pages.py makes man pages of them.
"""

import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import click

from findna.cli import COMMANDS, main
from findna.cli._settings import GroupedCommand, SettingOption

_MARKS = re.compile(r"([\\`*_{}\[\]<>#|$~])")  # of Markdown


def write_pages(folder: Path) -> None:
    """Write NAME.md for every command; a page that is as it should be is left alone."""
    folder.mkdir(parents=True, exist_ok=True)
    root = root_context()
    for name in COMMANDS:
        command = main.get_command(root, name)
        assert command is not None
        text = "\n".join(_page(click.Context(command, root, name), 1)) + "\n"
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text() != text:
            path.write_text(text)


def root_context() -> click.Context:
    """The context of findna itself."""
    return click.Context(main, info_name="findna", **main.context_settings)


def _page(context: click.Context, level: int) -> list[str]:
    """Lines of one command, and of its subcommands below it."""
    command, name = context.command, context.command_path
    lines = [f"{'#' * level} {name}", "", *_prose(command.help or "", first=True)]
    usage = " ".join(command.collect_usage_pieces(context))
    lines += ["```text", f"{name} {usage}", "```", ""]
    lines += _prose(command.help or "", first=False)
    lines += [f"```{{program}} {name}", "```", ""]
    for title, options in option_lists(context):
        lines += [f"{'#' * (level + 1)} {title}", ""]
        for words, said in options:
            lines += [f"````{{option}} {words}", _plain(said), "````", ""]
    for below in subcommands(context):
        lines += _page(below, level + 1)
    return lines


def subcommands(context: click.Context) -> Iterator[click.Context]:
    """Contexts of the commands of a group; nothing of another command."""
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield click.Context(found, context, name)


def option_lists(context: click.Context) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """Title of each list of options, and words and help of each option."""
    command = context.command
    options = [one for one in command.get_params(context) if isinstance(one, click.Option)]
    titles = {False: "Options"}
    if isinstance(command, GroupedCommand):
        titles[True] = command.settings_title
    for is_setting, title in titles.items():
        chosen = [one for one in options if isinstance(one, SettingOption) is is_setting]
        records = [one.get_help_record(context) for one in chosen]
        yield title, [record for record in records if record is not None]


def paragraphs(text: str) -> Iterator[tuple[str, list[str]]]:
    """Title and lines of each paragraph; without a title its lines are to be wrapped."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.lstrip().startswith(("\b", "\\b")):  # click's mark: lines stay as they are
            _, title, *block = paragraph.split("\n")
            yield title.strip(), textwrap.dedent("\n".join(block)).split("\n")
        else:
            yield "", paragraph.split("\n")


def _prose(text: str, *, first: bool) -> list[str]:
    """The first paragraph of a help text, or the others, as Markdown."""
    found = list(paragraphs(text))
    lines: list[str] = []
    for title, block in found[:1] if first else found[1:]:
        if title:
            lines += [_plain(title), "", "```bash", *block, "```", ""]
        else:
            lines += [_plain(" ".join(" ".join(block).split())), ""]
    return lines


def _plain(text: str) -> str:
    return _MARKS.sub(r"\\\1", text)
