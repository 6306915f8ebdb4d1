"""Vectors of regions: in memory as arrays, or as a stream of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from findna.api import inputs
from findna.api.inputs import AnyPath
from findna.api.loaded import LoadedModel, compute_of, model_of, pooling_of
from findna.commands.embed import EmbedRun
from findna.console import counted
from findna.genome.bed import score_value
from findna.genome.fasta import Genome
from findna.genome.regions import Placed
from findna.model.pooling import Pooling
from findna.outputs.destination import Destination
from findna.outputs.hdf5 import FORMAT_VERSION, EmbeddingWriter
from findna.outputs.provenance import CATEGORIES, obs_columns, obs_row
from findna.outputs.results import RegionVectors

_OPTIONS = (*inputs.PLACEMENT, *inputs.COMPUTE)
_DTYPES = ("float32", "float16")


@dataclass(frozen=True)
class Embeddings:
    """Vectors of rows, in the layout of AnnData; made by `embed`.

    Attributes
    ----------
    X : ndarray, shape (n, dim), float32 or float16
        The first pooling; NaN where a row could not be read.
    obs : dict of str to ndarray, shape (n,)
        The rows: chrom, start and end (0-based, half-open, bp), name, every other column, length
        (bp read), n_fraction and status.
    obsm : dict of str to ndarray
        Every other pooling (n, dim), and ``bins`` (n, n_bins, dim).
    uns : dict
        ``findna``: what made the vectors; ``per_base``: ``values`` (total, dim), float16, and
        ``offsets`` (n + 1,): row i has ``values[offsets[i]:offsets[i + 1]]``.
    """

    X: npt.NDArray[Any]
    obs: dict[str, npt.NDArray[Any]]
    obsm: dict[str, npt.NDArray[Any]]
    uns: dict[str, Any]

    def __len__(self) -> int:
        return len(self.X)

    def __repr__(self) -> str:
        n, dim = self.X.shape
        model = self.uns["findna"]["model"]["name"]
        return f"<Embeddings of {counted(n, 'row')} x {dim}, model {model}>"

    def to_pandas(self) -> Any:
        """Return a DataFrame: the columns of ``obs``, then ``e0``, ``e1``, ... of ``X``.

        Raises
        ------
        MissingProgramError
            pandas is not installed.

        Examples
        --------
        >>> frame = findna.embed("genome.fa", ["chrA:1-100"]).to_pandas()
        >>> frame[["chrom", "start", "end", "status"]].values.tolist()
        [['chrA', 0, 100, 'ok']]
        """
        pandas = inputs.need("pandas", "to_pandas", "pandas")
        vectors = pandas.DataFrame(self.X, columns=self._names)
        return pandas.concat([pandas.DataFrame(self.obs), vectors], axis=1)

    def to_anndata(self) -> Any:
        """Return an AnnData, as ``anndata.read_h5ad`` reads it from the file that `write` makes.

        Raises
        ------
        MissingProgramError
            anndata is not installed.

        Examples
        --------
        >>> findna.embed("genome.fa", ["chrA:1-100"]).to_anndata().shape
        (1, 192)
        """
        anndata = inputs.need("anndata", "to_anndata", "findna[anndata]")
        pandas = inputs.need("pandas", "to_anndata", "findna[anndata]")
        obs = pandas.DataFrame(self.obs, index=[str(i) for i in range(len(self))])
        for name in CATEGORIES:
            obs[name] = pandas.Categorical(obs[name], obs[name].unique())
        return anndata.AnnData(
            self.X,
            obs=obs,
            var=pandas.DataFrame(index=self._names),
            obsm=dict(self.obsm),
            uns=dict(self.uns),
        )

    def write(self, path: AnyPath, *, force: bool = False) -> None:
        """Write the HDF5 file that ``findna embed`` writes, less the command line.

        A file appears at ``path`` once it is complete; ``force`` replaces one that exists.

        Raises
        ------
        OutputError
            The file exists or cannot be written.

        Examples
        --------
        >>> findna.embed("genome.fa", ["chrA:1-100"]).write("hundred.h5")
        """
        destination = Destination(Path(path), "h5", force=force)
        destination.check()
        per_base, bins = self.uns.get("per_base"), self.obsm.get("bins")
        matrices = {"X": self.X, **{k: m for k, m in self.obsm.items() if k != "bins"}}
        facts = {k: v for k, v in self.uns["findna"].items() if k != "format_version"}
        kinds = {"i": "int", "f": "float"}
        columns = {name: kinds.get(x.dtype.kind, "str") for name, x in self.obs.items()}
        with (
            destination.published() as file,
            EmbeddingWriter(
                file,
                dim=self.X.shape[1],
                columns=columns | dict.fromkeys(CATEGORIES, "category"),
                kinds=list(matrices),
                bins=0 if bins is None else bins.shape[1],
                per_base=per_base is not None,
                dtype=str(self.X.dtype),
                metadata=facts,
            ) as writer,
        ):
            for i in range(len(self)):
                hidden = None
                if per_base is not None:
                    start, end = per_base["offsets"][i : i + 2]
                    hidden = per_base["values"][start:end]
                row = {name: values[i] for name, values in self.obs.items()}
                pooled = {name: matrix[i] for name, matrix in matrices.items()}
                writer.write(row, pooled, None if bins is None else bins[i], hidden)

    @property
    def _names(self) -> list[str]:
        return [f"e{i}" for i in range(self.X.shape[1])]


def embed(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    model: AnyPath | LoadedModel = "tiny",
    pool: str | Sequence[str] = "mean",
    bins: int = 0,
    per_base: bool = False,
    both_strands: bool = False,
    dtype: str = "float32",
    **options: Any,
) -> Embeddings:
    """Return one vector per region.

    Parameters
    ----------
    genome : str, path or Genome
        FASTA file, plain or BGZF.
    regions : str, path, list, DataFrame, Regions or None
        A BED file (``-`` is standard input); a region string as in samtools (1-based, inclusive)
        or a list of them; a list of (chrom, start, end) or (chrom, start, end, strand) tuples or
        a DataFrame with such columns (0-based, half-open); by default every FASTA record.
    model : str, path or LoadedModel
        Name of a shipped model, or a model folder.
    pool : str or sequence of str
        Of "mean", "max", "std", "cls" and "center": the first is ``X``, others go to ``obsm``.
    bins : int
        Also the means of so many equal bins.
    per_base : bool
        Also one vector per base.
    both_strands : bool
        Average with the reverse complement.
    dtype : {"float32", "float16"}
        Of the vectors.
    **options
        ``window`` and ``flank`` (bp), ``anchor``, ``stranded``, ``split``, ``pad``, ``max_n``,
        ``on_error`` ("stop", "skip", "null") and ``whole``, as on the command line; ``device``,
        ``precision`` and ``max_tokens``, as for `load_model`.

    Raises
    ------
    FindnaError
        The input cannot be used; the message is that of the command line.

    Examples
    --------
    >>> e = findna.embed("genome.fa", "regions.bed", model="tiny", window=100)
    >>> e.X.shape
    (96, 192)
    >>> e.obs["chrom"][0], int(e.obs["start"][0])
    ('chrA', 1066)
    """
    inputs.check_options("embed", options, _OPTIONS)
    inputs.chosen("dtype", dtype, _DTYPES)
    pooling = pooling_of(pool, bins, per_base, both_strands)
    with ExitStack() as stack:
        run = _prepare(stack, genome, regions, model, pooling, options, for_hdf5=True)
        return _collect(run, dtype)


def embed_rows(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    model: AnyPath | LoadedModel = "tiny",
    pool: str | Sequence[str] = "mean",
    bins: int = 0,
    per_base: bool = False,
    both_strands: bool = False,
    **options: Any,
) -> Iterator[tuple[Placed, RegionVectors | None]]:
    """Yield each region with its vectors; a few batches are held at a time.

    Parameters
    ----------
    genome, regions, model, pool, bins, per_base, both_strands, **options
        As for `embed`.

    Yields
    ------
    row : Placed
        ``row.interval`` has chrom, start, end, name and strand, ``row.columns`` all columns;
        ``row.status`` and ``row.reason`` say why a row could not be read.
    vectors : RegionVectors or None
        ``pooled[kind]`` (dim,), ``bins`` (n_bins, dim), ``per_base`` (length, dim). None where a
        row holds too many N (``row.status`` is no_sequence), or could not be read, which happens
        with ``on_error="null"`` only.

    Raises
    ------
    FindnaError
        The input cannot be used. The call checks every row before anything is computed.

    Examples
    --------
    >>> for row, vectors in findna.embed_rows("genome.fa", [("chrA", 0, 100, "-")]):
    ...     print(row.interval.chrom, row.interval.end, vectors.pooled["mean"].shape)
    chrA 100 (192,)
    """
    inputs.check_options("embed_rows", options, _OPTIONS)
    pooling = pooling_of(pool, bins, per_base, both_strands)
    with ExitStack() as stack:
        run = _prepare(stack, genome, regions, model, pooling, options, for_hdf5=False)
        rows = inputs.kept(run.vectors(run.rows().read()), run.skip)
        return inputs.until_done(rows, stack.pop_all())


def _prepare(
    stack: ExitStack,
    genome: AnyPath | Genome,
    regions: Any,
    model: AnyPath | LoadedModel,
    pooling: Pooling,
    options: dict[str, Any],
    for_hdf5: bool,
) -> EmbedRun:
    return EmbedRun(
        *inputs.opened(stack, genome, regions),
        model=model_of(model),
        pooling=pooling,
        options=inputs.placement(options),
        compute=compute_of(options, model),
        for_hdf5=for_hdf5,
    )


def _collect(run: EmbedRun, dtype: str) -> Embeddings:
    """Return the vectors of all rows: NaN, and no bases, of those that could not be read."""
    dim = run.checkpoint.config.dim
    pooling, n_rows = run.pooling, run.survey.rows
    kinds = obs_columns(run.survey.columns, run.survey.numeric_score)
    matrices = {kind: np.full((n_rows, dim), np.nan, dtype) for kind in pooling.kinds}
    if pooling.bins:
        matrices["bins"] = np.full((n_rows, pooling.bins, dim), np.nan, dtype)
    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    bases = [np.empty((0, dim), np.float16)]
    n = 0
    for row, vectors in inputs.kept(run.vectors(run.rows().read()), run.skip):
        length, n_unknown = (vectors.length, vectors.n_unknown) if vectors else (0, 0)
        values = obs_row(row, run.options.stranded, length, n_unknown)
        for name, column in columns.items():
            column.append(values[name])
        if vectors is not None:
            arrays = {**vectors.pooled, "bins": vectors.bins}
            for kind, matrix in matrices.items():
                matrix[n] = arrays[kind]
            if vectors.per_base is not None:
                bases.append(vectors.per_base)
        n += 1
    dtypes = {"int": np.int64, "float": np.float64, "number": np.float64}
    if kinds.get("score") == "number":
        columns["score"] = [score_value(text) for text in columns["score"]]
    obs = {name: np.array(x, dtypes.get(kinds[name], object)) for name, x in columns.items()}
    obsm = {kind: matrix[:n] for kind, matrix in matrices.items()}
    uns = {"findna": _without_none({"format_version": FORMAT_VERSION, **run.metadata(None)})}
    if pooling.per_base:
        offsets = np.cumsum([0, *obs["length"]], dtype=np.int64)
        uns["per_base"] = {"offsets": offsets, "values": np.concatenate(bases)}
    return Embeddings(obsm.pop(pooling.kinds[0]), obs, obsm, uns)


def _without_none(facts: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested facts without those that are None, which no file holds."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in facts.items()
        if value is not None
    }
