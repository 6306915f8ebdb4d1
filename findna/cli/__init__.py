"""The command line: parse, call the library once, print. Importing it does not load torch."""

from __future__ import annotations

import importlib
import logging
import os
import signal
import sys
from typing import Any

import click

from findna.errors import FindnaError

COMMANDS = {"embed": "embed", "pretrain": "pretrain", "models": "models"}
"""Name of each command and the module that holds it."""

EXIT_CODES = """\b
Exit codes:
  0    done
  1    bad data, or a failed run
  2    wrong usage
  3    training collapsed; the last good checkpoint is kept
  130  interrupted
"""

INTERRUPTED = 130


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from importlib.metadata import PackageNotFoundError, version

    from findna import __version__

    def of(package: str) -> str:
        try:
            return version(package)
        except PackageNotFoundError:
            return "not installed"

    try:
        from pysam.version import __htslib_version__ as htslib
    except ImportError:
        htslib = "not installed"
    click.echo(f"findna {__version__}\ntorch {of('torch')}\nhtslib {htslib}")
    context.exit()


class FindnaGroup(click.Group):
    """Loads each command when it is named, and turns errors into one line and an exit code."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Commands in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Import the module of a command."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"findna.cli.{COMMANDS[name]}")
        command: click.Command = getattr(module, name)
        return command

    def invoke(self, context: click.Context) -> Any:
        """Run a command; the one place where errors become a line and an exit code."""
        try:
            result = super().invoke(context)
            sys.stdout.flush()
            return result
        except KeyboardInterrupt:
            code = _fail("interrupted", INTERRUPTED)
        except BrokenPipeError:
            # the reader has had enough, as in `| head`; stdout is replaced so that the
            # interpreter's last flush does not complain either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = 0
        except (FindnaError, OSError, MemoryError) as error:
            logging.getLogger("findna").debug("traceback", exc_info=True)
            code = _fail(_describe(error), getattr(error, "exit_code", 1))
        context.exit(code)


def _describe(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return "out of memory; lower --max-tokens"
    return " ".join(str(error).split()) or type(error).__name__


def _fail(message: str, code: int) -> int:
    click.echo(f"findna: {message}", err=True)
    return code


@click.group(
    cls=FindnaGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=EXIT_CODES,
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version,
    help="Show the versions of findna, torch and htslib.",
)  # fmt: skip
def main() -> None:
    """Embed DNA with a self-distilled language model.

    Reads FASTA and BED, writes HDF5 that opens in scanpy and plain h5py.

    \b
    Examples:
      findna embed genome.fa regions.bed -o regions.h5
      zcat peaks.bed.gz | findna embed genome.fa - -O tsv | head
      findna pretrain genome.fa -o model/
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
