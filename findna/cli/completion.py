"""``findna completion``."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from findna.cli._output import print_text


@click.command(short_help="A script that completes findna's words in your shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the script with which a shell completes commands, options and their values.

    Values are words to choose from, files, and names of models and tasks: those that ship, one's
    own and those of $FINDNA_PATH. bash needs version 4.4 or newer. Start a new shell afterwards;
    zsh must run compinit in ~/.zshrc.

    \b
    Examples:
      echo 'eval "$(findna completion bash)"' >> ~/.bashrc
      echo 'eval "$(findna completion zsh)"' >> ~/.zshrc
      findna completion fish > ~/.config/fish/completions/findna.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    main = click.get_current_context().find_root().command
    print_text(kind(main, {}, "findna", "_FINDNA_COMPLETE").source().rstrip())
