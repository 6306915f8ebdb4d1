"""A linear probe of a frozen encoder, cheap enough to repeat while the encoder is pretrained."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from findna.errors import LabelError
from findna.features import Sequences
from findna.inference import region_vectors
from findna.labelled import CLASSES, LabelledSet, check_trainable, hold_out, overlap
from findna.metrics import measure
from findna.model.encoder import Encoder
from findna.model.pooling import Pooling

MOST_ROWS, MOST_BASES = 1_000, 250_000
"""How much of a set is used, drawn at random with a fixed seed; at least LEAST_ROWS of it."""
LEAST_ROWS = 100
VALID_FRACTION = 1 / 3


class FrozenProbe:
    """Ridge regression on the mean vectors of labelled sequences, both of fixed rows.

    Parameters
    ----------
    data : LabelledSet
        With classes. A third of the rows used, whole contigs where coordinates are known, is
        what the probe is measured on.

    Raises
    ------
    LabelError
        The labels are not classes, or nothing can be learned from them.
    """

    def __init__(self, data: LabelledSet) -> None:
        if data.kind != CLASSES:
            raise LabelError(f"--probe {data.name}: {data.kind}; a probe needs one class per row")
        check_trainable(data)
        rows = np.random.default_rng(0).permutation(len(data))[:MOST_ROWS]
        bases = np.cumsum([len(data.sequences[row]) for row in rows])
        rows = rows[: max(int((bases <= MOST_BASES).sum()), LEAST_ROWS)]
        data = data.take(np.sort(rows))
        check_trainable(data)
        train, valid = hold_out(data, VALID_FRACTION)
        same, reverse = overlap(data.take(valid), data.take(train))
        self._train, self._valid = np.delete(train, np.concatenate((same, reverse))), valid
        if not len(self._train):
            raise LabelError(f"--probe {data.name}: its rows are all one sequence; give others")
        self._data = data
        self.rows = len(self._train), len(valid)

    def __call__(self, encoder: Encoder) -> dict[str, float]:
        """Accuracy and AUROC on the rows held out, by the names of metrics.jsonl."""
        data, n_classes = self._data, len(self._data.classes)
        vectors = np.empty((len(data), encoder.config.dim))
        source = Sequences(data.sequences)
        device = next(encoder.parameters()).device
        for found in region_vectors(
            source.regions(), source, encoder, Pooling(("mean",)), device=device
        ):
            vectors[found.index] = found.pooled["mean"]
        if not np.isfinite(vectors).all():  # of a run that diverged; the guard says so
            return {"probe_accuracy": np.nan, "probe_auroc": np.nan}
        train = vectors[self._train]
        vectors = (vectors - train.mean(0)) / np.maximum(train.std(0), 1e-12)
        scores = _ridge(vectors[self._train], np.eye(n_classes)[data.labels[self._train]], vectors)
        # least squares fits probabilities but may leave [0, 1]; the order of rows is what counts
        found_metrics = measure(data.labels[self._valid], scores[self._valid], CLASSES)
        return {f"probe_{name}": found_metrics[name] for name in ("accuracy", "auroc")}


def _ridge(
    x: npt.NDArray[np.float64], targets: npt.NDArray[np.float64], at: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Ridge regression of standardised x (n, dim) on targets (n, k), read at rows (m, dim).

    The penalty is n: directions of less than unit variance are shrunk by more than half.
    """
    inputs, wanted = torch.from_numpy(x), torch.from_numpy(targets)
    mean = wanted.mean(0)
    square = inputs.t() @ inputs + len(x) * torch.eye(x.shape[1], dtype=torch.float64)
    weight = torch.linalg.solve(square, inputs.t() @ (wanted - mean))
    scores: npt.NDArray[np.float64] = (torch.from_numpy(at) @ weight + mean).numpy()
    return scores
