"""Backgrounds: scores of common SNPs, which tell how large a score is.

A background is a JSON file, made by one run (docs/formats.md). Those in the folder of a model or of
a task are called ``background*.json``; one is used by runs whose settings are its own.
"""

from __future__ import annotations

import json
import logging
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from findna import __version__
from findna.errors import CheckpointError, ConfigError, VariantError
from findna.genome.encoding import C, G, T, decode
from findna.model.folders import write_text
from findna.outputs.files import file_digest
from findna.tasks.kmers import kmer_counts
from findna.variants.alleles import Examined
from findna.variants.annotate import RANKS, InfoField
from findna.variants.haplotypes import Strands
from findna.variants.scores import Effect, Ranked, Scorer

logger = logging.getLogger(__name__)

FILES = "background*.json"
FORMAT = 1
QUANTILE, CONTEXT = RANKS

CPG = "CpG>TpG"
CLASSES = ("C>A", "C>G", "C>T", CPG, "T>A", "T>C", "T>G")
"""Classes of substitutions, read from the strand on which REF is C or T; C>T is outside CpG."""

LEAST = 50
"""SNPs that a class needs to have quantiles."""

_STEPS = 200  # between quantiles: a quantile per half percent
_PRIOR = 10  # SNPs of its class that are added to those of a context
_DECIMALS = 4  # of a quantile in the output
_DECIDES = ("window", "strand")  # settings that change scores
_MOST = 1 << 24  # bytes of a file

_CONTEXTS = {
    f"{a}{ref}{b}>{alt}": CPG if f"{ref}{b}>{alt}" == "CG>T" else f"{ref}>{alt}"
    for a, ref, b, alt in product("ACGT", "CT", "ACGT", "ACGT")
    if ref != alt
}
"""Class of each trinucleotide with a new middle base, such as ACG>T."""
_TRINUCLEOTIDES = ["".join(bases) for bases in product("ACGT", repeat=3)]


class Substitution(NamedTuple):
    """A base replaced by another, read from the strand on which it is C or T.

    ``context`` is such as ACG>T; the class where a neighbour is missing or N.
    """

    kind: str
    context: str


def substitution(windows: Sequence[Strands] | None) -> Substitution | None:
    """Return the substitution of an allele, by its windows; None unless it is an SNV."""
    for ref, alt in windows[0] if windows else ():
        if len(ref.allele) == len(alt.allele) == 1 and ref.allele[0] in (C, T):
            around = ref.tokens[max(ref.start - 1, 0) : ref.end + 1]
            change = f"{decode(ref.allele)}>{decode(alt.allele)}"
            in_cpg = change == "C>T" and list(ref.tokens[ref.end : ref.end + 1]) == [G]
            kind = CPG if in_cpg else change
            context = f"{decode(around)}>{decode(alt.allele)}"
            return Substitution(kind, context if context in _CONTEXTS else kind)
    return None


