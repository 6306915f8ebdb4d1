"""Where an output goes and in which format: a file, a device, or standard output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from findna.errors import ConfigError
from findna.outputs.files import (
    COMPRESSED,
    check_output,
    index_table,
    index_variants,
    is_device,
    is_live,
    is_stdout,
    open_text_output,
    published,
)
from findna.outputs.shards import Shard


@dataclass(frozen=True)
class Format:
    """What a file of a format is called and may do.

    Parameters
    ----------
    title : str
        Name in messages.
    suffixes : tuple of str
        Endings of a file's name that ask for it.
    streams : bool
        Can be written to a pipe or a device while it is made.
    index : str
        What ``--write-index`` wants to see, as a file's name; empty where there is no index.
    """

    title: str
    suffixes: tuple[str, ...]
    streams: bool = True
    index: str = ""


FORMATS = {
    "h5": Format("HDF5", (".h5", ".h5ad", ".hdf5"), streams=False),
    "bed": Format("BED", (".bed",), index="NAME.bed.gz"),
    "tsv": Format("a table", (".tsv", ".txt", ".bed")),
    "jsonl": Format("JSON lines", (".jsonl",)),
    "bedgraph": Format("bedGraph", (".bedgraph", ".bdg", ".bg"), index="NAME.bedgraph.gz"),
    "bigwig": Format("bigWig", (".bw", ".bigwig"), streams=False),
    "vcf": Format("VCF", (".vcf",), index="NAME.vcf.gz or -o NAME.bcf"),
    "bcf": Format("BCF", (".bcf",), streams=False, index="NAME.bcf"),
}
"""Every format that a command writes, by the name that ``-O`` has for it."""


def form_of(path: Path | None, forms: Sequence[str], default: str) -> str:
    """Return the format that the name of an output asks for.

    Parameters
    ----------
    forms : sequence of str
        Those that can be asked for.
    default : str
        Of standard output, of devices, and of names without an ending.

    Raises
    ------
    ConfigError
        The ending is of none of them: the output would not be what its name says.
    """
    if path is None or is_stdout(path) or is_device(path):
        return default
    name = path.name.lower()
    for ending in COMPRESSED:
        name = name.removesuffix(ending)
    suffix = Path(name).suffix
    for form in forms:
        if suffix in FORMATS[form].suffixes:
            return form
    if not suffix:
        return default
    known = ", ".join(f"{FORMATS[f].suffixes[0]} ({FORMATS[f].title})" for f in forms)
    raise ConfigError(f"{path}: no format has the ending {suffix}; use {known}, or choose with -O")


@dataclass(frozen=True)
class Destination:
    """Where one output goes and how it gets there; made once, and passed on whole.

    Parameters
    ----------
    path : Path, optional
        File to write; None or ``-`` is standard output.
    form : str
        One of FORMATS.
    force : bool
        Replace a file that exists.
    write_index : bool
        Make a tabix or CSI index beside the file.
    shard : Shard, optional
        Write only these rows; a note of what the output is a part of is kept beside it.
    resume : bool
        Keep what is complete if interrupted, and go on from it.
    command : str
        Command line to record in the output; empty for none.
    """

    path: Path | None = None
    form: str = "bed"
    force: bool = False
    write_index: bool = False
    shard: Shard | None = None
    resume: bool = False
    command: str = ""

    @property
    def format(self) -> Format:
        """Return what is known of the format."""
        return FORMATS[self.form]

    @property
    def is_stdout(self) -> bool:
        """Whether results go to standard output."""
        return is_stdout(self.path)

    @property
    def is_live(self) -> bool:
        """Whether somebody may be reading what is written while it is written."""
        return is_live(self.path)

    @property
    def in_parts(self) -> bool:
        """Whether the output is a shard, or is kept in parts until it is complete."""
        return self.resume or self.shard is not None

    @property
    def file(self) -> Path:
        """Return the path of an output that is known to be a file."""
        if self.path is None:
            raise ConfigError(f"{self.format.title} needs a file: name one with -o")
        return self.path

    def check(self, inputs: Iterable[Path | None] = (), instead: str = "") -> None:
        """Raise unless the output can be written; cheap, so done before any work.

        Parameters
        ----------
        inputs : iterable of Path or None
            Files that it must not replace.
        instead : str
            What the user may do where the format cannot be streamed.

        Raises
        ------
        ConfigError
            The format cannot be streamed, or an index or parts need a file.
        OutputError
            The file exists, is an input, or lies in no writable folder.
        """
        device = self.path is not None and is_device(self.path)
        if self.is_stdout and not self.format.streams and self.form != "bcf":
            hint = f", or {instead}" if instead else ""
            raise ConfigError(f"{self.format.title} cannot be streamed: name a file with -o{hint}")
        for asked, option in ((self.shard is not None, "--shard"), (self.resume, "--resume")):
            if asked and (self.is_stdout or device):
                raise ConfigError(f"{option} needs a file: name one with -o")
        if self.path is not None and not self.is_stdout and not (self.format.streams and device):
            check_output(self.path, self.force, [path for path in inputs if path is not None])
        if self.write_index:
            self._check_index()

    def _check_index(self) -> None:
        needed = self.format.index
        if not needed:
            raise ConfigError(
                f"--write-index needs a format that has an index; {self.format.title} has none"
            )
        compressed = self.form == "bcf" or (self.path or Path()).suffix in COMPRESSED
        if self.is_stdout or not compressed:
            raise ConfigError(f"--write-index needs a BGZF file: -o {needed}")

    def open_text(self) -> AbstractContextManager[BinaryIO]:
        """Open the output for text; a file appears when the block succeeds."""
        return open_text_output(self.path, self.force)

    def published(self) -> AbstractContextManager[Path]:
        """Give the path to write a file to; it takes its name when the block succeeds."""
        return published(self.file, self.force)

    def index(self, longest: int) -> None:
        """Make the index that was asked for; ``longest`` is the longest contig, bp.

        Raises
        ------
        OutputError
            The rows are not sorted; the file itself is complete.
        """
        if not self.write_index:
            return
        if self.form in ("vcf", "bcf"):
            index_variants(self.file, longest)
        else:
            index_table(self.file)
