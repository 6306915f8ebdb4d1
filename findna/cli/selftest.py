"""``findna selftest``."""

from __future__ import annotations

import click

from findna.cli import _options
from findna.cli._output import print_checks, print_facts


@click.command(short_help="Does findna compute here what it should?")
@_options.device
@_options.as_json
@_options.verbosity
def selftest(device: str, as_json: bool) -> None:
    """Check the weights that ship, and what they give on this machine and device.

    It begins with the environment: versions, devices, what the CPU has units for, the cache, and
    the folders of models and tasks. Then one line per check: ok or FAILED, what was measured (a
    relative difference of vectors) and the most that passes. It ends with 1 if a check failed.
    docs/checks.md describes each.

    \b
    Examples:
      findna selftest
      findna selftest --device cuda --json > selftest.json
      findna selftest | grep versions > versions.tsv
    """
    from findna.commands.selftest import environment
    from findna.commands.selftest import selftest as run

    _options.begin()
    about = environment(device)
    if not as_json:
        print_facts(about)
    print_checks(about | {"device": about["compute"]["device"]}, run(device), as_json)