@dataclass(frozen=True)
class Background:
    """Scores of common SNPs.

    Parameters
    ----------
    settings : dict
        Of the run that made it.
    source : dict
        ``file`` and ``sha256`` of the VCF, ``genome``.
    counts, trinucleotides : dict of str to int
        SNPs of each context or class; trinucleotides of the windows around SNPs.
    weights : dict
        By digest of a model or task: ``name``, ``quantiles`` by score and class, and of a model
        that gave LLR ``means`` by context.
    """

    path: Path
    settings: Mapping[str, Any]
    source: Mapping[str, Any]
    counts: Mapping[str, int]
    trinucleotides: Mapping[str, int]
    weights: Mapping[str, Mapping[str, Any]]

    @property
    def title(self) -> str:
        """File of the SNPs and the first digits of its digest, for the header of a VCF."""
        return f"{self.source['file']} {self.source['sha256'][:12]}"

    def differs(self, settings: Mapping[str, Any]) -> str:
        """Return how its settings differ from those of a run, in words; empty if they do not."""
        names = [name for name in _DECIDES if self.settings[name] != settings[name]]
        own, others = (
            " ".join(f"--{x} {of[x]}" for x in names) for of in (self.settings, settings)
        )
        return f"{self.path.name} is of {own}, not {others}" if names else ""

    def log_rates(self) -> dict[str, float]:
        """Return the log of SNPs per trinucleotide, by context, drawn to the rate of the class."""
        n_snps, n_places = Counter[str](), Counter[str]()
        for context, kind in _CONTEXTS.items():
            n_snps[kind] += self.counts.get(context, 0)
            n_places[kind] += self.trinucleotides.get(context[:3], 0)
        rates = {kind: (n_snps[kind] + 0.5) / (n_places[kind] + 1) for kind in CLASSES}
        return {kind: float(np.log(rate)) for kind, rate in rates.items()} | {
            context: float(
                np.log(self.counts.get(context, 0) + _PRIOR)
                - np.log(self.trinucleotides.get(context[:3], 0) + _PRIOR / rates[kind])
            )
            for context, kind in _CONTEXTS.items()
        }


def read_background(path: Path) -> Background:
    """Read a background.

    Raises
    ------
    CheckpointError
        It is not one.
    """
    try:
        if path.stat().st_size > _MOST:
            raise ValueError(f"larger than {_MOST >> 20} MiB")
        values = json.loads(path.read_text())
        if values["format"] != FORMAT:
            raise ValueError(f"format {values['format']!r}; this findna reads format {FORMAT}")
        found = Background(path, *(values[name] for name in _FIELDS))
        for name in _DECIDES:
            str(found.settings[name])
        _ = found.title, found.log_rates()
        for own in found.weights.values():
            for quantiles in own["quantiles"].values():
                for row in quantiles.values():
                    if len(row) < 2 or not np.isfinite(row).all() or (np.diff(row) < 0).any():
                        raise ValueError("quantiles do not ascend")
            if not np.isfinite(list(own.get("means", {}).values())).all():
                raise ValueError("a mean is not finite")
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise CheckpointError(
            f"{path}: not a background ({' '.join(str(error).split())}); make it again: findna "
            "variants --background-out"
        ) from error
    return found


_FIELDS = ("settings", "source", "counts", "trinucleotides", "weights")


