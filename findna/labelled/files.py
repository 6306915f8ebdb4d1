"""Files and folders of labelled sequences: their forms, and a reader for each."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from findna.errors import LabelError
from findna.genome.fasta import Genome
from findna.genome.text import display_name, is_header, is_stdin, numbered_lines, open_input
from findna.labelled.fasta import fasta_records, read_fasta
from findna.labelled.intervals import cut, read_bed
from findna.labelled.rows import (
    BED,
    FASTA,
    TABLE,
    Lines,
    OnProblem,
    RawRow,
    RawRows,
    RowOptions,
    class_of,
    natural,
    parse_sequences,
    show,
    suffix,
)
from findna.labelled.tables import has_sequences, interval_rows, read_table

_SPLITS = {
    "train": "train",
    "dev": "dev",
    "valid": "dev",
    "val": "dev",
    "validation": "dev",
    "test": "test",
}


def _form(path: Path, lines: Lines) -> tuple[str, Lines]:
    """Return the form of a file (bed, fasta or table) and its lines from the first on."""
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
    """Return whether the first lines of a file are those of a labelled table or FASTA."""
    form, _ = _form(Path(), enumerate(lines, 1))
    if form != "table":
        return form == "fasta"
    header = next((line for line in lines if not is_header(line)), "")
    names = [name.strip() for name in header.split("\t" if "\t" in header else ",")]
    return suffix(path) in TABLE or has_sequences(names)


def read_file(
    path: Path,
    genome: Genome | None,
    options: RowOptions = RowOptions(),
    *,
    targets: Sequence[str] = (),
    cut_names: bool = True,
) -> RawRows:
    """Read the rows of a table, BED or FASTA file, or of standard input.

    Intervals are cut as ``options.region`` says; sequences are not.

    Parameters
    ----------
    targets : sequence of str
        Label columns of a table or of BED, if it has all of these and no label column is given.
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
            return read_bed(lines, name, genome, options, targets, cut_names)
        if form == "fasta":
            return read_fasta(lines, name, options)
        return read_table(lines, name, options, targets)


def _visible(folder: Path) -> list[Path]:
    """Return the entries of a folder, without hidden ones, sorted by name."""
    entries = (entry for entry in folder.iterdir() if not entry.name.startswith("."))
    return sorted(entries, key=lambda entry: (natural(class_of(entry)), entry.name))


def read_folder(path: Path, genome: Genome | None, options: RowOptions = RowOptions()) -> RawRows:
    """Read a file or a sub-folder per class; other files, such as a README, are passed over."""
    entries = _visible(path)
    forms = {
        "sub-folders": [entry for entry in entries if entry.is_dir()],
        "FASTA files": [entry for entry in entries if suffix(entry) in FASTA],
        "tables": [entry for entry in entries if suffix(entry) in TABLE],
    }
    present = [form for form, members in forms.items() if members]
    if len(present) != 1:
        reason = f"holds {' and '.join(present)}" if present else "holds no labelled sequences"
        raise LabelError(
            f"{path}: {reason}; expected one of: a folder of .txt files per class, "
            "a FASTA file per class, a table of intervals per class"
        )
    form = present[0]
    labels = [entry.name if entry.is_dir() else class_of(entry) for entry in forms[form]]
    label, count = Counter(labels).most_common(1)[0]
    if count > 1:
        raise LabelError(f"{path}: two files of class {show(label)}; keep one")
    raw = RawRows(("label",), [])
    for entry, label in zip(forms[form], labels, strict=True):
        rows = list(_class_rows(form, entry, label, options.on_problem))
        if not rows:
            raise LabelError(f"{entry}: holds no sequence of class {show(label)}; remove it")
        raw.rows += rows
    if form == "tables":
        if genome is None:
            raise LabelError(
                f"{path}: its tables hold intervals, not sequence; give GENOME, "
                "the FASTA they refer to"
            )
        cut(raw, str(path), genome, options)
    return raw


def _class_rows(form: str, entry: Path, label: str, on_problem: OnProblem) -> Iterator[RawRow]:
    if form == "sub-folders":
        for place, _, tokens in parse_sequences(_texts(entry), on_problem):
            yield RawRow(place, (label,), tokens)
        return
    with open_input(entry) as file:
        lines = numbered_lines(file, str(entry))
        if form == "tables":
            for place, row in interval_rows(lines, str(entry), on_problem):
                yield RawRow(place, (label,), interval=row)
        else:
            records = fasta_records(lines, str(entry))
            for place, _, tokens in parse_sequences(records, on_problem):
                yield RawRow(place, (label,), tokens)


def _texts(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Yield place, no header, and letters of each .txt file: a sequence on one or more lines."""
    for path in _visible(folder):
        if suffix(path) != ".txt" or not path.is_file():
            raise LabelError(
                f"{path}: not a .txt file; a folder of a class holds one sequence per .txt file: "
                "remove this one"
            )
        with open_input(path) as file:
            letters = "".join(line.strip() for _, line in numbered_lines(file, str(path)))
        yield str(path), "", letters


def find_splits(path: Path) -> dict[str, Path]:
    """Return the train, dev and test split of a folder, files or sub-folders, in this order.

    Files are called train, dev (valid, val, validation) or test, with the extension of a table,
    BED or FASTA file.

    Raises
    ------
    LabelError
        Two stand for the same split.
    """
    splits: dict[str, Path] = {}
    for entry in _visible(path) if path.is_dir() else []:
        name = entry.name if entry.is_dir() else class_of(entry)
        split = _SPLITS.get(name.lower())
        if split is None or not (entry.is_dir() or suffix(entry) in (*TABLE, *BED, *FASTA)):
            continue
        if split in splits:
            raise LabelError(
                f"{path}: both {splits[split].name} and {entry.name} are its {split} split; "
                "keep one"
            )
        splits[split] = entry
    return {split: splits[split] for split in ("train", "dev", "test") if split in splits}
