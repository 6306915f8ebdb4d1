"""A linear probe of a frozen encoder, cheap enough to repeat while the encoder is pretrained."""

from __future__ import annotations

import numpy as np
from sklearn.linear_model import Ridge
from sklearn.preprocessing import StandardScaler

from findna.errors import LabelError
from findna.genome.batching import Sequences
from findna.labelled.metrics import measure
from findna.labelled.sets import CLASSES, LabelledSet, check_trainable
from findna.labelled.splits import hold_out, overlap
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling

MOST_ROWS, MOST_BASES = 1_000, 250_000
"""Most rows and bases of a set, drawn at random with a fixed seed; at least LEAST_ROWS of it."""

LEAST_ROWS = 100

VALID_FRACTION = 1 / 3


class FrozenProbe:
    """Ridge regression on the mean vectors of labelled sequences, both of fixed rows.

    It is measured on a third of the rows used, whole contigs where coordinates are known.

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
        """Return accuracy and AUROC on the rows held out, by the names of metrics.jsonl."""
        data, n_classes = self._data, len(self._data.classes)
        vectors = np.empty((len(data), encoder.config.dim))
        source = Sequences(data.sequences)
        compute = Compute(next(encoder.parameters()).device)
        for i, row in region_vectors(source.rows(), source, encoder, Pooling(("mean",)), compute):
            assert row is not None
            vectors[i] = row.pooled["mean"]
        if not np.isfinite(vectors).all():  # of a run that diverged; the guard says so
            return {"probe_accuracy": np.nan, "probe_auroc": np.nan}
        vectors = StandardScaler().fit(vectors[self._train]).transform(vectors)
        # with a penalty of n, directions of less than unit variance are shrunk by more than half
        model = Ridge(alpha=len(self._train))
        model.fit(vectors[self._train], np.eye(n_classes)[data.labels[self._train]])
        scores = model.predict(vectors[self._valid])
        # least squares fits probabilities but may leave [0, 1]; the order of rows is what counts
        metrics = measure(data.labels[self._valid], scores, CLASSES)
        return {f"probe_{name}": metrics[name] for name in ("accuracy", "auroc")}
