"""Several HDF5 files, parts of one output, checked and joined.

Rows are read and written as a stream: at most one chunk of them is held.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from findna.errors import OutputError
from findna.outputs.hdf5 import (
    BUFFER_BYTES,
    FORMAT_VERSION,
    GuardedFile,
    row_bytes,
    write_facts,
    write_metadata,
)

_LARGEST_CHUNK = 1 << 26  # bytes, that are read


def check_parts(parts: Sequence[Path]) -> None:
    """Raise OutputError unless files are complete and alike, as `findna.outputs.hdf5` writes them.

    Nothing outside a file is read: links, external storage and virtual datasets are refused. The
    work, and the memory, does not depend on the number of rows.
    """
    layouts = []
    for path in parts:
        try:
            with h5py.File(path, "r") as part:
                layouts.append(_layout(part))
        except (OSError, KeyError, RuntimeError, TypeError, ValueError, AttributeError) as error:
            reason = " ".join(str(error).strip("'\"").split())
            raise OutputError(f"{path}: no part of an output of findna ({reason})") from error
        for name in sorted(layouts[0].keys() | layouts[-1].keys()):
            if layouts[0].get(name) != layouts[-1].get(name):
                raise OutputError(f"{path}: {name} is not as in {parts[0]}")


def _layout(part: h5py.File) -> dict[str, tuple[str, tuple[int, ...], bool]]:
    """Return type, shape of a row, and whether it grows with the rows, of each dataset.

    Raises
    ------
    ValueError, KeyError
        The file is not as `findna.outputs.hdf5` writes it.
    """
    datasets: dict[str, h5py.Dataset] = {}
    seen, waiting = {part}, [part["/"]]
    while waiting:
        group = waiting.pop()
        for key in group:
            name = f"{group.name}/{key}".lstrip("/")
            if not isinstance(group.get(key, getlink=True), h5py.HardLink):
                raise ValueError(f"{name} is a link")
            item = group[key]
            if item in seen:
                raise ValueError(f"{name} has two names")
            seen.add(item)
            if isinstance(item, h5py.Group):
                waiting.append(item)
            else:
                _check_stored(name, item)
                datasets[name] = item
    if "X" not in datasets or "obs/_index" not in datasets:
        raise ValueError("no X or no obs in it")
    rows = len(datasets["X"])
    layout = {}
    for name, item in datasets.items():
        grows = bool(item.shape) and item.maxshape[0] is None
        folder, _, last = name.rpartition("/")
        if grows and folder.startswith("uns/"):
            offsets = datasets[f"{folder}/offsets"]
            expected = rows + 1 if last == "offsets" else int(offsets[-1])
        else:
            expected = rows
        if grows and len(item) != expected:
            raise ValueError(f"{name} has {len(item)} rows, not {expected}")
        if last == "categories":
            if item.ndim != 1 or not h5py.check_string_dtype(item.dtype) or len(item) > rows:
                raise ValueError(f"{name} is not a word for some of the rows")
            if datasets[f"{folder}/codes"].dtype.kind != "i":
                raise ValueError(f"{folder}/codes are not whole numbers")
        elif not name.startswith("uns/findna/"):
            layout[name] = str(item.dtype), item.shape[grows:], grows
    return layout


def _check_stored(name: str, item: h5py.Dataset) -> None:
    """Raise ValueError unless a dataset is of a type that findna writes, and all there."""
    if item.is_virtual or item.external:
        raise ValueError(f"{name} lies in another file")
    if item.dtype.kind not in "biuf" and not h5py.check_string_dtype(item.dtype):
        raise ValueError(f"{name} has type {item.dtype}")
    complete = item.id.get_storage_size() >= item.nbytes
    if item.chunks:
        pairs = list(zip(item.shape, item.chunks, strict=True))
        complete = item.id.get_num_chunks() == math.prod(-(-n // size) for n, size in pairs)
        if math.prod(item.chunks) * item.dtype.itemsize > _LARGEST_CHUNK:
            raise ValueError(f"{name} has chunks of {item.chunks}")
    if not complete:
        raise ValueError(f"{name} is not all there")


def assemble(parts: Sequence[Path], target: Path, metadata: Mapping[str, Any]) -> None:
    """Write the rows of files that were made alike to one, as if it had been made at once.

    Parameters
    ----------
    metadata : mapping
        Of the whole, for ``uns/findna``.

    Raises
    ------
    OutputError
        The file cannot be written, as on a full disk.
    """
    version = FORMAT_VERSION
    with (
        GuardedFile(target) as disk,
        h5py.File(disk, "w", libver="earliest", track_order=False) as whole,
    ):
        for path in parts:
            with h5py.File(path, "r") as part:
                if "obs" not in whole:
                    version = int(part["uns/findna/format_version"][()])
                    _copy(part, whole)
                _append_group(part, whole, disk)
        write_facts(whole, metadata, version)
    disk.check()


def _copy(source: h5py.Group, target: h5py.Group) -> None:
    """Copy all but ``uns/findna``; datasets that grow with the rows without their rows."""
    target.attrs.update(source.attrs)
    for name, item in source.items():
        if isinstance(item, h5py.Group):
            if item.name != "/uns/findna":
                _copy(item, target.create_group(name))
        elif item.maxshape[0] is None:
            empty = target.create_dataset_like(name, item, shape=(0, *item.shape[1:]))
            empty.attrs.update(item.attrs)
        else:
            source.copy(name, target)


def _append_group(source: h5py.Group, target: h5py.Group, disk: GuardedFile) -> None:
    for name, item in target.items():
        if isinstance(item, h5py.Group) and "categories" in item:
            _append_categories(source[name], item, disk)
        elif isinstance(item, h5py.Group):
            _append_group(source[name], item, disk)
        elif item.maxshape[0] is None:
            _append_rows(source[name], item, disk)


def _append_categories(source: h5py.Group, target: h5py.Group, disk: GuardedFile) -> None:
    """Append all rows of a column of words; new words follow those that were there before."""
    before = target["categories"].asstr()[:].tolist()
    words = {word: i for i, word in enumerate(before)}
    codes = [words.setdefault(word, len(words)) for word in source["categories"].asstr()[:]]
    _append_rows(source["codes"], target["codes"], disk, np.array(codes, np.int32))
    if len(words) > len(before):
        del target["categories"]
        write_metadata(target, "categories", list(words))


def _append_rows(
    source: h5py.Dataset,
    target: h5py.Dataset,
    disk: GuardedFile,
    codes: npt.NDArray[np.int32] | None = None,
) -> None:
    """Append all rows; rows are numbered on, and offsets moved by what was there before.

    ``codes`` are those of the target, by those of the source.
    """
    first, n = target.shape[0], source.shape[0]
    is_index, is_offsets = target.name == "/obs/_index", target.name.endswith("/offsets")
    moved = 0
    if is_offsets and first:  # a file has one more of them than rows
        first, moved = first - 1, target[-1]
    target.resize(first + n, axis=0)
    step = max(BUFFER_BYTES // row_bytes(source), 1)
    for start in range(0, n, step):
        stop = min(start + step, n)
        rows = source[start:stop]
        if is_index:
            rows = [str(i) for i in range(first + start, first + stop)]
        elif codes is not None:
            if not 0 <= rows.min() <= rows.max() < len(codes):
                raise OutputError(f"{source.file.filename}: {source.name} names no category")
            rows = codes[rows]
        target[first + start : first + stop] = rows + moved if moved else rows
        disk.check()
