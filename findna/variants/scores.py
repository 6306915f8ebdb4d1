"""Scores of variants by a model and by tasks, from the windows of both haplotypes.

All that an encoder reads of the variants at hand it reads in one pass, in which equal hidden states
are computed once (`findna.model.sharing`): windows of a variant differ at one place.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import torch

from findna.errors import ConfigError
from findna.genome.batching import distinct
from findna.genome.encoding import NUCLEOTIDES, Tokens
from findna.labelled.sets import CLASSES, REGRESSION
from findna.model.checkpoint import Checkpoint
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.heads import MaskedNucleotideHead
from findna.model.inference import read_windows
from findna.model.pooling import Pooling
from findna.outputs.results import RegionVectors
from findna.tasks.features import POOLS, Matrix
from findna.tasks.sites import AnyTask, SiteTask
from findna.tasks.task import Task, TaskConfig
from findna.variants.alleles import Examined
from findna.variants.annotate import InfoField, info_id
from findna.variants.haplotypes import Haplotype, Pair, Strands
from findna.variants.sites import REACH, SiteScorer

DIST, LLR = "dist", "llr"
SCORES = (DIST, LLR)

STRANDS = {"both": (0, 1), "+": (0,), "-": (1,)}
"""Reading directions by name: 0 is forward."""

Vector = npt.NDArray[np.float64]

T = TypeVar("T")

Reading = tuple[str, int, int]
"""Digest of the encoder, readout and bins: scores with equal ones share vectors."""

_CHANNEL = np.zeros(256, np.int64)
_CHANNEL[list(NUCLEOTIDES)] = range(len(NUCLEOTIDES))

_RECORDS_AT_A_TIME = 4_096  # bounds what is held if few records have windows


@dataclass(frozen=True)
class Effect:
    """Scores of an allele, in the order of `Scorer.fields`, and its two mean vectors if asked."""

    values: list[float | None]
    ref: npt.NDArray[np.float32] | None = None
    alt: npt.NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Ranked:
    """A score whose size can be compared with that of common SNPs.

    Parameters
    ----------
    stem, field : str
        Name of the score, which others are derived from, and of the INFO field that holds it.
    key : str
        Name among the scores of a model or a task: dist, llr, or a class.
    owner, digest, folder : str, str, Path
        The model or task.
    """

    stem: str
    field: str
    key: str
    owner: str
    digest: str
    folder: Path
    is_llr: bool = False

    def size(self, value: float) -> float:
        """Return how far a value is from that of no effect: of LLR minus it, of others absolute."""
        return -value if self.is_llr else abs(value)

    @property
    def less(self) -> str:
        """The value of an allele with a smaller size, in words."""
        return f"{'a higher' if self.is_llr else 'a smaller absolute'} {self.field}"


def cosine_distance(a: Vector, b: Vector) -> float:
    """Return 1 - cos; equal vectors give exactly 0, and near ones lose no digits."""
    sizes = np.linalg.norm(a), np.linalg.norm(b)
    if not all(sizes):
        return 0.0 if sizes[0] == sizes[1] else 1.0
    return float(np.square(a / sizes[0] - b / sizes[1]).sum() / 2)


def log_odds(
    logits: Vector, kind: str, temperature: float, offsets: Sequence[float] = ()
) -> Vector:
    """Return calibrated log-odds of each class or label, or a regression's values; (n_outputs,).

    Of two classes, the log-odds of the second are those of `predict`'s probability:
    ``log p - log(1 - p)``. ``offsets`` are those of `findna.tasks.task.to_probabilities`.
    """
    if kind == REGRESSION:
        return logits
    scaled: Vector = logits / temperature + np.array(offsets or 0.0)
    if kind != CLASSES:
        return scaled
    others = [np.logaddexp.reduce(np.delete(scaled, i)) for i in range(len(scaled))]
    return np.asarray(scaled - others)


def task_log_odds(task: Task, features: Sequence[Matrix]) -> Vector:
    """Return the calibrated log-odds of rows of features, or values of a regression.

    Returns
    -------
    ndarray, shape (n_rows, n_outputs), float64
    """
    with torch.inference_mode():
        logits = task.head(torch.from_numpy(np.stack(features))).double().numpy()
    config = task.config
    return np.stack(
        [log_odds(row, config.kind, config.temperature, task.offsets) for row in logits]
    )


class Scorer:
    """Scores of alleles from their windows.

    Parameters
    ----------
    checkpoint : Checkpoint, optional
        Model of the scores; tasks alone do without it.
    scores : sequence of str
        Some of SCORES.
    classes : sequence of str
        Classes (labels, targets) to report of tasks with more than two; all by default.
    strand : {"both", "+", "-"}
        Reading direction; both are averaged.
    vectors : bool
        Also keep the mean vectors of both haplotypes.
    reach : int
        As for `SiteScorer`, of tasks of sites.

    Attributes
    ----------
    fields : list of InfoField
        Name in VCF and meaning of each value of an allele; one sentence without a full stop.
    ranked : list of Ranked
        Those of the scores that can be compared with common SNPs.

    Raises
    ------
    ConfigError
        A class belongs to no task, or two scores would have one name.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        scores: Sequence[str] = SCORES,
        tasks: Sequence[AnyTask] = (),
        classes: Sequence[str] = (),
        *,
        compute: Compute,
        strand: str = "both",
        vectors: bool = False,
        reach: int = REACH,
    ) -> None:
        unknown = set(classes).difference(*(task.config.classes for task in tasks))
        if unknown:
            raise ConfigError(f"--class: no task has a class {min(unknown)}")
        self._checkpoint = checkpoint
        self._directions = STRANDS[strand]
        self._vectors = vectors
        self._wanted = [name for name in SCORES if name in scores]
        self._compute = compute
        self._tasks: list[tuple[Task, list[int]]] = []
        self._sites: list[SiteScorer] = []
        self._order: list[bool] = []  # whether each task is one of sites
        for task in tasks:
            outputs = _outputs(task, classes)
            if isinstance(task, SiteTask):
                scorer = SiteScorer(task, outputs, reach, self._directions, compute)
                self._sites.append(scorer)
            else:
                self._tasks.append((task, outputs))
            self._order.append(isinstance(task, SiteTask))
        self._mean: Reading | None = None  # the one that gives the mean vectors
        self._readings: dict[Reading, tuple[int, Pooling]] = {}
        self._encoders: dict[str, Encoder] = {}  # by digest
        self._heads: dict[str, MaskedNucleotideHead] = {}  # of those that read masked windows
        self._plan()
        read = "both strands averaged" if strand == "both" else f"{strand} strand"
        self.fields = self._fields(read)
        self.ranked = self._ranked()

    def _plan(self) -> None:
        """Find what is read, and the passes that this takes: one for each encoder."""
        for task, _ in self._tasks:
            self._add(_reading_of(task), task.reader, task.config.features.pools)
        if self._checkpoint is None:
            return
        digest, encoder = self._checkpoint.digest, self._checkpoint.model.encoder
        if DIST in self._wanted or self._vectors:
            here = (key for key in self._readings if key[:2] == (digest, 0))
            self._mean = next(here, (digest, 0, 0))
            self._add(self._mean, encoder, ["mean"])
        if LLR in self._wanted:
            self._encoders.setdefault(digest, encoder)
            self._heads[digest] = self._checkpoint.model.masked_nucleotide

    def _add(self, reading: Reading, encoder: Encoder, pools: Iterable[str]) -> None:
        wanted = set(pools)
        if reading in self._readings:
            wanted.update(self._readings[reading][1].kinds)
        kinds = tuple(pool for pool in POOLS if pool in wanted)
        self._readings[reading] = encoder.config.readout, Pooling(kinds, reading[2])
        self._encoders.setdefault(reading[0], encoder)

    def _fields(self, strands: str) -> list[InfoField]:
        model = ""
        if self._checkpoint is not None:
            model = f"; model {self._checkpoint.name} {self._checkpoint.digest[:12]}"
        quantities = {
            DIST: "Cosine distance between the mean embeddings of the reference and the alternate "
            "window",
            LLR: "Masked log-likelihood ratio of the alternate to the reference allele, natural "
            "logarithm",
        }
        fields = [
            InfoField(info_id(name), f"{quantities[name]}, {strands}{model}")
            for name in self._wanted
        ]
        if LLR in self._wanted:
            fields += [
                InfoField(
                    info_id(LLR, side),
                    f"Masked log-likelihood of the bases that only the {allele} allele has, "
                    f"natural logarithm, {strands}{model}",
                )
                for side, allele in (("ref", "reference"), ("alt", "alternate"))
            ]
        fields += self._in_order(
            [_task_fields(task, outputs, strands) for task, outputs in self._tasks],
            [scorer.fields for scorer in self._sites],
        )
        for name, n in Counter(field.id for field in fields).items():
            if n > 1:
                raise ConfigError(
                    f"--task: two scores would be called {name}; rename a task's folder"
                )
        return fields

    def _ranked(self) -> list[Ranked]:
        ranked = []
        if self._checkpoint is not None:
            model = self._checkpoint
            ranked = [
                Ranked(
                    *(info_id(name), info_id(name), name),
                    *(f"model {model.name}", model.digest, model.folder),
                    is_llr=name == LLR,
                )
                for name in self._wanted
            ]
        for task, outputs in self._tasks:
            for i in outputs:
                stem, owner = _stem(task, i), f"task {task.name}"
                class_, field = task.config.classes[i], f"{stem}_DELTA"
                ranked.append(Ranked(stem, field, class_, owner, task.digest, task.folder))
        return ranked

    def _in_order(self, of_regions: Iterable[list[T]], of_sites: Iterable[list[T]]) -> list[T]:
        """Return what there is of each task of both kinds in the order of the tasks."""
        kinds = iter(of_regions), iter(of_sites)
        return [each for is_of_sites in self._order for each in next(kinds[is_of_sites])]

    def __call__(
        self, alleles: Sequence[Sequence[Strands]], starts: Sequence[int] = ()
    ) -> list[Effect]:
        """Return effects of alleles, each given by its windows on one background or several.

        Backgrounds are averaged as strands are. ``starts`` are the 0-based positions of the
        alleles' records, from which those of sites are counted; by default they are counted from
        the first base of the contig.
        """
        starts = starts or [0] * len(alleles)
        vectors, masked = self._read([strands for windows in alleles for strands in windows])
        of_sites = [scorer(alleles, starts) for scorer in self._sites]
        return [
            self._effect(windows, vectors, masked, [rows[i] for rows in of_sites])
            for i, windows in enumerate(alleles)
        ]

    def _read(
        self, backgrounds: Sequence[Strands]
    ) -> tuple[dict[Reading, dict[bytes, RegionVectors]], dict[bytes, Vector]]:
        """Return vectors of windows, and log-probabilities of masked bases, by their letters."""
        vectors: dict[Reading, dict[bytes, RegionVectors]] = {key: {} for key in self._readings}
        masked: dict[bytes, Vector] = {}
        for digest, encoder in self._encoders.items():
            readings = {key: read for key, read in self._readings.items() if key[0] == digest}
            head, poolings = self._heads.get(digest), list(readings.values())
            windows = self._windows(backgrounds, bool(readings), head is not None)
            letters, source = distinct(windows)
            rows = source.rows()
            for i, read in read_windows(rows, source, encoder, poolings, self._compute, head):
                if isinstance(read, list):
                    for key, of_window in zip(readings, read, strict=True):
                        vectors[key][letters[i]] = of_window
                elif read is not None:
                    masked[letters[i]] = read
        return vectors, masked

    def _windows(
        self, backgrounds: Iterable[Strands], whole: bool, masked: bool
    ) -> Iterator[Tokens]:
        """Yield the windows to read: those of a haplotype, whole and with its allele masked.

        What is alike comes together, so that it shares a batch.
        """
        directions = self._directions
        if any(task.config.features.both_strands for task, _ in self._tasks):
            directions = STRANDS["both"]
        for strands in backgrounds:
            for i in directions:
                if whole:
                    yield from (haplotype.tokens for haplotype in strands[i])
                if masked and i in self._directions:
                    yield from (side.blanked() for side in strands[i] if len(side.allele))

    def _effect(
        self,
        backgrounds: Sequence[Strands],
        vectors: Mapping[Reading, Mapping[bytes, RegionVectors]],
        masked: Mapping[bytes, Vector],
        of_sites: Sequence[list[float | None]],
    ) -> Effect:
        pairs = [strands[i] for strands in backgrounds for i in self._directions]
        values: dict[str, float] = {}
        means: list[npt.NDArray[np.float32]] = []
        likelihoods: list[float] = []
        if LLR in self._wanted:
            sides = np.array([[_likelihood(side, masked) for side in pair] for pair in pairs])
            values[LLR] = float(np.mean(sides[:, 1] - sides[:, 0]))
            likelihoods = sides.mean(0).tolist()
        if self._mean is not None:
            read = vectors[self._mean]
            ref, alt = (
                np.stack([read[pair[side].tokens.tobytes()].pooled["mean"] for pair in pairs])
                .astype(np.float64)
                .mean(0)
                for side in (0, 1)
            )
            values[DIST] = cosine_distance(ref, alt)
            if self._vectors:
                means = [ref.astype(np.float32), alt.astype(np.float32)]
        of_regions: list[list[float | None]] = []
        for task, outputs in self._tasks:
            read = vectors[_reading_of(task)]
            ref, alt = (
                np.mean(
                    [self._task_values(task, (a[side], b[side]), read) for a, b in backgrounds],
                    axis=0,
                )
                for side in (0, 1)
            )
            of_regions.append([x for i in outputs for x in (ref[i], alt[i], alt[i] - ref[i])])
        row = [values[name] for name in self._wanted] + likelihoods
        return Effect([*row, *self._in_order(of_regions, of_sites)], *means)

    def _task_values(
        self, task: Task, strands: Pair, vectors: Mapping[bytes, RegionVectors]
    ) -> Vector:
        """Return the outputs of a task for the two strands' windows of a haplotype; (n_outputs,).

        In each direction, they are read as `predict` reads a region of that strand.
        """
        features = task.config.features
        rows = []
        for direction in self._directions:
            tokens = strands[direction].tokens
            read = [features.of(vectors[tokens.tobytes()], tokens)]
            if features.both_strands:  # the opposite one is read from its end
                tokens = strands[1 - direction].tokens
                opposite = vectors[tokens.tobytes()]
                read.append(features.of(replace(opposite, bins=opposite.bins[::-1]), tokens))
            rows.append(np.mean(read, axis=0))
        return np.asarray(task_log_odds(task, rows).mean(0))


