"""Train the encoder along with the head, from a head fitted on the frozen encoder.

A head fitted first keeps the pretrained features from being spoiled by the gradients of a random
one (Kumar et al., "Fine-Tuning can Distort Pretrained Features", 2022). Lower layers change less
than higher ones (layer-wise learning-rate decay: Howard and Ruder, ULMFiT, 2018).
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from findna.console import progress
from findna.genome.batching import Batch, Sequences, batches
from findna.genome.encoding import Tokens
from findna.genome.windows import Region
from findna.labelled.sets import CLASSES, REGRESSION
from findna.model.checkpoint import Model
from findna.model.devices import Compute, sent
from findna.model.encoder import Encoder
from findna.model.heads import SiteHead, TaskHead
from findna.model.schedules import warmup_cosine
from findna.tasks.features import Features, FeatureTable
from findna.tasks.kmers import kmer_counts
from findna.tasks.probe import Labels, Probe, Problem, Rows, score
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.resuming import KeptTraining, Training

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class FineTuned:
    """Model and head of the best epoch (0: the probe to begin with), and all epochs' figures."""

    model: Model
    head: TaskHead
    epoch: int
    history: list[dict[str, float]]


def minibatches(
    sequences: list[Tokens], rows: Rows, budget: int, rng: np.random.Generator
) -> list[Rows]:
    """Return rows in random order, cut into groups of at most ``budget`` nucleotides."""
    order = rng.permutation(rows)
    groups: list[list[int]] = [[]]
    total = 0
    for row in order.tolist():
        size = len(sequences[row])
        if groups[-1] and total + size > budget:
            groups.append([])
            total = 0
        groups[-1].append(row)
        total += size
    return [np.array(group) for group in groups]