class Ranks:
    """Quantiles of scores among those of common SNPs, and LLR less the mean of its context.

    Parameters
    ----------
    scorer : Scorer
        Of the scores.
    settings : mapping
        Of the run.
    given : sequence of Path
        Backgrounds that go before those in the folders of weights.

    Attributes
    ----------
    fields : list of InfoField
        Of what `extended` adds.
    files : dict of str to str
        Digest of each background that is used, by its path.

    Raises
    ------
    CheckpointError
        A file is not a background.
    ConfigError
        A background that was given is of none of the scores, or of other settings.
    """

    def __init__(
        self, scorer: Scorer, settings: Mapping[str, Any], given: Sequence[Path] = ()
    ) -> None:
        self.fields: list[InfoField] = []
        self._columns = {field.id: i for i, field in enumerate(scorer.fields)}
        self._used: list[tuple[Ranked, Background]] = []
        own = [read_background(path) for path in given]
        of_weights: dict[str, list[Ranked]] = defaultdict(list)
        for score in scorer.ranked:
            of_weights[score.digest].append(score)
        missing = []
        for digest, scores in of_weights.items():
            folder = scores[0].folder
            there = [read_background(path) for path in sorted(folder.glob(FILES))]
            found, reason = _choose([*own, *there], digest, settings)
            if found is None and not own and not there:
                logger.info("%s: %s, so no quantiles (_Q)", scores[0].owner, reason)
            elif found is None:
                missing.append(f"{scores[0].owner} ({reason})")
            else:
                self._add(scores, found)
        self._log_rates = self._used[0][1].log_rates() if self._used else {}
        used = {background.path for _, background in self._used}
        self.files = {str(path): file_digest(path) for path in used}
        for background in own:
            if background.path not in used:
                _, reason = _choose([background], next(iter(of_weights), ""), settings)
                raise ConfigError(f"--background {background.path}: {reason}")
        self._missing = ", ".join(missing)

    def warn(self) -> None:
        """Say which scores have no quantiles, and why; once."""
        if self._missing:
            logger.warning(
                "no quantiles (_Q) of %s: choose its settings, or make a background of common SNPs "
                "with --background-out (docs/variants.md)",
                self._missing,
            )
        self._missing = ""

    def _add(self, scores: Sequence[Ranked], background: Background) -> None:
        own = background.weights[scores[0].digest]
        about = f"SNVs only, background {background.title}"
        for score in scores:
            if score.key not in own["quantiles"]:
                continue
            self._used.append((score, background))
            self.fields.append(
                InfoField(
                    f"{score.stem}_{QUANTILE}",
                    f"Share of common SNPs of the same class of substitution with {score.less}, "
                    f"0 to 1, {about}",
                )
            )
            if score.is_llr:
                self.fields.append(
                    InfoField(
                        f"{score.stem}_{CONTEXT}",
                        f"{score.field} less its mean among common SNPs of the same trinucleotide "
                        f"and ALT, {about}",
                    )
                )

    def log_rate(self, windows: Sequence[Strands] | None) -> float | None:
        """Return the log of common SNPs per trinucleotide like an SNV's; None if not known."""
        snv = substitution(windows)
        return self._log_rates.get(snv.context) if snv else None

    def extended(self, item: Examined, effects: Sequence[Effect | None]) -> list[Effect | None]:
        """Return effects with the values of `fields` after their own."""
        return [
            effect and replace(effect, values=[*effect.values, *self._values(windows, effect)])
            for windows, effect in zip(item.windows, effects, strict=True)
        ]

    def _values(self, windows: Sequence[Strands] | None, effect: Effect) -> Iterator[float | None]:
        snv = substitution(windows)
        for score, background in self._used:
            own = background.weights[score.digest]
            value = effect.values[self._columns[score.field]]
            row = own["quantiles"][score.key].get(snv.kind) if snv else None
            yield None if row is None or value is None else share_below(score.size(value), row)
            if score.is_llr:
                means = own["means"]
                mean = means.get(snv.context, means.get(snv.kind)) if snv else None
                yield None if mean is None or value is None else value - mean


def share_below(size: float, row: Sequence[float]) -> float:
    """Return the share of values that are smaller, given quantiles at even steps, ascending."""
    steps = np.linspace(0, 1, len(row))
    equal = np.flatnonzero(np.equal(row, size))  # many, where many SNPs have no effect at all
    share = steps[equal[0]] if len(equal) else np.interp(size, row, steps)
    return round(float(share), _DECIMALS)


def _choose(
    backgrounds: Sequence[Background], digest: str, settings: Mapping[str, Any]
) -> tuple[Background | None, str]:
    """Return the first background of some weights and settings, or the reason why there is none."""
    of_weights = [background for background in backgrounds if digest in background.weights]
    for background in of_weights:
        if not background.differs(settings):
            return background, ""
    if of_weights:
        return None, ", ".join(background.differs(settings) for background in of_weights)
    if backgrounds:
        return None, f"{backgrounds[0].path.name} is of other weights"
    return None, "no background.json in its folder"


