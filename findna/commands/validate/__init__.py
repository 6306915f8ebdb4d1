"""Check regions, variants or labelled sequences as a run would read them; no model is needed.

Everything that is wrong is counted, and the first of each kind shown, where a run stops at the
first line it cannot read. Rows are read once, in order; what is kept of each is 16 bytes.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from findna.commands.validate.labelled import check_labelled
from findna.commands.validate.regions import check_regions
from findna.commands.validate.report import (
    LABELLED,
    REGIONS,
    VARIANTS,
    Lengths,
    Report,
    report_sections,
)
from findna.commands.validate.rows import Input
from findna.commands.validate.variants import check_variants
from findna.errors import ConfigError, RegionError
from findna.genome.bed import bed_blocks
from findna.genome.fasta import Genome
from findna.genome.regions import RegionOptions
from findna.genome.sources import RegionSource
from findna.genome.text import display_name, is_stdin, open_input, open_raw
from findna.labelled.files import looks_labelled
from findna.labelled.rows import BED, suffix

__all__ = ["Lengths", "Report", "kind_of_input", "report_sections", "validate"]

_HEAD = 1 << 16  # bytes that tell what a file is

_OPTIONS = {
    "stranded": "-s",
    "split": "--split",
    "flank": "--flank",
    "window": "--window",
    "anchor": "--anchor",
    "upstream": "--upstream",
    "downstream": "--downstream",
    "pad": "--out-of-bounds",
    "max_n": "--max-n",
}

_COUNT = {
    REGIONS: set(_OPTIONS),
    VARIANTS: {"window", "max_n"},
    LABELLED: {"stranded", "window", "anchor", "upstream", "downstream"},
}
"""Options that decide what is read of each kind."""


def kind_of_input(path: Path) -> str:
    """Return what a file or folder holds by its content and name: regions, variants, labelled."""
    if path.is_dir():
        return LABELLED
    try:
        with open_input(path) as file:
            head = file.read(_HEAD)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        head = b""  # reported when it is read
    if head.startswith((b"##fileformat=VCF", b"BCF")) or suffix(path) in (".vcf", ".bcf"):
        return VARIANTS
    if suffix(path) in BED:
        return REGIONS
    lines = head.decode("utf-8", "replace").removeprefix("\ufeff").splitlines()
    return LABELLED if looks_labelled(path, lines) else REGIONS


@contextmanager
def _as_file(path: Path) -> Iterator[Path]:
    """Give a file that can be opened twice: the path, or a copy of what a pipe holds."""
    if not is_stdin(path) and (path.is_dir() or path.is_file() or not path.exists()):
        yield path
        return
    with tempfile.NamedTemporaryFile(prefix="findna-") as copy:
        with open_raw(path) as pipe:
            shutil.copyfileobj(pipe, copy)
        copy.flush()
        yield Path(copy.name)


def validate(
    genome: Genome | None,
    path: Path | None,
    *,
    options: RegionOptions = RegionOptions(),
    labelled: bool = False,
    kind: str = "auto",
    label_column: str | None = None,
    tasks: Sequence[str] = (),
    measured: tuple[str, str] | None = None,
) -> Report:
    """Read an input in full; return what is wrong with it and what a run would read.

    Parameters
    ----------
    genome : Genome, optional
        Labelled sequences that are no intervals can do without.
    path : Path, optional
        BED, VCF or BCF, or a labelled set; ``-`` is standard input. None: every record of the
        FASTA is a region.
    options : RegionOptions
        Sequence to read of a row. Of variants ``window`` and ``max_n`` count, of labelled sets what
        ``findna finetune`` has.
    labelled : bool
        The set has labels, whatever it looks like.
    kind, label_column
        Of a labelled set, see `findna.labelled.sets.read_labelled`.
    tasks : sequence of str
        Read regions as these tasks would; of these only the configuration is loaded.
    measured : tuple of str, optional
        Model and device: measure how fast it is there, to estimate what a run would take. None
        leaves torch alone, unless there are tasks.

    Raises
    ------
    FindnaError
        The FASTA cannot be read, or the model not be loaded. Faults of ``path`` are in the report
        instead.
    """
    task_rows = None
    if tasks:
        from findna.commands.validate.tasks import TaskRows
        from findna.tasks.sites import outline_tasks

        task_rows = TaskRows(outline_tasks(tasks), options)
    if path is None:
        if genome is None:
            raise RegionError("nothing to validate; give GENOME, a file of regions, or both")
        source = Input(genome, genome.path, str(genome.path), measured)
        records = RegionSource.records(genome).blocks()
        return check_regions(source, genome, records, options, task_rows)
    name = display_name(path)
    with _as_file(path) as file:
        source = Input(genome, file, name, measured)
        content = LABELLED if labelled else kind_of_input(file)
        default = RegionOptions()
        for option in _OPTIONS.keys() - _COUNT[content]:
            if getattr(options, option) != getattr(default, option):
                raise ConfigError(f"{_OPTIONS[option]} is for regions; {name} holds {content}")
        if tasks and content != REGIONS:
            raise ConfigError(f"--task is for regions; {name} holds {content}")
        if content == LABELLED:
            return check_labelled(source, kind, label_column, options)
        if genome is None:
            raise RegionError(
                f"{name}: holds {content}; give GENOME before it, the FASTA they are of"
            )
        if content == VARIANTS:
            return check_variants(source, genome, options.window, options.max_n)
        blocks = bed_blocks(file, name, on_malformed=partial(source.problem, "malformed"))
        return check_regions(source, genome, blocks, options, task_rows)
