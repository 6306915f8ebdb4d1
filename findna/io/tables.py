"""Tab-separated results: to standard output, a file, or BGZF."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import numpy.typing as npt

from findna.errors import OutputError
from findna.io.bed import is_header
from findna.io.output import published

MISSING = "."


def is_stdout(path: Path | None) -> bool:
    """Whether results go to standard output."""
    return path is None or str(path) in ("-", "/dev/stdout")


def is_device(path: Path) -> bool:
    """Whether a name stands for a pipe or a device, which is written to and never replaced."""
    return path.exists() and not path.is_file() and not path.is_dir()


def is_live(path: Path | None) -> bool:
    """Whether somebody may be reading what is written while it is written."""
    return path is None or is_stdout(path) or is_device(path)


@contextmanager
def open_text_output(path: Path | None, force: bool = False) -> Iterator[BinaryIO]:
    """Where text results go: standard output (None or ``-``), or a file once it is complete.

    A name that ends in ``.gz`` or ``.bgz`` gets BGZF. A pipe or a device is written to directly.
    """
    if is_stdout(path):
        if sys.stdout is None:
            raise OutputError("standard output is closed; name a file with -o")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    assert path is not None
    if is_device(path):
        with path.open("wb") as file:
            yield file
        return
    with published(path, force) as temporary:
        if path.suffix in (".gz", ".bgz"):
            from pysam import BGZFile

            with BGZFile(str(temporary), "wb", None) as file:
                yield cast(BinaryIO, file)
        else:
            with temporary.open("wb") as file:
                yield file


def index_table(path: Path) -> None:
    """Make a tabix index (.tbi) beside a BGZF file of BED rows.

    Raises
    ------
    OutputError
        Its rows are not sorted; the file itself is complete.
    """
    from pysam import BGZFile, tabix_index

    with BGZFile(str(path), "rb", None) as file:
        lines = (line.decode("utf-8", "surrogateescape") for line in file)
        n_headers = sum(1 for _ in takewhile(is_header, lines))
    columns: dict[str, Any] = {"seq_col": 0, "start_col": 1, "end_col": 2, "zerobased": True}
    try:  # not its preset "bed", which stumbles over track lines
        tabix_index(str(path), **columns, line_skip=n_headers, force=True, keep_original=True)
    except OSError as error:
        raise OutputError(
            f"{path}: written, but not indexed: its rows are not sorted; sort the input "
            "(sort -k1,1 -k2,2n) and run again"
        ) from error


class EmbeddingTable:
    """Input columns as they were, then status, then the vector; same interface as the HDF5 writer.

    Parameters
    ----------
    file : binary file
    dim : int
    columns : sequence of str
        Names of the input columns, for the header line.
    kinds : sequence of str
        Poolings; columns of the first are ``e0, e1, ...``, of another ``max_e0`` and so on.
    bins : int
        Number of bins; their columns are ``bin0_e0`` and so on.
    """

    def __init__(
        self, file: BinaryIO, dim: int, columns: Sequence[str], kinds: Sequence[str], bins: int
    ) -> None:
        self._file, self._kinds, self._dim, self._bins = file, list(kinds), dim, bins
        prefixes = ["", *(f"{kind}_" for kind in kinds[1:]), *(f"bin{i}_" for i in range(bins))]
        self._names = [f"{prefix}e{i}" for prefix in prefixes for i in range(dim)]
        self._empty = [MISSING] * len(self._names)
        self._columns = columns

    def begin(self) -> None:
        """Write the names of the columns."""
        self._write(["#" + self._columns[0], *self._columns[1:], "status", *self._names])

    def _write(self, fields: Sequence[str]) -> None:
        self._file.write(("\t".join(fields) + "\n").encode("utf-8", "surrogateescape"))

    def write(
        self,
        columns: Sequence[str],
        status: str,
        pooled: Mapping[str, npt.NDArray[np.float32]] | None,
        bins: npt.NDArray[np.float32] | None,
    ) -> None:
        """Append one row; without vectors each value is a dot."""
        values = self._empty
        if pooled is not None and bins is not None:
            rows = [pooled[kind] for kind in self._kinds] + [bins.ravel()]
            values = [f"{value:.6g}" for value in np.concatenate(rows).tolist()]
        self._write([*columns, status, *values])