def _overlaps(
    batch: Batch[int], features: Features
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Return the positions (columns) that make each vector (row) of a batch, and their weights.

    Vectors of a region: mean over all of it, its center if wanted, its bins.
    """
    rows, columns, weights = [], [], []
    for piece, first in zip(batch.pieces, batch.offsets[:-1].tolist(), strict=True):
        assert piece.window is not None
        region = piece.window.region
        spans = features.pooling.spans(len(region))
        n_other = len(spans) - features.bins
        for i, (low, high) in enumerate(spans.tolist()):
            a = max(low - piece.window.start, 0.0)
            b = min(high - piece.window.start, float(len(piece)))
            if a >= b:
                continue
            at = np.arange(int(a), int(np.ceil(b)))
            # bins of a reverse complement are turned round, as everywhere
            turned = n_other + features.bins - 1 - (i - n_other) if i >= n_other else i
            vector = turned if region.reverse else i
            rows.append(np.full(len(at), piece.item * len(spans) + vector))
            columns.append(first + at)
            inside = np.minimum(at + 1, b) - np.maximum(at, a)
            weights.append((inside / (high - low)).astype(np.float32))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)


def differentiable_features(
    hidden: Tensor, batch: Batch[int], features: Features, n_rows: int
) -> Tensor:
    """Return features of a batch with gradients: as `Features.of`, without k-mers.

    Hidden states have shape (total, dim); the result (n_rows, dim * (pools + bins)), float32. Items
    of the batch are the numbers of the rows, each wholly in the batch.
    """
    hidden = hidden.float()
    rows, columns, weights = _overlaps(batch, features)
    n_spans = 1 + ("center" in features.pools) + features.bins
    here = torch.sparse_coo_tensor(
        torch.from_numpy(np.stack((rows, columns))),
        torch.from_numpy(weights),
        (n_rows * n_spans, len(hidden)),
        check_invariants=False,
    ).coalesce()  # on a GPU it would have to be waited for
    average = torch.sparse_coo_tensor(
        sent(here.indices(), hidden.device),
        sent(here.values(), hidden.device),
        here.shape,
        check_invariants=False,
        is_coalesced=True,
    )
    means = torch.sparse.mm(average, hidden).view(n_rows, n_spans, -1)
    vectors = {"mean": means[:, 0]}
    if "center" in features.pools:
        vectors["center"] = means[:, 1]
    if "std" in features.pools:
        squares = torch.sparse.mm(average, hidden.square()).view_as(means)[:, 0]
        vectors["std"] = (squares - means[:, 0].square()).clamp(min=1e-12).sqrt()
    if "max" in features.pools:
        highest: dict[int, Tensor] = {}
        for piece, first in zip(batch.pieces, batch.offsets[:-1].tolist(), strict=True):
            here = hidden[first : first + len(piece)].amax(0)
            if piece.item in highest:
                here = torch.maximum(highest[piece.item], here)
            highest[piece.item] = here
        vectors["max"] = torch.stack([highest[row] for row in range(n_rows)])
    bins = means[:, n_spans - features.bins :].flatten(1)
    return torch.cat([*(vectors[pool] for pool in features.pools), bins], dim=1)


def parameter_groups(
    encoder: Encoder, head: TaskHead | SiteHead, config: FineTuneConfig
) -> list[dict[str, Any]]:
    """Return the layers that are read, each with its learning rate relative to the head's."""
    used = islice(encoder.mixer.layers(), encoder.config.readout or None)
    modules: list[nn.Module] = [encoder.embedding, *used]
    if not encoder.config.readout and encoder.mixer.norm is not None:
        modules.append(encoder.mixer.norm)
    groups = []
    for depth, module in enumerate(reversed(modules)):
        scale = config.layer_decay**depth
        decayed = [p for p in module.parameters() if p.dim() > 1]
        plain = [p for p in module.parameters() if p.dim() <= 1]
        groups += [
            {"params": decayed, "scale": scale, "weight_decay": config.weight_decay},
            {"params": plain, "scale": scale, "weight_decay": 0.0},
        ]
    groups.append({"params": list(head.linear.parameters()), "scale": 1.0, "weight_decay": 0.0})
    return [group for group in groups if group["params"]]


def _loss_of(problem: Problem, device: torch.device) -> Callable[[Tensor, Tensor], Tensor]:
    """Return the loss of a problem, a function of outputs and labels."""
    labels = problem.labels[problem.train]
    if problem.kind == REGRESSION:
        spread = torch.from_numpy(np.maximum(labels.std(0), 1e-6)).to(device)
        return lambda values, targets: ((values - targets) / spread).square().mean()
    weights: Tensor | None = None
    if problem.balanced:
        weights = _class_weights(labels, problem.kind, problem.n_outputs).to(device)
    if problem.kind == CLASSES:
        return lambda logits, classes: F.cross_entropy(logits, classes, weights)

    def loss(logits: Tensor, present: Tensor) -> Tensor:
        chosen = None if weights is None else torch.where(present > 0, weights[1], weights[0])
        return F.binary_cross_entropy_with_logits(logits, present, chosen)

    return loss


def _class_weights(labels: Labels, kind: str, n_outputs: int) -> Tensor:
    """Return inverse frequencies: (n_classes,), or (2, n_labels) of absent and present labels."""
    if kind == CLASSES:
        counts = np.bincount(labels, minlength=n_outputs)
    else:
        counts = np.stack((len(labels) - labels.sum(0), labels.sum(0)))
    weights = len(labels) / (np.maximum(counts, 1) * (counts > 0).sum(0))
    return torch.from_numpy(np.where(counts > 0, weights, 0.0).astype(np.float32))


def fine_tune(
    model: Model,
    probe: Probe,
    sequences: list[Tokens],
    problem: Problem,
    config: FineTuneConfig,
    compute: Compute,
    *,
    seed: int = 0,
    kept: KeptTraining | None = None,
) -> FineTuned:
    """Train copies of encoder and head on training rows; keep the best epoch on validation rows.

    If the probe reads both strands, each sequence is read on a random strand in training, and on
    both, averaged, in validation and later.

    Parameters
    ----------
    probe : Probe
        Features, and the head to begin with.
    sequences : list of Tokens
        Of every row of the problem.
    kept : KeptTraining, optional
        Keeps the state after each epoch, or has one to go on from.
    """
    device = compute.device
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = copy.deepcopy(model).to(device)
    encoder, features = model.encoder, probe.features
    head = copy.deepcopy(probe.head).to(device)
    groups = parameter_groups(encoder, head, config)
    parameters = [parameter for group in groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99))
    labels, train, loss_of = problem.labels, problem.train, _loss_of(problem, device)
    n_steps = config.epochs * len(minibatches(sequences, train, config.batch_tokens, rng))
    run = Training(nn.ModuleDict({"model": model, "head": head}), optimizer, rng)
    run.add(epoch=0, valid=probe.valid_score)
    if kept is not None:
        kept.load(run, device)
    n, done = config.epochs * len(train), run.epoch * len(train)
    with progress(n, "sequences", "train", initial=done) as bar:
        while not run.is_over(config.epochs, config.patience):
            epoch = run.epoch + 1
            groups_of_rows = minibatches(sequences, train, config.batch_tokens, rng)
            losses: list[Tensor] = []  # nothing waits for them before the end of the epoch
            title = f"epoch {epoch}/{config.epochs}"
            before = f", validation {run.history[-1]['valid']:.4f}" if epoch > 1 else ""
            bar.unpause()  # the time left is that of steps alone
            bar.set_description(title + before)
            for rows in groups_of_rows:
                lr = warmup_cosine(run.step, n_steps, config.lr, config.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["scale"]
                chosen = [sequences[row] for row in rows]
                x = train_features(encoder, chosen, features, rng, compute)  # (n, n_features)
                x = F.dropout(x - head.mean, config.dropout) + head.mean
                target = sent(labels[rows], device)
                loss = loss_of(head(x), target)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]  # torch
                nn.utils.clip_grad_norm_(parameters, config.clip)
                optimizer.step()
                losses.append(loss.detach())
                run.step += 1
                bar.update(len(rows))
            sums = zip(torch.stack(losses).tolist(), map(len, groups_of_rows), strict=True)
            total = sum(loss * n for loss, n in sums) / len(train)
            bar.set_description(f"{title}, validating")
            trained = replace(probe, head=head)
            value = valid_score(encoder, trained, sequences, problem, compute)
            run.add(epoch=epoch, loss=total, valid=value)
            logger.info("epoch %d: loss %.4f, validation %.4f", epoch, total, value)
            if kept is not None:
                kept.save(run, device)
            if not np.isfinite(total):
                logger.warning(
                    "training diverged in epoch %d; epoch %d is kept: lower --lr",
                    epoch,
                    run.best_epoch,
                )
    run.finish()
    return FineTuned(model, head, run.best_epoch, run.history)


