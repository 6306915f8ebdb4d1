"""``findna variants``."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import BP, FILE, PATH, ROWS, TASK, choice, flag, option
from findna.cli._summary import note, summarized
from findna.console import counted

_BCFTOOLS_FORMS = {"v": "vcf", "z": "vcf", "b": "bcf", "u": "bcf"}


@click.command(short_help="Scores of the variants of a VCF.")
@_options.genome
@click.argument("variants", metavar="VCF", type=ROWS)
@option(
    "-o --output=FILE",
    "File to write: .vcf, .vcf.gz (BGZF), .bcf or .tsv.  [default: standard output]",
    PATH,
)
@option(
    "-O --output-type form",
    "The records with more INFO, or one row per allele; v, z (VCF in BGZF), b and u (BCF) as in "
    "bcftools.  [default: by the name of the output, else vcf]",
    ["vcf", "bcf", "tsv", *_BCFTOOLS_FORMS],
)
@option(
    "-r --region=CHROM:START-END",
    "Only records that overlap it, by the index of VCF; 1-based and inclusive; repeatable.",
    multiple=True,
)
@option("-R --regions-file=BED", "Only records that overlap regions of a BED file.", FILE)
@_options.model
@option(
    "--scores=LIST",
    "dist: cosine distance of embeddings; llr: masked log-likelihood ratio; none.",
    default="dist,llr",
)
@option(
    "-t --task=NAME[,NAME]",
    "Also log-odds of a task for both alleles, and their difference; of a task of single bases, "
    "the largest gain and loss of probability, and where; repeatable.",
    TASK,
    multiple=True,
)
@option(
    "--class=NAME class_name",
    "Of tasks with more than two classes, which to report; repeatable.  [default: all]",
    multiple=True,
)
@option(
    "--window=N",
    "Length of the windows around each variant, bp.  [default: 512, or what the model was "
    "trained on if that is less; of a task of single bases, what it was trained on]",
    BP,
)
@option(
    "--reach=N",
    "Of a task of single bases: gains and losses within so many bp of a variant.  "
    "[default: 50, or half of what the windows hold if that is less]",
    BP,
)
@_options.whole
@_options.max_n
@choice("--strand", "Read in both directions and average, or in one.", "both + -")
@option(
    "--haplotype=SAMPLE",
    "Score on this sample's haplotypes: with its other phased alleles in both windows. "
    "Needs sorted records.",
)
@choice(
    "--ref-mismatch",
    "Records that do not fit the genome: stop before any work, or keep them without scores.",
    "stop null",
)
@_options.chrom_alias
@option(
    "--embeddings=FILE",
    "Also write the vectors of both windows, and their difference, to HDF5.",
    PATH,
)
@option(
    "--background=FILE",
    "Background for the _Q and _CTX fields, besides background*.json in the folders of the model "
    "and the tasks; repeatable.",
    FILE,
    multiple=True,
)
@option(
    "--background-out=FILE",
    "Make a background: VCF holds common SNPs. Keep it as background.json in the folder of the "
    "model or task, or give it with --background.",
    PATH,
)
@option(
    "--report=FILE.html",
    "Also a page of the records with the largest scores and the sequence around each, which works "
    "offline; by the first task, else by LLR, else by distance.",
    PATH,
)
@option("--report-top=N", "Records on that page.", (1, 1000), default=50)
@flag("--no-version", "Leave out the ##findnaCommand line of the header.")
@flag("--write-index", "Also an index: .tbi of .vcf.gz, .csi of .bcf.")
@_options.multiqc
@_options.part_options
@_options.inference_options
@summarized(
    "genome variants chrom_alias regions_file background", "output embeddings background_out report"
)
def variants(genome: Path, variants: str, **given: Any) -> None:
    """Score every alternate allele of VCF against the sequence of GENOME (FASTA).

    Each record comes out as it went in, in its order, with more INFO: FINDNA_DIST, FINDNA_LLR,
    _LLR_REF and _LLR_ALT, and FINDNA_TASK_REF, _ALT and _DELTA per task (of one of single bases
    _GAIN and _LOSS, each with _POS, _REF and _ALT); one value per alternate allele, a dot where
    there is none. VCF may be text, gzip, BGZF or BCF; a pipe (-) is answered while it is read.
    docs/variants.md has the definitions.

    How large is large: FINDNA_DIST_Q, FINDNA_LLR_Q and FINDNA_TASK_Q of an SNV are the share of
    common SNPs of the same class (C>A, C>G, C>T, C>T in CpG, T>A, T>C, T>G) with a smaller
    distance, a higher LLR, a smaller absolute delta; 0.99 is more extreme than 99 % of them.
    FINDNA_LLR_CTX is FINDNA_LLR less its mean among common SNPs of the same trinucleotide and ALT.
    They need a background with the run's --window and --strand; `tiny` and the human tasks have
    one for the windows in docs/variants.md.

    \b
    Examples:
      findna variants genome.fa calls.vcf.gz -o scored.vcf.gz --write-index
      bcftools view -f PASS calls.bcf | findna variants genome.fa - --scores llr |
        bcftools query -f '%CHROM\\t%POS\\t%INFO/FINDNA_LLR\\n'
      findna variants genome.fa calls.vcf.gz --task promoter --window 300 -o effects.tsv
      findna variants genome.fa calls.vcf.gz --task sites --scores none --reach 100 -o sites.vcf.gz
      findna variants genome.fa calls.vcf.gz -o scored.vcf.gz --multiqc qc/calls
      findna variants genome.fa calls.vcf.gz -t promoter -o s.vcf.gz --report largest.html
      findna variants genome.fa phased.vcf.gz --haplotype HG001 -o personal.vcf.gz
      findna variants genome.fa calls.vcf.gz -r chr20:1-2000000 -O z | bcftools view -H
      findna variants genome.fa common.vcf.gz -m my/ --background-out my/background.json -o c.vcf.gz
    """
    names = _options.listed([given["scores"]], "--scores")
    wanted = [name for name in names if name != "none"]
    unknown = [name for name in wanted if name not in ("dist", "llr")]
    if unknown:
        raise click.UsageError(f"--scores: no score {unknown[0]}; use dist, llr, both, or none")

    from findna.commands.scoring import Scoring
    from findna.commands.variants import FORMS
    from findna.commands.variants import variants as run
    from findna.variants.alleles import SCORED, UNSCORED
    from findna.variants.indexed import Wanted
    from findna.variants.vcf import VcfSource

    asked = given["form"]
    given["form"] = _BCFTOOLS_FORMS.get(asked, asked)
    output = replace(_options.destination(given, FORMS), bgzf=asked == "z")
    if given["no_version"]:
        output = replace(output, command="")
    tasks, classes = _options.listed(given["task"], "--task"), given["class_name"]
    regions, file = given["region"], given["regions_file"]
    chosen = Wanted(regions, file) if regions or file else None
    scoring = _options.filled(
        *(Scoring, given),
        scores=wanted,
        tasks=tasks,
        classes=classes,
        backgrounds=given["background"],
    )
    opened = _options.opened_genome(genome, given["chrom_alias"])
    with opened as fasta, VcfSource(variants, chosen) as source:
        summary = _options.for_job(run, variants)(
            fasta,
            source,
            output,
            scoring=scoring,
            ref_mismatch=given["ref_mismatch"],
            embeddings=given["embeddings"],
            background_out=given["background_out"],
            compute=_options.compute(given),
        )
    scored, unscored = (
        {name: summary.counts[name] for name in names if summary.counts.get(name)}
        for names in (SCORED, UNSCORED)
    )
    n_records = summary.counts["rows"]
    note(
        weights=summary.weights,
        rows={"in": n_records, "out": n_records},
        statuses={**scored, **unscored},
        counts={"scored": sum(scored.values()), "resumed": summary.counts["resumed"]},
    )
    counts = ", ".join(f"{n} {name}" for name, n in scored.items())
    missing = ", ".join(f"{n} {name}" for name, n in unscored.items())
    records = counted(n_records, "record")
    _options.say(
        f"{counted(sum(scored.values()), 'allele')} of {records} scored"
        + (f" ({counts})" if counts else "")
        + (f", not scored: {missing}" if missing else "")
        + f", in {summary.seconds:.1f} s, {summary.made_by}"
        + _options.arrow(output.path, given["background_out"], given["report"])
    )
    if summary.haplotypes is not None:
        haplotypes = summary.haplotypes
        _options.say(
            _on_haplotypes(scoring.haplotype, haplotypes.backgrounds, haplotypes.neighbours)
        )


def _on_haplotypes(sample: str, backgrounds: Counter[str], neighbours: Counter[str]) -> str:
    """Return a line about the alleles of a sample."""
    words = {"one": "on one", "both": "on both", "unphased": "unphased", "none": "on none"}
    alleles = ", ".join(f"{backgrounds[k]} {word}" for k, word in words.items() if backgrounds[k])
    left_out = ", ".join(f"{n} {k}" for k, n in sorted(neighbours.items()) if k != "applied")
    return (
        f"haplotypes of {sample}: scored alleles: {alleles or 'none'}; alleles around them: "
        f"{neighbours['applied']} applied" + (f", left out: {left_out}" if left_out else "")
    )
