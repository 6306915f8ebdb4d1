"""Embeddings and effects to HDF5 in the layout of AnnData; docs/formats.md is its description.

Rows are written, and read again, as a stream: at most one chunk of them is held.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from findna.errors import BrokenFileError

if TYPE_CHECKING:
    from typing_extensions import Self


FORMAT_VERSION = 1

BUFFER_ROWS = 1024  # rows of a dataset that wait to be written, at most

BUFFER_BYTES = 1 << 22

_CHUNK_BYTES = 1 << 17  # of a chunk of vectors in the file, about

_BASE_CHUNK = 1 << 16  # rows of per-base hidden states per chunk, at dim 1

Row = Mapping[str, Any]


def _encoding(item: Any, kind: str, version: str) -> None:
    item.attrs["encoding-type"] = kind
    item.attrs["encoding-version"] = version


class _Column:
    """One growing dataset, written some rows at a time.

    Numbers wait in one array that is used again and again: many small ones, kept for a while
    between the large ones of the encoder, would fragment the heap.
    """

    def __init__(self, dataset: h5py.Dataset) -> None:
        self.dataset = dataset
        self._waiting: Any
        if h5py.check_string_dtype(dataset.dtype):
            self._waiting = [""] * BUFFER_ROWS
        else:
            row_bytes = dataset.dtype.itemsize * int(np.prod(dataset.shape[1:]))
            rows = max(min(BUFFER_BYTES // row_bytes, BUFFER_ROWS), 1)
            self._waiting = np.empty((rows, *dataset.shape[1:]), dataset.dtype)
        self._n = 0

    def append(self, value: Any) -> None:
        self._waiting[self._n] = value
        self._n += 1
        if self._n == len(self._waiting):
            self.flush()

    def flush(self) -> None:
        if self._n:
            first = self.dataset.shape[0]
            self.dataset.resize(first + self._n, axis=0)
            self.dataset[first:] = self._waiting[: self._n]
            self._n = 0


class _RegionFile:
    """A file of rows with ``obs`` and ``uns``; use as a context manager.

    Parameters
    ----------
    path : Path
        File to create.
    columns : dict of str to str
        Names of the ``obs`` columns, each ``"int"``, ``"float"`` or ``"str"``.
    metadata : mapping
        Goes to ``uns/findna``; see `write_metadata`. None is left out.
    """

    def __init__(
        self, path: Path, columns: Mapping[str, str], metadata: Mapping[str, Any] | None
    ) -> None:
        # "latest" would need a recent HDF5 to read; the earliest format is enough
        self._file = h5py.File(path, "w", libver="earliest", track_order=False)
        self._metadata = dict(metadata or {})
        self._all: list[_Column] = []
        self.rows = 0
        _encoding(self._file, "anndata", "0.1.0")
        obs = self._file.create_group("obs")
        self._obs = {"_index": self._column(obs, "_index", "str")}
        for name, kind in columns.items():
            self._obs[name] = self._column(obs, name, kind)
        _encoding(obs, "dataframe", "0.2.0")
        obs.attrs["_index"] = "_index"
        obs.attrs["column-order"] = list(columns)
        for name in ("varm", "obsp", "varp", "layers"):
            self._mapping(name)
        self._uns = self._mapping("uns")

    def _mapping(self, name: str, parent: h5py.Group | None = None) -> h5py.Group:
        group = (self._file if parent is None else parent).create_group(name)
        _encoding(group, "dict", "0.1.0")
        return group

    def _growing(self, dataset: h5py.Dataset, kind: str = "array") -> _Column:
        _encoding(dataset, kind, "0.2.0")
        column = _Column(dataset)
        self._all.append(column)
        return column

    def _column(self, group: h5py.Group, name: str, kind: str) -> _Column:
        dtype = {"int": np.int64, "float": np.float64, "str": h5py.string_dtype()}[kind]
        dataset = group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(BUFFER_ROWS,))
        return self._growing(dataset, "string-array" if kind == "str" else "array")

    def _vectors(self, group: h5py.Group, name: str, shape: tuple[int, ...], dtype: str) -> _Column:
        rows = max(_CHUNK_BYTES // (np.dtype(dtype).itemsize * int(np.prod(shape))), 1)
        dataset = group.create_dataset(
            name, (0, *shape), dtype, maxshape=(None, *shape), chunks=(rows, *shape)
        )
        return self._growing(dataset)

    def _write_var(self, names: list[str]) -> None:
        var = self._file.create_group("var")
        _encoding(
            var.create_dataset("_index", data=names, dtype=h5py.string_dtype()),
            "string-array",
            "0.2.0",
        )
        _encoding(var, "dataframe", "0.2.0")
        var.attrs["_index"] = "_index"
        var.attrs.create("column-order", [], dtype=h5py.string_dtype())

    def _append_obs(self, row: Row) -> None:
        self._obs["_index"].append(str(self.rows))
        for name, column in self._obs.items():
            if name != "_index":
                column.append(row[name])

    def close(self) -> None:
        """Write what is waiting, and the metadata."""
        with _writing():
            for column in self._all:
                column.flush()
            facts = {"format_version": FORMAT_VERSION, **self._metadata}
            write_metadata(self._uns, "findna", facts)
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.close()
        elif not issubclass(kind, BrokenFileError):
            self._file.close()


class _Packed:
    """Rows of different lengths end to end, and where each begins."""

    def __init__(self, file: _RegionFile, name: str, width: int, dtype: str) -> None:
        group = file._mapping(name, file._uns)
        rows = max(_BASE_CHUNK // width, 1)
        self._values = group.create_dataset(
            "values",
            (0, width),
            dtype,
            maxshape=(None, width),
            chunks=(rows, width),
            compression="gzip",
            compression_opts=1,
            shuffle=True,
        )
        _encoding(self._values, "array", "0.2.0")
        offsets = group.create_dataset("offsets", (0,), np.int64, maxshape=(None,), chunks=True)
        self._offsets = file._growing(offsets)
        self._offsets.append(0)

    def append(self, values: npt.NDArray[Any] | None) -> None:
        """Add one row, shape (length, width); None is one of length 0."""
        first = self._values.shape[0]
        n = 0 if values is None else len(values)
        self._values.resize(first + n, axis=0)
        if n:
            self._values[first:] = values
        self._offsets.append(first + n)


class EmbeddingWriter(_RegionFile):
    """Writes one vector per row, in their order; use as a context manager.

    Parameters
    ----------
    path, columns, metadata
        As for every file of rows.
    dim : int
        Length of a vector.
    kinds : sequence of str
        Poolings; the first is ``X``, the others are in ``obsm``.
    bins : int
        Number of bins in ``obsm/bins``; 0 for none.
    per_base : bool
        Also write ``uns/per_base``.
    dtype : {"float32", "float16"}
        Of all vectors; per-base values are always float16.
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
        super().__init__(path, columns, metadata)
        self._dim, self._bins, self._kinds = dim, bins, list(kinds)
        self._x = self._vectors(self._file, "X", (dim,), dtype)
        obsm = self._mapping("obsm")
        self._obsm = {kind: self._vectors(obsm, kind, (dim,), dtype) for kind in self._kinds[1:]}
        self._binned = self._vectors(obsm, "bins", (bins, dim), dtype) if bins else None
        self._write_var([f"e{i}" for i in range(dim)])
        self._per_base = _Packed(self, "per_base", dim, "float16") if per_base else None

    def write(
        self,
        row: Row,
        pooled: Mapping[str, npt.NDArray[np.float32]] | None = None,
        bins: npt.NDArray[np.float32] | None = None,
        per_base: npt.NDArray[np.float16] | None = None,
    ) -> None:
        """Append one row; without vectors they are NaN.

        Raises
        ------
        BrokenFileError
            There is no space left, or another reason why HDF5 cannot write.

        Parameters
        ----------
        row : mapping
            A value for each ``obs`` column.
        pooled : dict of str to ndarray, shape (dim,)
        bins : ndarray, shape (bins, dim)
        per_base : ndarray, shape (length, dim); a row without has length 0
        """
        with _writing():
            self._append_obs(row)
            missing = np.full(self._dim, np.nan, dtype=np.float32)
            self._x.append(missing if pooled is None else pooled[self._kinds[0]])
            for kind, matrix in self._obsm.items():
                matrix.append(missing if pooled is None else pooled[kind])
            if self._binned is not None:
                empty = np.full((self._bins, self._dim), np.nan, dtype=np.float32)
                self._binned.append(empty if bins is None else bins)
            if self._per_base is not None:
                self._per_base.append(per_base)
        self.rows += 1


