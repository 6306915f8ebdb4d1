"""Records of a VCF or BCF file in regions, by its index."""

from __future__ import annotations

import logging
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam

from findna.errors import ConfigError, RegionError, VariantError
from findna.genome.bed import read_bed
from findna.genome.intervals import COORDINATE, Interval, parse_region
from findna.genome.text import BGZF_HEAD, is_bgzf
from findna.outputs.files import file_digest
from findna.outputs.htslib import reasons
from findna.variants.bcf import bcftools_view

logger = logging.getLogger(__name__)

_LONGEST = (1 << 31) - 1  # bp; what an index can hold
_ONE_POSITION = re.compile(rf"(.+):({COORDINATE})")
_BED_NAMES = (".bed", ".bed.gz", ".bed.bgz")
_BYTES = "latin-1"  # each byte of a line is one letter


@dataclass(frozen=True)
class Wanted:
    """Regions whose records are asked for.

    Parameters
    ----------
    regions : sequence of str
        As in samtools: 1-based, inclusive.
    file : Path, optional
        BED file with further ones.
    """

    regions: Sequence[str] = ()
    file: Path | None = None

    def facts(self) -> dict[str, Any]:
        """Return what decides which records are read; empty if all are."""
        facts: dict[str, Any] = {"regions": list(self.regions)} if self.regions else {}
        return facts | ({"regions_file": file_digest(self.file)} if self.file else {})

    def intervals(self, contigs: Sequence[str], file: str) -> list[Interval]:
        """Return the regions in the order of the contigs; those that touch are joined.

        Raises
        ------
        ConfigError
            A region can be meant in two ways, or the file may hold 1-based positions.
        RegionError
            A region is malformed, or no region lies on a contig of the VCF.
        """
        lengths = dict.fromkeys(contigs, _LONGEST)
        asked = [*(_parsed(text, lengths) for text in self.regions), *_rows(self.file)]
        known = [interval for interval in asked if interval.chrom in lengths]
        others = list(dict.fromkeys(x.chrom for x in asked if x.chrom not in lengths))
        if others:
            names = f"{file} has no contig {', '.join(others[:3])}{', ...' * (len(others) > 3)}"
            if not known:
                has = ", ".join(contigs[:3]) + ", ..." * (len(contigs) > 3)
                raise RegionError(f"-r/-R: {names}; it has {has or 'none'}")
            logger.warning("-r/-R: %s; regions left out: %d", names, len(asked) - len(known))
        ranks = {name: rank for rank, name in enumerate(contigs)}
        joined: list[Interval] = []
        for x in sorted(known, key=lambda x: (ranks[x.chrom], x.start, x.end)):
            last = joined[-1] if joined else None
            if last is not None and last.chrom == x.chrom and x.start <= last.end:
                joined[-1] = Interval(x.chrom, last.start, max(last.end, x.end))
            else:
                joined.append(Interval(x.chrom, x.start, x.end))
        return joined


def _parsed(text: str, lengths: Mapping[str, int]) -> Interval:
    match = _ONE_POSITION.fullmatch(text)
    if match is not None and text not in lengths:
        chrom, start = match.groups()
        raise ConfigError(
            f"-r {text}: one base, as in bcftools ({chrom}:{start}-{start}), or the rest of the "
            f"contig, as in samtools ({chrom}:{start}-)? write which"
        )
    interval = parse_region(text, lengths)
    if interval.chrom not in lengths:  # of a contig that the file does not have
        return interval
    if interval.start >= _LONGEST:
        raise RegionError(f"-r {text}: begins past base {_LONGEST:,}, where every index ends")
    return Interval(interval.chrom, interval.start, min(interval.end, _LONGEST))


def _rows(file: Path | None) -> Iterator[Interval]:
    if file is None:
        return
    if not file.name.lower().endswith(_BED_NAMES):
        raise ConfigError(
            f"-R {file}: findna reads BED, whose first base is 0; if this is BED, name it .bed"
        )
    for row in read_bed(file):
        interval = row.interval
        if not 0 <= interval.start < interval.end <= _LONGEST:
            raise RegionError(
                f"{file}:{row.number}: {interval.start}-{interval.end} is not a region of a contig"
            )
        yield interval


def check_index(path: Path) -> None:
    """Raise VariantError unless a file is BGZF and has an index that is not older."""
    index, remedy = _index(path), f"bcftools index -f {path}"
    if not index.is_file():
        raise VariantError(f"{path}: -r/-R need an index beside BGZF or BCF: {remedy}")
    if index.stat().st_mtime_ns < path.stat().st_mtime_ns:
        raise VariantError(f"{index}: older than the file; make it again: {remedy}")
    with path.open("rb") as file:
        if not is_bgzf(file.read(BGZF_HEAD)):
            raise VariantError(
                f"{path}: -r/-R need BGZF or BCF, which this file is not; make one: bcftools view "
                "-Oz -o NEW.vcf.gz, bcftools index NEW.vcf.gz"
            )


def _index(path: Path) -> Path:
    csi, tbi = (path.with_name(path.name + suffix) for suffix in (".csi", ".tbi"))
    return csi if csi.is_file() else tbi


def open_index(path: Path) -> pysam.TabixFile:
    """Open a VCF file in BGZF by its index.

    Raises
    ------
    VariantError
        htslib cannot read the index.
    """
    with reasons() as given:
        try:
            return pysam.TabixFile(str(path), index=str(_index(path)), encoding=_BYTES)
        except (OSError, ValueError):
            pass
    raise VariantError(f"{path}: its index cannot be read ({given.text}); make it again")


def contigs_of(file: pysam.TabixFile) -> list[str]:
    """Return the contigs that have records, in the order of the file."""
    return [_text(name) for name in file.contigs]


def fetched(file: pysam.TabixFile, intervals: Sequence[Interval]) -> Iterator[str]:
    """Yield the lines that overlap intervals, in the order of the file, each once."""
    contigs = set(contigs_of(file))
    chrom, end = "", 0
    for interval in intervals:
        if interval.chrom not in contigs:
            continue
        before = end if interval.chrom == chrom else 0
        chrom, end = interval.chrom, interval.end
        name = chrom.encode("utf-8", "surrogateescape").decode(_BYTES)
        for line in file.fetch(name, interval.start, end):
            if int(line.split("\t", 2)[1]) > before:  # else it overlaps the one before, too
                yield _text(line).removesuffix("\r")


def view(source: Path, target: Path, intervals: Sequence[Interval]) -> str:
    """Write the records of a BCF file that overlap intervals as text; return why that failed."""
    with tempfile.NamedTemporaryFile("w", prefix="findna-", suffix=".bed") as bed:
        bed.writelines(f"{x.chrom}\t{x.start}\t{x.end}\n" for x in intervals)
        bed.flush()
        return bcftools_view("-Ov", source, target, regions=Path(bed.name))


def _text(line: str) -> str:
    return line.encode(_BYTES).decode("utf-8", "surrogateescape")
