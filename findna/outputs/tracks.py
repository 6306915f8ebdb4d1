"""A value along the genome, written and read: bedGraph text, or bigWig.

The only user of pybigtools.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from findna.errors import MissingProgramError, OutputError, RegionError
from findna.genome.bed import score_value
from findna.genome.formats import check_format
from findna.genome.intervals import Interval
from findna.genome.text import display_name, is_header, numbered_lines, open_input
from findna.outputs.destination import Destination

DECIMALS = 6
_MOST_NAMES = 3  # of contigs in a message
_BLOCK = 4096  # segments that are computed before pybigtools gets them
_BIGWIG_MAGIC = bytes.fromhex("26fc8f88")  # little-endian, as pybigtools writes


class Segment(NamedTuple):
    """A value of the bases [start, end) of a contig, 0-based."""

    chrom: str
    start: int
    end: int
    value: float


def joined(segments: Iterable[Segment]) -> Iterator[Segment]:
    """Yield values of six decimals; neighbours that touch and have the same value become one."""
    last: Segment | None = None
    for chrom, start, end, exact in segments:
        value = round(exact, DECIMALS) + 0.0  # of a regression's -0.0, 0.0
        if last and (last.chrom, last.end, last.value) == (chrom, start, value):
            last = last._replace(end=end)
            continue
        if last:
            yield last
        last = Segment(chrom, start, end, value)
    if last:
        yield last


def write_track(
    output: Destination,
    segments: Iterable[Segment],
    contigs: Mapping[str, int],
    headers: Sequence[str] = (),
) -> None:
    """Write bigWig, or bedGraph: four columns per segment.

    Parameters
    ----------
    segments : iterable of Segment
        Sorted and not overlapping.
    contigs : mapping
        Length of every contig, for bigWig.
    headers : sequence of str
        Lines that come first in bedGraph.

    Raises
    ------
    OutputError
        The file cannot be written; or it is bigWig, and there is no segment.
    """
    if output.form == "bigwig":
        with output.published() as path:
            write_bigwig(path, segments, contigs)
        return
    rows = (
        f"{chrom}\t{start}\t{end}\t{value:.{DECIMALS}f}" for chrom, start, end, value in segments
    )
    with output.open_text() as file:
        for line in chain(headers, rows):
            file.write((line + "\n").encode("utf-8", "surrogateescape"))
            if output.is_live:
                file.flush()


def need_bigwig() -> None:
    """Raise MissingProgramError unless bigWig files can be written."""
    try:
        import pybigtools  # noqa: F401  can it be imported?
    except ImportError as error:
        raise MissingProgramError(
            "bigWig output needs pybigtools: pip install 'findna[bigwig]'; "
            "or write bedGraph and run bedGraphToBigWig"
        ) from error


@contextmanager
def _silent() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Hide what a library that is not Python prints; give a context in which streams are shown.

    pybigtools prints pages where a disk is full, to stderr and to standard output.
    """
    streams = {1: sys.stdout, 2: sys.stderr}  # of a closed one the number may be another file's
    shown = {number: os.dup(number) for number, stream in streams.items() if stream is not None}
    hidden = os.open(os.devnull, os.O_WRONLY)

    def point(to: Mapping[int, int]) -> None:
        for number, target in to.items():
            os.dup2(target, number)

    @contextmanager
    def speak() -> Iterator[None]:
        point(shown)
        try:
            yield
        finally:
            point(dict.fromkeys(shown, hidden))

    try:
        point(dict.fromkeys(shown, hidden))
        yield speak
    finally:
        point(shown)
        for copy in (hidden, *shown.values()):
            os.close(copy)