class EffectWriter(_RegionFile):
    """Writes the effects of replacing each base of a row; use as a context manager.

    Parameters
    ----------
    path, columns, metadata
        As for every file of rows.
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
        super().__init__(path, columns, metadata)
        self._x = self._vectors(self._file, "X", (1,), "float32")
        self._mapping("obsm")
        self._write_var([value])
        self._effects = _Packed(self, "effects", 4, "float32")

    def write(
        self, row: Row, value: float = np.nan, effects: npt.NDArray[np.float32] | None = None
    ) -> None:
        """Append one row; ``effects`` is (length, 4), in the order A, C, G, T.

        Raises
        ------
        BrokenFileError
            There is no space left, or another reason why HDF5 cannot write.
        """
        with _writing():
            self._append_obs(row)
            self._x.append(value)
            self._effects.append(effects)
        self.rows += 1


@contextmanager
def _writing() -> Iterator[None]:
    """Turn HDF5's failure to write into a line."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        text = " ".join(str(error).split())
        reason = re.search(r"error message = '([^']*)'", text)
        raise BrokenFileError(
            f"cannot write the output: {reason[1] if reason else text}"
        ) from error


def write_metadata(parent: h5py.Group, name: str, value: Any) -> None:
    """Write nested mappings of strings, lists of strings and numbers in AnnData's encoding."""
    if value is None:
        return
    if isinstance(value, Mapping):
        group = parent.create_group(name)
        _encoding(group, "dict", "0.1.0")
        for key, item in value.items():
            write_metadata(group, key, item)
    elif isinstance(value, list):
        dataset = parent.create_dataset(name, data=value, dtype=h5py.string_dtype())
        _encoding(dataset, "string-array", "0.2.0")
    elif isinstance(value, int | float):
        _encoding(parent.create_dataset(name, data=value), "numeric-scalar", "0.2.0")
    else:
        dataset = parent.create_dataset(name, data=value, dtype=h5py.string_dtype())
        _encoding(dataset, "string", "0.2.0")


