"""Labelled FASTA: the label is in the header."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from findna.errors import LabelError
from findna.labelled.rows import Lines, RawRow, RawRows, RowOptions, parse_sequences, show


def fasta_records(lines: Lines, name: str) -> Iterator[tuple[str, str, str]]:
    """Yield place, header and letters of each record."""
    place, header, parts = "", "", list[str]()
    for number, line in lines:
        if line.startswith(">"):
            if place:
                yield place, header, "".join(parts)
            place, header, parts = f"{name}:{number}", line[1:].strip(), []
        elif place:
            parts.append(line.strip())
        elif line.strip():
            raise LabelError(
                f"{name}:{number}: not FASTA: expected a header that begins with >, "
                f"found {show(line)}"
            )
    if place:
        yield place, header, "".join(parts)


def read_fasta(lines: Lines, name: str, options: RowOptions) -> RawRows:
    """Read records whose first header decides where labels stand."""
    records = list(parse_sequences(fasta_records(lines, name), options.on_problem))
    raw = RawRows(("label",), [])
    if not records:
        return raw
    form, label_of = _label_form(records[0][1], options.label_column)
    for place, header, tokens in records:
        label = label_of(header)
        if label is None:
            error = LabelError(
                f"{place}: no label in header {show(header)}; expected {form}; "
                "write label=NAME into every header"
            )
            options.on_problem("no_label", error)
        else:
            raw.rows.append(RawRow(place, (label,), tokens))
    return raw


def _label_form(first: str, label_column: str | None) -> tuple[str, Callable[[str], str | None]]:
    """Return in words where the headers hold a label, and a function that finds it.

    ``label=`` or ``class=``; else the last ``|``-separated field, if it is one word; else the
    second of two words.
    """
    n_fields = first.count("|") + 1
    number = 0
    if label_column is not None and re.fullmatch("[0-9]{1,9}", label_column):
        number = int(label_column)
    key = "label|class" if label_column is None else re.escape(label_column)
    pattern = re.compile(rf"(?:^|[\s|])(?:{key})=([^\s|]*)", re.IGNORECASE)

    def with_key(header: str) -> str | None:
        labels = pattern.findall(header)
        return labels[0] if len(labels) == 1 else None

    def field(header: str) -> str | None:
        fields = header.split("|")
        return fields[number - 1].strip() if number <= len(fields) else None

    def last_field(header: str) -> str | None:
        fields = header.split("|")
        words = fields[-1].split()
        return "".join(words) if len(fields) == n_fields and len(words) < 2 else None

    def second_word(header: str) -> str | None:
        words = header.split()
        return words[1] if len(words) == 2 and "|" not in header else None

    if number:
        return f"a |-separated field {number}", field
    if label_column is not None or pattern.search(first):
        return f"{label_column or 'label'}=... once", with_key
    if n_fields > 1:
        return f"{n_fields} |-separated fields, the last one word", last_field
    return "two words, the second the label", second_word
