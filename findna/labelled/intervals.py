"""Labelled intervals: BED, and the sequence of intervals of any form."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from findna.console import counted
from findna.errors import ConfigError, LabelError, RegionError
from findna.genome.bed import BedRow, column_names, parse_row, problem
from findna.genome.encoding import N, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.regions import NO_SEQUENCE, Placed, RegionOptions, place, without_summit
from findna.genome.sources import ragged
from findna.genome.text import is_header
from findna.labelled.rows import Lines, RawRow, RawRows, RowOptions, stop
from findna.labelled.tables import label_columns

_MOST_EXAMPLES = 3


def read_bed(
    lines: Lines,
    name: str,
    genome: Genome | None,
    options: RowOptions,
    targets: Sequence[str],
    cut_names: bool,
) -> RawRows:
    """Read a BED file with labels; see `findna.labelled.files.read_file`."""
    if genome is None:
        raise LabelError(f"{name}: BED holds no sequence; give GENOME, the FASTA it refers to")
    rows: list[BedRow] = []
    for number, line in lines:
        if is_header(line):
            continue
        try:
            row = parse_row(line, number, name)
        except RegionError as error:
            options.on_problem("malformed", error)
            continue
        n = len(rows[0].columns) if rows else len(row.columns)
        if len(row.columns) == n:
            rows.append(row)
        else:
            options.on_problem(
                "ragged", LabelError(ragged(f"{name}:{number}", len(row.columns), n))
            )
    names = column_names(len(rows[0].columns) if rows else 4)
    first = f"{name}:{rows[0].number}" if rows else name
    label_column = options.label_column
    if label_column is None and targets and set(targets) <= set(names):
        label_column = ",".join(targets)
    indices = _bed_columns(names, label_column, first)
    texts = [[row.columns[i].strip() for i in indices] for row in rows]
    values = [tuple("" if text == "." else text for text in columns) for columns in texts]
    if options.label_column is None and cut_names and indices == [3]:
        n_bars = {value.count("|") for (value,) in values}
        if len(n_bars) == 1 and n_bars != {0}:
            values = [(value.split("|")[0],) for (value,) in values]
    raw = RawRows(tuple(names[i] for i in indices), [])
    for row, value in zip(rows, values, strict=True):
        raw.rows.append(RawRow(f"{name}:{row.number}", value, interval=row))
    cut(raw, name, genome, options)
    return raw


def _bed_columns(names: Sequence[str], label_column: str | None, place: str) -> list[int]:
    if label_column is not None:
        numbers = {str(i): name for i, name in enumerate(names, 1)}
        wanted = ",".join(numbers.get(part.strip(), part) for part in label_column.split(","))
        return label_columns(names, wanted, place)
    if len(names) < 4:
        raise LabelError(
            f"{place}: {len(names)} columns, so no name (column 4) to hold the label; "
            "add the label as column 4"
        )
    return [3]


def cut(raw: RawRows, name: str, genome: Genome, options: RowOptions) -> None:
    """Read sequence and contig of every row's interval; rows that have none are left out."""
    if options.region.idle:
        raise ConfigError(options.region.idle)
    window = options.region.window
    placed = []
    for row in raw.rows:
        assert row.interval is not None
        placed.append((row, _placed(row.interval, genome, options.region)))
    genome.tell_aliases(name)
    bad = [(row, result) for row, result in placed if result.region is None]
    if bad and options.on_problem is stop:  # then said of all at once
        smaller = f", or give a smaller --window than {window}" if window else ""
        raise LabelError(
            f"{name}: {len(bad)} of {counted(len(placed), 'row')} cannot be read: "
            f"{_reasons(bad, genome)}; give the GENOME they are from, or remove such rows{smaller}"
        )
    for row, result in bad:
        options.on_problem(result.status, LabelError(f"{row.place}: {result.reason}"))
    readable = [(row, result.region) for row, result in placed if result.region is not None]
    # by position: neighbours lie in the same compressed block
    for row, region in sorted(readable, key=lambda pair: (pair[1].chrom, pair[1].parts)):
        ((start, end),) = region.parts
        tokens = genome.fetch(region.chrom, start, end)
        row.sequence = reverse_complement(tokens) if region.reverse else tokens
        row.contig = region.chrom
    raw.rows = [row for row, _ in readable]
    unknown = [row for row in raw.rows if (row.sequence == N).all()]
    if unknown and options.on_problem is stop:
        raise LabelError(
            f"{name}: {len(unknown)} of {counted(len(placed), 'row')} hold nothing but N, the "
            f"first at {unknown[0].place}; remove them"
        )
    for row in unknown:
        options.on_problem(NO_SEQUENCE, LabelError(f"{row.place}: nothing but N"))
    raw.rows = [row for row in raw.rows if not (row.sequence == N).all()]


def _placed(row: BedRow, genome: Genome, region: RegionOptions) -> Placed:
    """Return a row that is read, itself or a window of it, or why it is not."""
    how = region.of(row.interval)
    if refusal := problem(row.interval, genome):
        return Placed(row, None, *refusal)
    if refused := without_summit(row, how):
        return refused
    start, end = how.resized(row.interval, row.summit)
    resized = replace(row, interval=replace(row.interval, start=start, end=end))
    return place(resized, genome, RegionOptions(how.stranded))


def _reasons(bad: Sequence[tuple[RawRow, Placed]], genome: Genome) -> str:
    if all(result.status == "unknown_contig" for _, result in bad):
        unknown = dict.fromkeys(result.row.interval.chrom for _, result in bad)
        return f"from {Path(bad[0][0].place).name} on: {genome.unknown(*unknown)}"
    examples = [f"{Path(row.place).name}: {result.reason}" for row, result in bad[:_MOST_EXAMPLES]]
    if len(bad) > _MOST_EXAMPLES:
        examples.append("...")
    return "; ".join(examples)