def train_features(
    encoder: Encoder,
    sequences: list[Tokens],
    features: Features,
    rng: np.random.Generator,
    compute: Compute,
) -> Tensor:
    """Return features with gradients, of a random strand of each sequence if both are used."""
    turned = rng.random(len(sequences)) < (0.5 if features.both_strands else 0.0)
    regions = [
        (i, Region(str(i), ((0, len(sequence)),), bool(turned[i])))
        for i, sequence in enumerate(sequences)
    ]
    (batch,) = batches(
        regions,
        Sequences(sequences),
        max_tokens=1 << 40,
        longest=encoder.config.max_length,
        n_cls=encoder.config.n_cls,
    )
    encoder.train()
    device = compute.device
    with compute.autocast():
        hidden = encoder.embed(sent(batch.tokens, device), sent(batch.offsets, device))
    x = differentiable_features(hidden, batch, features, len(sequences))
    if features.k:
        kmers = kmer_counts(sequences, features.k, features.both_strands).toarray()
        x = torch.cat((x, sent(kmers, device)), dim=1)
    return x


def valid_score(
    encoder: Encoder, probe: Probe, sequences: list[Tokens], problem: Problem, compute: Compute
) -> float:
    """Return the score on validation rows, read by the code that predicts."""
    chosen = [sequences[row] for row in problem.valid]
    strands = 2 if probe.features.both_strands else 1
    table = FeatureTable(encoder, chosen, compute, strands=strands)
    logits = probe.logits(table, np.arange(len(chosen)))
    return score(problem.labels[problem.valid], logits, problem.kind)
