"""Embeddings and effects to HDF5 in the layout of AnnData; docs/formats.md is its description.

Rows are written as a stream: at most one chunk of them is held. `findna.outputs.joined` makes one
file of several.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from findna.errors import OutputError
from findna.genome.bed import score_value

if TYPE_CHECKING:
    from typing_extensions import Self

FORMAT_VERSION = 2
READABLE_VERSIONS = (1, 2)
"""In version 1 every column of ``obs`` that is no position is text."""

BUFFER_ROWS = 1024  # rows of a dataset that wait to be written, at most
BUFFER_BYTES = 1 << 22
_CHUNK_BYTES = 1 << 17  # of a chunk of vectors in the file, about
_BASE_CHUNK = 1 << 16  # rows of per-base hidden states per chunk, at dim 1

Row = Mapping[str, Any]


def _encode(item: Any, kind: str) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = "0.1.0" if kind in ("anndata", "dict") else "0.2.0"


def row_bytes(dataset: h5py.Dataset) -> int:
    """Return the size of a row of a dataset, in bytes."""
    return int(dataset.dtype.itemsize * np.prod(dataset.shape[1:]))


class GuardedFile(io.FileIO):
    """A file that takes whatever HDF5 writes, and keeps the reason why it could not be written.

    HDF5 crashes where a write fails, as on a full disk, at once or when it closes the file. What
    is lost is held here, so that HDF5 can read it again until the file is closed.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, "w+b")
        self._lost: list[tuple[int, bytes]] = []
        self._error: OSError | None = None

    def check(self) -> None:
        """Raise OutputError if something could not be written."""
        if self._error is not None:
            raise OutputError(f"cannot write the output: {self._error.strerror}") from self._error

    def write(self, data: Any) -> int:
        """Write bytes."""
        start, rest = self.tell(), bytes(data)
        try:
            while rest and self._error is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self._error = error
        if rest:
            self._lost.append((start, bytes(data)))
        return len(data)

    def readinto(self, buffer: Any) -> int:
        """Read bytes; behind the end of the file there are zeros, as HDF5 expects."""
        start, size = self.tell(), len(buffer)
        there = super().read(size)
        read = bytearray(there + bytes(size - len(there)))
        for offset, data in self._lost:
            first, last = max(start, offset), min(start + size, offset + len(data))
            if first < last:
                read[first - start : last - start] = data[first - offset : last - offset]
        buffer[:] = read
        return size

    def truncate(self, size: int | None = None) -> int:
        """Set the size of the file."""
        with suppress(OSError):  # a write has failed too, or does not miss the space
            super().truncate(size)
        return self.tell()


