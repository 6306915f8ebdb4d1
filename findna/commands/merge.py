"""Shards of one output in, the output that a single run would have written out."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from findna.errors import OutputError
from findna.genome.text import open_input
from findna.outputs.destination import Destination
from findna.outputs.hdf5 import file_metadata, is_hdf5
from findna.outputs.joined import assemble, check_parts
from findna.outputs.shards import Note, difference, note_path, read_note
from findna.variants.annotate import open_vcf_output
from findna.variants.vcf import check_bcf_records


@dataclass(frozen=True)
class MergeSummary:
    """Numbers of what was merged, and the SHA-256 of each part."""

    parts: int
    rows: int
    digests: Mapping[Path, str]


def checked(parts: Sequence[Path]) -> list[tuple[Path, Note]]:
    """Return the parts in the order of their rows, if they are a whole.

    Raises
    ------
    OutputError
        They belong to different runs, one is missing, given twice or altered.
    """
    noted = sorted(((path, read_note(path)) for path in parts), key=lambda pair: pair[1].shard)
    first_path, first = noted[0]
    count = first.shard[1]
    for path, note in noted[1:]:
        differing = difference(note.facts, first.facts)
        if differing:
            raise OutputError(
                f"{path}: of another run than {first_path}: {'; '.join(differing[:3])}"
            )
        if note.shard[1] != count:
            raise OutputError(
                f"{path}: shard {note.shard[0]} of {note.shard[1]}, but {first_path} is one of "
                f"{count}"
            )
    numbers = [note.shard[0] for _, note in noted]
    for number in range(1, count + 1):
        if numbers.count(number) != 1:
            fault = (
                f"is missing: name its output too, or run --shard {number}/{count} first"
                if number not in numbers
                else "is there twice: name each part once"
            )
            raise OutputError(f"shard {number} of {count} {fault}")
    row = 0
    for path, note in noted:
        if note.rows[0] != row:
            raise OutputError(f"{path}: begins with row {note.rows[0]}, not with row {row}")
        row = note.rows[1]
    if row != first.total:
        raise OutputError(f"{noted[-1][0]}: ends with row {row} of {first.total}")
    return noted


def merge(parts: Sequence[Path], output: Destination) -> MergeSummary:
    """Write one output from all shards of a run.

    Parameters
    ----------
    parts : sequence of Path
        In any order; each with its note beside it (`findna.outputs.shards.note_path`).
    output : Destination
        HDF5 if the parts are; otherwise text, or BCF by its name.

    Raises
    ------
    ConfigError
        HDF5 would have to go to standard output.
    OutputError
        The parts are no whole, or the output cannot be written.
    """
    inputs = [*parts, *map(note_path, parts)]
    output.check(inputs)
    for path in parts:
        if not path.is_file():
            raise OutputError(f"{path}: no such file")
    noted = checked(parts)
    if any(map(is_hdf5, parts)):
        output = replace(output, form="h5")
        output.check(inputs)
        paths = [path for path, _ in noted]
        check_parts(paths)
        with output.published() as target:
            metadata = file_metadata(paths[0]) | {"command": output.command or None}
            assemble(paths, target, metadata)
    else:
        if output.form == "bcf":
            for path, _ in noted:
                check_bcf_records(path)
        with open_vcf_output(output) as file:
            for i, (path, note) in enumerate(noted):
                with open_input(path) as part:
                    for _ in range(note.header_lines if i else 0):
                        part.readline()
                    shutil.copyfileobj(part, file, 1 << 20)
        output.index()
    digests = {path: note.sha256 for path, note in noted}
    return MergeSummary(len(noted), noted[0][1].total, digests)
