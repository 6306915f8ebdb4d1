"""Man pages of every command, from the commands themselves: findna(1), findna-embed(1), ...

setup.py makes them when findna is built, so that they say what the commands say. To see one:

    python docs/man_pages.py build/man && man -l build/man/findna-embed.1
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click
from command_pages import option_lists, paragraphs, root_context, subcommands

from findna import __version__


def write_man_pages(folder: Path) -> list[Path]:
    """Write the page of every command and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for context in _every(root_context()):
        paths.append(folder / f"{_name(context)}.1")
        paths[-1].write_text("\n".join(_page(context)) + "\n", encoding="utf-8")
    return paths


def _every(context: click.Context) -> Iterator[click.Context]:
    """A command and those below it."""
    yield context
    for below in subcommands(context):
        yield from _every(below)


def _name(context: click.Context) -> str:
    return context.command_path.replace(" ", "-")


def _short(context: click.Context) -> str:
    return context.command.get_short_help_str(limit=200)


def _page(context: click.Context) -> list[str]:
    command, name = context.command, _name(context)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [
        f'.TH "{_roff(name.upper())}" 1 "" "findna {__version__}" "findna"',
        *(".SH NAME", f"{_roff(name)} \\- {_roff(_short(context).rstrip('.'))}"),
        *(".SH SYNOPSIS", f".B {_roff(context.command_path)}", _roff(usage)),
        ".SH DESCRIPTION",
    ]
    text = "\n\n".join(part for part in (command.help, command.epilog) if part)
    blocks = []
    for title, block in paragraphs(text):
        if title:
            blocks += [f".SH {_roff(title.rstrip(':').upper())}", ".nf", *map(_roff, block), ".fi"]
        else:
            lines += [".PP"] * (lines[-1] != ".SH DESCRIPTION")
            lines += [_roff(line.strip()) for line in block]
    below = list(subcommands(context))
    if below:
        lines.append(".SH COMMANDS")
    for other in below:
        lines += [".TP", f".BR {_roff(_name(other))} (1)", _roff(_short(other))]
    for number, (title, options) in enumerate(option_lists(context)):
        lines.append(f".SS {_roff(title)}" if number else ".SH OPTIONS")
        for words, said in options:
            lines += [".TP", f".B {_roff(words)}", _roff(" ".join(said.split()))]
    related = [context.parent] if context.parent else []
    seen = ", ".join(f"{_roff(_name(other))}(1)" for other in related + below)
    return [*lines, *blocks, ".SH SEE ALSO", seen]


def _roff(text: str) -> str:
    """Text with what roff would obey escaped; hyphens stay what one can copy and search for."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return re.sub(r"^(?=[.'])", r"\\&", text)


if __name__ == "__main__":
    write_man_pages(Path(sys.argv[1]))
