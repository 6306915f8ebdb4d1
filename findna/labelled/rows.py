"""Rows of labelled sets as they are written: tables, BED, FASTA and folders.

What the labels mean is for `findna.labelled.sets` to say; here they are text. Every letter of every
sequence is checked.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from findna.errors import FindnaError, LabelError, RegionError
from findna.genome.bed import BedRow, column_names, is_header, parse_row
from findna.genome.encoding import Tokens, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval
from findna.genome.regions import Placed, RegionOptions, place, ragged
from findna.genome.text import display_name, is_stdin, numbered_lines, open_input
from findna.genome.windows import resize

Lines = Iterator[tuple[int, str]]

OnProblem = Callable[[str, FindnaError], object]
"""Gets a status word and the reason of each row that cannot be read, which is then left out."""

TABLE = (".csv", ".tsv")

BED = (".bed", ".narrowpeak", ".broadpeak")

FASTA = (".fa", ".fasta", ".fna", ".ffn")

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)

_SEQUENCE_NAMES = ("sequence", "seq")

_LABEL_NAMES = ("label", "labels", "target", "class")

_INTERVAL_NAMES = ("region", "start", "end")

_IUPAC = b"ACGTUNRYSWKMBDHVacgtunryswkmbdhv"

_LONGEST_FIELD = 1 << 24  # letters; as the longest line

_LONGEST_SHOWN = 40  # letters of a value in a message

_MOST_SHOWN = 8  # names in a message

_MOST_EXAMPLES = 3


@dataclass
class RawRows:
    """Rows as they were read: labels are still text, one per label column."""

    columns: tuple[str, ...]
    values: list[tuple[str, ...]] = field(default_factory=list)
    sequences: list[Tokens] = field(default_factory=list)
    places: list[str] = field(default_factory=list)  # file:line, for messages
    contigs: list[str] | None = None

    def keep(self, rows: Sequence[int]) -> None:
        """Leave out all rows but these."""
        self.values = [self.values[row] for row in rows]
        self.sequences = [self.sequences[row] for row in rows]
        self.places = [self.places[row] for row in rows]
        if self.contigs is not None:
            self.contigs = [self.contigs[row] for row in rows]


def stop(status: str, error: FindnaError) -> None:
    """The usual `OnProblem`: no row is left out."""
    raise error


@dataclass(frozen=True)
class RowOptions:
    """What of a set is read, and what becomes of rows that cannot be.

    Parameters
    ----------
    label_column, stranded, window
        See `findna.labelled.sets.read_labelled`.
    on_problem : callable
        Gets each row that cannot be read; by default the first one is raised.
    """

    label_column: str | None = None
    stranded: bool = True
    window: int | None = None
    on_problem: OnProblem = stop


def natural(text: str) -> tuple[bool, float, str]:
    """Sorts numbers by value, then words alphabetically."""
    number = NUMBER.fullmatch(text)
    return number is None, float(text) if number else 0.0, text


def _uncompressed(path: Path) -> Path:
    return path.with_suffix("") if path.suffix.lower() in (".gz", ".bgz") else path


def suffix(path: Path) -> str:
    """Extension in lower case, without that of the compression."""
    return _uncompressed(path).suffix.lower()


def class_of(path: Path) -> str:
    """File name without its extensions: ``positive`` of positive.csv.gz."""
    return _uncompressed(path).stem


def _form(path: Path, lines: Lines) -> tuple[str, Lines]:
    """Whether a file is bed, fasta or a table, and its lines from the first on."""
    for form, suffixes in (("table", TABLE), ("bed", BED), ("fasta", FASTA)):
        if suffix(path) in suffixes:
            return form, lines
    seen: list[tuple[int, str]] = []
    form = "table"
    for number, line in lines:
        seen.append((number, line))
        if is_header(line):
            continue
        fields = line.split("\t")
        if line.startswith(">"):
            form = "fasta"
        elif len(fields) > 2 and fields[1].isdigit() and fields[2].isdigit():
            form = "bed"
        break
    return form, itertools.chain(seen, lines)


def looks_labelled(path: Path, lines: Sequence[str]) -> bool:
    """Whether the first lines of a file are those of labelled sequences; a BED file may be, too."""
    form, _ = _form(Path(), enumerate(lines, 1))
    if form != "table":
        return form == "fasta"
    header = next((line for line in lines if not is_header(line)), "")
    names = [name.strip() for name in header.split("\t" if "\t" in header else ",")]
    return suffix(path) in TABLE or bool(_find(names, _SEQUENCE_NAMES))


def show(text: str) -> str:
    """A value in a message: quoted, on one line, not too long."""
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")


def listing(names: Sequence[str]) -> str:
    """Names in a message, the first few."""
    more = len(names) - _MOST_SHOWN
    shown = ", ".join(show(name)[1:-1] for name in names[:_MOST_SHOWN])
    return shown + (f" and {more} more" if more > 0 else "")


def parse_sequence(text: str, where: str) -> Tokens:
    """Token ids of a sequence whose letters are all nucleotides."""
    text = text.strip()
    if not text:
        raise LabelError(f"{where}: the sequence is empty; correct or remove the row")
    letters = text.encode("utf-8", "surrogateescape")
    wrong = letters.translate(None, _IUPAC)
    if wrong:
        letter = next(letter for letter in text if letter.encode("utf-8", "replace") not in _IUPAC)
        raise LabelError(
            f"{where}: {show(letter)} in sequence {show(text)} is not a nucleotide; write A, C, "
            "G, T, U, N or another IUPAC code, without gaps or spaces"
        )
    return encode(letters)


def read_file(
    path: Path,
    genome: Genome | None,
    options: RowOptions = RowOptions(),
    *,
    targets: Sequence[str] = (),
    cut_names: bool = True,
) -> RawRows:
    """Read the rows of a table, BED or FASTA file, or of standard input.

    Intervals are cut to ``options.window`` about their middle; sequences are not.

    Parameters
    ----------
    targets : sequence of str
        Label columns of a table, if it has all of these and no label column is given.
    cut_names : bool
        Where every name of a BED file has the same number of ``|``, as in ``class|split|id``,
        and no label column is given, the label is what comes before the first.
    """
    name = display_name(path)
    if not path.exists() and not is_stdin(path):
        raise LabelError(f"{name}: no such file or folder; give a table, BED, FASTA or folder")
    with open_input(path) as file:
        form, lines = _form(path, numbered_lines(file, name))
        if form == "bed":
            return _read_bed(lines, name, genome, options, cut_names)
        if form == "fasta":
            return _read_fasta(lines, name, options)
        return _read_table(lines, name, options, targets)


def _records(lines: Lines, name: str) -> Iterator[tuple[str, list[str]]]:
    """Records of a table and the place each begins at; tabs separate if the first line has one."""
    first = next(lines, (1, ""))
    reader = csv.reader(
        (f"{line}\n" for _, line in itertools.chain([first], lines)),
        delimiter="\t" if "\t" in first[1] else ",",
        strict=True,
    )
    limit = csv.field_size_limit(_LONGEST_FIELD)  # one for the whole process
    where = f"{name}:1"
    try:
        while True:
            where = f"{name}:{reader.line_num + 1}"
            record = next(reader, None)
            if record is None:
                return
            if record:  # not a blank line
                yield where, record
    except csv.Error as error:
        raise LabelError(f"{where}: {error}; close every quote and save the table again") from error
    finally:
        csv.field_size_limit(limit)


def _matches(names: Sequence[str], wanted: str) -> list[int]:
    """Indices of a name; where it is not there, of the same name in another case."""
    exact = [i for i, name in enumerate(names) if name == wanted]
    return exact or [i for i, name in enumerate(names) if name.lower() == wanted.lower()]


def _column(names: Sequence[str], wanted: str, where: str) -> int:
    found = _matches(names, wanted)
    if len(found) == 1:
        return found[0]
    reason = f"{len(found)} columns are called" if found else "no column"
    raise LabelError(
        f"{where}: {reason} {show(wanted)}; the header is {listing(names)}; "
        "name one of these columns, or rename"
    )


def _columns(names: Sequence[str], wanted: str, where: str) -> list[int]:
    """Indices of the columns in a comma-separated list; a name may hold a comma itself."""
    parts = [wanted] if _matches(names, wanted) else [part.strip() for part in wanted.split(",")]
    found = [_column(names, part, where) for part in parts]
    if len(set(found)) < len(found):
        raise LabelError(f"{where}: {show(wanted)} names a label column twice; name it once")
    return found


def _find(names: Sequence[str], synonyms: Sequence[str]) -> list[int]:
    """Indices of a column by its usual name, else by those it also goes by."""
    return _matches(names, synonyms[0]) or [
        i for i, name in enumerate(names) if name.lower() in synonyms[1:]
    ]


def _header_columns(
    names: Sequence[str], where: str, label_column: str | None, targets: Sequence[str]
) -> tuple[int, list[int]]:
    """Indices of the sequence and of the labels."""
    sequence = _find(names, _SEQUENCE_NAMES)
    if len(sequence) != 1:
        count = "no column" if not sequence else f"{len(sequence)} columns"
        if any(
            len(n) >= 10 and not n.encode("utf-8", "replace").translate(None, _IUPAC) for n in names
        ):
            remedy = "the first line looks like data: put the line sequence,label above it"
        elif all(_matches(names, name) for name in _INTERVAL_NAMES):
            remedy = "for intervals give the folder with one file per class, and GENOME"
        else:
            remedy = "expected one column sequence (or seq), separated by commas or tabs"
        raise LabelError(f"{where}: {count} sequence; the header is {listing(names)}; {remedy}")
    if label_column is not None:
        return sequence[0], _columns(names, label_column, where)
    if targets and set(targets) <= set(names):
        return sequence[0], [_column(names, target, where) for target in targets]
    labels = _find(names, _LABEL_NAMES)
    if len(labels) == 1:
        return sequence[0], labels
    reason = "several columns could be the label" if labels else "no column label"
    raise LabelError(
        f"{where}: {reason}; the header is {listing(names)}; "
        "name the label column (--label-column) or call it label"
    )


def _read_table(lines: Lines, name: str, options: RowOptions, targets: Sequence[str]) -> RawRows:
    records = _records(lines, name)
    where, header = next(records, (f"{name}:1", []))
    if not header:
        raise LabelError(f"{name}: is empty; expected a table with columns sequence and label")
    names = [column.strip() for column in header]
    sequence, labels = _header_columns(names, where, options.label_column, targets)
    raw = RawRows(tuple(names[i] for i in labels))
    for where, record in records:
        try:
            if len(record) != len(names):
                raise LabelError(ragged(where, len(record), len(names), "the header"))
            tokens = parse_sequence(record[sequence], where)
        except LabelError as error:
            options.on_problem("malformed", error)
            continue
        raw.sequences.append(tokens)
        raw.values.append(tuple(record[i].strip() for i in labels))
        raw.places.append(where)
    return raw


def _read_bed(
    lines: Lines, name: str, genome: Genome | None, options: RowOptions, cut_names: bool
) -> RawRows:
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
            reason = ragged(f"{name}:{number}", len(row.columns), n)
            options.on_problem("ragged", LabelError(reason))
    places = [f"{name}:{row.number}" for row in rows]
    n = len(rows[0].columns) if rows else 4
    names = column_names(n)
    indices = _bed_columns(names, options.label_column, places[0] if places else name)
    values = [tuple(_bed_value(row.columns[i]) for i in indices) for row in rows]
    if options.label_column is None and cut_names:
        parts = {value.count("|") for (value,) in values}
        if len(parts) == 1 and parts != {0}:
            values = [(value.split("|")[0],) for (value,) in values]
    raw = RawRows(tuple(names[i] for i in indices), values, places=places)
    _cut(raw, rows, name, genome, options)
    return raw


def _bed_value(text: str) -> str:
    text = text.strip()
    return "" if text == "." else text


def _bed_columns(names: Sequence[str], label_column: str | None, where: str) -> list[int]:
    numbers = {str(i): names[i - 1] for i in range(1, len(names) + 1)}
    if label_column is not None:
        wanted = ",".join(numbers.get(part.strip(), part) for part in label_column.split(","))
        return _columns(names, wanted, where)
    if len(names) < 4:
        raise LabelError(
            f"{where}: {len(names)} columns, so no name (column 4) to hold the label; "
            "add the label as column 4"
        )
    return [3]


def _cut(
    raw: RawRows, rows: Sequence[BedRow], name: str, genome: Genome, options: RowOptions
) -> None:
    """Add sequence and contig of each interval; ``raw`` has all else."""
    window = options.window
    if window is not None:
        rows = [_resized(row, window) for row in rows]
    placed = [place(row, genome, RegionOptions(options.stranded)) for row in rows]
    regions = [(i, found.region) for i, found in enumerate(placed) if found.region is not None]
    if len(regions) < len(rows):
        if options.on_problem is stop:  # then said of all at once
            smaller = f", or give a smaller --window than {window}" if window else ""
            raise LabelError(_unreadable(placed, raw.places, name, genome) + smaller)
        for found, where in zip(placed, raw.places, strict=True):
            if found.region is None:
                options.on_problem(found.status, LabelError(f"{where}: {found.reason}"))
    raw.sequences = [np.empty(0, np.uint8)] * len(rows)
    # by position: neighbours lie in the same compressed block
    for i, region in sorted(regions, key=lambda pair: (pair[1].chrom, pair[1].parts)):
        ((start, end),) = region.parts
        tokens = genome.fetch(region.chrom, start, end)
        raw.sequences[i] = reverse_complement(tokens) if region.reverse else tokens
    raw.keep([i for i, _ in regions])
    raw.contigs = [region.chrom for _, region in regions]


def _resized(row: BedRow, window: int) -> BedRow:
    start, end = resize(row.interval, window=window)
    return replace(row, interval=replace(row.interval, start=start, end=end))


def _unreadable(placed: Sequence[Placed], places: Sequence[str], name: str, genome: Genome) -> str:
    bad = [
        (found, Path(where).name)
        for found, where in zip(placed, places, strict=True)
        if found.region is None
    ]
    if all(found.status == "unknown_contig" for found, _ in bad):
        unknown = dict.fromkeys(found.row.interval.chrom for found, _ in bad)
        reasons = f"from {bad[0][1]} on: {genome.unknown(*unknown)}"
    else:
        reasons = "; ".join(f"{where}: {found.reason}" for found, where in bad[:_MOST_EXAMPLES])
        reasons += "; ..." if len(bad) > _MOST_EXAMPLES else ""
    return (
        f"{name}: {len(bad)} of {len(placed)} rows cannot be read: {reasons}; "
        "give the GENOME they are from, or remove such rows"
    )


def _fasta(lines: Lines, name: str, on_problem: OnProblem) -> Iterator[tuple[str, str, Tokens]]:
    """Place, header and sequence of each record."""
    for where, header, letters in _fasta_records(lines, name):
        try:
            tokens = parse_sequence(letters, where)
        except LabelError as error:
            on_problem("malformed", error)
            continue
        yield where, header, tokens


def _fasta_records(lines: Lines, name: str) -> Iterator[tuple[str, str, str]]:
    where, header, parts = "", "", list[str]()
    for number, line in lines:
        if line.startswith(">"):
            if where:
                yield where, header, "".join(parts)
            where, header, parts = f"{name}:{number}", line[1:].strip(), []
        elif where:
            parts.append(line.strip())
        elif line.strip():
            raise LabelError(
                f"{name}:{number}: not FASTA: expected a header that begins with >, "
                f"found {show(line)}"
            )
    if where:
        yield where, header, "".join(parts)


def _read_fasta(lines: Lines, name: str, options: RowOptions) -> RawRows:
    raw = RawRows(("label",))
    headers = []
    for where, header, sequence in _fasta(lines, name, options.on_problem):
        raw.places.append(where)
        raw.sequences.append(sequence)
        headers.append(header)
    if headers:
        labels = _header_labels(headers, raw.places, options)
        raw.values = [(label or "",) for label in labels]
        raw.keep([row for row, label in enumerate(labels) if label is not None])
    return raw


def _header_labels(headers: list[str], places: list[str], options: RowOptions) -> list[str | None]:
    """Labels of FASTA headers, None where there is none. The first header decides where they are.

    ``label=`` or ``class=``; else the last ``|``-separated field, if it is one word; else the
    second of two words.
    """
    label_column = options.label_column
    key, number, fields = "label|class", 0, headers[0].count("|") + 1
    if label_column is not None and label_column.isascii() and label_column.isdigit():
        number = int(label_column)
    elif label_column is not None:
        key = re.escape(label_column)
    pattern = re.compile(rf"(?:^|[\s|])(?:{key})=([^\s|]*)", re.IGNORECASE)
    keyed = number == 0 and (label_column is not None or bool(pattern.search(headers[0])))

    def label(header: str) -> str | None:
        parts = header.split("|")
        if keyed:
            found = pattern.findall(header)
            return found[0] if len(found) == 1 else None
        if number:
            return parts[number - 1].strip() if 0 < number <= len(parts) else None
        if fields > 1:
            words = parts[-1].split()
            return "".join(words) if len(parts) == fields and len(words) < 2 else None
        words = header.split()
        return words[1] if len(words) == 2 and len(parts) == 1 else None

    if keyed:
        form = f"{label_column or 'label'}=... once"
    elif number:
        form = f"a |-separated field {number}"
    elif fields > 1:
        form = f"{fields} |-separated fields, the last one word"
    else:
        form = "two words, the second the label"
    labels = [label(header) for header in headers]
    for found, header, where in zip(labels, headers, places, strict=True):
        if found is None:
            error = LabelError(
                f"{where}: no label in header {show(header)}; expected {form}; "
                "write label=NAME into every header"
            )
            options.on_problem("no_label", error)
    return labels


def visible(folder: Path) -> list[Path]:
    """What a folder holds, but for hidden files, sorted by name."""
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(entries, key=lambda entry: (natural(class_of(entry)), entry.name))


def read_folder(path: Path, genome: Genome | None, options: RowOptions = RowOptions()) -> RawRows:
    """Read a file or a sub-folder per class; other files, such as a README, are passed over."""
    entries = visible(path)
    forms = {
        "sub-folders": [entry for entry in entries if entry.is_dir()],
        "FASTA files": [entry for entry in entries if suffix(entry) in FASTA],
        "tables": [entry for entry in entries if suffix(entry) in TABLE],
    }
    present = [form for form, found in forms.items() if found]
    if len(present) != 1:
        reason = f"holds {' and '.join(present)}" if present else "holds no labelled sequences"
        raise LabelError(
            f"{path}: {reason}; expected one of: a folder of .txt files per class, "
            "a FASTA file per class, a table of intervals per class"
        )
    found = forms[present[0]]
    by_folder = present[0] == "sub-folders"
    labels = [entry.name if by_folder else class_of(entry) for entry in found]
    twice = [label for label, count in Counter(labels).items() if count > 1]
    if twice:
        raise LabelError(f"{path}: two files of class {show(twice[0])}; keep one")
    raw = RawRows(("label",))
    intervals: list[BedRow] = []
    for entry, label in zip(found, labels, strict=True):
        before = len(raw.places)
        if by_folder:
            _add_texts(raw, entry, options.on_problem)
        elif present[0] == "FASTA files":
            with open_input(entry) as file:
                lines = numbered_lines(file, str(entry))
                for where, _, sequence in _fasta(lines, str(entry), options.on_problem):
                    raw.places.append(where)
                    raw.sequences.append(sequence)
        else:
            with open_input(entry) as file:
                lines = numbered_lines(file, str(entry))
                for where, row in _intervals(lines, str(entry), options.on_problem):
                    raw.places.append(where)
                    intervals.append(row)
        if len(raw.places) == before:
            raise LabelError(f"{entry}: holds no sequence of class {show(label)}; remove it")
        raw.values += [(label,)] * (len(raw.places) - before)
    if intervals:
        if genome is None:
            raise LabelError(
                f"{path}: its tables hold intervals, not sequence; give GENOME, "
                "the FASTA they refer to"
            )
        _cut(raw, intervals, str(path), genome, options)
    return raw


def _add_texts(raw: RawRows, folder: Path, on_problem: OnProblem) -> None:
    """One sequence per .txt file, on one or more lines."""
    for path in visible(folder):
        if suffix(path) != ".txt" or not path.is_file():
            raise LabelError(
                f"{path}: not a .txt file; a folder of a class holds one sequence per .txt file: "
                "remove this one"
            )
        with open_input(path) as file:
            text = "".join(line.strip() for _, line in numbered_lines(file, str(path)))
        try:
            tokens = parse_sequence(text, str(path))
        except LabelError as error:
            on_problem("malformed", error)
            continue
        raw.places.append(str(path))
        raw.sequences.append(tokens)


def _intervals(lines: Lines, name: str, on_problem: OnProblem) -> Iterator[tuple[str, BedRow]]:
    """Rows of a GenomicBenchmarks table: id, region, start, end, strand; as BED counts."""
    records = _records(lines, name)
    where, header = next(records, (f"{name}:1", []))
    names = [column.strip() for column in header]
    missing = [column for column in _INTERVAL_NAMES if not _matches(names, column)]
    if missing:
        raise LabelError(
            f"{where}: no column {missing[0]}; the header is {listing(names)}; expected "
            "id,region,start,end,strand; a table of sequences is given as a file"
        )
    region, start, end = (_column(names, column, where) for column in _INTERVAL_NAMES)
    strand = _column(names, "strand", where) if _matches(names, "strand") else None
    for where, record in records:
        try:
            if len(record) != len(names):
                raise LabelError(ragged(where, len(record), len(names), "the header"))
            sign = record[strand].strip() if strand is not None else "."
            yield where, _interval([record[i] for i in (region, start, end)], sign, where)
        except (LabelError, RegionError) as error:
            on_problem("malformed", error)


def _interval(row: Sequence[str], sign: str, where: str) -> BedRow:
    if any("\t" in column for column in row):
        raise LabelError(f"{where}: a tab within a column; remove it")
    if sign not in ("+", "-", ".", ""):
        raise LabelError(f"{where}: strand is {show(sign)}; write +, - or .")
    name, _, number = where.rpartition(":")
    found = parse_row("\t".join(column.strip() for column in row), int(number), name)
    interval = Interval(
        found.interval.chrom, found.interval.start, found.interval.end, strand=sign or "."
    )
    return replace(found, interval=interval)
