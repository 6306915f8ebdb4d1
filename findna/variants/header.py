"""Definitions in a VCF header: ``##INFO=<ID=DP,Number=1,Type=Integer,...>``."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_STRUCTURED = re.compile(r"##([^=]+)=<(.*)>\s*")
_QUOTED = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"')

Fields = dict[str, str]
"""Keys and values of a definition; a quoted value keeps its quotes."""


def definitions(header: Iterable[str]) -> Iterator[tuple[str, str, Fields]]:
    """Yield the kind (INFO, contig, ...), the line and the fields of definitions with an ID."""
    for line in header:
        match = _STRUCTURED.fullmatch(line)
        if match is not None:
            fields = _fields(match[2])
            if "ID" in fields:
                yield match[1], line, fields


def _fields(text: str) -> Fields:
    """Return the fields of a definition, in time that grows with its length and no faster."""
    fields: Fields = {}
    at = 0
    while (equals := text.find("=", at)) >= 0:
        key = text[at:equals]
        for mark in ',<>"':
            key = key.rpartition(mark)[2]
        if not key:
            at = equals + 1
            continue
        quoted = _QUOTED.match(text, equals + 1)
        comma = text.find(",", equals)
        at = quoted.end() if quoted else comma if comma >= 0 else len(text)
        fields[key.lstrip()] = text[equals + 1 : at]
    return fields


def defined(header: Iterable[str], kind: str) -> dict[str, Fields]:
    """Return the definitions of a kind by their ID; of two with one ID the first."""
    by_id: dict[str, Fields] = {}
    for name, _, fields in definitions(header):
        if name == kind:
            by_id.setdefault(fields["ID"], fields)
    return by_id
