"""Train a head for sites on tiles of contigs, and with mode ``full`` the encoder along with it.

Half of the tiles, by default, are drawn about sites, which are rare; probabilities are calibrated
afterwards on every base of the validation spans, where sites are as rare as they are.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import Tensor, nn

from findna.console import progress
from findna.genome.batching import Batch, batches
from findna.genome.encoding import N
from findna.genome.fasta import Genome
from findna.genome.windows import Region
from findna.labelled.sites import SiteLabels
from findna.model.checkpoint import Model
from findna.model.devices import Compute, sent
from findna.model.encoder import Encoder
from findna.model.heads import SiteHead
from findna.model.schedules import warmup_cosine
from findna.tasks.features import Matrix
from findna.tasks.full import parameter_groups
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.resuming import KeptTraining, Training
from findna.tasks.sites import Span, Tile, site_logits, tiles

logger = logging.getLogger(__name__)

_STANDARDISED_ON = 64  # tiles whose hidden states give the head its mean and scale
_RARE = -5.0  # logit of every class before training


class Layout(NamedTuple):
    """bp that are read at once, their margins, and hidden states about a base for the head.

    A share ``about_sites`` of the tiles of training is drawn about sites, the others anywhere.
    """

    tile: int
    margin: int
    reach: int
    about_sites: float = 0.5


@dataclass(frozen=True)
class SiteData:
    """A genome with the classes of its bases, and the spans to train on and to choose by."""

    genome: Genome
    labels: SiteLabels
    train: Sequence[Span]
    valid: Sequence[Span]


@dataclass(frozen=True)
class TrainedSites:
    """Model and head of the best epoch, and all epochs' figures."""

    model: Model
    head: SiteHead
    epoch: int
    history: list[dict[str, float]]


class Measured(NamedTuple):
    """Classes and logits of every base of some spans, both strands; each (n, n_classes).

    ``runs`` says of which contig they are: so many of the first one, and so on.
    """

    labels: npt.NDArray[np.bool_]
    logits: Matrix
    runs: Sequence[tuple[str, int]] = ()

    @property
    def auprc(self) -> list[float]:
        """Average precision of each class; NaN where it has no site."""
        pairs = zip(self.labels.T, self.logits.T, strict=True)
        return [float(average_precision_score(y, x)) if y.any() else np.nan for y, x in pairs]


def measure_sites(
    encoder: Encoder,
    head: SiteHead,
    layout: Layout,
    data: SiteData,
    spans: Sequence[Span],
    compute: Compute,
) -> Measured:
    """Return classes and logits of every base of spans that is not N, read as scans read it."""
    labels, logits, runs = [], [], []
    for reverse in (False, True):
        places = tiles(spans, data.genome.contigs, layout.tile, layout.margin, reverse)
        rows = ((None, tile) for tile in places)
        for _, bases in site_logits(encoder, head, rows, data.genome, compute):
            assert bases is not None  # each row has a tile
            known = ~np.isnan(bases.values[:, 0])
            end = bases.start + len(known)
            labels.append(data.labels.of(bases.chrom, bases.start, end, reverse)[known])
            logits.append(bases.values[known])
            runs.append((bases.chrom, int(known.sum())))
    return Measured(np.concatenate(labels), np.concatenate(logits), runs)


def calibrate(measured: Measured) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return slope and shift of each class' logits that make probabilities as frequent as they say.

    Source: Platt, "Probabilistic outputs for support vector machines", 1999.
    """
    slopes, shifts = [], []
    for present, logits in zip(measured.labels.T, measured.logits.T, strict=True):
        fit = LogisticRegression(C=1e6).fit(logits[:, None].astype(np.float64), present)
        slope = float(fit.coef_[0, 0])
        slopes.append(slope if slope > 0 else 1.0)
        shifts.append(float(fit.intercept_[0]) if slope > 0 else 0.0)
    return tuple(slopes), tuple(shifts)


def _draw(
    data: SiteData, layout: Layout, rng: np.random.Generator
) -> Iterator[tuple[Tile, Region]]:
    """Yield tiles at random for ever: a share of them about a site, of any class alike."""
    step = layout.tile - 2 * layout.margin
    spans = list(data.train)
    sizes = np.array([end - start for _, start, end in spans], float)
    edges = sizes.cumsum() / sizes.sum()
    by_class: list[list[tuple[Span, int, bool]]] = [[] for _ in data.labels.classes]
    for span in spans:
        for _, middle, number, reverse in data.labels.within([span]):
            by_class[number].append((span, middle, reverse))
    by_class = [sites for sites in by_class if sites]
    while True:
        if by_class and rng.random() < layout.about_sites:
            sites = by_class[rng.integers(len(by_class))]
            span, middle, reverse = sites[rng.integers(len(sites))]
        else:
            span = spans[min(int(np.searchsorted(edges, rng.random())), len(spans) - 1)]
            middle, reverse = int(rng.integers(span[1], span[2])), bool(rng.random() < 0.5)
        chrom, start, end = span
        low = middle - int(rng.integers(step))
        first = max(low - layout.margin, 0)
        last = min(low + step + layout.margin, data.genome.contigs[chrom])
        tile = Tile(chrom, first, last, max(low, start), min(low + step, end), reverse)
        yield tile, tile.region


def _targets(batch: Batch[Tile], labels: SiteLabels) -> tuple[Tensor, Tensor]:
    """Return the classes of a batch's positions, (total, n_classes), and those that count."""
    targets = np.zeros((len(batch.tokens), len(labels.classes)), np.float32)
    counted = np.zeros(len(batch.tokens), np.float32)
    for piece, offset in zip(batch.pieces, batch.offsets.tolist(), strict=False):
        tile = piece.item
        known = labels.of(tile.chrom, tile.first, tile.last, tile.reverse)
        used = np.zeros(len(known), np.float32)
        used[tile.start - tile.first : tile.end - tile.first] = 1
        if tile.reverse:
            known, used = known[::-1], used[::-1]
        targets[offset : offset + len(known)] = known
        counted[offset : offset + len(known)] = used
    counted[batch.tokens == N] = 0
    return torch.from_numpy(targets), torch.from_numpy(counted)


