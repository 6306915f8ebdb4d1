"""Options that more than one command has; declared once, so that they cannot drift."""

from __future__ import annotations

import dataclasses
import functools
import os
import shlex
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from findna import console, places
from findna.cli import on_interrupt
from findna.cli._summary import note
from findna.console import counted, printable

Decorator = Callable[[Any], Any]

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True)
FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
ROWS = click.Path(readable=False)
"""A file or standard input, as text; what is wrong with it is said as it is opened."""
FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
BP = click.IntRange(1, 1_000_000_000)
"""Values of an option in bp."""
REACH = click.IntRange(0, BP.max)


class _Share(click.FloatRange):
    """A number from 0 to 1; NaN, which compares with nothing, is none."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if number != number:
            self.fail(f"{value} is not a number.", param, ctx)
        return number


SHARE = _Share(0, 1)


class _Name(click.types.StringParamType):
    """Name or folder of a model or a task, or several divided by commas; a shell completes them."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[Any]:
        """Return the names that begin so; where none does, the shell offers folders."""
        console.set_up(quiet=True)  # a warning would come out amid what is typed
        before, comma, last = incomplete.rpartition(",")
        names = [name for name in places.every(self._kind) if name.startswith(last)]
        words = [CompletionItem(f"{before}{comma}{name}") for name in names]
        return [CompletionItem(incomplete, type="dir"), *words]


class _TaskName(_Name):
    """Name or folder of a task; the message where none is given says how to find one."""

    def get_missing_message(self, *_: Any, **__: Any) -> str:
        return "findna tasks list shows the tasks that there are"


MODEL, TASK = _Name(places.MODELS), _TaskName(places.TASKS)


def option(names: str, text: str, kind: Any = None, **settings: Any) -> Decorator:
    """Return a click option that shows its default.

    Parameters
    ----------
    names : str
        Names divided by spaces, as click takes them; ``--window=N`` shows N for the value.
    kind : list of str, tuple of int or click type, optional
        Words to choose from, the least and the most of a number, or a type.
    """
    words, metavar = [], None
    for name in names.split():
        word, _, shown = name.partition("=")
        words.append(word)
        metavar = shown or metavar
    if isinstance(kind, list):
        kind = click.Choice(kind)
    elif isinstance(kind, tuple):
        kind = click.IntRange(*kind)
    settings = {"show_default": bool(settings.get("default")), **settings}
    return click.option(*words, help=text, type=kind, metavar=metavar, **settings)


def choice(names: str, text: str, words: str) -> Decorator:
    """Return an option that takes one of ``words``, divided by spaces; the first is the default."""
    return option(names, text, words.split(), default=words.split()[0])


def flag(names: str, text: str) -> Decorator:
    """Return a click option without a value."""
    return click.option(*names.split(), is_flag=True, help=text)


