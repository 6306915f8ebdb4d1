"""The command line: parse, call the library once, print. Importing it does not load torch."""

from __future__ import annotations

import errno
import importlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from findna import __version__
from findna.console import printable
from findna.errors import LONGEST_MESSAGE, FindnaError, did_you_mean

COMMANDS = (
    *("embed", "search", "predict", "scan", "variants", "explain", "plot", "merge"),
    *("validate", "verify", "selftest"),
    *("finetune", "evaluate", "tasks", "pretrain", "models", "completion"),
)
"""Each command, and the module that holds it, in the order in which a newcomer needs them."""

EXIT_CODES = """\b
Exit codes:
  0    done
  1    bad data, or a failed run
  2    wrong usage
  3    training collapsed; the last good checkpoint is kept
  130  interrupted
"""

ENVIRONMENT = """\b
Environment:
  FINDNA_HOME       folder of one's own tasks/ and models/ [~/.local/share/findna]
  FINDNA_PATH       more such folders, divided by colons, that a lab shares
  FINDNA_PRECISION  precision that --precision auto takes: fp32 or bf16
  XDG_CACHE_HOME    folder of the cache findna/: indexes, vectors of evaluate [~/.cache]
"""

INTERRUPTED = 130

_NO_SPACE = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)


def _version(context: click.Context, _: click.Parameter, value: bool) -> None:
    if not value or context.resilient_parsing:
        return
    from importlib.metadata import version

    from pysam.version import __htslib_version__

    click.echo(f"findna {__version__}\ntorch {version('torch')}\nhtslib {__htslib_version__}")
    context.exit()


class FindnaGroup(click.Group):
    """Commands that are loaded when they are named, and errors as one line and an exit code."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Return the names of the commands, in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """Return a command from its module, or None."""
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"findna.cli.{name}")
        command: click.Command = getattr(module, name)
        return command

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command that is named; of an unknown one say which may be meant."""
        name = args[0]
        if name in COMMANDS or name.startswith("-") or context.resilient_parsing:
            return super().resolve_command(context, args)
        raise click.UsageError(f"No such command {name!r}{did_you_mean(name, COMMANDS)}", context)

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        """Parse the command line; names and texts that are not UTF-8 are refused."""
        for word in args:
            try:
                word.encode()
            except UnicodeEncodeError as error:
                raise click.UsageError(
                    f"{word!a} is not UTF-8: rename the file, or write the text in UTF-8"
                ) from error
        with _errors_as_lines(context):  # --help and --version print here
            return super().parse_args(context, args)

    def invoke(self, context: click.Context) -> Any:
        """Run a command."""
        with _errors_as_lines(context):
            return super().invoke(context)


@contextmanager
def _errors_as_lines(context: click.Context) -> Iterator[None]:
    """Turn errors into a line and an exit code; the one place that does."""
    try:
        yield
        if sys.stdout is not None:
            sys.stdout.flush()
    except KeyboardInterrupt:
        code = _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader has had enough, as in `| head`
        _drop_stdout()
        code = 0
    except click.MissingParameter as error:
        given = error.param
        if isinstance(given, click.Option) and not given.type.get_missing_message(given, None):
            what = error.message or given.help  # not the name alone
            raise click.MissingParameter(what, error.ctx, given) from None
        raise
    except (FindnaError, OSError, MemoryError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and not _is_out_of_memory(error):
            raise
        logging.getLogger("findna").debug("traceback", exc_info=True)
        code = _fail(_describe(error), getattr(error, "exit_code", 1))
        _drop_stdout()
    else:
        return
    context.exit(code)


def outcome(error: BaseException) -> tuple[int, str]:
    """Return the exit code that an error leads to, and what is said of it, if anything."""
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED, "interrupted"
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code, ""
    if isinstance(error, BrokenPipeError):
        return 0, ""
    if isinstance(error, click.ClickException):
        return error.exit_code, error.format_message()
    return getattr(error, "exit_code", 1), _describe(error)


def _drop_stdout() -> None:
    """Send what cannot be written nowhere: the interpreter's last flush would complain."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _is_out_of_memory(error: BaseException) -> bool:
    """Return True if memory ran out; torch then raises a RuntimeError, on a CPU and on a GPU."""
    text = str(error)
    return isinstance(error, MemoryError) or "out of memory" in text or "allocate memory" in text


def _describe(error: BaseException) -> str:
    if _is_out_of_memory(error):
        return "out of memory; lower --max-tokens (or --batch-tokens), or leave out --whole"
    if isinstance(error, OSError) and error.strerror:
        text = error.strerror
        if error.filename:
            text = f"{error.filename}: {text}"
        elif error.errno in _NO_SPACE:
            text = f"cannot write the output: {text}"
    else:
        text = " ".join(str(error).split()) or type(error).__name__
    text = printable(text)
    return text if len(text) <= LONGEST_MESSAGE + 3 else text[:LONGEST_MESSAGE] + "..."


def _fail(message: str, code: int) -> int:
    if sys.stderr is not None:
        click.echo(f"findna: {message}", err=True)
    return code


def _stop_at_once(number: int, _: Any) -> None:
    """Leave while libraries are being loaded: an exception inside them would not come out well."""
    os.write(2, b"findna: interrupted\n")
    os._exit(INTERRUPTED)


def on_interrupt(handler: Any) -> None:
    """Handle Ctrl-C, SIGTERM and SIGHUP alike, unless they are ignored (as under nohup)."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


@click.group(
    cls=FindnaGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=f"{EXIT_CODES}\n{ENVIRONMENT}",
)
@click.option(
    "--version",
    is_flag=True,
    expose_value=False,
    is_eager=True,
    callback=_version,
    help="Show the versions of findna, torch and htslib.",
)
def main() -> None:
    """Embed and annotate DNA with a self-distilled language model.

    Reads FASTA, BED and VCF; writes embeddings to HDF5 that opens in scanpy and plain h5py,
    predictions to annotated BED and genome tracks, and scores of variants to VCF.

    \b
    Examples:
      findna embed genome.fa regions.bed -o regions.h5
      zcat peaks.bed.gz | findna predict genome.fa - --task promoter --window 300
      findna scan genome.fa --task promoter -o promoter.bw
      findna variants genome.fa calls.vcf.gz -o scored.vcf.gz
      findna finetune --task mine --train labelled.csv
      findna pretrain genome.fa -o model/
    """
    on_interrupt(_stop_at_once)