def _reading_of(task: Task) -> Reading:
    features = task.config.features
    return task.config.encoder_digest, features.readout, features.bins


def _task_fields(task: Task, outputs: Sequence[int], strands: str) -> list[InfoField]:
    """Return the fields of a task of regions."""
    config = task.config
    quantity = "Value of" if config.kind == REGRESSION else "Log-odds of"
    fields = []
    for i in outputs:
        stem = _stem(task, i)
        meaning = f"{quantity} {config.classes[i]}, {strands}, task {task.name} {task.digest[:12]}"
        fields += [
            InfoField(f"{stem}_REF", f"{meaning}, reference window"),
            InfoField(f"{stem}_ALT", f"{meaning}, alternate window"),
            InfoField(f"{stem}_DELTA", f"{meaning}, alternate less reference window"),
        ]
    return fields


def _stem(task: Task, output: int) -> str:
    """Return what the names of an output's fields begin with."""
    config = task.config
    alone = config.positive or len(config.classes) == 1
    return info_id(task.name) if alone else info_id(task.name, config.classes[output])


def _outputs(task: AnyTask, classes: Sequence[str]) -> list[int]:
    """Return the numbers of the outputs of a task that are reported."""
    config = task.config
    if isinstance(config, TaskConfig) and config.positive:
        return [1]
    chosen = [i for i, name in enumerate(config.classes) if name in classes]
    return chosen or list(range(len(config.classes)))


