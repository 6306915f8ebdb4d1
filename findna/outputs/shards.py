"""Shards of a run: the rows of each, and a note beside its output."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from findna.errors import ConfigError, OutputError
from findna.outputs.files import file_digest, replaced

Facts = Mapping[str, Any]
"""Plain values, nested, that decide the content of an output."""

Counts = dict[str, int]

FORMAT = 1
_LARGEST_JSON = 1 << 26  # bytes
_DIGEST = "journal_sha256"  # key; notes of before have none


@dataclass(frozen=True)
class Shard:
    """Part ``number`` of ``count``, from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard of ``I/N``, as on a command line.

        Raises
        ------
        ConfigError
            It is not two numbers with 1 <= I <= N.
        """
        if not re.fullmatch(r"[0-9]{1,9}/[0-9]{1,9}", text):
            raise ConfigError(f"--shard {text}: give I/N, as in --shard 2/8")
        number, count = map(int, text.split("/"))
        if not 1 <= number <= count:
            raise ConfigError(f"--shard {text}: I counts from 1 to N")
        return cls(number, count)

    def rows(self, sizes: Iterable[int], total: int) -> tuple[int, int]:
        """Return the first row and the one after the last; shards are about equal in size.

        Parameters
        ----------
        sizes : iterable of int
            What each row costs (bases, or 1).
        total : int
            Their sum. Where it is 0, all rows are in the first shard.

        Returns
        -------
        tuple of int
            The shards of one count cover every row once, in their order.
        """
        first = last = before = row = 0
        for row, size in enumerate(sizes, 1):
            # the shard that holds the middle of the row
            middle = 2 * before + size
            home = min(self.count * middle // (2 * total), self.count - 1) if total else 0
            before += size
            if home < self.number - 1:
                first = row
            if home <= self.number - 1:
                last = row
        return first, last


@dataclass(frozen=True)
class Note:
    """Facts about a shard's output; kept beside it.

    Parameters
    ----------
    facts : mapping
        Values that decide the content of the whole.
    rows : tuple of int
        First row and the one after the last.
    total : int
        Rows of the whole.
    header_lines : int
        Of text: lines that only the first part of a whole keeps.
    sha256 : str
        Of the output file.
    counts : dict of str to int
        What the run counted; empty in notes of before.
    """

    facts: Facts
    shard: tuple[int, int]
    rows: tuple[int, int]
    total: int
    header_lines: int
    sha256: str
    counts: Counts


def note_path(output: Path) -> Path:
    """Return the path of the note of a shard's output."""
    return output.with_name(output.name + ".shard.json")


def write_note(
    output: Path, shard: Shard, facts: Facts, rows: tuple[int, int], total: int, counts: Counts
) -> None:
    """Note what an output is a part of, beside it; see `Note`."""
    header_lines, digest = counts.get("header_lines", 0), file_digest(output)
    note = Note(facts, (shard.number, shard.count), rows, total, header_lines, digest, counts)
    write_journal(note_path(output), asdict(note))


def finished_note(output: Path, shard: Shard, facts: Facts) -> Note | None:
    """Return the note of a shard if a run has written this very one before.

    ``facts`` are plain values, as they are read from JSON; they decide the rows too.
    """
    if not output.is_file():  # a note may be all that is left
        return None
    try:
        note = read_note(output)
    except OutputError:
        return None
    if note.shard != (shard.number, shard.count) or difference(note.facts, facts):
        return None
    return note if "rows" in note.counts else None


def read_note(output: Path) -> Note:
    """Read the note of a shard's output.

    Raises
    ------
    OutputError
        There is none, it is malformed, or the output is not what was written.
    """
    path = note_path(output)
    if not path.is_file():
        raise OutputError(
            f"{output}: no {path.name} beside it; merge takes what a run with --shard wrote"
        )
    values = read_journal(path)
    try:
        (number, count), (first, last) = values["shard"], values["rows"]
        total, header_lines = values["total"], values["header_lines"]
        if not all(map(is_count, (number, count, first, last, total, header_lines))):
            raise ValueError("numbers are not counts")
        if not (1 <= number <= count and first <= last <= total):
            raise ValueError("rows are not those of a shard")
        shard, rows = (number, count), (first, last)
        digest, counts = str(values["sha256"]), {**values.get("counts", {})}
        if not all(map(is_count, counts.values())):
            raise ValueError("counts are none")
        note = Note({**values["facts"]}, shard, rows, total, header_lines, digest, counts)
    except (KeyError, TypeError, ValueError) as error:
        raise OutputError(f"{path}: not the note of a shard") from error
    if file_digest(output) != note.sha256:
        raise OutputError(f"{output}: is not what the run wrote (SHA-256 in {path.name}); redo it")
    return note


def is_count(value: Any) -> bool:
    """Return whether a value of a JSON file is a whole number, from 0 on."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def write_journal(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON file about parts, with a digest of itself."""
    values = {"format": FORMAT, **values}
    with replaced(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump({**values, _DIGEST: _digest(values)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())


def read_journal(path: Path) -> dict[str, Any]:
    """Read a JSON file about parts.

    Raises
    ------
    OutputError
        It cannot be read, is of another format, or was changed.
    """
    try:
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError("too large")
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict) or values.get("format") != FORMAT:
            raise ValueError("another format")
        digest = values.pop(_DIGEST, None)
        if digest is not None and digest != _digest(values):
            raise ValueError("it was changed")
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
    return values


def _digest(values: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def difference(facts: Facts, other: Facts, prefix: str = "") -> list[str]:
    """Return the names of what differs between two runs, and how."""
    differing = []
    for key in sorted({*facts, *other}):
        a, b = facts.get(key), other.get(key)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            differing += difference(a, b, f"{prefix}{key} ")
        elif a != b:
            here, there = (str(x) if len(str(x)) <= 24 else f"{str(x)[:12]}..." for x in (a, b))
            if a is None:
                how = f"not given, but {there} there"
            else:
                how = f"{here}, not given there" if b is None else f"{here}, not {there}"
            differing.append(f"{prefix}{key} ({how})")
    return differing
