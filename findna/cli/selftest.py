"""``findna selftest``."""

from __future__ import annotations

import click

from findna.cli import _options
from findna.cli._output import print_checks, print_text


@click.command(short_help="Does findna compute here what it should?")
@_options.device
@_options.as_json
@_options.verbosity
def selftest(device: str, as_json: bool) -> None:
    """Check the weights that ship, and what they give on this machine and device.

    One line per check: ok or FAILED, what was measured (a relative difference of vectors) and the
    most that passes. It ends with 1 if a check failed. docs/checks.md describes each.

    \b
    Examples:
      findna selftest
      findna selftest --device cuda --json > selftest.json
    """
    from findna.commands.selftest import selftest as run
    from findna.commands.selftest import versions
    from findna.model.devices import describe, resolve_device

    _options.begin()
    about = {"versions": versions(), "device": describe(resolve_device(device))}
    if not as_json:
        print_text(", ".join(f"{name} {number}" for name, number in versions().items()))
        print_text(f"device: {about['device']}")
    print_checks(about, run(device), as_json)
