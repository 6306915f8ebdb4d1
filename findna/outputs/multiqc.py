"""Files for MultiQC: labels, scores and lengths of one sample, a section each.

MultiQC finds them by their names, ``*_mqc.json``, and needs no plugin; sections of one id, each of
another sample, become one figure.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from findna.errors import ConfigError
from findna.outputs.destination import Destination
from findna.outputs.files import check_output, replaced

Row = TypeVar("Row")
Result = TypeVar("Result")
RowIn = TypeVar("RowIn", contravariant=True)
ResultIn = TypeVar("ResultIn", contravariant=True)


class Histogram:
    """Numbers of values in bins of one width; the outer bins also hold what lies beyond them."""

    def __init__(self, low: float, high: float, bins: int) -> None:
        self._low, self._width = low, (high - low) / bins
        self._counts = [0] * bins

    def add(self, value: float) -> None:
        """Count a value."""
        number = math.floor((value - self._low) / self._width)
        self._counts[min(max(number, 0), len(self._counts) - 1)] += 1

    def line(self) -> dict[float, int]:
        """Return the number of values by the middle of their bin."""
        middles = (self._low + (i + 0.5) * self._width for i in range(len(self._counts)))
        return dict(zip((round(x, 6) for x in middles), self._counts, strict=True))


@dataclass(frozen=True)
class Section:
    """A section of the report: bars of numbers by name, or a line of numbers by value.

    Parameters
    ----------
    x : str
        Name of the values, with which it is a line.
    settings : mapping
        More settings of the plot.
    """

    id: str
    title: str
    description: str
    data: Mapping[Any, int]
    of: str
    x: str = ""
    settings: Mapping[str, Any] | None = None

    def content(self, sample: str) -> dict[str, Any]:
        """Return what the file of a sample holds."""
        axis = {"xlab": self.x} if self.x else {}
        # names that are numbers would lose their order
        pairs = [list(pair) for pair in self.data.items()]
        plot = {"id": f"{self.id}_plot", "title": f"findna: {self.title}", "ylab": self.of, **axis}
        return {
            "id": self.id,
            "parent_id": "findna",
            "parent_name": "findna",
            "parent_description": "annotates DNA with a self-distilled language model.",
            "section_name": self.title,
            "description": self.description,
            "plot_type": "linegraph" if self.x else "bargraph",
            "pconfig": plot | dict(self.settings or {}),
            "data": {sample: pairs if self.x else dict(self.data)},
        }


def section_id(*words: str) -> str:
    """Return an id made of letters, digits and underscores."""
    return re.sub(r"\W", "_", "_".join(["findna", *words]))


def check_multiqc(prefix: Path, command: str, force: bool) -> None:
    """Raise OutputError unless the sections of a command can be written; see `write_sections`."""
    start, end = f"{prefix.name}.{section_id(command)}_", "_mqc.json"
    check_output(prefix.with_name(f"{start}x{end}"), force)
    for path in prefix.parent.iterdir():
        if path.name.startswith(start) and path.name.endswith(end):
            check_output(path, force)


def write_sections(prefix: Path, sections: Iterable[Section]) -> None:
    """Write PREFIX.ID_mqc.json of each section; the end of the prefix is the sample's name."""
    for section in sections:
        with replaced(prefix.with_name(f"{prefix.name}.{section.id}_mqc.json")) as temporary:
            text = json.dumps(section.content(prefix.name), indent=1)
            temporary.write_text(text + "\n", encoding="utf-8")


class Tally(Protocol[RowIn, ResultIn]):
    """Counts of what a run finds, and the sections that they make."""

    def add(self, row: RowIn, result: ResultIn | None) -> None:
        """Count a row."""
        ...

    def sections(self) -> Iterator[Section]:
        """Yield the sections."""
        ...


Stage = Callable[[Iterator[Row]], Iterator[tuple[Row, Result | None]]]


def tallied(
    stage: Stage[Row, Result], tally: Tally[Row, Result], output: Destination, command: str
) -> Stage[Row, Result]:
    """Return a stage that counts what it computes, if MultiQC is to be told.

    Raises
    ------
    ConfigError
        The output would go on from rows that are not computed again.
    OutputError
        The sections cannot be written.
    """
    prefix = output.multiqc
    if prefix is None:
        return stage
    if output.resume:
        raise ConfigError("--multiqc counts the rows of one run; leave out --resume")
    check_multiqc(prefix, command, output.force)

    def counting(rows: Iterator[Row]) -> Iterator[tuple[Row, Result | None]]:
        for row, result in stage(rows):
            tally.add(row, result)
            yield row, result
        write_sections(prefix, tally.sections())

    return counting
