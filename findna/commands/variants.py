"""FASTA and VCF in, the same records with scores of each alternate allele out."""

from __future__ import annotations

import hashlib
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any, BinaryIO

from findna import __version__
from findna.commands.rows import Rows, Summary, run_rows, text_output
from findna.commands.scoring import Scoring, ScoringRun
from findna.errors import ConfigError
from findna.genome.fasta import Genome
from findna.model.devices import Compute
from findna.outputs.destination import Destination
from findna.outputs.files import check_output, file_digest
from findna.outputs.hdf5 import EmbeddingWriter
from findna.outputs.multiqc import Histogram, Section, section_id, tallied
from findna.outputs.provenance import origin, run_facts, task_weights
from findna.outputs.shards import Facts, write_note
from findna.variants.alleles import Examined
from findna.variants.annotate import (
    InfoField,
    VariantTable,
    VcfWriter,
    annotated_header,
    open_vcf_output,
)
from findna.variants.background import BackgroundMaker
from findna.variants.bcf import check_header
from findna.variants.header import defined
from findna.variants.phasing import Haplotypes
from findna.variants.report import Report, need_reports
from findna.variants.scores import Effect
from findna.variants.vcf import VcfSource

FORMS = ("vcf", "bcf", "tsv")

Stage = Callable[[Iterable[Examined]], Iterator[tuple[Examined, list[Effect | None]]]]
"""Records in, each with the scores of its alleles out."""


@dataclass(frozen=True)
class VariantSummary(Summary):
    """Summary of a run; the counts are numbers of alleles by class, and those of `run_rows`."""

    haplotypes: Haplotypes | None = None


