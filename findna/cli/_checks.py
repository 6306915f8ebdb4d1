"""Checks as lines for people, or as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from findna.commands.checks import Check


def print_checks(about: Mapping[str, Any], checks: Iterable[Check], as_json: bool) -> None:
    """Print each check as it comes, or all as one JSON object; exit with 1 if one failed."""
    done = []
    for check in checks:
        done.append(check)
        if not as_json:
            click.echo(_line(check))
    passed = all(check.passed is not False for check in done)
    if as_json:
        rows = [{**asdict(check), "measured": _number(check.measured)} for check in done]
        click.echo(json.dumps({**about, "checks": rows, "passed": passed}))
    if not passed:
        click.get_current_context().exit(1)


def _number(value: float | None) -> float | None:
    """A value that JSON can hold."""
    return value if value is not None and math.isfinite(value) else None


def _line(check: Check) -> str:
    word, colour = {True: ("ok", "green"), False: ("FAILED", "red"), None: ("-", "yellow")}[
        check.passed
    ]
    numbers = ""
    if check.measured is not None:
        numbers = f"{check.measured:.1e} (at most {check.tolerance:.0e})  "
    return f"{click.style(f'{word:6}', fg=colour)}  {check.name:12}  {numbers}{check.said}"
