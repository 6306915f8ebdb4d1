"""Figures of teacher and student on held-out windows, the same at every evaluation.

`HeldOut` draws windows, masks and views once and measures on them. The functions below it tell a
healthy encoder from a collapsed one: spread, effective rank, alignment, uniformity, entropy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils import parameters_to_vector

from findna.genome.encoding import BLANK, N
from findna.pretraining.corpus import Corpus
from findna.pretraining.distillation import Network, SelfDistillation
from findna.pretraining.losses import UNIFORM_MNM
from findna.pretraining.views import teacher_view

if TYPE_CHECKING:
    from findna.pretraining.probe import FrozenProbe

MASKED = 0.15
"""Share of the held-out positions that are blanked."""

TOKENS = 64_000
"""Nucleotides to measure on, or a little more."""

_SEED = 2405  # of windows, masks and views: the same in every run, so that runs compare


class HeldOut:
    """Windows, masks and views drawn once, and what is measured on them.

    The settings of the model decide how long windows are and which views they get; ``corpus``
    draws them on its device. ``probe`` gives further figures of the teacher's encoder.
    """

    def __init__(
        self, model: SelfDistillation, corpus: Corpus, probe: FrozenProbe | None = None
    ) -> None:
        config = model.config
        device = corpus.device
        fits = [length for length in config.lengths if corpus.fits(length)]
        length = sorted(fits)[len(fits) // 2]
        # batches of the size trained on: a head may standardise or balance over its batch
        self._batch = max(config.batch_tokens // length, 2)
        n = self._batch * math.ceil(TOKENS / (self._batch * length))
        generator = torch.Generator(device).manual_seed(_SEED)
        self._tokens, self._repeats = corpus.draw(n, length, "position", generator)
        drawn = torch.rand(self._tokens.shape, generator=generator, device=device)
        self._selected = (drawn < MASKED) & (self._tokens != N)
        self._first = teacher_view(self._tokens, config.views, generator)
        self._second = teacher_view(self._tokens, config.views, generator)
        self._model, self._probe = model, probe

    def measure(self) -> dict[str, float]:
        """Return figures of student and teacher as they are now, by the names of metrics.jsonl."""
        model, training = self._model, self._model.training
        model.eval()  # the running centre stays where it is
        with torch.no_grad():
            figures = self._figures()
        model.train(training)
        if self._probe is not None:
            figures |= self._probe(model.teacher.encoder)
        return figures

    def _figures(self) -> dict[str, float]:
        model, teacher, student = self._model, self._model.teacher, self._model.student
        hits, losses, first, second, targets, agreed = ([] for _ in range(6))
        contrast = model.config.contrast != "none"
        batches = (self._tokens, self._selected, self._first, self._second)
        for tokens, selected, view, other_view in zip(
            *(torch.split(tensor, self._batch) for tensor in batches), strict=True
        ):
            masked = tokens.masked_fill(selected, BLANK)
            right, nats = _restore(teacher, masked, tokens, selected)
            hits.append(right)
            losses.append(nats)
            bases, cls = teacher.encode(view)
            first.append(bases.float().mean(1))
            second.append(teacher.encode(other_view)[0].float().mean(1))
            if contrast:
                wanted = teacher.contrast_outputs(bases, cls)  # (m, windows, k)
                outputs = student.contrast_outputs(*student.encode(masked))
                if model.config.has_targets:
                    rows = model.balanced(wanted.flatten(0, 1))
                    targets.append(rows)
                    agreed.append(outputs.flatten(0, 1).argmax(-1) == rows.argmax(-1))
                else:
                    own = torch.arange(len(bases), device=bases.device)
                    agreed.append(((outputs @ wanted.mT).argmax(-1) == own).flatten())
        vectors, others = torch.cat(first), torch.cat(second)
        figures = {
            **_restoration_figures(
                torch.cat(hits).double(), torch.cat(losses).double(), self._repeats[self._selected]
            ),
            "std": vectors.std(0).mean().item(),
            "spread": relative_spread(vectors),
            "rank": effective_rank(vectors),
            "alignment": alignment(vectors, others),
            "uniformity": uniformity(vectors),
        }
        if contrast:
            figures["agreement"] = torch.cat(agreed).double().mean().item()
        if targets:
            target = torch.cat(targets)
            figures["contrast_bound"] = math.log(target.shape[-1])
            figures["target_entropy"] = entropy(target).mean().item()
            figures["mean_target_entropy"] = entropy(target.mean(0)).item()
        if model.config.has_centre:
            figures["centre_norm"] = model.centre.norm().item()
        figures["weight_norm"] = parameters_to_vector(student.parameters()).norm().item()
        figures["mnm_bound"] = UNIFORM_MNM[model.config.mnm_loss]
        return figures


def _restore(
    network: Network, masked: Tensor, tokens: Tensor, selected: Tensor
) -> tuple[Tensor, Tensor]:
    """Return of each blanked base if the likeliest of A, C, G, T is right, and its nats."""
    bases, _ = network.encode(masked)
    outputs = network.masked_nucleotide(bases[selected]).float()  # (selected, 5)
    outputs[:, N] = -torch.inf
    wanted = tokens[selected].long()
    return outputs.argmax(-1) == wanted, F.cross_entropy(outputs, wanted, reduction="none")


def _restoration_figures(hits: Tensor, losses: Tensor, repeats: Tensor) -> dict[str, float]:
    """Return masked accuracy and perplexity; of repeats and others too, if both are known."""
    parts = {"": torch.ones_like(repeats)}
    if bool(repeats.any()) and not bool(repeats.all()):
        parts |= {"_repeat": repeats, "_unique": ~repeats}
    figures = {}
    for part, chosen in parts.items():
        figures[f"accuracy{part}"] = hits[chosen].mean().item()
        figures[f"perplexity{part}"] = losses[chosen].mean().exp().item()
    return figures


def shown(figures: Mapping[str, float]) -> str:
    """Return the figures of an evaluation that tell most, in one line."""
    words = {
        "accuracy": "masked accuracy {:.4f}",
        "accuracy_repeat": "in repeats {:.4f}",
        "accuracy_unique": "elsewhere {:.4f}",
        "rank": "rank {:.1f}",
        "agreement": "agreement {:.3f}",
        "probe_auroc": "probe AUROC {:.3f}",
    }
    return ", ".join(form.format(figures[name]) for name, form in words.items() if name in figures)


def relative_spread(vectors: Tensor) -> float:
    """Return the standard deviation between vectors (n, dim), relative to their size."""
    size = vectors.pow(2).mean().sqrt()
    return (vectors.std(0).pow(2).mean().sqrt() / (size + 1e-12)).item()


def effective_rank(vectors: Tensor) -> float:
    """Return the exponential of the entropy of the singular values of (n, dim), from 1 to dim.

    The mean of the vectors is taken away: what all windows share is no direction in which they
    differ. Source: Garrido et al., "RankMe", 2023.
    """
    if not bool(torch.isfinite(vectors).all()):
        return math.nan
    values = torch.linalg.svdvals((vectors - vectors.mean(0)).double())
    share = values / values.sum().clamp(min=1e-12)
    return torch.exp(-(share * torch.log(share + 1e-12)).sum()).item()


def _directions(vectors: Tensor) -> Tensor:
    """Return vectors less their mean, of length 1; (n, dim), float64."""
    return F.normalize((vectors - vectors.mean(0)).double(), dim=-1)


def alignment(first: Tensor, second: Tensor) -> float:
    """Return the mean squared distance of two views of a window, from 0 to 4; 2 if unrelated.

    Their vectors (n, dim) are compared by direction once the means are taken away.
    Source: Wang and Isola, "Understanding Contrastive Representation Learning", 2020.
    """
    return (_directions(first) - _directions(second)).pow(2).sum(-1).mean().item()


def uniformity(vectors: Tensor) -> float:
    """Return the log of the mean of exp(-2 d^2) over pairs of windows; 0 for one point, down to -4.

    Vectors (n, dim) are compared as in `alignment`. Source: Wang and Isola, 2020.
    """
    return torch.pdist(_directions(vectors)).pow(2).mul(-2).exp().mean().log().item()


def entropy(probabilities: Tensor) -> Tensor:
    """Return the entropy of each row, nats; (..., k) -> (...)."""
    wide = probabilities.double()
    return -torch.xlogy(wide, wide).sum(-1)