def variants(
    genome: Genome,
    source: VcfSource,
    output: Destination,
    *,
    scoring: Scoring = Scoring(),
    ref_mismatch: str = "stop",
    embeddings: Path | None = None,
    background_out: Path | None = None,
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
        Treatment of records that do not fit the genome.
    embeddings : Path, optional
        HDF5 file to write as well: the mean vectors of both windows and their difference.
    background_out : Path, optional
        Background to make of the scores of all SNVs, which are common SNPs; scores get no ranks.

    Raises
    ------
    FindnaError
        The input cannot be used or the output not written; nothing is then left behind.
    """
    started = time.monotonic()
    wanted = source.wanted.facts() if source.wanted is not None else {}
    if wanted and scoring.haplotype is not None:
        raise ConfigError(
            "--haplotype: records outside of the regions are part of the haplotypes; leave out "
            "-r/-R, and take the regions of the output"
        )
    vectors = None
    if embeddings is not None:
        vectors = replace(output, path=embeddings, form="h5", write_index=False)
    _check_outputs(genome, source, output, vectors)
    if background_out is not None:
        _check_background(source, output, scoring, compute)
        check_output(background_out, output.force, [genome.path, *filter(None, [source.path])])
        others = output.path, output.report, embeddings
        _check_other("--background-out", background_out, others)
        scoring = replace(scoring, backgrounds=None)
    contigs = genome.lengths
    bcf_contigs = contigs if output.form == "bcf" else None
    run = ScoringRun(
        *(genome, source, scoring, ref_mismatch, compute),
        vectors=vectors is not None,
        bcf_contigs=bcf_contigs,
        indexed=output.write_index,
    )
    checkpoint, fields, total = run.checkpoint, run.fields, run.total
    report = None if output.report is None else Report(fields, output.report_top)
    maker = None if background_out is None else BackgroundMaker(run.scorer)

    def facts() -> Facts:
        assert source.path is not None  # a stream has no parts
        header: Facts = {}
        if output.form != "tsv":
            with source.open(bcf_contigs) as reader:
                lines = "\n".join(_header(reader.header, contigs, fields, ""))
            digest = hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()
            header = {"header": digest, "no_version": not output.command}
        weights = {"model": checkpoint.digest} if checkpoint else {}
        return run_facts(
            "variants",
            genome,
            _contigs(source, genome),
            {"sha256": file_digest(source.path), "rows": total, **wanted},
            weights | task_weights([task.columns for task in run.tasks]),
            {
                **run.recorded,
                "scores": list(scoring.scores),
                "classes": list(scoring.classes),
                "form": output.form,
                "ref_mismatch": ref_mismatch,
                **header,
            },
        )

    with ExitStack() as stack:
        reader = stack.enter_context(source.open(bcf_contigs))
        vector_writer = None
        if vectors is not None and checkpoint is not None:
            metadata = {
                **origin(output.command or None),
                "model": checkpoint.facts,
                "genome": {"file": genome.path.name},
                "options": run.recorded,
            }
            vector_writer = stack.enter_context(
                EmbeddingWriter(
                    stack.enter_context(vectors.published()),
                    dim=checkpoint.config.dim,
                    columns=_VECTOR_COLUMNS,
                    kinds=("delta", "ref", "alt"),
                    metadata=metadata,
                )
            )
        header = _header(reader.header, contigs, fields, output.command)
        if output.form == "bcf":
            check_header(header)

        def writer(file: BinaryIO) -> _VariantRows:
            kind = VariantTable if output.form == "tsv" else VcfWriter
            text = kind(file, fields, output.is_live)
            return _VariantRows(text, len(fields), header, vector_writer)

        rows = Rows(lambda: run.records(reader), total, lambda: repeat(1, total or 0), "records")
        sink = text_output(partial(open_vcf_output, output), writer)
        # an index that fails shall not take the vectors with it
        records = output if vectors is None else replace(output, write_index=False)
        scored: Stage = run.effects if maker is None else partial(_gathered, run, maker)
        if report is not None:
            scored = partial(_followed, scored, report)
        stage = tallied(scored, ScoreTally(fields), output, "variants")
        counts = run_rows("variants", rows, stage, sink, records, facts)
    if maker is not None and background_out is not None and source.path is not None:
        made_of = {"file": source.path.name, "sha256": file_digest(source.path)}
        maker.write(background_out, run.recorded, {**made_of, "genome": genome.path.name})
    if vectors is not None:
        output.index()
    if vectors is not None and vectors.shard is not None:
        first, last = rows.span(vectors.shard)
        decides = {**facts(), "output": "embeddings"}
        write_note(vectors.file, vectors.shard, decides, (first, last or 0), total or 0, {})
    weights = {f"model {checkpoint.name}": checkpoint.digest} if checkpoint else {}
    weights |= {f"task {task.name}": task.digest for task in run.tasks}
    if report is not None and output.report is not None:
        made_by = [f"{name}, sha256 {digest}" for name, digest in weights.items()]
        report.write(output.report, genome, [*made_by, f"arithmetic {compute.precision}"])
    seconds, precision = time.monotonic() - started, compute.precision
    return VariantSummary(counts, seconds, weights, precision, haplotypes=run.haplotypes)


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
    if output.report is not None:
        _check_report(output.report, inputs, output, vectors)


def _check_report(
    path: Path, inputs: Sequence[Path | None], output: Destination, vectors: Destination | None
) -> None:
    """Raise unless a page can be made of all records, beside the other outputs."""
    need_reports()
    if path.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--report {path}: name an .html file")
    if output.in_parts:
        raise ConfigError("--report shows the records of one run; leave out --shard and --resume")
    check_output(path, output.force, [file for file in inputs if file is not None])
    _check_other("--report", path, [output.path, vectors.path if vectors else None])


def _check_other(option: str, path: Path, others: Iterable[Path | None]) -> None:
    """Raise ConfigError if a file is one of the other outputs."""
    if path.resolve() in [other.resolve() for other in others if other is not None]:
        raise ConfigError(f"{option}: {path} is also another output; name another file")


def _check_background(
    source: VcfSource, output: Destination, scoring: Scoring, compute: Compute
) -> None:
    """Raise unless a background can be made of the whole input, as others will be compared."""
    reasons = {
        "give a file of variants, whose digest it records": source.is_stream,
        "leave out --shard and --resume": output.in_parts,
        "leave out --haplotype": scoring.haplotype is not None,
        "compute with --precision fp32": compute.precision != "fp32",
    }
    for reason, applies in reasons.items():
        if applies:
            raise ConfigError(f"--background-out: {reason}")


def _gathered(
    run: ScoringRun, maker: BackgroundMaker, records: Iterable[Examined]
) -> Iterator[tuple[Examined, list[Effect | None]]]:
    """Yield as `ScoringRun.effects`, and pass everything on to a background."""
    for item, effects in run.effects(records):
        maker.add(item, effects)
        yield item, effects


def _followed(
    scored: Stage, report: Report, records: Iterable[Examined]
) -> Iterator[tuple[Examined, list[Effect | None]]]:
    """Yield what a stage does, and show it to a report."""
    return report.following(scored(records))


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


_SCORES = {"DIST": (-8, 0, 32), "LLR": (-10, 10, 40), "DELTA": (-10, 10, 40)}
_SCORES |= {"GAIN": (0, 1, 20), "LOSS": (0, 1, 20)}
"""Ranges of scores by the end of their fields, and number of bins; of DIST the logarithm."""


class ScoreTally:
    """Alleles by class, and by each of their scores."""

    def __init__(self, fields: Sequence[InfoField]) -> None:
        self._classes = Counter[str]()
        ends = {i: field.id.rpartition("_")[2] for i, field in enumerate(fields)}
        self._fields = {i: (fields[i].id, end) for i, end in ends.items() if end in _SCORES}
        self._scores = {i: Histogram(*_SCORES[end]) for i, (_, end) in self._fields.items()}

    def add(self, row: Examined, result: Sequence[Effect | None] | None) -> None:
        """Count the alleles of a record."""
        self._classes.update(row.classes)
        for effect in result or []:
            if effect is None:
                continue
            for i, (_, end) in self._fields.items():
                value = effect.values[i]
                if value is None or math.isnan(value):
                    continue
                if end == "DIST":
                    value = math.log10(max(value, 1e-12))
                self._scores[i].add(value)

    def sections(self) -> Iterator[Section]:
        """Yield the classes, and the distribution of each score."""
        said = "Alternate alleles by class; docs/variants.md says which have no score."
        yield Section(
            *("findna_variants_classes", "Classes of alleles", said, self._classes, "alleles")
        )
        for i, (name, end) in self._fields.items():
            low, high, bins = _SCORES[end]
            shown = f"log10 {name}" if end == "DIST" else name
            yield Section(
                section_id("variants", name),
                name,
                f"Alternate alleles by {shown}, in bins of {(high - low) / bins:g}; the outer bins "
                "hold what lies beyond them.",
                self._scores[i].line(),
                *("alleles", shown),
                {"ymin": 0},
            )


_VECTOR_COLUMNS = dict.fromkeys(("chrom", "pos", "id", "ref", "alt", "class"), "str")
_VECTOR_COLUMNS |= {"chrom": "category", "pos": "int"}
"""Columns of ``obs`` in a file of vectors: a row per allele."""


def _contigs(source: VcfSource, genome: Genome) -> list[str]:
    """Return the contigs of the FASTA that records name."""
    with source.open() as reader:
        names = dict.fromkeys(record.chrom for record in reader.records)
    return [contig for contig in map(genome.resolve, names) if contig is not None]


def _header(
    header: Sequence[str], contigs: Mapping[str, int], fields: Sequence[InfoField], command: str
) -> list[str]:
    """Return the output's header: the input's with contigs, unless it has some, and fields."""
    added = [field.header for field in fields]
    if not defined(header, "contig"):
        added = [f"##contig=<ID={name},length={n}>" for name, n in contigs.items()] + added
    if command:
        added.append(f"##findnaCommand={' '.join(command.split())}; Version={__version__}")
    return annotated_header(header, added)


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