class _Column:
    """A growing dataset, written some rows at a time.

    Rows wait in one array that is used again and again: many small ones, kept for a while between
    the large ones of the encoder, would fragment the heap.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self._dataset = dataset
        rows = max(min(BUFFER_BYTES // row_bytes(dataset), BUFFER_ROWS), 1)
        self._waiting = np.empty((rows, *dataset.shape[1:]), dataset.dtype)
        self._n = 0

    def append(self, value: Any) -> None:
        self._waiting[self._n] = value
        self._n += 1
        if self._n == len(self._waiting):
            self.flush()

    def flush(self) -> None:
        if self._n:
            _extend(self._dataset, self._waiting[: self._n])
            self._n = 0


def _extend(dataset: h5py.Dataset, values: npt.NDArray[Any]) -> None:
    """Append rows to a growing dataset."""
    first = dataset.shape[0]
    dataset.resize(first + len(values), axis=0)
    dataset[first:] = values


class _RowFile:
    """A file of rows, written in their order; use as a context manager.

    Parameters
    ----------
    path, columns, metadata
        As for `EmbeddingWriter`.
    names : list of str
        Of the columns of ``X``.
    vectors : dict of str to tuple
        Shape of a row of ``X`` and of each dataset of ``obsm``.
    dtype : str
        Of all vectors.
    packed : (name, width, dtype), optional
        Arrays of one length per row, laid end to end in a group of ``uns``.
    """

    def __init__(
        self,
        path: Path,
        columns: Mapping[str, str],
        metadata: Mapping[str, Any] | None,
        *,
        names: list[str],
        vectors: Mapping[str, tuple[int, ...]],
        dtype: str = "float32",
        packed: tuple[str, int, str] | None = None,
    ) -> None:
        # "latest" would need a recent HDF5 to read; the earliest format is enough
        self._disk = GuardedFile(path)
        self._file = h5py.File(self._disk, "w", libver="earliest", track_order=False)
        self._metadata = dict(metadata or {})
        self._growing: list[_Column] = []
        self._waiting: list[Row] = []  # whose values of obs are not written yet
        self.rows = 0
        _encode(self._file, "anndata")
        for name in ("obsm", "varm", "obsp", "varp", "layers", "uns"):
            _encode(self._file.create_group(name), "dict")
        dtypes = {"int": np.int64, "float": np.float64, "number": np.float64}
        dtypes |= {"str": h5py.string_dtype(), "category": np.int32}
        self._obs = {}
        self._numbers = {name for name, kind in columns.items() if kind == "number"}
        self._categories: dict[str, dict[str, int]] = {}  # by column: words in order of appearance
        for name, kind in {"_index": "str", **columns}.items():
            place = f"obs/{name}"
            if kind == "category":
                self._categories[name] = {}
                group = self._file.create_group(place)
                _encode(group, "categorical")
                group.attrs["ordered"] = False
                place += "/codes"
            self._obs[name] = self._dataset(place, (), dtypes[kind], BUFFER_ROWS)
        write_metadata(self._file.create_group("var"), "_index", names)
        for name, order in (("obs", list(columns)), ("var", [])):
            _encode(self._file[name], "dataframe")
            self._file[name].attrs["_index"] = "_index"
            self._file[name].attrs.create("column-order", order, dtype=h5py.string_dtype())
        self._vectors = {}
        for name, shape in vectors.items():
            rows = max(_CHUNK_BYTES // (np.dtype(dtype).itemsize * int(np.prod(shape))), 1)
            self._vectors[name] = self._column(name, shape, dtype, rows)
        self._packed: h5py.Dataset | None = None
        if packed is not None:
            name, width, dtype = packed
            _encode(self._file.create_group(f"uns/{name}"), "dict")
            self._packed = self._dataset(
                f"uns/{name}/values",
                (width,),
                dtype,
                max(_BASE_CHUNK // width, 1),
                compression="gzip",
                compression_opts=1,
                shuffle=True,
            )
            self._offsets = self._column(f"uns/{name}/offsets", (), np.int64, BUFFER_ROWS)
            self._offsets.append(0)

    def _dataset(
        self, name: str, shape: tuple[int, ...], dtype: Any, rows: int, **options: Any
    ) -> h5py.Dataset:
        dataset = self._file.create_dataset(
            name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows, *shape), **options
        )
        _encode(dataset, "string-array" if h5py.check_string_dtype(dataset.dtype) else "array")
        return dataset

    def _column(self, name: str, shape: tuple[int, ...], dtype: Any, rows: int) -> _Column:
        column = _Column(self._dataset(name, shape, dtype, rows))
        self._growing.append(column)
        return column

    def _append(
        self, row: Row, vectors: Mapping[str, Any], packed: npt.NDArray[Any] | None
    ) -> None:
        """Append one row; a vector that is not given is NaN, packed values are then none."""
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == BUFFER_ROWS:
            self._write_obs()
        for name, column in self._vectors.items():
            column.append(vectors.get(name, np.nan))
        if self._packed is not None:
            first = self._packed.shape[0]
            last = first + (0 if packed is None else len(packed))
            if last > first:
                self._packed.resize(last, axis=0)
                self._packed[first:] = packed
            self._offsets.append(last)
        self._disk.check()

    def _write_obs(self) -> None:
        """Write the columns of ``obs`` of the rows that are waiting."""
        numbers = range(self.rows - len(self._waiting), self.rows)
        for name, dataset in self._obs.items():
            values: list[Any] = [row[name] for row in self._waiting if name != "_index"]
            if name == "_index":
                values = list(map(str, numbers))
            elif name in self._categories:
                words = self._categories[name]
                values = [words.setdefault(value, len(words)) for value in values]
            elif name in self._numbers:
                values = list(map(score_value, values))
            _extend(dataset, np.array(values, dataset.dtype))
        self._waiting.clear()

    def close(self) -> None:
        """Write what is waiting, and the metadata."""
        with self._disk, self._file:
            if self._waiting:
                self._write_obs()
            for column in self._growing:
                column.flush()
            for name, words in self._categories.items():
                write_metadata(self._file[f"obs/{name}"], "categories", list(words))
            write_facts(self._file, self._metadata)
        self._disk.check()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        else:
            with self._disk:
                self._file.close()


class EmbeddingWriter(_RowFile):
    """Writes one vector per row, in their order; use as a context manager.

    Parameters
    ----------
    path : Path
        File to create.
    dim : int
        Length of a vector.
    columns : dict of str to str
        Names of the ``obs`` columns, each ``"int"``, ``"float"``, ``"number"`` (text of one, or a
        dot), ``"str"`` or ``"category"`` (few different words).
    kinds : sequence of str
        Poolings; the first is ``X``, the others are in ``obsm``.
    bins : int
        Number of bins in ``obsm/bins``; 0 for none.
    per_base : bool
        Also write ``uns/per_base``.
    dtype : {"float32", "float16"}
        Of all vectors; per-base values are always float16.
    metadata : mapping
        Goes to ``uns/findna``; see `write_metadata`. None is left out.
    """

    def __init__(
        self,
        path: Path,
        *,
        dim: int,
        columns: Mapping[str, str],
        kinds: Sequence[str],
        bins: int = 0,
        per_base: bool = False,
        dtype: str = "float32",
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        self._datasets = {"X": kinds[0], **{f"obsm/{kind}": kind for kind in kinds[1:]}}
        vectors: dict[str, tuple[int, ...]] = dict.fromkeys(self._datasets, (dim,))
        super().__init__(
            path,
            columns,
            metadata,
            names=[f"e{i}" for i in range(dim)],
            vectors=vectors | ({"obsm/bins": (bins, dim)} if bins else {}),
            dtype=dtype,
            packed=("per_base", dim, "float16") if per_base else None,
        )

    def write(
        self,
        row: Row,
        pooled: Mapping[str, npt.NDArray[np.float32]] | None = None,
        bins: npt.NDArray[np.float32] | None = None,
        per_base: npt.NDArray[np.float16] | None = None,
    ) -> None:
        """Append one row; without vectors they are NaN.

        Parameters
        ----------
        row : mapping
            A value for each ``obs`` column.
        pooled : dict of str to ndarray, shape (dim,)
        bins : ndarray, shape (bins, dim)
        per_base : ndarray, shape (length, dim); a row without has length 0

        Raises
        ------
        OutputError
            The file cannot be written, as on a full disk.
        """
        vectors = {name: pooled[kind] for name, kind in self._datasets.items()} if pooled else {}
        if bins is not None:
            vectors["obsm/bins"] = bins
        self._append(row, vectors, per_base)


class EffectWriter(_RowFile):
    """Writes the effects of replacing each base of a row; use as a context manager.

    Parameters
    ----------
    path, columns, metadata
        As for `EmbeddingWriter`.
    value : str
        Name of what is in ``X``, one value per row.
    """

    def __init__(
        self,
        path: Path,
        *,
        columns: Mapping[str, str],
        value: str,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        packed = ("effects", 4, "float32")
        super().__init__(path, columns, metadata, names=[value], vectors={"X": (1,)}, packed=packed)

    def write(
        self, row: Row, value: float = np.nan, effects: npt.NDArray[np.float32] | None = None
    ) -> None:
        """Append one row; ``effects`` is (length, 4), in the order A, C, G, T.

        Raises
        ------
        OutputError
            The file cannot be written, as on a full disk.
        """
        self._append(row, {"X": value}, effects)


def write_facts(
    file: h5py.File, metadata: Mapping[str, Any], version: int = FORMAT_VERSION
) -> None:
    """Write the facts of an output, ``uns/findna``."""
    write_metadata(file["uns"], "findna", {"format_version": version, **metadata})


def write_metadata(parent: h5py.Group, name: str, value: Any) -> None:
    """Write nested mappings of strings, lists of strings and numbers in AnnData's encoding."""
    if isinstance(value, Mapping):
        group = parent.create_group(name)
        _encode(group, "dict")
        for key, item in value.items():
            write_metadata(group, key, item)
    elif isinstance(value, int | float):
        _encode(parent.create_dataset(name, data=value), "numeric-scalar")
    elif value is not None:
        dataset = parent.create_dataset(name, data=value, dtype=h5py.string_dtype())
        _encode(dataset, "string-array" if isinstance(value, list) else "string")


def read_metadata(group: h5py.Group) -> dict[str, Any]:
    """Read what `write_metadata` wrote: nested dicts of strings, lists of strings and numbers."""
    metadata: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            metadata[name] = read_metadata(item)
        elif h5py.check_string_dtype(item.dtype):
            text = item.asstr()[()]
            metadata[name] = text if isinstance(text, str) else text.tolist()
        else:
            metadata[name] = item[()].tolist()
    return metadata


def file_metadata(path: Path) -> dict[str, Any]:
    """Read the metadata of a file, but for the format's version."""
    with h5py.File(path, "r") as file:
        metadata = read_metadata(file["uns/findna"])
    del metadata["format_version"]
    return metadata


def is_hdf5(path: Path) -> bool:
    """Return whether a file is HDF5, by its content."""
    return bool(h5py.is_hdf5(path))