def write_bigwig(path: Path, segments: Iterable[Segment], contigs: Mapping[str, int]) -> None:
    """Write a bigWig file; its index holds the contigs that have values.

    Parameters
    ----------
    segments : iterable of Segment
        Contigs in the order of their bytes, as UCSC's tools need; sorted and not overlapping.
    contigs : mapping
        Length of every contig.

    Raises
    ------
    OutputError
        There is no segment, or the file cannot be written.
    """
    import pybigtools

    failure: list[BaseException] = []  # pybigtools only prints what an iterator raises
    rows = iter(segments)
    first = next(rows, None)
    if first is None:
        raise OutputError(
            "no base has a value, and a bigWig file cannot be empty: "
            "check the regions (bedGraph, -o NAME.bedgraph, may be empty)"
        )

    def guarded(speak: Callable[[], AbstractContextManager[None]]) -> Iterator[Segment]:
        try:
            yield first
            block = [first]
            while block:
                with speak():
                    block = list(islice(rows, _BLOCK))
                yield from block
        except BaseException as error:
            failure.append(error)

    named = path.with_name(f"{path.name}.bw")  # pybigtools goes by the name
    try:
        with _silent() as speak:
            pybigtools.open(str(named), "w").write(dict(contigs), guarded(speak))
        if failure:
            raise failure[0]
        with named.open("rb") as file:  # a failed write may only be printed; the header comes last
            if file.read(len(_BIGWIG_MAGIC)) != _BIGWIG_MAGIC:
                raise OutputError("cannot write the bigWig file; is the disk full?")
        os.replace(named, path)
    except (Exception, KeyboardInterrupt):
        raise
    except BaseException as error:  # pybigtools' PanicException is no Exception
        raise OutputError("cannot write the bigWig file; is the disk full?") from error
    finally:
        named.unlink(missing_ok=True)


def read_track(path: Path, locus: Interval) -> Iterator[Segment]:
    """Yield what a track says of a locus: bedGraph, plain or compressed, or bigWig by its index.

    Segments may reach beyond the locus.

    Raises
    ------
    MissingProgramError
        It is bigWig, and pybigtools is not installed.
    RegionError
        It is neither, is damaged, or has no value on the contig.
    """
    with path.open("rb") as file:
        if file.read(len(_BIGWIG_MAGIC)) == _BIGWIG_MAGIC:
            file.seek(0)
            yield from _bigwig_segments(file, path, locus)
            return
    found, others = False, dict[str, None]()
    for segment in _bedgraph_segments(path, locus.chrom, others):
        found = True
        if segment.start < locus.end and segment.end > locus.start:
            yield segment
    if not found:
        raise _no_contig(path, locus.chrom, list(others))


def _bedgraph_segments(path: Path, chrom: str, others: dict[str, None]) -> Iterator[Segment]:
    """Yield the segments of a contig, and note the names of some others."""
    name = display_name(path)
    with open_input(path) as text:
        check_format(text, "bedGraph", name, RegionError)
        for number, line in numbered_lines(text, name):
            if is_header(line):
                continue
            columns = line.split()
            if columns[0] != chrom:
                if len(others) < _MOST_NAMES:
                    others[columns[0]] = None
                continue
            value = score_value(columns[3]) if len(columns) == 4 else None
            if value is None or not (columns[1] + columns[2]).isdecimal():
                raise RegionError(
                    f"{name}:{number}: not a line of bedGraph (chrom, start, end, value)"
                )
            yield Segment(chrom, int(columns[1]), int(columns[2]), value)


def _bigwig_segments(file: Any, path: Path, locus: Interval) -> Iterator[Segment]:
    try:
        import pybigtools
    except ImportError as error:
        raise MissingProgramError(
            f"{path}: bigWig needs pybigtools: pip install 'findna[bigwig]'; or give bedGraph"
        ) from error
    try:
        track = pybigtools.open(file)
        lengths = track.chroms()
        end = min(locus.end, lengths.get(locus.chrom, 0))
        rows = list(track.records(locus.chrom, locus.start, end)) if locus.start < end else []
    except Exception as error:  # pybigtools has its own
        raise RegionError(f"{path}: damaged bigWig ({error}); make it again") from error
    if locus.chrom not in lengths:
        raise _no_contig(path, locus.chrom, list(lengths))
    yield from (Segment(locus.chrom, *row) for row in rows)


def _no_contig(path: Path, chrom: str, there: Sequence[str]) -> RegionError:
    names = ", ".join(there[:_MOST_NAMES]) or "none"
    return RegionError(f"{path}: has no value on {chrom}; it has {names}")