class BackgroundMaker:
    """Gathers the scores of SNVs, and makes a background of them."""

    def __init__(self, scorer: Scorer) -> None:
        self._ranked = scorer.ranked
        if not self._ranked:
            raise ConfigError("--background-out: tasks of single bases have no quantiles")
        columns = {field.id: i for i, field in enumerate(scorer.fields)}
        self._columns = [columns[score.field] for score in self._ranked]
        self._snvs: list[Substitution] = []
        self._sizes: list[list[float]] = []  # per SNV, of each score
        self._trinucleotides = np.zeros(len(_TRINUCLEOTIDES))

    def add(self, item: Examined, effects: Sequence[Effect | None]) -> None:
        """Take the SNVs of a record."""
        for windows, effect in zip(item.windows, effects, strict=False):
            snv = substitution(windows)
            if snv is None or effect is None or not windows:
                continue
            self._snvs.append(snv)
            self._sizes.append(
                [
                    score.size(effect.values[column] or 0.0)
                    for score, column in zip(self._ranked, self._columns, strict=True)
                ]
            )
            tokens = windows[0][0][0].tokens
            per_100 = kmer_counts([tokens], 3, both_strands=False).toarray()[0]
            self._trinucleotides += np.rint(per_100 * len(tokens) / 100)

    def write(self, path: Path, settings: Mapping[str, Any], source: Mapping[str, Any]) -> None:
        """Write the background.

        Raises
        ------
        VariantError
            No class has enough SNPs.
        """
        counts = Counter(snv.kind for snv in self._snvs)
        few = [f"{kind} {counts[kind]}" for kind in CLASSES if counts[kind] < LEAST]
        if len(few) == len(CLASSES):
            raise VariantError(
                f"--background-out: {len(self._snvs)} SNVs; a class needs {LEAST}: give more "
                f"common SNPs ({', '.join(few)})"
            )
        if few:
            logger.warning(
                "--background-out: classes with fewer than %d SNPs have no quantiles: %s",
                *(LEAST, ", ".join(few)),
            )
        sizes = np.array(self._sizes)
        weights: dict[str, dict[str, Any]] = {}
        for i, score in enumerate(self._ranked):
            own = weights.setdefault(score.digest, {"name": score.owner, "quantiles": {}})
            own["quantiles"][score.key] = self._quantiles(sizes[:, i])
            if score.is_llr:
                own["means"] = self._means(-sizes[:, i])
        forward = dict(zip(_TRINUCLEOTIDES, self._trinucleotides, strict=True))
        values = {
            "format": FORMAT,
            "findna_version": __version__,
            "settings": dict(settings),
            "source": {**source, "snps": len(self._snvs)},
            "counts": dict(sorted((counts | Counter(snv.context for snv in self._snvs)).items())),
            "trinucleotides": {
                word: int(forward[word] + forward[_turned(word)])
                for word in _TRINUCLEOTIDES
                if word[1] in "CT"
            },
            "weights": weights,
        }
        write_text(path, json.dumps(values, separators=(",", ":")) + "\n")

    def _quantiles(self, sizes: np.ndarray[Any, Any]) -> dict[str, list[float]]:
        kinds = np.array([snv.kind for snv in self._snvs])
        steps = np.linspace(0, 1, _STEPS + 1)
        return {
            kind: [float(f"{x:.6g}") for x in np.quantile(sizes[kinds == kind], steps)]
            for kind in CLASSES
            if np.count_nonzero(kinds == kind) >= LEAST
        }

    def _means(self, llrs: np.ndarray[Any, Any]) -> dict[str, float]:
        """Return the mean of each class, and of each context drawn to that of its class."""
        kinds = np.array([snv.kind for snv in self._snvs])
        contexts = np.array([snv.context for snv in self._snvs])
        means = {kind: llrs[kinds == kind].mean() for kind in CLASSES if kind in kinds}
        for context, kind in _CONTEXTS.items():
            if kind in means:
                of_context = llrs[contexts == context]
                total = of_context.sum() + _PRIOR * means[kind]
                means[context] = total / (len(of_context) + _PRIOR)
        return {name: float(f"{mean:.6g}") for name, mean in means.items()}


def _turned(word: str) -> str:
    return word[::-1].translate(str.maketrans("ACGT", "TGCA"))
