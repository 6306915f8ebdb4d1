"""What a model and tasks say of variants: windows of both haplotypes in, scores out.

A window that occurs several times among the variants at hand is encoded once: the reference
window of a record's alleles, the masked window of its substitutions, both windows of no change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from findna.errors import ConfigError
from findna.genome.batching import Item, Sequences, SequenceSource, batches
from findna.genome.encoding import BLANK, NUCLEOTIDES, Tokens
from findna.genome.windows import Region
from findna.labelled.sets import CLASSES, REGRESSION
from findna.model.checkpoint import Checkpoint, Model
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.inference import forward_batches, region_vectors
from findna.model.pooling import Pooling
from findna.outputs.results import RegionVectors
from findna.tasks.features import POOLS
from findna.tasks.task import Task
from findna.variants.alleles import Examined
from findna.variants.haplotypes import Haplotype, Pair, Strands

DIST, LLR = "dist", "llr"

SCORES = (DIST, LLR)

STRANDS = {"both": (0, 1), "+": (0,), "-": (1,)}
"""Reading directions by name: 0 is forward."""

Vector = npt.NDArray[np.float64]

Reading = tuple[str, int, int]
"""What scores must have in common to share a pass: encoder, readout and bins."""

_CHANNEL = np.zeros(256, np.int64)

_CHANNEL[list(NUCLEOTIDES)] = range(len(NUCLEOTIDES))


@dataclass(frozen=True)
class Score:
    """One value per allele: a field of the output.

    Parameters
    ----------
    id : str
        Name in VCF.
    meaning : str
        One sentence without a full stop.
    """

    id: str
    meaning: str


@dataclass(frozen=True)
class Effect:
    """Scores of one allele, in the order of `Scorer.scores`; and its two mean vectors, if any."""

    values: list[float]
    ref: npt.NDArray[np.float32] | None = None
    alt: npt.NDArray[np.float32] | None = None


def cosine_distance(a: Vector, b: Vector) -> float:
    """1 - cos, computed so that equal vectors give exactly 0 and near ones lose no digits."""
    sizes = np.linalg.norm(a), np.linalg.norm(b)
    if not all(sizes):
        return 0.0 if sizes[0] == sizes[1] else 1.0
    return float(np.square(a / sizes[0] - b / sizes[1]).sum() / 2)


def log_odds(logits: Vector, kind: str, temperature: float) -> Vector:
    """Calibrated log-odds of each class or label; values of a regression are left as they are.

    ``logits`` is (n_outputs,). Of two classes, the log-odds of the second are those of `predict`'s
    probability: ``log p - log(1 - p)``.
    """
    if kind == REGRESSION:
        return logits
    scaled = logits / temperature
    if kind != CLASSES:
        return scaled
    others = [np.logaddexp.reduce(np.delete(scaled, i)) for i in range(len(scaled))]
    return np.asarray(scaled - others)


class _Windows:
    """Distinct sequences, numbered in the order in which they were first seen."""

    def __init__(self) -> None:
        self.sequences: list[Tokens] = []
        self._numbers: dict[bytes, int] = {}

    def add(self, tokens: Tokens) -> int:
        key = tokens.tobytes()
        number = self._numbers.setdefault(key, len(self.sequences))
        if number == len(self.sequences):
            self.sequences.append(tokens)
        return number


def masked_log_probabilities(
    rows: Iterable[tuple[Item, Region | None]],
    source: SequenceSource,
    model: Model,
    compute: Compute,
) -> Iterator[tuple[Item, Vector | None]]:
    """Yield each row with the log-probability of every base at the masked positions of its region.

    Regions are read whole.

    Yields
    ------
    item : object
    log_probabilities : ndarray, shape (n_masked, 4), float64
        Columns are A, C, G, T: the softmax leaves out the head's N. None without a region.
    """
    n_cls = model.encoder.config.n_cls
    packed = batches(rows, source, max_tokens=compute.budget, longest=None, n_cls=n_cls)
    device = compute.device
    head = model.masked_nucleotide.to(device)
    channels = torch.tensor(NUCLEOTIDES, device=device)
    found = forward_batches(model.encoder, packed, compute, every_layer=True)
    for batch, hidden in found:
        masked = batch.tokens == BLANK
        for end in batch.offsets[1:]:
            masked[end - n_cls : end] = False
        positions = np.flatnonzero(masked)
        with torch.inference_mode():
            logits = head(hidden[torch.from_numpy(positions).to(device)].float())[:, channels]
            logp = logits.cpu().double().log_softmax(1).numpy()  # (n_masked of the batch, 4)
        of_windows = iter(np.split(logp, np.searchsorted(positions, batch.offsets[1:-1])))
        for piece in batch.pieces:
            yield piece.item, None if piece.window is None else next(of_windows)


class Scorer:
    """Scores of alleles from their windows.

    Parameters
    ----------
    checkpoint : Checkpoint, optional
        Model of the scores; not needed for those of tasks alone.
    scores : sequence of str
        Some of SCORES.
    tasks : sequence of Task
    classes : sequence of str
        Of tasks with more than two classes (labels, targets): which to report. All by default.
    strand : {"both", "+", "-"}
        In which direction to read; both are averaged.
    vectors : bool
        Also keep the mean vectors of both haplotypes.

    Raises
    ------
    ConfigError
        A class belongs to no task, or two scores would have one name.
    """

    def __init__(
        self,
        checkpoint: Checkpoint | None,
        scores: Sequence[str] = SCORES,
        tasks: Sequence[Task] = (),
        classes: Sequence[str] = (),
        *,
        compute: Compute,
        strand: str = "both",
        vectors: bool = False,
    ) -> None:
        self._checkpoint = checkpoint
        self._directions = STRANDS[strand]
        self._strand = "both strands averaged" if strand == "both" else f"{strand} strand"
        self._vectors = vectors
        self._wanted = [name for name in SCORES if name in scores]
        self._tasks = [(task, _outputs(task, classes)) for task in tasks]
        self._compute = compute
        unknown = set(classes).difference(*(task.config.classes for task in tasks))
        if unknown:
            raise ConfigError(f"--class: no task has a class {min(unknown)}")
        self._readings = self._plan()
        self.scores = self._named()

    def _plan(self) -> dict[Reading, tuple[Encoder, Pooling]]:
        """What has to be read of each window, pass by pass."""
        readings: dict[Reading, tuple[Encoder, Pooling]] = {}
        for task, _ in self._tasks:
            features, key = task.config.features, _key(task)
            before = readings[key][1].kinds if key in readings else ()
            kinds = tuple(pool for pool in POOLS if pool in {*before, *features.pools})
            readings[key] = (task.reader, Pooling(kinds, features.bins))
        self._mean: Reading | None = None
        if self._checkpoint is not None and (DIST in self._wanted or self._vectors):
            here = (self._checkpoint.digest, 0)
            key = next((key for key in readings if key[:2] == here), (*here, 0))
            kinds = readings[key][1].kinds if key in readings else ()
            kinds = tuple(pool for pool in POOLS if pool in {*kinds, "mean"})
            readings[key] = (self._checkpoint.model.encoder, Pooling(kinds, key[2]))
            self._mean = key
        return readings

    def _named(self) -> list[Score]:
        made = ""
        if self._checkpoint is not None:
            made = f"; model {self._checkpoint.name} {self._checkpoint.digest[:12]}"
        meanings = {
            DIST: "Cosine distance between the mean embeddings of the reference and the alternate "
            f"window, {self._strand}{made}",
            LLR: "Masked log-likelihood ratio of the alternate to the reference allele, natural "
            f"logarithm, {self._strand}{made}",
        }
        scores = [Score(f"FINDNA_{name.upper()}", meanings[name]) for name in self._wanted]
        for task, outputs in self._tasks:
            config = task.config
            for i in outputs:
                alone = config.positive or len(config.classes) == 1
                name = task.name if alone else f"{task.name}_{config.classes[i]}"
                what = "Log-odds of" if config.kind != REGRESSION else "Value of"
                what = f"{what} {config.classes[i]}, {self._strand}"
                what += f", task {task.name} {task.digest[:12]}"
                stem = "FINDNA_" + re.sub(r"[^A-Za-z0-9]", "_", name).upper()
                scores += [
                    Score(f"{stem}_REF", f"{what}, reference window"),
                    Score(f"{stem}_ALT", f"{what}, alternate window"),
                    Score(f"{stem}_DELTA", f"{what}, alternate less reference window"),
                ]
        names = [score.id for score in scores]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ConfigError(f"--task: two scores would be called {twice}; rename a task's folder")
        return scores

    def __call__(self, alleles: Sequence[Sequence[Strands]]) -> list[Effect]:
        """Effects of alleles; each is given by its windows, of one background or of several.

        Backgrounds are averaged as strands are.
        """
        plain, masked = _Windows(), _Windows()
        both = any(task.config.features.both_strands for task, _ in self._tasks)
        read = [i if both or i in self._directions else self._directions[0] for i in (0, 1)]
        numbers = [
            [
                [[plain.add(haplotype.tokens) for haplotype in strands[i]] for i in read]
                for strands in backgrounds
            ]
            for backgrounds in alleles
        ]
        source = Sequences(plain.sequences)
        vectors = {
            key: [
                row
                for _, row in region_vectors(
                    source.rows(), source, encoder, pooling, self._compute, whole=True
                )
                if row is not None
            ]
            for key, (encoder, pooling) in self._readings.items()
        }  # fmt: skip
        ratios = [0.0] * len(alleles)
        if LLR in self._wanted:
            pairs = [
                [strands[i] for strands in backgrounds for i in self._directions]
                for backgrounds in alleles
            ]
            blanks = [
                [[masked.add(h.blanked()) if len(h.allele) else -1 for h in pair] for pair in row]
                for row in pairs
            ]
            assert self._checkpoint is not None
            blanked = Sequences(masked.sequences)
            rows = masked_log_probabilities(
                blanked.rows(), blanked, self._checkpoint.model, self._compute
            )
            found = [logp for _, logp in rows if logp is not None]
            ratios = [
                float(
                    np.mean([_ratio(pair, at, found) for pair, at in zip(row, where, strict=True)])
                )
                for row, where in zip(pairs, blanks, strict=True)
            ]
        return [
            self._effect(ratio, where, vectors, plain.sequences)
            for ratio, where in zip(ratios, numbers, strict=True)
        ]

    def _effect(
        self,
        ratio: float,
        numbers: list[list[list[int]]],
        vectors: Mapping[Reading, list[RegionVectors]],
        sequences: list[Tokens],
    ) -> Effect:
        sides = [  # reference windows, alternate windows: of each background, on both strands
            [[pair[side] for pair in strands] for strands in numbers] for side in (0, 1)
        ]
        values: dict[str, float] = {LLR: ratio}
        kept: tuple[npt.NDArray[np.float32], ...] = ()
        if self._mean is not None:
            found = vectors[self._mean]
            a, b = (
                np.stack([found[at[i]].pooled["mean"] for at in where for i in self._directions])
                .astype(np.float64)
                .mean(0)
                for where in sides
            )
            values[DIST] = cosine_distance(a, b)
            kept = (a.astype(np.float32), b.astype(np.float32)) if self._vectors else ()
        row = [values[name] for name in self._wanted]
        for task, outputs in self._tasks:
            ref, alt = (
                np.mean(
                    [
                        _task_values(
                            task,
                            [(vectors[_key(task)][i], sequences[i]) for i in at],
                            self._directions,
                        )
                        for at in where
                    ],
                    axis=0,
                )
                for where in sides
            )
            for i in outputs:
                row += [ref[i], alt[i], alt[i] - ref[i]]
        return Effect(row, *kept)


def _key(task: Task) -> Reading:
    features = task.config.features
    return task.config.encoder_digest, features.readout, features.bins


def _outputs(task: Task, classes: Sequence[str]) -> list[int]:
    """Numbers of the outputs of a task that are reported."""
    config = task.config
    if config.positive:
        return [1]
    chosen = [i for i, name in enumerate(config.classes) if name in classes]
    return chosen or list(range(len(config.classes)))


def _ratio(pair: Pair, where: Sequence[int], found: Sequence[Vector]) -> float:
    """Log-likelihood of the alternate haplotype's own bases less that of the reference's."""
    ref, alt = (
        _likelihood(haplotype, found[i]) if i >= 0 else 0.0
        for haplotype, i in zip(pair, where, strict=True)
    )
    return alt - ref


def _likelihood(haplotype: Haplotype, logp: Vector) -> float:
    allele = _CHANNEL[haplotype.allele]
    return float(logp[np.arange(len(allele)), allele].sum())


def _task_values(
    task: Task, strands: Sequence[tuple[RegionVectors, Tokens]], directions: Sequence[int]
) -> Vector:
    """Outputs of a task for one haplotype, averaged over reading directions; (n_outputs,).

    Parameters
    ----------
    strands : sequence, length 2
        Vectors and letters of the forward strand's window and of the other one's.
    directions : sequence of int
        0, 1 or both: read as `predict` reads a region of the forward strand, or of the other.
    """
    features = task.config.features
    rows = []
    for direction in directions:
        # a task that averages strands reads both, the opposite one from its end
        both = (direction, 1 - direction) if features.both_strands else (direction,)
        read = [
            features.of(strands[i][0] if i == direction else _turned(strands[i][0]), strands[i][1])
            for i in both
        ]
        rows.append(np.mean(read, axis=0))
    with torch.inference_mode():
        logits = task.head(torch.from_numpy(np.stack(rows))).double().numpy()
    config = task.config
    values = [log_odds(row, config.kind, config.temperature) for row in logits]
    return np.asarray(np.mean(values, axis=0))


def _turned(vectors: RegionVectors) -> RegionVectors:
    return replace(vectors, bins=vectors.bins[::-1])


_RECORDS_AT_A_TIME = 4_096  # of which few may have a window


def scored(
    items: Iterable[Examined], scorer: Scorer, tokens: int
) -> Iterator[tuple[Examined, list[Effect | None]]]:
    """Each record with the effects of its alleles, in order.

    Parameters
    ----------
    tokens : int
        Bases of windows that are gathered before they are scored.
    """
    waiting: list[Examined] = []
    gathered = 0
    for item in items:
        waiting.append(item)
        gathered += sum(
            len(haplotype.tokens)
            for backgrounds in item.windows if backgrounds
            for strands in backgrounds for pair in strands for haplotype in pair
        )  # fmt: skip
        if gathered >= tokens or len(waiting) == _RECORDS_AT_A_TIME:
            yield from _score(waiting, scorer)
            waiting, gathered = [], 0
    yield from _score(waiting, scorer)


def _score(items: list[Examined], scorer: Scorer) -> Iterator[tuple[Examined, list[Effect | None]]]:
    effects = iter(scorer([found for item in items for found in item.windows if found]))
    for item in items:
        yield item, [next(effects) if found else None for found in item.windows]
