"""Destination and format of an output: a file, a device, or standard output."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO

from findna.errors import ConfigError, OutputError
from findna.genome.text import is_header
from findna.outputs.bgzf import bgzf
from findna.outputs.files import check_output, file_digest, replaced
from findna.outputs.htslib import reasons
from findna.outputs.shards import Shard

JOURNAL, WHOLE, DIGEST = "journal.json", "whole", "whole.sha256"
"""Names, among the parts, of their list, and of the output without its own name and its digest."""

logger = logging.getLogger(__name__)

_COMPRESSED = (".gz", ".bgz")  # endings of names that get BGZF
_BEYOND_TBI = "cannot be stored in a tbi index"  # htslib's words


@dataclass(frozen=True)
class Format:
    """Names and abilities of a format.

    Parameters
    ----------
    title : str
        Name in messages.
    suffixes : tuple of str
        Endings of a file's name that ask for it.
    streams : bool
        Can be written to a pipe or a device while it is made.
    index : str
        Name of a file that can get an index, for messages; empty if none can.
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
    if path is None or Destination(path).is_live:
        return default
    name = path.name.lower()
    for ending in _COMPRESSED:
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
    """Place and form of an output; made once, and passed on whole.

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
    bgzf : bool
        Compress text whatever the name, and standard output too.
    multiqc : Path, optional
        Beginning of the names of files for MultiQC.
    report : Path, optional
        Page of the ``report_top`` records with the largest scores.
    """

    path: Path | None = None
    form: str = "bed"
    force: bool = False
    write_index: bool = False
    shard: Shard | None = None
    resume: bool = False
    command: str = ""
    bgzf: bool = False
    multiqc: Path | None = None
    report: Path | None = None
    report_top: int = 50

    @property
    def format(self) -> Format:
        """Names and abilities of the format."""
        return FORMATS[self.form]

    @property
    def _is_bgzf(self) -> bool:
        return self.bgzf or (not self.is_live and self.file.suffix.lower() in _COMPRESSED)

    @property
    def is_stdout(self) -> bool:
        """True if results go to standard output."""
        return self.path is None or str(self.path) in ("-", "/dev/stdout")

    @property
    def is_device(self) -> bool:
        """True for a pipe or a device, which is written to and never replaced."""
        path = self.path or Path()
        return path.exists() and not path.is_file() and not path.is_dir()

    @property
    def is_live(self) -> bool:
        """True if somebody may read the output while it is written."""
        return self.is_stdout or self.is_device

    @property
    def in_parts(self) -> bool:
        """True if the output is a shard, or is kept in parts until it is complete."""
        return self.resume or self.shard is not None

    @property
    def parts(self) -> Path:
        """Folder of the complete parts of an output that is not finished."""
        target = Path(os.path.realpath(self.file))
        return target.with_name(target.name + ".unfinished")

    @property
    def is_published(self) -> bool:
        """True if the file is there as ``resume`` wrote it, and the run was killed after that."""
        digest = self.parts / DIGEST
        if not (self.resume and self.file.is_file() and digest.is_file()):
            return False
        return digest.read_bytes() == file_digest(self.file).encode()

    @property
    def _is_unfinished(self) -> bool:
        """True if rows of an interrupted run are there."""
        return (self.parts / JOURNAL).is_file()

    @property
    def file(self) -> Path:
        """Path of an output that is known to be a file."""
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
        if self.is_stdout and not self.format.streams and self.form != "bcf":
            hint = f", or {instead}" if instead else ""
            raise ConfigError(f"{self.format.title} cannot be streamed: name a file with -o{hint}")
        for asked, option in ((self.shard is not None, "--shard"), (self.resume, "--resume")):
            if asked and self.is_live:
                raise ConfigError(f"{option} needs a file: name one with -o")
        if not self.is_stdout and not (self.format.streams and self.is_device):
            force = self.force or self.is_published
            if self.resume and not force and self.file.is_file() and not self._is_unfinished:
                raise OutputError(
                    f"{self.file}: exists and is complete: nothing is left to resume; --force "
                    "makes it anew"
                )
            check_output(self.file, force, [path for path in inputs if path is not None])
        if self.write_index and not self.format.index:
            raise ConfigError(
                f"--write-index needs a format that has an index; {self.format.title} has none"
            )
        if self.write_index and (self.is_stdout or not (self.form == "bcf" or self._is_bgzf)):
            raise ConfigError(f"--write-index needs a BGZF file: -o {self.format.index}")
        if not self.is_live and not self.resume and self._is_unfinished:
            logger.warning(
                "%s holds rows of an interrupted run; this one begins anew, --resume goes on there",
                self.file.with_name(self.parts.name),
            )

    @contextmanager
    def open_text(self) -> Iterator[BinaryIO]:
        """Open the output for text; a file appears when the block succeeds.

        A name that ends in ``.gz`` or ``.bgz`` gets BGZF; a pipe or a device if ``bgzf`` is set.
        """
        if self.is_stdout:
            if sys.stdout is None:
                raise OutputError("standard output is closed; name a file with -o")
            with self._packed(sys.stdout.buffer) as file:
                yield file
            sys.stdout.buffer.flush()
        elif self.is_device:
            with self.file.open("wb") as device, self._packed(device) as file:
                yield file
        else:
            with self.published() as path, path.open("wb") as whole, self._packed(whole) as file:
                yield file

    def _packed(self, file: BinaryIO) -> AbstractContextManager[BinaryIO]:
        return bgzf(file) if self._is_bgzf else nullcontext(file)

    @contextmanager
    def published(self) -> Iterator[Path]:
        """Give the path to write a file to; it takes its name when the block succeeds.

        With ``resume`` it lies among the parts, and its digest is noted before it takes its name.
        """
        check_output(self.file, self.force or self.is_published)
        if not self.resume:
            with replaced(self.file) as temporary:
                yield temporary
            return
        whole = self.parts / WHOLE
        yield whole
        (self.parts / DIGEST).write_text(file_digest(whole))
        os.replace(whole, os.path.realpath(self.file))

    def index(self) -> None:
        """Make the index that was asked for: .tbi, or .csi of BCF and of rows beyond 512 Mbp.

        One of the file that was there before is removed, of either kind.

        Raises
        ------
        OutputError
            The rows are not sorted, or the disk is full; the file itself is complete.
        """
        if not self.is_live and self.format.index:
            self._remove_indexes()
        if not self.write_index:
            return
        import pysam

        options: dict[str, Any]
        if self.form in ("vcf", "bcf"):
            rows, remedy = "records", "sort it (bcftools sort) and index the result"
            options = {"preset": "vcf"}
        else:  # not the preset "bed", which stumbles over track lines
            rows, remedy = "rows", "sort the input (sort -k1,1 -k2,2n) and run again"
            with pysam.BGZFile(str(self.file), "rb", None) as file:
                lines = (line.decode("utf-8", "surrogateescape") for line in file)
                n_headers = sum(1 for _ in takewhile(is_header, lines))
            options = {"seq_col": 0, "start_col": 1, "end_col": 2, "zerobased": True}
            options["line_skip"] = n_headers
        for csi in (False, True)[self.form == "bcf" :]:
            reason = self._try_index(options | {"csi": csi})
            if _BEYOND_TBI not in reason:
                break
        if "Unsorted" in reason or "not continuous" in reason:
            reason = f"its {rows} are not sorted; {remedy}"
        if reason:
            raise OutputError(f"{self.file}: written, but not indexed: {reason}")

    def _remove_indexes(self) -> None:
        for ending in (".tbi", ".csi"):
            self.file.with_name(self.file.name + ending).unlink(missing_ok=True)

    def _try_index(self, options: Mapping[str, Any]) -> str:
        """Make an index; return why not, or nothing."""
        import pysam

        failed: OSError | None = None
        with reasons() as given:
            try:
                pysam.tabix_index(str(self.file), force=True, keep_original=True, **options)
            except OSError as error:
                failed = error
        if failed is None:
            return ""
        self._remove_indexes()  # what there is of one
        return given.text or str(failed)
