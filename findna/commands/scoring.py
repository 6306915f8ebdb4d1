"""Records of a VCF with the scores of their alleles; `findna variants` writes them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.genome.regions import NO_SEQUENCE
from findna.model.checkpoint import Checkpoint, load_checkpoint, training_length
from findna.model.devices import Compute
from findna.tasks.sites import AnyTask, SiteTask, load_any_tasks
from findna.variants.alleles import WINDOW, Examined, Examiner, examine_all, survey_alleles
from findna.variants.annotate import InfoField
from findna.variants.background import Ranks
from findna.variants.phasing import Haplotypes
from findna.variants.scores import SCORES, Effect, Scorer, scored
from findna.variants.sites import REACH
from findna.variants.vcf import VcfReader, VcfSource

logger = logging.getLogger(__name__)

_BATCHES_AT_A_TIME = 4
"""Batches of windows that are gathered before they are scored."""


@dataclass(frozen=True)
class Scoring:
    """Scores that are asked of each allele.

    Parameters
    ----------
    model : str or Checkpoint
        Name or folder, or a loaded one, for the scores that need one.
    scores : sequence of str
        Some of `findna.variants.scores.SCORES`.
    tasks : sequence of str, Task or SiteTask
        Names or folders, or loaded ones.
    classes : sequence of str
        Classes to report of tasks with more than two; all by default.
    window : int, optional
        Length of the windows, bp; by default the tile of tasks of sites, or WINDOW.
    strand : {"both", "+", "-"}
        Direction to read in; both are averaged.
    haplotype : str, optional
        Sample on whose haplotypes, with what else it carries, to score; the records are sorted.
    whole : bool
        Allow windows longer than the model was trained on.
    max_n : float
        Largest share of N in a window.
    reach : int, optional
        bp on either side of a variant within which tasks of sites are read; by default REACH, or
        half of what the windows hold.
    backgrounds : sequence of Path, or None
        Of common SNPs, besides those in the folders of the model and the tasks, by which scores
        are ranked; None for no ranks.
    """

    model: str | Checkpoint = "tiny"
    scores: Sequence[str] = SCORES
    tasks: Sequence[str | AnyTask] = ()
    classes: Sequence[str] = ()
    window: int | None = None
    strand: str = "both"
    haplotype: str | None = None
    whole: bool = False
    max_n: float = 1.0
    reach: int | None = None
    backgrounds: Sequence[Path] | None = ()


def _window(scoring: Scoring, tasks: Sequence[AnyTask], needs_model: bool) -> int:
    """Return the length of the windows, given what each encoder was trained on, bp."""
    of_sites = any(isinstance(task, SiteTask) for task in tasks)
    encoders = [(f"the encoder of task {task.name}", _longest(task)) for task in tasks]
    if needs_model:
        encoders.append((f"model {scoring.model}", training_length(scoring.model)))
    name, longest = min(encoders, key=lambda encoder: encoder[1])
    size = scoring.window or (longest if of_sites else min(WINDOW, longest))
    if size > longest and not scoring.whole:
        raise ConfigError(
            f"--window {size}: {name} was trained on at most {longest} bp; --whole encodes longer "
            "windows all the same"
        )
    for task in tasks:
        trained = task.config.tile if isinstance(task, SiteTask) else task.config.window
        if trained not in (0, size):
            logger.warning(
                "task %s was trained on %d bp; windows are %d bp: --window %d",
                *(task.name, trained, size, trained),
            )
    return size


def _longest(task: AnyTask) -> int:
    """Return the longest window that a task's encoder was trained on, bp."""
    return task.config.tile if isinstance(task, SiteTask) else training_length(task.encoder)


