"""FASTA and VCF in, the same records with what a model says of each alternate allele out."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Any, BinaryIO

from findna import __version__
from findna.console import progress
from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.model.checkpoint import Checkpoint, load_checkpoint, training_length
from findna.model.devices import Compute
from findna.outputs.files import check_output, file_digest, is_device, is_live, is_stdout, published
from findna.outputs.hdf5 import EmbeddingWriter
from findna.outputs.provenance import run_facts
from findna.outputs.shards import Shard, check_parts, write_note
from findna.outputs.unfinished import Counts, kept, write_text
from findna.tasks.task import load_tasks
from findna.variants.alleles import (
    SCORED,
    UNSCORED,
    WINDOW,
    Examined,
    Examiner,
    examine_all,
    survey,
)
from findna.variants.annotate import (
    InfoField,
    VariantTable,
    VcfWriter,
    annotated_header,
    index_variants,
    open_vcf_output,
)
from findna.variants.phasing import Haplotypes
from findna.variants.scores import SCORES, Effect, Scorer, scored
from findna.variants.vcf import VcfSource

logger = logging.getLogger(__name__)

_BATCHES_AT_A_TIME = 4
"""Batches of windows that are gathered before they are scored."""


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


def _window(asked: int | None, encoders: Sequence[tuple[str, int]], whole: bool) -> int:
    """Length of the windows, given what each encoder was trained on."""
    name, longest = min(encoders, key=lambda encoder: encoder[1])
    if asked is None:
        return min(WINDOW, longest)
    if asked > longest and not whole:
        raise ConfigError(
            f"--window {asked}: {name} was trained on at most {longest} bp; --whole encodes longer "
            "windows all the same"
        )
    return asked


def _contig_lines(genome: Genome) -> list[str]:
    aliases = {
        alias: genome.contigs[name]
        for alias, name in genome.aliases.items()
        if name in genome.contigs
    }
    return [f"##contig=<ID={name},length={n}>" for name, n in {**genome.contigs, **aliases}.items()]


def variants(
    genome: Genome,
    source: VcfSource,
    output: Path | None,
    *,
    model: str = "tiny",
    scores: Sequence[str] = SCORES,
    tasks: Sequence[str] = (),
    classes: Sequence[str] = (),
    window: int | None = None,
    strand: str = "both",
    haplotype: str | None = None,
    ref_mismatch: str = "stop",
    form: str = "vcf",
    embeddings: Path | None = None,
    write_index: bool = False,
    whole: bool = False,
    compute: Compute,
    shard: Shard | None = None,
    resume: bool = False,
    force: bool = False,
    command: str = "",
) -> VariantSummary:
    """Write the records of a source with the scores of each alternate allele.

    A stream is written as it is read: its records are checked one by one. Those of a file are
    all checked before anything is loaded.

    Parameters
    ----------
    output : Path, optional
        File to write; None or ``-`` is standard output.
    scores : sequence of str
        Some of `findna.variants.scores.SCORES`.
    classes : sequence of str
        Which of the classes of tasks with more than two to report; all by default.
    window : int, optional
        Length of the windows, bp; by default WINDOW.
    strand : {"both", "+", "-"}
        In which direction to read; both are averaged.
    haplotype : str, optional
        Sample on whose haplotypes, with what else it carries, to score; the records are sorted.
    ref_mismatch : {"stop", "null"}
        What to do with records that do not fit the genome.
    form : {"vcf", "bcf", "tsv"}
    embeddings : Path, optional
        HDF5 file to write as well: the mean vectors of both windows and their difference.
    whole : bool
        Allow windows longer than the model was trained on.
    shard : Shard, optional
        Only these records; a note of what the output is a part of is kept beside it.
    resume : bool
        Keep what is complete if interrupted, and go on from it.
    command : str
        Command line to record in the output; empty for none.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind.
    """
    started = time.monotonic()
    check_parts(output, shard, resume)
    if source.is_stream and (resume or shard is not None):
        raise ConfigError(f"{source.name} is a stream, which cannot be read twice; give a file")
    if shard is not None and form == "bcf":
        raise ConfigError("--shard writes text: -o NAME.vcf.gz; findna merge can write BCF")
    if resume and embeddings is not None:
        raise ConfigError("--resume keeps one output: leave out --embeddings")
    inputs = [genome.path, *([source.path] if source.path else [])]
    if output is not None and not is_stdout(output) and (form == "bcf" or not is_device(output)):
        check_output(output, force, inputs)
    if embeddings is not None:
        check_output(embeddings, force, inputs)
        if output is not None and embeddings.resolve() == output.resolve():
            raise ConfigError(f"--embeddings: {embeddings} is also the output; name another file")
    if write_index:
        _check_index(output, form)
    if not (scores or tasks or embeddings):
        raise ConfigError("nothing to do: give --scores, --task or --embeddings")
    loaded = load_tasks(tasks)
    encoders = [
        (f"the encoder of task {task.name}", training_length(task.encoder)) for task in loaded
    ]
    if scores or embeddings:
        encoders.append((f"model {model}", training_length(model)))
    size = _window(window, encoders, whole)
    for task in loaded:
        if task.config.window not in (0, size):
            logger.warning(
                "task %s was trained on %d bp; windows are %d bp: --window %d",
                task.name, task.config.window, size, task.config.window,
            )  # fmt: skip
    examiner = Examiner(genome, size)
    defined = form == "bcf"
    total = None
    if not source.is_stream:
        total = survey(source, examiner, ref_mismatch, defined, haplotype=haplotype)
    checkpoint = load_checkpoint(model) if scores or embeddings else None
    scorer = Scorer(
        checkpoint, scores, loaded, classes,
        compute=compute, strand=strand, vectors=embeddings is not None,
    )  # fmt: skip
    haplotypes = Haplotypes(haplotype, size) if haplotype is not None else None
    where = f", windows of {size} bp" + (f" on haplotypes of {haplotype}" if haplotypes else "")
    fields = [InfoField(score.id, score.meaning + where) for score in scorer.scores]
    options = {"window": size, "strand": strand, "whole": whole, "precision": compute.precision}
    if haplotypes:
        options["haplotype"] = haplotype
    first, last = 0, total
    if shard is not None and total is not None:
        first, last = shard.rows(repeat(1, total), total)
    with ExitStack() as stack:
        reader = stack.enter_context(source.open(defined))
        decides, unfinished = {}, None
        if resume or shard is not None:
            assert source.path is not None
            decides = run_facts(
                "variants", genome, _contigs(source, genome),
                {"sha256": file_digest(source.path), "rows": total},
                {**({"model": checkpoint.digest} if checkpoint else {}),
                 **{task.name: task.digest for task in loaded}},
                {**options, "scores": list(scores), "classes": list(classes), "form": form,
                 "ref_mismatch": ref_mismatch},
            )  # fmt: skip
        if resume:
            unfinished = stack.enter_context(kept(output, decides, shard, force))
        done = unfinished.rows if unfinished else 0
        expected = None if last is None else last - first
        bar = stack.enter_context(progress(expected, "records", "variants", done))
        vectors = None
        if embeddings is not None:
            assert checkpoint is not None
            path = stack.enter_context(published(embeddings, force))
            vectors = stack.enter_context(
                _embedding_writer(path, checkpoint, genome, options, command)
            )
        examine = haplotypes.examine_all if haplotypes else examine_all
        items = islice(examine(reader, examiner, ref_mismatch), first + done, last)
        tokens = _BATCHES_AT_A_TIME * compute.budget

        def write(
            file: BinaryIO, some: Iterable[tuple[Examined, list[Effect | None]]], begin: bool
        ) -> Counts:
            counts = Counter(rows=0, header_lines=0)
            writer = (VariantTable if form == "tsv" else VcfWriter)(file, fields, is_live(output))
            if begin:
                added = _added(reader.header, genome, fields, command)
                header = annotated_header(reader.header, added)
                writer.begin(header)
                counts["header_lines"] = 1 if form == "tsv" else len(header)
            for item, effects in some:
                counts["rows"] += 1
                counts.update(item.classes)
                empty = [None] * len(fields)
                values = [effect.values if effect else empty for effect in effects]
                writer.write(item.record, item.classes, values)
                if vectors is not None:
                    _write_vectors(vectors, item, effects)
                bar.update()
            return counts

        counts = write_text(
            scored(items, scorer, tokens), write, partial(open_vcf_output, output, form, force),
            unfinished, expected or 0,
        )  # fmt: skip
        if unfinished is not None:
            unfinished.discard()
    if shard is not None and output is not None and total is not None and last is not None:
        rows = (first, last)
        write_note(output, decides, shard, rows, total, counts["header_lines"])
        if embeddings is not None:
            write_note(embeddings, {**decides, "output": "embeddings"}, shard, rows, total, 0)
    if write_index:
        assert output is not None
        index_variants(output, max(genome.contigs.values()))
    return VariantSummary(
        counts["rows"],
        Counter({name: n for name, n in counts.items() if name in (*SCORED, *UNSCORED)}),
        time.monotonic() - started,
        checkpoint.name if checkpoint else "",
        checkpoint.digest if checkpoint else "",
        {task.name: task.digest for task in loaded},
        haplotypes.backgrounds if haplotypes else Counter(),
        haplotypes.neighbours if haplotypes else Counter(),
    )


def _contigs(source: VcfSource, genome: Genome) -> list[str]:
    """Contigs of the FASTA that records name."""
    with source.open() as reader:
        names = dict.fromkeys(record.chrom for record in reader.records)
    found = (genome.resolve(name) for name in names)
    return [name for name in found if name is not None]


def _check_index(output: Path | None, form: str) -> None:
    if is_stdout(output) or output is None or form == "tsv":
        raise ConfigError("--write-index needs a file: -o NAME.vcf.gz or -o NAME.bcf")
    if form == "vcf" and output.suffix not in (".gz", ".bgz"):
        raise ConfigError("--write-index needs a BGZF file: -o NAME.vcf.gz")


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


def _embedding_writer(
    path: Path,
    checkpoint: Checkpoint,
    genome: Genome,
    options: dict[str, Any],
    command: str,
) -> EmbeddingWriter:
    columns = {"chrom": "str", "pos": "int", "id": "str", "ref": "str", "alt": "str",
               "class": "str"}  # fmt: skip
    metadata: dict[str, Any] = {
        "findna_version": __version__,
        "command": command or None,
        "model": {
            "name": checkpoint.name,
            "digest": checkpoint.digest,
            "max_length": checkpoint.config.max_length,
        },
        "genome": {"file": genome.path.name},
        "options": options,
    }
    return EmbeddingWriter(
        path, dim=checkpoint.config.dim, columns=columns, kinds=("delta", "ref", "alt"),
        metadata=metadata,
    )  # fmt: skip


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