def option_group(*options: Decorator) -> Decorator:
    """Return one decorator for several options, shown in ``--help`` in the order given."""

    def apply(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return apply


def verbosity(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add -q and -v; set up messages and threads, of the whole process, before the command."""

    @functools.wraps(command)
    def run(*, quiet: bool, verbose: int, threads: int | None = None, **given: Any) -> Any:
        console.set_up(quiet, verbose)
        click.get_current_context().meta["findna.quiet"] = quiet
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        return command(**given)

    options = option_group(
        flag("-q --quiet", "Only errors: no progress bar, warnings or summary."),
        option(
            "-v --verbose", "Say what is being done; -vv also where errors come from.", count=True
        ),
    )
    decorated: Callable[..., Any] = options(run)
    return decorated


genome = click.argument("genome", type=PATH)
force = flag("-f --force", "Overwrite an existing output.")
whole = flag("--whole", "Allow windows longer than the model's training length.")
multiqc = option(
    "--multiqc=FOLDER/SAMPLE",
    "Also files for MultiQC, FOLDER/SAMPLE.*_mqc.json: counts and distributions.",
    PATH,
)
as_json = flag("--json as_json", "One JSON object instead of lines.")
track_header = flag("--header", "Begin bedGraph with the weights and a track line.")
threads = option("-@ --threads=N", "CPU threads.  [default: all cores]", (1, 1024))
precision = choice(
    "--precision",
    "Arithmetic of the encoder; auto: bf16 where it is faster here, or $FINDNA_PRECISION.",
    "auto fp32 bf16",
)
device = option(
    "--device=auto|cpu|cuda|cuda:N|mps",
    "Where to compute; auto takes a GPU if there is one.",
    default="auto",
)
model = option(
    "-m --model=NAME|FOLDER",
    "Name (findna models list) or folder of a model.",
    MODEL,
    default="tiny",
)
species = option("--species", "Species of the sequence, for the card and the lists.", default="")
kmers = option(
    "--kmers/--no-kmers", "Let validation append k-mer frequencies to the embedding.", default=True
)


class _Aliases(click.Path):
    """An alias file, or the word ``auto``; ``./auto`` is a file of that name."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        return value if value == "auto" else super().convert(value, param, ctx)


chrom_alias = option(
    "--chrom-alias=auto|FILE",
    "Other names of contigs. auto: 1 for chr1, MT for chrM and the reverse, as the FASTA has them. "
    "FILE, tab-separated: name in the input, name in the FASTA.",
    _Aliases(path_type=Path, exists=True, dir_okay=False),
)

anchor = option(
    "--anchor",
    "Base that --window, --upstream and --downstream, or the windows of a task, are laid about; "
    "with --window, start and end follow -s. summit: that of narrowPeak, column 10.  "
    "[default: center]",
    ["center", "start", "end", "summit"],
)

max_n = option(
    "--max-n=SHARE",
    "What has more N than this, or nothing but N, has no result: status no_sequence.",
    SHARE,
    default=1.0,
)

prior = option(
    "--prior=P|CLASS=P,...",
    "Restate probabilities where this share of regions (or of bases) is of the positive class, or "
    "of CLASS; outputs name other weights then.",
)

placement_options = option_group(
    flag("-s --stranded", "Read regions on the minus strand as reverse complement."),
    flag("--split", "Join the blocks of BED12 rows."),
    option("--flank=N", "Add N bp on both sides.", (0, BP.max), default=0),
    option("--window=N", "Encode N bp around each region's anchor instead of the region.", BP),
    option(
        "--upstream=N", "Encode the anchor's base and N bp before it, by the row's strand.", REACH
    ),
    option("--downstream=N", "... and N bp after it; as bedtools slop -s of one base.", REACH),
    anchor,
    choice(
        "--out-of-bounds",
        "Sequence past the end of a contig: refuse it, or fill with N.",
        "error pad",
    ),
    max_n,
)
"""Options that decide which sequence is read of a row."""

region_options = option_group(
    option(
        "-r --region=CHROM:START-END",
        "Region as in samtools, 1-based and inclusive; without -END to the end of the contig; "
        "repeatable.",
        multiple=True,
    ),
    placement_options,
    choice(
        "--on-error",
        "Regions that cannot be read: stop before any work, leave them out, or keep the row "
        "with missing values.",
        "stop skip null",
    ),
    chrom_alias,
)


def _parse_shard(_: click.Context, __: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    from findna.outputs.shards import Shard

    return Shard.parse(value)


part_options = option_group(
    option(
        "--shard=I/N",
        "Only part I of N, for jobs side by side; findna merge joins them.",
        callback=_parse_shard,
    ),
    flag(
        "--resume", "Keep what is done if interrupted or killed; the same command goes on from it."
    ),
)

inference_options = option_group(
    device,
    precision,
    option(
        "--max-tokens=N",
        "Nucleotides per batch; changes memory and speed, not results.  [default: 8192 on a "
        "CPU, 262144 on a GPU]",
        (1,),
    ),
    threads,
    force,
    verbosity,
)
"""Options of every command that computes and writes; the last of a command."""


def begin() -> None:
    """Mark the end of loading; from now on an interrupt unwinds, and leaves nothing behind."""
    on_interrupt(signal.default_int_handler)


@contextmanager
def opened_genome(genome: Path | None, chrom_alias: Any = None) -> Iterator[Any]:
    """Open the FASTA, if there is one, under other names too: of a file, or ``auto``."""
    from findna.genome.fasta import Genome, read_aliases

    begin()
    if genome is None:
        yield None
        return
    if isinstance(chrom_alias, Path):
        chrom_alias = read_aliases(chrom_alias)
    with Genome(genome, chrom_alias) as fasta:
        yield fasta
        note(contigs=fasta.known_digests or None)


@contextmanager
def genome_and_rows(
    genome: Path,
    regions: str | None,
    given: Mapping[str, Any],
    *,
    name: str = "REGIONS",
    stream: bool = False,
) -> Iterator[tuple[Any, Any]]:
    """Open the FASTA, and the rows of REGIONS, of ``--region``, or one per FASTA record.

    ``stream`` reads a pipe as it comes: the rows can then be read once.
    """
    from findna.genome.sources import RegionSource

    region = given["region"]
    if regions is not None and region:
        raise click.UsageError(f"give {name} or -r/--region, not both")
    with opened_genome(genome, given["chrom_alias"]) as fasta:
        if regions is not None:
            source = (RegionSource.stream if stream else RegionSource.bed)(regions)
        elif region:
            source = RegionSource.strings(region, fasta)
        else:
            source = RegionSource.records(fasta)
        with source:
            yield fasta, source


def listed(values: Sequence[str], option: str) -> list[str]:
    """Return the names of an option that takes several, divided by commas; each value has one."""
    for value in values:
        if not value.strip(", "):
            raise click.UsageError(
                f"{option} {shlex.quote(value)}: no name in it; is it a variable that is not set?"
            )
    return [name for value in values for name in value.split(",") if name]


def filled(kind: Any, given: Mapping[str, Any], **others: Any) -> Any:
    """Return a dataclass whose fields are the options of the same names, and ``others``."""
    names = {field.name for field in dataclasses.fields(kind)} & given.keys()
    return kind(**{**{name: given[name] for name in names}, **others})


def placement(given: Mapping[str, Any]) -> Any:
    """Return the region options that were given."""
    from findna.genome.regions import RegionOptions

    options = filled(RegionOptions, given, pad=given["out_of_bounds"] == "pad")
    if options.conflict:
        raise click.UsageError(options.conflict)
    return options


def compute(given: Mapping[str, Any]) -> Any:
    """Return the device, precision and batch size that were given."""
    from findna.model.devices import describe
    from findna.model.precision import compute_on

    chosen = compute_on(given["device"], given["precision"], given.get("max_tokens"))
    note(device=describe(chosen.device), precision=chosen.precision)
    return chosen


def destination(given: Mapping[str, Any], forms: Sequence[str], default: str | None = None) -> Any:
    """Return the output with its format: by ``-O``, by its name, or the default of ``forms``.

    The default is that of standard output and of names without an ending: the first, unless
    another is named.
    """
    from findna.outputs.destination import Destination, form_of

    path: Path | None = given["output"]
    form = given.get("form") or form_of(path, forms, default or forms[0])
    command = shlex.join(["findna", *sys.argv[1:]])
    return filled(Destination, given, path=path, form=form, command=command)


def site_names(given: Mapping[str, Any]) -> list[str]:
    """Return what ``--sites`` and ``--features`` ask for."""
    from findna.labelled.sites import SPLICE_SITES

    for name in (given["sites"] or "").split(","):
        if name and name not in SPLICE_SITES:
            raise click.UsageError(f"--sites {name}: known are {', '.join(SPLICE_SITES)}")
    return [n for key in ("sites", "features") for n in (given[key] or "").split(",") if n]


def refuse(names: Iterable[str], why: str) -> None:
    """Raise UsageError if one of these options was given."""
    context = click.get_current_context()
    for name in names:
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"--{name.replace('_', '-')} {why}")


def arrow(*outputs: str | Path | None) -> str:
    """Return an arrow to the outputs, for the last line of a run; nothing of standard output."""
    shown = [str(output) for output in outputs if output is not None and str(output) != "-"]
    return f" -> {', '.join(shown)}" if shown else ""


def for_job(run: Callable[..., Any], rows: str | None) -> Callable[..., Any]:
    """Return ``run``; under torchrun, a function that runs it on this process's shard and exits.

    ``rows`` is the name of the input, which cannot be a pipe then.
    """
    if "WORLD_SIZE" not in os.environ:
        return run
    from findna.commands.sharded import run_sharded
    from findna.genome.text import is_stdin
    from findna.model.collective import current_job

    job = current_job()
    if job is None:
        return run
    if rows is not None and is_stdin(rows):
        raise click.UsageError("standard input cannot be shared by the processes of a job")

    def sharded(*inputs: Any, **options: Any) -> None:
        *sources, output = inputs
        summary = run_sharded(job, run, *sources, output=output, **options)
        if summary is not None:
            made_by = counted(summary.parts, "process")
            note(rows={"in": summary.rows, "out": summary.rows})
            say(f"{counted(summary.rows, 'row')} of {made_by} -> {output.path}")
        click.get_current_context().exit()

    return sharded


def say(message: str) -> None:
    """Write a line about a finished run to stderr, unless --quiet was given."""
    if not click.get_current_context().meta.get("findna.quiet") and sys.stderr is not None:
        click.echo(f"findna: {printable(message)}", err=True)


def speed(n: float, seconds: float) -> str:
    """Return how many a second, for the last line of a run; nothing where that is below one."""
    rate = n / max(seconds, 1e-9)
    return f" ({rate:.0f}/s)" if rate >= 1 else ""


def in_windows(summary: Any) -> str:
    """Return which windows a task took of rows, for the last line of a run."""
    return f", {summary.windows}" if summary.windows else ""


def regions_done(counts: Mapping[str, int], verb: str, fate: str) -> str:
    """Return how many regions were done, and the fate of the others, by their status."""
    from findna.genome.regions import WITHOUT_RESULT

    n, rows = counts[verb], counts["rows"]
    others = [f"{counts[status]} {status}" for status in WITHOUT_RESULT if counts.get(status)]
    done = f"{n} of {counted(rows, 'region')} {verb}"
    return f"{done}, {rows - n} {fate} ({', '.join(others)})" if others else done


def with_prior(tasks: Sequence[str], text: str | None) -> list[Any]:
    """Return tasks as they are given, or the one task restated for what --prior says."""
    if text is None:
        return list(tasks)
    if len(tasks) != 1:
        raise click.UsageError("--prior is for one task")
    shares: dict[str, float] = {}
    for part in text.split(","):
        name, _, share = part.rpartition("=")
        name = name.strip()
        if name in shares:
            twice = (
                f"{name} is there twice" if name else "name the class of each share, as CLASS=0.01"
            )
            raise click.UsageError(f"--prior {text}: {twice}")
        try:
            shares[name] = float(share)
        except ValueError:
            raise click.UsageError(
                f"--prior {text}: give a share, such as 0.01, or CLASS=0.01"
            ) from None
    if "" in shares and len(shares) > 1:
        raise click.UsageError(f"--prior {text}: name the class of each share, as CLASS=0.01")
    from findna.tasks.prior import at_prior
    from findna.tasks.sites import load_any_task

    return [at_prior(load_any_task(tasks[0]), shares.get("", shares))]