def _reach(scoring: Scoring, tasks: Sequence[AnyTask], window: int) -> int | None:
    """Return how far from a variant tasks of sites are read, bp; None if there are none.

    Raises
    ------
    ConfigError
        The windows do not hold it.
    """
    margins = {task.name: task.config.margin for task in tasks if isinstance(task, SiteTask)}
    if not margins:
        if scoring.reach is not None:
            raise ConfigError("--reach is for tasks of single bases (docs/variants.md)")
        return None
    name, margin = max(margins.items(), key=lambda item: item[1])
    most = (window - 1) // 2 - margin
    reach = scoring.reach or min(REACH, (most + 1) // 2)  # the rest is for longer alleles
    if not 1 <= reach <= most:
        least = 2 * (max(reach, 1) + margin) + 1
        raise ConfigError(
            f"--reach {max(reach, 1)}: task {name} does not use {margin} bp at either end of a "
            f"window, so it takes --window {least} or more; windows are {window} bp"
        )
    return reach


class ScoringRun:
    """Records that were checked, unless they are a stream, and the weights that score alleles.

    Parameters
    ----------
    vectors : bool
        Also keep the mean vectors of both windows.
    bcf_contigs, indexed
        As for `findna.variants.alleles.survey_alleles`.

    Attributes
    ----------
    total : int or None
        Number of records; None of a stream, which is checked record by record.
    checkpoint : Checkpoint or None
        None if only tasks were asked.
    haplotypes : Haplotypes or None
        Of the sample on which alleles are scored.

    Raises
    ------
    FindnaError
        The input cannot be used.
    """

    def __init__(
        self,
        genome: Genome,
        source: VcfSource,
        scoring: Scoring,
        ref_mismatch: str,
        compute: Compute,
        *,
        vectors: bool = False,
        bcf_contigs: Collection[str] | None = None,
        indexed: bool = False,
    ) -> None:
        if not (scoring.scores or scoring.tasks or vectors):
            raise ConfigError("nothing to do: give --scores, --task or --embeddings")
        self.scoring, self.compute = scoring, compute
        self.tasks = load_any_tasks(scoring.tasks)
        needs_model = bool(scoring.scores or vectors)
        self.window = _window(scoring, self.tasks, needs_model)
        self.reach = _reach(scoring, self.tasks, self.window)
        self._examiner = Examiner(genome, self.window, ref_mismatch, scoring.max_n)
        sample = scoring.haplotype
        self.total: int | None = None
        if not source.is_stream:
            self.total = survey_alleles(
                source, self._examiner, bcf_contigs=bcf_contigs, haplotype=sample, indexed=indexed
            )
        self.haplotypes = Haplotypes(sample, self.window) if sample is not None else None
        self.checkpoint = load_checkpoint(scoring.model) if needs_model else None
        self.scorer = Scorer(
            self.checkpoint,
            scoring.scores,
            self.tasks,
            scoring.classes,
            compute=compute,
            strand=scoring.strand,
            vectors=vectors,
            reach=self.reach or REACH,
        )
        self.ranks: Ranks | None = None
        if scoring.backgrounds is not None:
            settings = {"window": self.window, "strand": scoring.strand}
            self.ranks = Ranks(self.scorer, settings, scoring.backgrounds)

    @property
    def recorded(self) -> dict[str, Any]:
        """Options that decide the scores, as outputs record them."""
        options = {
            "window": self.window,
            "strand": self.scoring.strand,
            "whole": self.scoring.whole,
            "max_n": self.scoring.max_n,
            "precision": self.compute.precision,
        }
        if self.haplotypes is not None:
            options["haplotype"] = self.scoring.haplotype
        if self.reach is not None:
            options["reach"] = self.reach
        if self.ranks is not None and self.ranks.files:
            options["backgrounds"] = sorted(self.ranks.files.values())
        return options

    def records(self, reader: VcfReader) -> Iterator[Examined]:
        """Yield the records of the opened source with the windows of their alleles."""
        examine = self.haplotypes.examine_all if self.haplotypes else examine_all
        warned = False
        for item in examine(reader, self._examiner):
            if NO_SEQUENCE in item.classes and not warned:
                warned = True
                record = item.record
                logger.warning(
                    "%s:%d (%s:%d): too many N around it (--max-n %g); such alleles have no "
                    "scores, and class %s",
                    *(reader.name, record.number, record.chrom, record.start + 1),
                    *(self.scoring.max_n, NO_SEQUENCE),
                )
            yield item

    @property
    def fields(self) -> list[InfoField]:
        """INFO fields of the scores."""
        read = f", windows of {self.window} bp"
        read += f" on haplotypes of {self.scoring.haplotype}" if self.haplotypes else ""
        fields = self.scorer.fields + (self.ranks.fields if self.ranks else [])
        return [replace(field, description=field.description + read) for field in fields]

    def effects(
        self, records: Iterable[Examined]
    ) -> Iterator[tuple[Examined, list[Effect | None]]]:
        """Yield each record with the scores of its alleles; None of an allele without windows."""
        for item, effects in scored(records, self.scorer, _BATCHES_AT_A_TIME * self.compute.budget):
            if self.ranks is not None:
                self.ranks.warn()
                effects = self.ranks.extended(item, effects)
            yield item, effects
