"""Effects of changes: of variants, and of every base."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from findna.api import inputs
from findna.api.inputs import AnyPath
from findna.api.loaded import LoadedModel, LoadedTask, any_task_of, compute_of, model_of
from findna.commands.replacing import ExplainedRow, ExplainRun, Question, positions
from findna.commands.scoring import Scoring, ScoringRun
from findna.errors import ConfigError, RegionError
from findna.genome.encoding import decode
from findna.genome.fasta import Genome
from findna.genome.regions import Placed
from findna.outputs.results import Effects, Place
from findna.variants.alleles import REF_MISMATCH, Examined
from findna.variants.scores import SCORES, STRANDS
from findna.variants.vcf import VcfSource

AnyTask = AnyPath | LoadedTask

_SCORING = ("window", "strand", "haplotype", "classes", "whole", "max_n", "reach")

_EXPLAINING = (*inputs.PLACEMENT, *inputs.COMPUTE)


@dataclass(frozen=True)
class ScoredRecord:
    """A record of a VCF with the scores of its alternate alleles.

    Attributes
    ----------
    start : int
        Of REF, 0-based; POS is one more.
    alts : tuple of str
        Empty where ALT is a dot.
    classes : tuple of str
        Of each allele: "snv", "deletion", ..., or why it has no scores: "symbolic", ...
    scores : tuple of (dict of str to float, or None)
        Of each allele, by the name that the VCF's INFO has for it: ``FINDNA_DIST``, ... Of a
        task of single bases also positions, int, and None where there is no gain or loss. None
        for what common SNPs make of an allele (``FINDNA_LLR_Q``, ...) that is no SNV.
    line : str
        The record as text, without scores.
    """

    chrom: str
    start: int
    id: str
    ref: str
    alts: tuple[str, ...]
    classes: tuple[str, ...]
    scores: tuple[dict[str, float | None] | None, ...]
    line: str


@dataclass(frozen=True)
class Explanation:
    """Effects of replacing each base of a region.

    Attributes
    ----------
    positions : ndarray, shape (length,), int64
        Of each base on its contig, 0-based, in reading direction.
    sequence : str, length bp
        As it was read: of the other strand where the region is stranded and on it, or the site is.
    value : float
        Of the sequence as it is: log-odds, or the mean log-likelihood of its bases.
    effects : ndarray, shape (length, 4), float32
        Value with the base replaced by A, C, G, T, less ``value``; 0 for the base that is there,
        NaN where it is N.
    site : Place, optional
        Start (0-based) and strand of the base whose log-odds a task of single bases gives.
    """

    chrom: str
    positions: npt.NDArray[np.int64]
    sequence: str
    value: float
    effects: npt.NDArray[np.float32]
    site: Place | None = None

    @property
    def importance(self) -> npt.NDArray[np.float32]:
        """Minus the mean change over the three other bases; shape (length,), float32."""
        return Effects(self.value, self.effects).importance


def score_variants(
    genome: AnyPath | Genome,
    variants: AnyPath,
    *,
    model: AnyPath | LoadedModel = "tiny",
    scores: Sequence[str] = SCORES,
    task: AnyTask | Sequence[AnyTask] = (),
    ref_mismatch: str = "stop",
    **options: Any,
) -> Iterator[ScoredRecord]:
    """Yield every record of a VCF with the scores of its alleles; a few batches are held at a time.

    Parameters
    ----------
    genome, model
        As for `embed`.
    variants : str or path
        VCF (text, gzip, BGZF) or BCF; ``-`` is standard input.
    scores : sequence of str
        Of "dist" (cosine distance of embeddings) and "llr" (masked log-likelihood ratio, natural
        logarithm).
    task : str, path, LoadedTask, or a list of them
        Also the log-odds of a task for both alleles, and their difference; of a task of single
        bases its largest gain and loss of probability, and where.
    ref_mismatch : {"stop", "null"}
        What to do with records that do not fit the genome.
    **options
        ``window`` (bp), ``strand`` ("both", "+", "-"), ``haplotype`` (a sample), ``classes`` (of
        tasks), ``whole``, ``max_n``, ``reach`` (bp) and ``background`` (a file, or a list of
        them), as on the command line; ``device``, ``precision`` and ``max_tokens``, as for
        `load_model`.

    Raises
    ------
    FindnaError
        The input cannot be used. The call checks every record of a file before anything is
        computed; those of a stream are checked as they are read.

    Examples
    --------
    >>> for record in findna.score_variants("genome.fa", "variants.vcf", scores=["dist"]):
    ...     print(record.chrom, record.start, record.ref, record.alts, list(record.scores[0]))
    ...     break
    chrA 1415 G ('A',) ['FINDNA_DIST', 'FINDNA_DIST_Q']
    """
    inputs.check_options("score_variants", options, ("background", *_SCORING, *inputs.COMPUTE))
    tasks, scores = inputs.several(task), inputs.several(scores)
    for name in scores:
        inputs.chosen("scores", name, SCORES)
    inputs.chosen("ref_mismatch", ref_mismatch, REF_MISMATCH)
    inputs.chosen("strand", options.get("strand", "both"), STRANDS)
    options = inputs.with_numbers(options, {"window": 1, "reach": 1})
    backgrounds = [Path(path) for path in inputs.several(options.get("background", ()))]
    compute = compute_of(options, model, *tasks)
    scoring = Scoring(
        model=model_of(model),
        scores=scores,
        tasks=[any_task_of(each) for each in tasks],
        backgrounds=backgrounds,
        **{name: options[name] for name in _SCORING if name in options},
    )
    with ExitStack() as stack:
        fasta = inputs.opened_genome(stack, genome)
        source = stack.enter_context(VcfSource(variants if variants == "-" else Path(variants)))
        run = ScoringRun(fasta, source, scoring, ref_mismatch, compute)
        records = run.records(stack.enter_context(source.open()))
        return inputs.until_done(_scored(run, records), stack.pop_all())


def _scored(run: ScoringRun, records: Iterator[Examined]) -> Iterator[ScoredRecord]:
    names = [field.id for field in run.fields]
    for item, effects in run.effects(records):
        record = item.record
        classes = item.classes if record.alts else ()
        scores = (
            None if effect is None else dict(zip(names, effect.values, strict=True))
            for effect in (effects if record.alts else ())
        )
        yield ScoredRecord(
            record.chrom,
            record.start,
            record.id,
            record.ref,
            record.alts,
            tuple(classes),
            tuple(scores),
            record.line,
        )


def explain(
    genome: AnyPath | Genome,
    region: Any,
    *,
    task: AnyTask | None = None,
    class_name: str | None = None,
    model: AnyPath | LoadedModel = "tiny",
    context: int | None = None,
    both_strands: bool = False,
    **options: Any,
) -> Explanation:
    """Return the effects of replacing each base of one region by the three others.

    Parameters
    ----------
    genome
        As for `embed`.
    region : str or tuple
        A region string as in samtools (1-based, inclusive), or (chrom, start, end) or (chrom,
        start, end, strand), 0-based and half-open.
    task : str, path or LoadedTask, optional
        Its log-odds are measured, of a task of single bases those of a class at the region's most
        probable site; by default the log-likelihood of each base, masked, by ``model``.
    class_name : str, optional
        Whose log-odds; by default those of the second of two classes, or the only one of sites.
    model : str, path or LoadedModel
        Used without a task.
    context : int, optional
        Read so many bp with the region in their middle, and replace only the region's bases.
    both_strands : bool
        Average with the reverse complement.
    **options
        ``window``, ``stranded``, ``pad``, ``whole`` and others as for `embed`; ``device``,
        ``precision`` and ``max_tokens``, as for `load_model`.

    Raises
    ------
    FindnaError
        The input cannot be used; the message is that of the command line.

    Examples
    --------
    >>> e = findna.explain("genome.fa", "chrA:1,101-1,120", task="promoter", context=60)
    >>> e.effects.shape, e.importance.shape, len(e.sequence)
    ((20, 4), (20,), 20)
    """
    known = [name for name in _EXPLAINING if name != "on_error"]  # one region is read or refused
    inputs.check_options("explain", options, known)
    rows = explain_rows(
        genome,
        [region] if isinstance(region, tuple) else region,
        task=task,
        class_name=class_name,
        model=model,
        context=context,
        both_strands=both_strands,
        **options,
    )
    explained = list(islice(rows, 2))
    if len(explained) != 1:
        raise ConfigError("explain reads one region; explain_rows reads several")
    ((row, explanation),) = explained
    if explanation is None:
        raise RegionError(f"{row.interval.label()}: {row.reason}: there is nothing to replace")
    return explanation


def explain_rows(
    genome: AnyPath | Genome,
    regions: Any = None,
    *,
    task: AnyTask | None = None,
    class_name: str | None = None,
    model: AnyPath | LoadedModel = "tiny",
    context: int | None = None,
    both_strands: bool = False,
    **options: Any,
) -> Iterator[tuple[Placed, Explanation | None]]:
    """Yield regions, each with the effects of replacing its bases.

    Parameters
    ----------
    genome, regions
        As for `embed`.
    task, class_name, model, context, both_strands, **options
        As for `explain`.

    Yields
    ------
    row : Placed
        As of `embed_rows`.
    explanation : Explanation or None
        None where a row holds too many N (``row.status`` is no_sequence), or could not be read,
        which happens with ``on_error="null"`` only.

    Raises
    ------
    FindnaError
        The input cannot be used. The call checks every row before anything is computed.

    Examples
    --------
    >>> for row, e in findna.explain_rows("genome.fa", [("chrA", 0, 9), ("chrB", 5, 9)]):
    ...     print(row.interval.chrom, e.sequence, e.effects.shape)
    chrA GTATCCTCG (9, 4)
    chrB CTAC (4, 4)
    """
    inputs.check_options("explain_rows", options, _EXPLAINING)
    question = Question(
        task=None if task is None else any_task_of(task),
        class_name=class_name,
        model=model_of(model),
        context=inputs.at_least("context", context, 1),
        both_strands=both_strands,
    )
    compute = compute_of(options, model if task is None else task)
    with ExitStack() as stack:
        fasta, source = inputs.opened(stack, genome, regions)
        placement = inputs.placement(options)
        run = ExplainRun(fasta, source, question, placement, compute)
        rows = inputs.kept(run.effects(), placement.on_error == "skip")
        explained = ((row.placed, _explanation(row, effects)) for row, effects in rows)
        return inputs.until_done(explained, stack.pop_all())


def _explanation(row: ExplainedRow, effects: Effects | None) -> Explanation | None:
    region, stretch = row.placed.region, row.stretch
    if region is None or stretch is None or effects is None:
        return None
    letters = decode(stretch.bases)
    return Explanation(
        region.chrom, positions(region), letters, effects.value, effects.changes, row.site
    )
