"""FASTA and VCF in, the same records with what a model says of each alternate allele out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

from findna import __version__
from findna.commands.rows import Rows, TextOutput, run_rows
from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.model.checkpoint import Checkpoint, load_checkpoint, training_length
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.files import file_digest
from findna.outputs.hdf5 import EmbeddingWriter
from findna.outputs.provenance import origin, run_facts
from findna.outputs.shards import write_note
from findna.tasks.task import Task, load_tasks
from findna.variants.alleles import (
    SCORED,
    UNSCORED,
    WINDOW,
    Examined,
    Examiner,
    examine_all,
    survey_alleles,
)
from findna.variants.annotate import (
    InfoField,
    VariantTable,
    VcfWriter,
    annotated_header,
    open_vcf_output,
)
from findna.variants.phasing import Haplotypes
from findna.variants.scores import SCORES, Effect, Scorer, scored
from findna.variants.vcf import VcfReader, VcfSource

logger = logging.getLogger(__name__)

FORMS = ("vcf", "bcf", "tsv")

_BATCHES_AT_A_TIME = 4
"""Batches of windows that are gathered before they are scored."""


@dataclass(frozen=True)
class Scoring:
    """What is asked of each allele.

    Parameters
    ----------
    model : str or Checkpoint
        Name or folder, or a loaded one, for the scores that need one.
    scores : sequence of str
        Some of `findna.variants.scores.SCORES`.
    tasks : sequence of str or Task
        Names or folders, or loaded ones.
    classes : sequence of str
        Which of the classes of tasks with more than two to report; all by default.
    window : int, optional
        Length of the windows, bp; by default WINDOW.
    strand : {"both", "+", "-"}
        In which direction to read; both are averaged.
    haplotype : str, optional
        Sample on whose haplotypes, with what else it carries, to score; the records are sorted.
    whole : bool
        Allow windows longer than the model was trained on.
    """

    model: str | Checkpoint = "tiny"
    scores: Sequence[str] = SCORES
    tasks: Sequence[str | Task] = ()
    classes: Sequence[str] = ()
    window: int | None = None
    strand: str = "both"
    haplotype: str | None = None
    whole: bool = False


@dataclass(frozen=True)
class VariantSummary:
    """What a run did.

    Parameters
    ----------
    classes : Counter
        Number of alleles of each class.
    model, digest : str
        Empty where only tasks were asked.
    backgrounds, neighbours : Counter
        Those of `findna.variants.phasing.Haplotypes`; empty without a sample.
    """

    records: int
    classes: Counter[str]
    seconds: float
    model: str
    digest: str
    tasks: dict[str, str]
    backgrounds: Counter[str] = field(default_factory=Counter)
    neighbours: Counter[str] = field(default_factory=Counter)

    @property
    def scored(self) -> int:
        """Number of alleles with scores."""
        return sum(self.classes[name] for name in SCORED)

    def counts(self, scored: bool) -> list[tuple[str, int]]:
        """Classes that occur, with and without scores, and their numbers."""
        names = SCORED if scored else UNSCORED
        return [(name, self.classes[name]) for name in names if self.classes[name]]


def _window(scoring: Scoring, tasks: Sequence[Task], needs_model: bool) -> int:
    """Return the length of the windows, given what each encoder was trained on, bp."""
    encoders = [(f"the encoder of task {t.name}", training_length(t.encoder)) for t in tasks]
    if needs_model:
        encoders.append((f"model {scoring.model}", training_length(scoring.model)))
    name, longest = min(encoders, key=lambda encoder: encoder[1])
    size = scoring.window or min(WINDOW, longest)
    if size > longest and not scoring.whole:
        raise ConfigError(
            f"--window {size}: {name} was trained on at most {longest} bp; --whole encodes longer "
            "windows all the same"
        )
    for task in tasks:
        if task.config.window not in (0, size):
            logger.warning(
                "task %s was trained on %d bp; windows are %d bp: --window %d",
                *(task.name, task.config.window, size, task.config.window),
            )
    return size


def _contig_lines(genome: Genome) -> list[str]:
    aliases = {
        alias: genome.contigs[name]
        for alias, name in genome.aliases.items()
        if name in genome.contigs
    }
    return [f"##contig=<ID={name},length={n}>" for name, n in {**genome.contigs, **aliases}.items()]


@dataclass(frozen=True)
class ScoringRun:
    """Records that were checked, and the loaded weights that score their alleles.

    Parameters
    ----------
    total : int, optional
        Number of records; None of a stream, which is checked record by record.
    checkpoint : Checkpoint, optional
        None where only tasks were asked.
    haplotypes : Haplotypes, optional
        Of the sample on which alleles are scored.
    """

    scoring: Scoring
    compute: Compute
    total: int | None
    examiner: Examiner
    checkpoint: Checkpoint | None
    tasks: Sequence[Task]
    scorer: Scorer
    haplotypes: Haplotypes | None

    @classmethod
    def prepare(
        cls,
        genome: Genome,
        source: VcfSource,
        scoring: Scoring,
        ref_mismatch: str,
        compute: Compute,
        *,
        vectors: bool = False,
        defined: bool = False,
    ) -> ScoringRun:
        """Check the records, unless they are a stream, then load the weights.

        Parameters
        ----------
        vectors : bool
            Also keep the mean vectors of both windows.
        defined : bool
            As for `findna.variants.vcf.VcfSource.open`.

        Raises
        ------
        FindnaError
            The input cannot be used.
        """
        if not (scoring.scores or scoring.tasks or vectors):
            raise ConfigError("nothing to do: give --scores, --task or --embeddings")
        tasks = load_tasks(scoring.tasks)
        needs_model = bool(scoring.scores or vectors)
        window = _window(scoring, tasks, needs_model)
        examiner = Examiner(genome, window, ref_mismatch)
        sample, total = scoring.haplotype, None
        if not source.is_stream:
            total = survey_alleles(source, examiner, defined=defined, haplotype=sample)
        checkpoint = load_checkpoint(scoring.model) if needs_model else None
        scorer = Scorer(
            checkpoint,
            scoring.scores,
            tasks,
            scoring.classes,
            compute=compute,
            strand=scoring.strand,
            vectors=vectors,
        )
        return cls(
            scoring,
            compute,
            total,
            examiner,
            checkpoint,
            tasks,
            scorer,
            Haplotypes(sample, window) if sample is not None else None,
        )

    @property
    def window(self) -> int:
        """Length of the windows, bp."""
        return self.examiner.window

    @property
    def recorded(self) -> dict[str, Any]:
        """Options that decide the scores, as outputs record them."""
        options = {
            "window": self.window,
            "strand": self.scoring.strand,
            "whole": self.scoring.whole,
            "precision": self.compute.precision,
        }
        if self.haplotypes is not None:
            options["haplotype"] = self.scoring.haplotype
        return options

    def records(self, reader: VcfReader) -> Iterator[Examined]:
        """Yield the records of the opened source with the windows of their alleles."""
        examine = self.haplotypes.examine_all if self.haplotypes else examine_all
        return examine(reader, self.examiner)

    def effects(
        self, records: Iterable[Examined]
    ) -> Iterator[tuple[Examined, list[Effect | None]]]:
        """Yield each record with the scores of its alleles; None of an allele without windows."""
        return scored(records, self.scorer, _BATCHES_AT_A_TIME * self.compute.budget)


def variants(
    genome: Genome,
    source: VcfSource,
    output: Destination,
    *,
    scoring: Scoring = Scoring(),
    ref_mismatch: str = "stop",
    embeddings: Path | None = None,
    compute: Compute,
) -> VariantSummary:
    """Write the records of a source with the scores of each alternate allele.

    A stream is written as it is read: its records are checked one by one. Those of a file are
    all checked before anything is loaded.

    Parameters
    ----------
    output : Destination
        ``vcf``, ``bcf`` or ``tsv``.
    ref_mismatch : {"stop", "null"}
        What to do with records that do not fit the genome.
    embeddings : Path, optional
        HDF5 file to write as well: the mean vectors of both windows and their difference.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind.
    """
    started = time.monotonic()
    vectors = None
    if embeddings is not None:
        vectors = replace(output, path=embeddings, form="h5", write_index=False)
    _check_outputs(genome, source, output, vectors)
    run = ScoringRun.prepare(
        genome,
        source,
        scoring,
        ref_mismatch,
        compute,
        vectors=embeddings is not None,
        defined=output.form == "bcf",
    )
    checkpoint, haplotypes = run.checkpoint, run.haplotypes

    def facts() -> dict[str, Any]:
        assert source.path is not None  # a stream has no parts
        weights = {"model": checkpoint.digest} if checkpoint else {}
        return run_facts(
            "variants",
            genome,
            _contigs(source, genome),
            {"sha256": file_digest(source.path), "rows": run.total},
            weights | {task.name: task.digest for task in run.tasks},
            {
                **run.recorded,
                "scores": list(scoring.scores),
                "classes": list(scoring.classes),
                "form": output.form,
                "ref_mismatch": ref_mismatch,
            },
        )

    with ExitStack() as stack:
        reader = stack.enter_context(source.open(output.form == "bcf"))
        vector_writer = None
        if vectors is not None and checkpoint is not None:
            path = stack.enter_context(vectors.published())
            metadata = {
                **origin(output.command or None),
                "model": checkpoint.facts,
                "genome": {"file": genome.path.name},
                "options": run.recorded,
            }
            vector_writer = stack.enter_context(
                EmbeddingWriter(
                    path,
                    dim=checkpoint.config.dim,
                    columns=_VECTOR_COLUMNS,
                    kinds=("delta", "ref", "alt"),
                    metadata=metadata,
                )
            )
        where = f", windows of {run.window} bp"
        where += f" on haplotypes of {scoring.haplotype}" if scoring.haplotype else ""
        fields = [InfoField(id_, text + where) for id_, text in run.scorer.scores.items()]
        header = annotated_header(
            reader.header, _added(reader.header, genome, fields, output.command)
        )

        def writer(file: BinaryIO) -> _VariantRows:
            kind = VariantTable if output.form == "tsv" else VcfWriter
            text = kind(file, fields, output.is_live)
            return _VariantRows(text, len(fields), header, vector_writer)

        total = run.total
        rows = Rows(lambda: run.records(reader), total, lambda: repeat(1, total or 0), "records")
        sink = TextOutput(partial(open_vcf_output, output), writer)
        counts = run_rows("variants", rows, run.effects, sink, output, facts)
    if vectors is not None and vectors.shard is not None:
        first, last = rows.span(vectors.shard)
        decides = {**facts(), "output": "embeddings"}
        write_note(vectors.file, vectors.shard, decides, (first, last or 0), total or 0, 0)
    output.index(max(genome.contigs.values()))
    return VariantSummary(
        counts["rows"],
        Counter({name: n for name, n in counts.items() if name in (*SCORED, *UNSCORED)}),
        time.monotonic() - started,
        checkpoint.name if checkpoint else "",
        checkpoint.digest if checkpoint else "",
        {task.name: task.digest for task in run.tasks},
        haplotypes.backgrounds if haplotypes else Counter(),
        haplotypes.neighbours if haplotypes else Counter(),
    )


def _check_outputs(
    genome: Genome, source: VcfSource, output: Destination, vectors: Destination | None
) -> None:
    """Raise unless both outputs can be written."""
    if source.is_stream and output.in_parts:
        raise ConfigError(f"{source.name} is a stream, which cannot be read twice; give a file")
    if output.shard is not None and output.form == "bcf":
        raise ConfigError("--shard writes text: -o NAME.vcf.gz; findna merge can write BCF")
    if output.resume and vectors is not None:
        raise ConfigError("--resume keeps one output: leave out --embeddings")
    inputs = [genome.path, source.path]
    output.check(inputs)
    if vectors is not None:
        vectors.check(inputs)
        if output.path is not None and vectors.file.resolve() == output.path.resolve():
            raise ConfigError(f"--embeddings: {vectors.file} is also the output; name another file")


class _VariantRows:
    """Records to text, and the vectors of their alleles to HDF5 if asked."""

    def __init__(
        self,
        writer: VcfWriter | VariantTable,
        n_fields: int,
        header: Sequence[str],
        vectors: EmbeddingWriter | None,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self._writer, self._n_fields = writer, n_fields
        self._header, self._vectors = header, vectors

    def begin(self, row: Examined | None) -> int:
        """Write the header; return its number of lines."""
        self._writer.begin(self._header)
        return 1 if isinstance(self._writer, VariantTable) else len(self._header)

    def write(self, row: Examined, result: Sequence[Effect | None] | None) -> None:
        """Write one record with the scores of its alleles."""
        effects = result or []
        self.counts.update(row.classes)
        empty = [None] * self._n_fields
        values = [effect.values if effect else empty for effect in effects]
        self._writer.write(row.record, row.classes, values)
        if self._vectors is not None:
            _write_vectors(self._vectors, row, effects)


_VECTOR_COLUMNS = {
    "chrom": "str",
    "pos": "int",
    "id": "str",
    "ref": "str",
    "alt": "str",
    "class": "str",
}
"""Columns of ``obs`` in a file of vectors: a row per allele."""


def _contigs(source: VcfSource, genome: Genome) -> list[str]:
    """Contigs of the FASTA that records name."""
    with source.open() as reader:
        names = dict.fromkeys(record.chrom for record in reader.records)
    found = (genome.resolve(name) for name in names)
    return [name for name in found if name is not None]


def _added(
    header: Sequence[str], genome: Genome, fields: Sequence[InfoField], command: str
) -> list[str]:
    """Lines that the output's header has in addition."""
    lines = [field.header for field in fields]
    if not any(line.startswith("##contig=") for line in header):
        lines = _contig_lines(genome) + lines
    if command:
        lines.append(f"##findnaCommand={' '.join(command.split())}; Version={__version__}")
    return lines


def _write_vectors(
    writer: EmbeddingWriter, item: Examined, effects: Sequence[Effect | None]
) -> None:
    record = item.record
    texts = {"chrom": record.chrom, "id": record.id, "ref": record.ref}
    alts = record.alts or (".",)
    for alt, class_, effect in zip(alts, item.classes, effects or [None], strict=True):
        row: dict[str, Any] = {
            key: text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            for key, text in {**texts, "alt": alt, "class": class_}.items()
        }
        row["pos"] = record.start + 1
        if effect is None or effect.ref is None or effect.alt is None:
            writer.write(row)
        else:
            pooled = {"delta": effect.alt - effect.ref, "ref": effect.ref, "alt": effect.alt}
            writer.write(row, pooled)
