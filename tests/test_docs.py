"""Every page has its place in the site, and the commands that its guides show are commands."""

import re
import shlex
from pathlib import Path

import click
import pytest

from findna.cli import COMMANDS, main

DOCS = Path(__file__).parents[1] / "docs"
MADE = DOCS / "reference" / "commands"  # written when the site is built
GUIDES = sorted([*(DOCS / "guides").glob("*.md"), DOCS / "start.md"])


def pages_below(page):
    """Pages that the toctrees of a page name, at any depth."""
    for block in re.findall(r"```\{toctree\}\n(.*?)```", page.read_text(), re.S):
        for line in block.splitlines():
            if line and not line.startswith(":"):
                name = re.sub(r".*<(.*)>", r"\1", line)
                below = (page.parent / f"{name}.md").resolve()
                yield below
                if MADE not in below.parents:
                    yield from pages_below(below)


def test_every_page_is_in_the_site():
    named = list(pages_below(DOCS / "index.md"))
    there = {page for page in DOCS.rglob("*.md") if MADE not in page.parents}
    made = [MADE / f"{name}.md" for name in COMMANDS]
    assert [page for page in named if page.parent == MADE] == made
    assert len(named) == len(set(named))
    assert set(named) - set(made) == there - {DOCS / "index.md"}


def test_links_of_the_site_lead_somewhere():
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_commands_of_the_guides_parse(page):
    commands = re.findall(r"^(?:    |\$ |.*(?:; do|\|) )findna (.*)$", page.read_text(), re.M)
    assert commands
    for text in commands:
        words = shlex.split(re.split(r" [|>;] |; | [|>] ", text)[0])
        command = main
        context = click.Context(main, **main.context_settings)
        while isinstance(command, click.Group):
            command = command.get_command(context, words.pop(0))
            assert command is not None, text
        command.make_parser(click.Context(command, context)).parse_args(
            words
        )  # unknown options raise