def _hidden(encoder: Encoder, batch: Batch[Any], compute: Compute) -> Tensor:
    with compute.autocast():
        tokens, offsets = (sent(values, compute.device) for values in (batch.tokens, batch.offsets))
        return encoder.embed(tokens, offsets)


def train_sites(
    model: Model,
    data: SiteData,
    layout: Layout,
    config: FineTuneConfig,
    compute: Compute,
    *,
    frozen: bool,
    seed: int = 0,
    kept: KeptTraining | None = None,
) -> TrainedSites:
    """Train a head, and unless ``frozen`` a copy of the encoder; keep the best epoch.

    An epoch reads as many bases as the spans have; the best has the highest mean of the classes'
    average precision on every base of the validation spans.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = copy.deepcopy(model).to(compute.device)
    encoder, n_cls = model.encoder, model.encoder.config.n_cls
    head = SiteHead(encoder.config.dim, layout.reach, len(data.labels.classes))

    def drawn(n_tokens: int) -> Iterator[Batch[Tile]]:
        rows = _draw(data, layout, rng)
        return batches(rows, data.genome, max_tokens=n_tokens, longest=None, n_cls=n_cls)

    with torch.inference_mode():
        (sample,) = islice(drawn(_STANDARDISED_ON * layout.tile), 1)
        states = _hidden(encoder, sample, compute).float()
        mean, scale = states.mean(0).clone(), states.std(0).clamp(min=1e-6).clone()
    head.mean.copy_(mean.cpu())
    head.scale.copy_(scale.cpu())
    nn.init.zeros_(head.linear.weight)
    nn.init.constant_(head.linear.bias, _RARE)
    head.to(compute.device)
    groups: list[dict[str, Any]] = [
        {"params": list(head.linear.parameters()), "scale": 1.0, "weight_decay": 0.0}
    ]
    if not frozen:
        groups = parameter_groups(encoder, head, config)
    parameters = [parameter for group in groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.requires_grad_(True)
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.99))
    n_bases = sum(end - start for _, start, end in data.train)
    per_epoch = max(n_bases // config.batch_tokens, 1)
    run = Training(nn.ModuleDict({"model": model, "head": head}), optimizer, rng)
    if kept is not None:
        kept.load(run, compute.device)
    n_steps = config.epochs * per_epoch
    with progress(n_steps, "steps", "train", initial=run.step) as bar:
        while not run.is_over(config.epochs, config.patience):
            epoch = run.epoch + 1
            encoder.train(not frozen)
            taken: list[Tensor] = []  # losses; nothing waits for them before the end of the epoch
            title = f"epoch {epoch}/{config.epochs}"
            before = f", validation {run.history[-1]['valid']:.4f}" if run.history else ""
            bar.unpause()  # the time left is that of steps alone
            bar.set_description(title + before)
            for batch in islice(drawn(config.batch_tokens), per_epoch):
                lr = warmup_cosine(run.step, n_steps, config.lr, config.warmup)
                for group in optimizer.param_groups:
                    group["lr"] = lr * group["scale"]
                windows = sent(batch.window_numbers(n_cls), compute.device)
                with torch.set_grad_enabled(not frozen):
                    hidden = _hidden(encoder, batch, compute)
                dropped = F.dropout(hidden.float() - head.mean, config.dropout) + head.mean
                logits = head(dropped, windows)
                targets, counted = (sent(x, compute.device) for x in _targets(batch, data.labels))
                losses = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
                loss = (losses.sum(1) * counted).sum() / counted.sum().clamp(min=1)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]  # torch
                nn.utils.clip_grad_norm_(parameters, config.clip)
                optimizer.step()
                taken.append(loss.detach())
                run.step += 1
                bar.update(1)
            bar.set_description(f"{title}, validating")
            total = sum(torch.stack(taken).tolist()) / per_epoch
            value = float(
                np.nanmean(measure_sites(encoder, head, layout, data, data.valid, compute).auprc)
            )
            run.add(epoch=epoch, loss=total, valid=value)
            logger.info("epoch %d: loss %.5f, AUPRC %.4f", epoch, total, value)
            if kept is not None:
                kept.save(run, compute.device)
    run.finish()
    return TrainedSites(model, head, run.best_epoch, run.history)
