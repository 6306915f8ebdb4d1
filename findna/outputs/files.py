"""Where results go: a file that appears once it is complete, a device, or standard output."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from findna.errors import ConfigError, OutputError
from findna.genome.bed import is_header

if TYPE_CHECKING:
    from findna.outputs.shards import Shard

MISSING = "."
COMPRESSED = (".gz", ".bgz")
"""Endings of names that get BGZF."""


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


def check_output(path: Path, force: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise OutputError unless ``path`` can be written; cheap, so done before any work.

    ``inputs`` are files that it must not replace.
    """
    try:
        folder = path.resolve().parent
    except (OSError, RuntimeError) as error:
        raise OutputError(f"{path}: a symbolic link that leads nowhere") from error
    if path.is_dir():
        raise OutputError(f"{path}: is a folder; name a file")
    if path.exists() and not path.is_file():
        raise OutputError(f"{path}: not a regular file; this output needs one")
    if path.exists() and any(source.exists() and path.samefile(source) for source in inputs):
        raise OutputError(f"{path}: is also an input; name another file")
    if path.exists() and not force:
        raise OutputError(f"{path}: exists; --force overwrites it")
    if not folder.is_dir():
        raise OutputError(f"{path}: there is no folder {folder}; create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"{path}: the folder {folder} is not writable")


def check_model_folder(folder: Path, force: bool) -> None:
    """Raise OutputError if writing a model to ``folder`` would mix with what is in it."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: exists and is not a folder")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise OutputError(f"{folder}: is not empty; --force writes the model into it all the same")


@contextmanager
def published(path: Path, force: bool) -> Iterator[Path]:
    """`replaced`, for an output the user named."""
    check_output(path, force)
    with replaced(path) as temporary:
        yield temporary


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary neighbour of ``path`` that takes its name when the block succeeds.

    If the block fails the neighbour is removed, and what was there before stays.
    """
    target = path.resolve()  # a symbolic link keeps pointing at the new file
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def is_stdout(path: Path | None) -> bool:
    """Whether results go to standard output."""
    return path is None or str(path) in ("-", "/dev/stdout")


def is_device(path: Path) -> bool:
    """Whether a name stands for a pipe or a device, which is written to and never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def is_live(path: Path | None) -> bool:
    """Whether somebody may be reading what is written while it is written."""
    return path is None or is_stdout(path) or is_device(path)


@contextmanager
def open_text_output(path: Path | None, force: bool = False) -> Iterator[BinaryIO]:
    """Where text results go: standard output (None or ``-``), or a file once it is complete.

    A name that ends in ``.gz`` or ``.bgz`` gets BGZF. A pipe or a device is written to directly.
    """
    if is_stdout(path):
        if sys.stdout is None:
            raise OutputError("standard output is closed; name a file with -o")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    assert path is not None
    if is_device(path):
        with path.open("wb") as file:
            yield file
        return
    with published(path, force) as temporary:
        if path.suffix in (".gz", ".bgz"):
            from pysam import BGZFile

            with BGZFile(str(temporary), "wb", None) as file:
                yield cast(BinaryIO, file)
        else:
            with temporary.open("wb") as file:
                yield file


def index_table(path: Path) -> None:
    """Make a tabix index (.tbi) beside a BGZF file of BED rows.

    Raises
    ------
    OutputError
        Its rows are not sorted; the file itself is complete.
    """
    from pysam import BGZFile, tabix_index

    with BGZFile(str(path), "rb", None) as file:
        lines = (line.decode("utf-8", "surrogateescape") for line in file)
        n_headers = sum(1 for _ in takewhile(is_header, lines))
    columns: dict[str, Any] = {"seq_col": 0, "start_col": 1, "end_col": 2, "zerobased": True}
    try:  # not its preset "bed", which stumbles over track lines
        tabix_index(str(path), **columns, line_skip=n_headers, force=True, keep_original=True)
    except OSError as error:
        raise OutputError(
            f"{path}: written, but not indexed: its rows are not sorted; sort the input "
            "(sort -k1,1 -k2,2n) and run again"
        ) from error


def index_variants(path: Path, longest: int) -> None:
    """Make a .tbi index beside BGZF, or a .csi beside BCF or where a contig is too long for .tbi.

    Parameters
    ----------
    longest : int
        Length of the longest contig, bp.

    Raises
    ------
    OutputError
        The records are not sorted; the file itself is complete.
    """
    import pysam

    csi = path.suffix == ".bcf" or longest > 1 << 29
    before = pysam.set_verbosity(0)
    try:
        pysam.tabix_index(str(path), preset="vcf", force=True, keep_original=True, csi=csi)
    except OSError as error:
        raise OutputError(
            f"{path}: written, but not indexed: its records are not sorted; sort it (bcftools "
            "sort) and index the result"
        ) from error
    finally:
        pysam.set_verbosity(before)


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, hexadecimal."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            sha.update(block)
    return sha.hexdigest()
