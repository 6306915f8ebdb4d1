"""``findna plot``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from findna.cli import _options
from findna.cli._options import FILE, PATH, option, option_group


class _Size(click.ParamType[Any]):
    """Width and height: ``7x4``."""

    name = "size"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        try:
            width, height = map(float, str(value).split("x"))
        except ValueError:
            self.fail(f"{value}: give width and height, such as 7x4", param, ctx)
        if not (1 <= width <= 50 and 1 <= height <= 50):
            self.fail(f"{value}: width and height are 1 to 50 inches", param, ctx)
        return width, height


_picture = option_group(
    option(
        "-o --output=FILE",
        "Picture to write: .png, .svg, .pdf, or .html, a page with zoom and hover.",
        PATH,
        required=True,
    ),
    option("--title=TEXT", "Title of the picture, in place of findna's."),
    option("--size=WIDTHxHEIGHT", "Size in inches, such as 7x4.", _Size()),
    _options.force,
    _options.verbosity,
)
"""Options of every picture; the last of a command."""


def _made(given: Mapping[str, Any]) -> Any:
    """Return the place and look of the picture."""
    from findna.commands.plot import Picture
    from findna.outputs.destination import Destination

    _options.begin()
    return _options.filled(
        Picture, given, output=Destination(given["output"], force=given["force"])
    )


@click.group(short_help="Pictures of what findna writes: PNG, SVG, PDF, or a page with zoom.")
def plot() -> None:
    """Draw what findna has written: embeddings, tracks, trainings, scores of variants.

    The name of the output decides: .png, .svg and .pdf are images; .html is one page with zoom and
    hover that needs no network. Needs findna[plot].

    \b
    Examples:
      findna plot map regions.h5 --color promoter.bed -o map.png
      findna plot scan chr21:33,000,001-33,200,000 promoter.bw --genes genes.gtf -o locus.html
      findna plot curves model/ -o curves.svg
      findna plot variants scored.vcf.gz -r chr20:1-2,000,000 -o scores.pdf
    """


@plot.command("map", short_help="Embeddings as points in two dimensions.")
@click.argument("embeddings", type=FILE)
@option(
    "--color=COLUMN|BED",
    "Column of obs (chrom, score, n_fraction, ...), or a BED file of findna predict: numbers get "
    "a scale, words a colour each.",
)
@option(
    "--method",
    "How dimensions are reduced; umap needs findna[umap].",
    ["pca", "umap"],
    default="pca",
)
@_picture
def draw_map(embeddings: Path, color: str | None, method: str, **given: Any) -> None:
    """Draw the regions of EMBEDDINGS (HDF5 of findna embed) as points, by PCA or UMAP.

    Vectors are taken as they are. Regions without one are left out and counted; of more than
    100,000 so many are drawn at random. Rows of a BED file are found by chrom, start and end; of
    several tasks the last counts.

    \b
    Examples:
      findna plot map regions.h5 -o map.png
      findna plot map regions.h5 --color n_fraction -o map.svg
      findna plot map regions.h5 --color promoter.bed --method umap -o map.html
    """
    from findna.commands.plot import plot_map

    said = plot_map(embeddings, _made(given), color, method)
    _options.say(said + _options.arrow(given["output"]))


@plot.command("scan", short_help="Tracks, sites and genes of a locus.")
@click.argument("locus")
@click.argument("tracks", nargs=-1, metavar="[NAME=]TRACK...")
@option(
    "--sites=BED",
    "Sites, as of findna scan --call: class and strand; repeatable.",
    FILE,
    multiple=True,
)
@option("--genes=FILE", "Genes of GTF, GFF3 or BED (BED12: blocks are exons).", FILE)
@option(
    "--quantity=TEXT",
    "What the tracks show.  [default: probability if all lies in 0 to 1, else value]",
)
@_picture
def draw_scan(locus: str, tracks: Sequence[str], **given: Any) -> None:
    """Draw TRACKS (bedGraph or bigWig, as of findna scan) along LOCUS, chrom:start-end.

    LOCUS is 1-based and inclusive, as in samtools. Every track is a panel by its file's name, or
    by NAME. A base without a value is a gap. Of a locus of more than 4,000 bp each point is the
    value farthest from 0 of some bases, which the picture says. bigWig is read by its index and
    needs findna[bigwig]; bedGraph is read from its beginning.

    \b
    Examples:
      findna plot scan chrIII:10,003,001-10,006,000 donor.bw acceptor.bw -o locus.png
      findna plot scan chr21:33.0M-33.2M promoter.bedgraph.gz --genes genes.gtf.gz -o locus.html
      findna plot scan chrIII:1-9000 +=plus.bw -=minus.bw --sites calls.bed --sites known.bed \\
          -o locus.svg
    """
    from findna.commands.plot import Locus, plot_locus

    shown = _options.filled(
        Locus, given, region=locus, tracks=_named(tracks), quantity=given["quantity"] or ""
    )
    said = plot_locus(shown, _made(given))
    _options.say(said + _options.arrow(given["output"]))


def _named(tracks: Sequence[str]) -> dict[str, Path]:
    """Return the files of tracks by their names: those given, or those of the files."""
    files: dict[str, Path] = {}
    for text in tracks:
        name, sign, rest = text.partition("=")
        path = Path(rest if sign and not Path(text).is_file() else text)
        if not path.is_file():
            raise click.BadParameter(f"{path}: no such file", param_hint="TRACK")
        if path.name == text or not sign or Path(text).is_file():
            name = path.name.removesuffix(".gz").rpartition(".")[0] or path.name
        if name in files:
            raise click.BadParameter(f"{name}: two tracks; name one: NAME=FILE", param_hint="TRACK")
        files[name] = path
    return files


@plot.command("curves", short_help="Curves of a training.")
@click.argument("run", metavar="MODEL|METRICS")
@_picture
def draw_curves(run: str, **given: Any) -> None:
    """Draw the curves of a training: of a model, shipped or a folder, or of a metrics.jsonl.

    It may be under way or have failed. findna models report makes a page with its settings, too.

    \b
    Examples:
      findna plot curves model/ -o curves.png
      findna plot curves model/metrics.jsonl -o curves.html
    """
    from findna.commands.plot import plot_curves

    said = plot_curves(run, _made(given))
    _options.say(said + _options.arrow(given["output"]))


@plot.command("variants", short_help="Scores of variants along a locus or a genome.")
@click.argument("vcf", type=FILE)
@option(
    "-r --region=CHROM:START-END",
    "Only this region, as in samtools, 1-based and inclusive; found by the index if there is one.",
)
@option(
    "--field=ID fields",
    "Field of INFO with numbers; repeatable.  [default: the scores of findna variants]",
    multiple=True,
)
@_picture
def draw_variants(vcf: Path, region: str | None, fields: Sequence[str], **given: Any) -> None:
    """Draw the scores in VCF (of findna variants) by position, a panel for each field.

    Points are coloured by the rank among common SNPs (FINDNA_LLR_Q and so on) where there is one.
    Without -r contigs lie end to end. Of more than 100,000 alleles so many are drawn at random.

    \b
    Examples:
      findna plot variants scored.vcf.gz -o scores.png
      findna plot variants scored.vcf.gz -r chr20:1-2,000,000 --field FINDNA_LLR -o llr.html
    """
    from findna.commands.plot import plot_variants

    said = plot_variants(str(vcf), _made(given), region, fields)
    _options.say(said + _options.arrow(given["output"]))