def is_hdf5(path: Path) -> bool:
    """Whether a file is HDF5, by its content."""
    return bool(h5py.is_hdf5(path))


def file_metadata(path: Path) -> dict[str, Any]:
    """What `write_metadata` wrote to ``uns/findna`` of a file, but for the format's version."""
    with h5py.File(path, "r") as file:
        found = read_metadata(file["uns/findna"])
    del found["format_version"]
    return found


def assemble(parts: Sequence[Path], target: Path, metadata: Mapping[str, Any]) -> None:
    """Write the rows of files that were made alike to one, as if it had been made at once.

    Parameters
    ----------
    metadata : mapping
        Of the whole, for ``uns/findna``.

    Raises
    ------
    BrokenFileError
        There is no space left, or another reason why HDF5 cannot write.
    """
    with _writing(), h5py.File(target, "w", libver="earliest", track_order=False) as whole:
        for path in parts:
            with h5py.File(path, "r") as part:
                if "obs" not in whole:
                    _copy_empty(part, whole)
                _append_group(part, whole)
        write_metadata(whole["uns"], "findna", {"format_version": FORMAT_VERSION, **metadata})


def _copy_empty(source: h5py.Group, target: h5py.Group) -> None:
    """Groups and datasets of a file without its rows and without ``uns/findna``."""
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if item.name == "/uns/findna":
            continue
        if isinstance(item, h5py.Group):
            _copy_empty(item, target.create_group(name))
        elif item.maxshape[0] is None:
            new = target.create_dataset(
                name,
                (0, *item.shape[1:]),
                item.dtype,
                maxshape=item.maxshape,
                chunks=item.chunks,
                compression=item.compression,
                compression_opts=item.compression_opts,
                shuffle=item.shuffle,
            )
            new.attrs.update(item.attrs)
        else:
            source.copy(name, target)


def _append_group(source: h5py.Group, target: h5py.Group) -> None:
    for name, item in target.items():
        if isinstance(item, h5py.Group):
            _append_group(source[name], item)
        elif item.maxshape[0] is None:
            _append_rows(source[name], item)


def _append_rows(source: h5py.Dataset, target: h5py.Dataset) -> None:
    """Append all rows; rows are numbered on, and offsets moved by what was there before."""
    first, skipped, moved = target.shape[0], 0, 0
    numbers = target.name == "/obs/_index"
    if target.name.endswith("/offsets") and first:
        skipped, moved = 1, target[-1]
        first -= skipped
    n = source.shape[0]
    target.resize(first + n, axis=0)
    row_bytes = source.dtype.itemsize * int(np.prod(source.shape[1:]))
    step = max(BUFFER_BYTES // row_bytes, 1)
    for start in range(skipped, n, step):
        stop = min(start + step, n)
        rows = source[start:stop]
        if numbers:
            rows = [str(i) for i in range(first + start, first + stop)]
        target[first + start : first + stop] = rows + moved if moved else rows


def read_metadata(group: h5py.Group) -> dict[str, Any]:
    """What `write_metadata` wrote: nested dicts of strings, lists of strings and numbers."""
    found: dict[str, Any] = {}
    for name, item in group.items():
        if isinstance(item, h5py.Group):
            found[name] = read_metadata(item)
        elif h5py.check_string_dtype(item.dtype):
            text = item.asstr()[()]
            found[name] = text if isinstance(text, str) else text.tolist()
        else:
            found[name] = item[()].item() if item.shape == () else item[()].tolist()
    return found
