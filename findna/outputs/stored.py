"""Embeddings read from an HDF5 file of `findna embed`, some rows at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from findna.errors import EmbeddingError, did_you_mean
from findna.genome.bed import column_names, score_values
from findna.genome.intervals import Interval
from findna.outputs.files import MISSING
from findna.outputs.hdf5 import BUFFER_ROWS, FORMAT_VERSION, READABLE_VERSIONS, read_metadata

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class StoredRow:
    """A row of a file of embeddings.

    Parameters
    ----------
    columns : tuple of str
        Of the BED row it was made from; a name that was generated is the fourth.
    vectors : dict of str to ndarray
        By dataset: ``X``, ``obsm/<pool>`` (dim,), ``obsm/bins`` (bins, dim), ``uns/per_base``
        (length, dim).
    """

    index: int
    columns: tuple[str, ...]
    length: int
    n_fraction: float
    status: str
    vectors: dict[str, npt.NDArray[Any]]


def _selections(
    rows: Sequence[int],
) -> Iterator[tuple[Sequence[int], slice | list[int], Sequence[int]]]:
    """Yield rows some at a time: their numbers, what to read, and where each is in what was read.

    The numbers must ascend.
    """
    for first in range(0, len(rows), BUFFER_ROWS):
        block = rows[first : first + BUFFER_ROWS]
        low, high = int(block[0]), int(block[-1]) + 1
        if high - low <= 4 * len(block):  # one read of all is then faster
            yield block, slice(low, high), [int(row) - low for row in block]
        else:
            yield block, [int(row) for row in block], range(len(block))


class _Categorical:
    """A column of words that are stored as numbers."""

    def __init__(self, codes: h5py.Dataset, words: npt.NDArray[np.object_]) -> None:
        self._codes, self._words = codes, words

    def __getitem__(self, rows: slice | list[int]) -> npt.NDArray[np.object_]:
        codes = self._codes[rows]
        if len(codes) and not 0 <= codes.min() <= codes.max() < len(self._words):
            raise ValueError(f"{self._codes.name} names a category that is not there")
        words: npt.NDArray[np.object_] = self._words[codes]
        return words


class StoredEmbeddings:
    """A file of `EmbeddingWriter`, to be read; use as a context manager.

    The structure of the file is held against docs/formats.md at once.

    Attributes
    ----------
    rows, dim : int
    facts : dict
        Content of ``uns/findna``: nested dicts of str, int, float, bool and lists of str.

    Raises
    ------
    EmbeddingError
        It cannot be read, was not written by ``findna embed``, is of another format version, or
        its shapes do not fit each other.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        path.open("rb").close()  # one that is not there, or a folder, is told better than by h5py
        try:
            self._file = h5py.File(path, "r")
        except OSError as error:
            if not h5py.is_hdf5(path):
                raise EmbeddingError(
                    f"{path}: not an HDF5 file; give what findna embed -o NAME.h5 wrote"
                ) from error
            reason = " ".join(str(error).split())
            raise EmbeddingError(f"{path}: damaged HDF5 ({reason}); make it again") from error
        try:
            with self._reading():
                self._check()
        except BaseException:
            self.close()
            raise

    def _check(self) -> None:
        facts = self._file.get("uns/findna")
        if not isinstance(facts, h5py.Group) or "format_version" not in facts:
            raise self._wrong("no uns/findna in it; give a file of findna embed")
        self.facts: dict[str, Any] = read_metadata(facts)
        version = self.facts["format_version"]
        if version not in READABLE_VERSIONS:
            raise self._wrong(
                f"format {version!r}; this findna reads formats up to {FORMAT_VERSION}: upgrade "
                "findna"
            )
        obs = self._file["obs"]
        names = [str(name) for name in obs.attrs["column-order"]]
        for sign, command in (("uns/effects", "explain"), ("obs/ref", "variants")):
            if sign in self._file:
                raise self._wrong(f"made by findna {command}; give a file of findna embed")
        self.names = names
        self._x = self._dataset("X", 2, "f")
        self.rows, self.dim = self._x.shape
        self._vectors = {"X": self._x}
        for name in self._file["obsm"]:
            n_axes = 3 if name == "bins" else 2
            dataset = self._vectors[f"obsm/{name}"] = self._dataset(f"obsm/{name}", n_axes, "f")
            if dataset.shape[0] != self.rows or dataset.shape[-1] != self.dim:
                raise self._wrong(f"obsm/{name} has shape {dataset.shape}, X {self._x.shape}")
        possible = range(len(names) + 1)
        n_columns = max(n for n in possible if tuple(names[:n]) == column_names(n))
        self._columns = [self._obs(name) for name in names[:n_columns]]
        if n_columns < 4:
            raise self._wrong("obs does not begin with chrom, start, end and name")
        self._strands = self._obs("strand")
        self._others = {name: self._obs(name) for name in ("length", "n_fraction", "status")}
        self._offsets: Any = None
        if "uns/per_base" in self._file:
            self._check_per_base()

    def _check_per_base(self) -> None:
        self._values = self._dataset("uns/per_base/values", 2, "f")
        self._offsets = self._dataset("uns/per_base/offsets", 1, "i")
        if self._offsets.shape != (self.rows + 1,) or self._values.shape[1] != self.dim:
            raise self._wrong(
                f"uns/per_base has {self._offsets.shape[0]} offsets and values of shape "
                f"{self._values.shape}, X {self._x.shape}"
            )
        last = 0  # held against the lengths in pieces: there may be many rows
        for start in range(0, self.rows, BUFFER_ROWS):
            offsets = self._offsets[start : start + BUFFER_ROWS + 1]
            lengths = self._others["length"][start : start + BUFFER_ROWS]
            if offsets[0] != last or (np.diff(offsets) != lengths).any():
                raise self._wrong("offsets of uns/per_base do not fit obs/length")
            last = offsets[-1]
        if last != len(self._values):
            raise self._wrong(f"uns/per_base has {len(self._values)} values for {last} bases")

    def _dataset(self, name: str, n_axes: int, kinds: str) -> Any:
        """Return an array whose type is one of numpy's ``kinds``."""
        dataset = self._file[name]
        if not isinstance(dataset, h5py.Dataset) or dataset.ndim != n_axes:
            raise self._wrong(f"{name} is not an array of {n_axes} axes")
        if dataset.dtype.kind not in kinds:
            raise self._wrong(f"{name} has type {dataset.dtype}")
        return dataset

    def _column(self, name: str, kinds: str) -> Any:
        """Return an array of one value per row."""
        column = self._dataset(name, 1, kinds)
        if len(column) != self.rows:
            raise self._wrong(f"{name} has {len(column)} rows, X {self.rows}")
        return column

    def _obs(self, name: str) -> Any:
        """Return a column of ``obs``, whose values are numbers or text."""
        place = f"obs/{name}"
        if isinstance(self._file[place], h5py.Group):
            words = self._dataset(f"{place}/categories", 1, "O")
            if len(words) > self.rows:
                raise self._wrong(f"{place} has {len(words)} categories for {self.rows} rows")
            return _Categorical(self._column(f"{place}/codes", "i"), words.asstr()[:])
        kinds = {"start": "i", "end": "i", "length": "i", "n_fraction": "f", "score": "fO"}
        column = self._column(place, kinds.get(name, "O"))
        return column.asstr() if column.dtype.kind == "O" else column

    @property
    def datasets(self) -> list[str]:
        """Names of the datasets with one vector, or one per bin, per row."""
        return list(self._vectors)

    def column(self, name: str) -> npt.NDArray[Any]:
        """Return a whole column of ``obs``: numbers (float64) or words (object).

        Texts that are all numbers are numbers; categories stay words, and a missing one is a dot.

        Raises
        ------
        EmbeddingError
            There is no such column, or its values are of another kind.
        """
        if name not in self.names:
            hint = did_you_mean(name, self.names)
            raise self._wrong(f"obs has no column {name}{hint or '; it has: ' + self._listing}")
        with self._reading():
            place = f"obs/{name}"
            if isinstance(self._file[place], h5py.Group):
                words = self._dataset(f"{place}/categories", 1, "O").asstr()[:]
                codes = self._column(f"{place}/codes", "i")[:]
                return np.asarray(np.array([MISSING, *words], object)[codes + 1])
            if self._file[place].dtype.kind == "O":
                texts = self._column(place, "O").asstr()[:]
                numbers = score_values(texts)
                return np.asarray(texts, object) if numbers is None else numbers
            values = self._column(place, "iufb")[:]
        if values.dtype.kind == "b":
            return np.where(values, "yes", "no").astype(object)
        return np.asarray(values, np.float64)

    @property
    def _listing(self) -> str:
        return ", ".join(self.names)

    @property
    def dtype(self) -> str:
        """Type of the stored vectors: float32 or float16."""
        return str(self._x.dtype)

    @property
    def per_base(self) -> bool:
        """True if there is a vector per base."""
        return self._offsets is not None

    @property
    def contigs(self) -> dict[str, str]:
        """MD5 of the contigs that were read, by name."""
        facts = self.facts.get("genome")
        if not isinstance(facts, dict):
            return {}
        return dict(zip(facts.get("contig", ()), facts.get("md5", ()), strict=False))

    def read(self, rows: Sequence[int]) -> Iterator[StoredRow]:
        """Yield the rows of these numbers, which must ascend."""
        for block, selection, places in _selections(rows):
            with self._reading():
                columns = [column[selection] for column in self._columns]
                others = [column[selection] for column in self._others.values()]
                matrices = {name: dataset[selection] for name, dataset in self._vectors.items()}
            for row, i in zip(block, places, strict=True):
                vectors = {name: matrix[i] for name, matrix in matrices.items()}
                if self._offsets is not None:
                    with self._reading():
                        start, end = self._offsets[row : row + 2]
                        vectors["uns/per_base"] = self._values[start:end]
                length, n_fraction, status = (column[i] for column in others)
                texts = tuple(str(column[i]) for column in columns)
                yield StoredRow(row, texts, int(length), float(n_fraction), status, vectors)

    def vectors(self, rows: Sequence[int]) -> npt.NDArray[np.float64]:
        """Return X of the rows of these numbers, which must ascend; NaN of rows without one."""
        found = np.empty((len(rows), self.dim))
        n = 0
        for block, selection, places in _selections(rows):
            with self._reading():
                found[n : n + len(block)] = self._x[selection][list(places)]
            n += len(block)
        return found

    def intervals(self, rows: Sequence[int]) -> Iterator[Interval]:
        """Yield where the rows of these numbers lie, with name and strand; they must ascend."""
        for _, selection, places in _selections(rows):
            with self._reading():
                columns = [column[selection] for column in (*self._columns[:4], self._strands)]
            for i in places:
                chrom, start, end, name, strand = (column[i] for column in columns)
                strand = strand if strand in ("+", "-") else "."
                name = "" if name == MISSING else str(name)  # as of a row of BED
                yield Interval(str(chrom), int(start), int(end), name, strand)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn what h5py raises for a damaged or incomplete file into a line."""
        try:
            yield
        except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise self._wrong(f"damaged or incomplete ({reason})") from error

    def _wrong(self, reason: str) -> EmbeddingError:
        return EmbeddingError(f"{self.path}: {reason}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