def _likelihood(haplotype: Haplotype, masked: Mapping[bytes, Vector]) -> float:
    """Return the log-likelihood of a haplotype's own bases; 0 if it has none."""
    allele = _CHANNEL[haplotype.allele]
    if not len(allele):
        return 0.0
    logp = masked[haplotype.blanked().tobytes()]
    return float(logp[np.arange(len(allele)), allele].sum())


def scored(
    items: Iterable[Examined], scorer: Scorer, tokens: int
) -> Iterator[tuple[Examined, list[Effect | None]]]:
    """Yield each record with the effects of its alleles, in order.

    Parameters
    ----------
    tokens : int
        Bases of windows that are gathered before they are scored.
    """
    waiting: list[Examined] = []
    gathered = 0
    for item in items:
        waiting.append(item)
        strands = [each for backgrounds in item.windows for each in backgrounds or ()]
        gathered += sum(len(h.tokens) for pairs in strands for pair in pairs for h in pair)
        if gathered >= tokens or len(waiting) == _RECORDS_AT_A_TIME:
            yield from _score(waiting, scorer)
            waiting, gathered = [], 0
    yield from _score(waiting, scorer)


def _score(items: list[Examined], scorer: Scorer) -> Iterator[tuple[Examined, list[Effect | None]]]:
    alleles = [(item.record.start, w) for item in items for w in item.windows if w]
    effects = iter(scorer([windows for _, windows in alleles], [start for start, _ in alleles]))
    for item in items:
        yield item, [next(effects) if windows else None for windows in item.windows]
