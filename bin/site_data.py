"""Genomes and sites of tasks of single bases: OUT/genome.fa, OUT/sites.bed, also OUT/regions.bed.

python bin/site_data.py NAME DATA OUT

DATA is the folder that bin/train-tasks names.

splice-worm: chromosome III of C. elegans (ce10) in two contigs, its first two thirds and the last.
Sites are the ends of the introns (40 to 150 bp) that RNA-seq has seen, found by sequence. Longer
introns are not in that set, so some true sites are not listed.

splice-plant: pieces of the genome of A. thaliana, sites alike. Those of the assembly TAIR10 (the
first per cent of each chromosome) test; other pieces that share an intron with them are left out.

splice-human: pieces of hg38 and hg19 with the ends of GENCODE's exons (levels 1 and 2; coding and
long non-coding genes) where a GT or GC follows, or an AG precedes, and no gene ends; chr22 tests.
The same exons are laid on human sequence of other coordinates (two regions of ENCODE's pilot, the
MHC of the cell line COX, records of RefSeqGene), and from the two regions by alignment on other
vertebrates, of which a contig joins what is within 300 bp of a site. Two more contigs join the
windows of GUE's splice sets, 400 bp with or without a site in the middle, that are not of chr21 or
chr22. OUT/regions.bed has the contigs but chr21, 20 bp about the middle of each window, 100 bp
about each site of another vertebrate, and of COX what no other piece has. Left out are doubtful
sites, those of other genes, such as pseudogenes, and of level 3, but not in chr22; OUT/doubtful.bed
has them all.

promoter-human: the same pieces with promoters: what is promoter-like in ENCODE's registry (class
PLS) or -249 to +50 about a start of transcription of EPDnew. Both are known in hg38; a base of hg19
is a promoter where the base that it is lifted to (pyliftover) is.

ctcf: the same pieces with peaks of CTCF (ChIP-seq, 100 bp about a summit, hg19) lifted to hg38,
and what is accessible and bound by CTCF in ENCODE's registry (class CA-CTCF).

enhancer: the same pieces with the enhancers of FANTOM5 (permissive set; known in hg38,
hg19 lifted).

promoter-plant: the first per cent of each chromosome of A. thaliana (TAIR10), with -200 to +50
about the starts of EPDnew, by strand.

promoter-worm: chromosome III of C. elegans as in splice-worm, with -249 to +50 about the starts of
EPDnew, by strand. These are of ce6, whose chromosome III is 19 bp shorter than that of ce10: a
promoter may lie that far from where it is said to.

promoter-yeast: the chromosomes of S. cerevisiae, with -249 to +50 about the starts of EPDnew, by
strand.
"""

from __future__ import annotations

import csv
import gzip
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from splice_pieces import Edge, consensus, laid, orthologous

from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome

if TYPE_CHECKING:
    from pyliftover import LiftOver

_WORM = "worm-ce10/ce10.chrIII_chrM.fa.gz"
_PLANTS = "plants/arabidopsis_rice.fa.gz"
_THALIANA = "TAIR10|Chr", "EDTA|Col", "EDTA|Ler", "braker_example|", "pasa_sample|gi|6"
_CHROMOSOMES_OF_THALIANA = ("NC_003070", "NC_003071", "NC_003074", "NC_003075", "NC_003076")
_WORM_III = "NC_003281."  # chromosome III
_FIRST_OF_YEAST = 1133  # NC_001133 is chromosome I
_ROMAN = ("I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII", "XIII", "XIV",
          "XV", "XVI")  # fmt: skip
_EXON = 50  # bp of an exon on either side of an intron there
_WORD = 40  # bp by which junctions are looked up

_PIECES = (
    ("hg38", "human-hg38/hg38.chr2_chr20_chr21.fa.gz"),
    ("hg19", "human-hg19/hg19.chr1_chr17_chr20_chr22.fa.gz"),
    ("hg19", "human-pieces/hg19.chr1_3Mb.fa.gz"),
    ("hg19", "human-pieces/hg19.chr3_chr5_2Mb.fa.gz"),
    ("hg19", "human-ensembl-testdb/grch37.pieces.fa.gz"),
    ("hg38", "human-ensembl-testdb/grch38.pieces.fa.gz"),
)
_TWICE = {("human-hg19/hg19.chr1_chr17_chr20_chr22.fa.gz", name) for name in ("chr1", "chr20")}
"""Contigs of hg19 whose sequence another file has."""
_CHR21 = "hg38.chr21"
_TEST = "hg19.chr22"
_KEPT_OUT = (_CHR21, _TEST)
_ENCODE = "human-hg16-encode/hg16.ENm001_ENm002.fa.gz"
_REFSEQ = "human-pieces/refseqgene.fa.gz"
_COX = "hg19.cox_hap2"
_LAID = (  # contig, file, record, about where it lies in hg19
    ("hg16.chr7_ENm001", _ENCODE, "human|ENm001|", "chr7", 114_500_000, 118_500_000),
    ("hg16.chr5_ENm002", _ENCODE, "human|ENm002|", "chr5", 130_500_000, 133_500_000),
    ("hg19.chr7_86000000-87000000", "human-pieces/misc_pieces.fa.gz", "ens_rest_vep", "chr7",
     85_000_000, 88_000_000),
    (_COX, "human-hg19-alt/hg19.mhc_cox_alt_unplaced.fa.gz", "chr6_cox_hap2", "chr6",
     28_477_797, 33_351_542),
)  # fmt: skip
_ELSEWHERE = 31_234_582, 32_052_071  # of chr6 (hg19): another piece has this
_REFSEQ_GENES = {
    "NG_007107": "MECP2", "NG_008835": "CDH23", "NG_008939": "PCCB", "NG_009113": "NR2E3",
    "NG_009299": "MYH11", "NG_009497": "USH2A", "NG_012772": "BRCA2", "NG_017013": "TP53",
    "NG_029724": "KIF1A",
}  # fmt: skip
_VERTEBRATES = "vertebrates-encode/encode_ENm001_ENm002.vertebrates.fa.gz"
_TOO_CLOSE = ("chimp", "baboon", "macaque", "marmoset")  # to human sequence
_SHORT = 2_000  # bp of another vertebrate's record that is left out
_ABOUT, _COUNTED = 300, 100  # bp about a site that are kept of other vertebrates, and read
_GAP = 100  # N between what a contig joins
_MIDDLE = 200  # of a window: the first base of the intron (donor) or of the exon (acceptor)
_GENES = ("protein_coding", "lncRNA", "lincRNA", "antisense", "processed_transcript")
_UPSTREAM, _DOWNSTREAM = 249, 50  # bp about a start of transcription
_PLANT = 200  # bp before a start in the set of plants
_PEAK = 100  # bp of a peak of ChIP-seq about its summit
_EDGE = 50  # bp of a piece in which no site is taken


class Site(NamedTuple):
    """Bases of a class: the first (donor) or last (acceptor) of an intron, or a promoter."""

    contig: str
    start: int
    end: int
    kind: str
    strand: str


Span = tuple[str, int, int]
"""Contig, start, end."""


class Piece(NamedTuple):
    """A contig of human sequence, and the place of its first base in a chromosome."""

    contig: str
    assembly: str
    chrom: str
    first: int
    letters: str


def rows_of(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a gzip table by the names of its columns."""
    with gzip.open(path, "rt") as file:
        dialect = csv.excel if path.name.endswith(".csv.gz") else csv.excel_tab
        yield from csv.DictReader(file, dialect=dialect)


def lines_of(path: Path) -> Iterator[list[str]]:
    """Rows of a gzip BED."""
    with gzip.open(path, "rt") as file:
        yield from (line.split() for line in file)


def introns(data: Path, species: str) -> dict[str, list[str]]:
    """Introns with 50 bp of the exons about them, by their first letters."""
    found: dict[str, list[str]] = defaultdict(list)
    for row in rows_of(data / "splice-exon-intron-exon" / f"eie.{species}.csv.gz"):
        sequence = (row["exon5"] + row["intron"] + row["exon3"]).upper()
        found[sequence[:_WORD]].append(sequence)
    return found


def splice_sites(letters: str, known: dict[str, list[str]]) -> Iterator[tuple[int, str, str]]:
    """Yield position, kind and strand of the ends of known introns in a sequence."""
    for strand, read in (("+", letters), ("-", decode(reverse_complement(encode(letters))))):
        for start in range(len(read) - _WORD):
            for sequence in known.get(read[start : start + _WORD], ()):
                if read.startswith(sequence, start):
                    ends = start + _EXON, start + len(sequence) - _EXON - 1
                    for kind, end in zip(("donor", "acceptor"), ends, strict=True):
                        yield end if strand == "+" else len(read) - 1 - end, kind, strand


def worm(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Chromosome III in two contigs, and its splice sites."""
    with Genome(data / _WORM) as genome:
        letters = decode(genome.fetch("chrIII", 0, genome.contigs["chrIII"]))
    cut, sites = len(letters) - len(letters) // 3, set()
    for at, kind, strand in splice_sites(letters, introns(data, "ce")):
        part = at >= cut
        at -= cut * part
        sites.add(Site(f"chrIII_{1 + part}", at, at + 1, kind, strand))
    return {"chrIII_1": letters[:cut], "chrIII_2": letters[cut:]}, sites


def plant(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Pieces of the genome of A. thaliana, and their splice sites."""
    known = introns(data, "at")
    contigs: dict[str, str] = {}
    sites: dict[str, set[Site]] = {}
    seen: set[str] = set()  # what lies about the sites of kept pieces
    with Genome(data / _PLANTS) as genome:
        for name, length in genome.contigs.items():  # those of TAIR10 come first
            if not name.startswith(_THALIANA):
                continue
            letters, contig = decode(genome.fetch(name, 0, length)), name.replace("|", "_")
            own, about = set(), set()
            for at, kind, strand in splice_sites(letters, known):
                own.add(Site(contig, at, at + 1, kind, strand))
                near = letters[at - _WORD : at + _WORD + 1]
                about.add(min(near, decode(reverse_complement(encode(near)))))
            if own and not about & seen:
                contigs[contig], sites[contig] = letters, own
                seen |= about
    return contigs, set().union(*sites.values())


def yeast(data: Path) -> tuple[dict[str, str], set[Site]]:
    """The chromosomes of S. cerevisiae, and their promoters."""
    contigs: dict[str, str] = {}
    with Genome(data / "yeast-sacCer3" / "sacCer3.fa.gz") as genome:
        for name, length in genome.contigs.items():
            if name != "chrM":
                contigs[name] = decode(genome.fetch(name, 0, length))
    sites = set()
    for row in rows_of(data / "epdnew-tss" / "S_cerevisiae.sacCer3.tss.tsv.gz"):
        number = int(row["seq_ac"].removeprefix("NC_").split(".")[0]) - _FIRST_OF_YEAST
        if number < len(_ROMAN):
            chrom = f"chr{_ROMAN[number]}"
            sites.add(promoter_about(int(row["pos"]) - 1, row["strand"], chrom, contigs[chrom]))
    return contigs, sites


def worm_promoters(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Chromosome III of C. elegans in two contigs, and its promoters."""
    contigs, _ = worm(data)
    cut, sites = len(contigs["chrIII_1"]), set()
    for row in rows_of(data / "epdnew-tss" / "C_elegans.ce6.tss.tsv.gz"):
        if row["seq_ac"].startswith(_WORM_III):
            start = int(row["pos"]) - 1
            part = start >= cut
            contig = f"chrIII_{1 + part}"
            at = start - cut * part
            sites.add(promoter_about(at, row["strand"], contig, contigs[contig]))
    return contigs, sites


def plant_promoters(data: Path) -> tuple[dict[str, str], set[Site]]:
    """The pieces of TAIR10, and their promoters."""
    contigs: dict[str, str] = {}
    with Genome(data / _PLANTS) as genome:
        for name, length in genome.contigs.items():
            if name.startswith("TAIR10|Chr") and name[len("TAIR10|Chr")].isdigit():
                contig = name.removeprefix("TAIR10|").partition(":")[0]
                contigs[contig] = decode(genome.fetch(name, 0, length))
    sites = set()
    for row in rows_of(data / "epdnew-tss" / "A_thaliana.araTha1.tss.tsv.gz"):
        number = _CHROMOSOMES_OF_THALIANA.index(row["seq_ac"].split(".")[0]) + 1
        contig, start = f"Chr{number}", int(row["pos"]) - 1
        if start < len(contigs[contig]):
            sites.add(promoter_about(start, row["strand"], contig, contigs[contig], _PLANT))
    return contigs, sites


def promoter_about(
    start: int, strand: str, contig: str, letters: str, upstream: int = _UPSTREAM
) -> Site:
    """From bases before a start of transcription to 50 after, as far as the contig reaches."""
    before, after = upstream, _DOWNSTREAM
    if strand == "-":
        before, after = after, before
    first, end = max(start - before, 0), min(start + after + 1, len(letters))
    return Site(contig, first, end, "promoter", strand)


def pieces(data: Path) -> Iterator[Piece]:
    """Human sequence of known coordinates, each locus once."""
    for assembly, file in _PIECES:
        with Genome(data / file) as genome:
            for name, length in genome.contigs.items():
                if (file, name) not in _TWICE:
                    chrom, _, span = name.partition(":")
                    first = int(span.split("-")[0]) - 1 if span else 0  # names are 1-based
                    letters = decode(genome.fetch(name, 0, length))
                    contig = f"{assembly}.{name.replace(':', '_')}"
                    yield Piece(contig, assembly, chrom, first, letters)


class Annotation(NamedTuple):
    """Edges of exons by chromosome, and the chromosome and interval of each gene.

    Doubtful ones are of pseudogenes and other genes, or known to level 3 alone.
    """

    edges: dict[str, set[Edge]]
    doubtful: dict[str, set[Edge]]
    genes: dict[str, tuple[str, int, int]]

    def near(self, chrom: str, start: int, end: int) -> list[Edge]:
        """All edges between two places of a chromosome."""
        both = self.edges[chrom] | self.doubtful[chrom]
        return [edge for edge in both if start <= edge.at < end]


def annotation(data: Path, assembly: str) -> Annotation:
    """GENCODE's exons of one assembly, as far as no gene ends with them."""
    folder = data / f"annotation-{assembly}"
    ends: dict[str, set[int]] = defaultdict(set)
    genes: dict[str, tuple[str, int, int]] = {}
    for row in rows_of(folder / f"gencode_genes.{assembly}.no_chr19.tsv.gz"):
        start, end = int(row["start"]) - 1, int(row["end"])
        ends[row["chrom"]] |= {start, end}
        genes[row["gene_name"]] = row["chrom"], start, end
    edges: dict[str, set[Edge]] = defaultdict(set)
    doubtful: dict[str, set[Edge]] = defaultdict(set)
    for row in rows_of(folder / f"gencode_exons.{assembly}.no_chr19.tsv.gz"):
        chrom, strand = row["chrom"], row["Strand"]
        sure = row["gene_type"] in _GENES and int(row["level"]) <= 2
        for end, after in ((int(row["start"]) - 1, False), (int(row["end"]), True)):
            if end not in ends[chrom]:
                kind = "donor" if after == (strand == "+") else "acceptor"
                edge = Edge(end - (not after), kind, strand)
                (edges if sure else doubtful)[chrom].add(edge)
    for chrom, own in doubtful.items():
        own -= edges[chrom]
    return Annotation(edges, doubtful, genes)


class Found(NamedTuple):
    """Splice sites and doubtful ones in contigs."""

    sites: set[Site]
    doubtful: set[Site]

    def add(self, contig: str, edge: Edge, sure: bool) -> None:
        """Add an edge of an exon."""
        site = Site(contig, edge.at, edge.at + 1, edge.kind, edge.strand)
        (self.sites if sure else self.doubtful).add(site)


def human(data: Path, known: dict[str, Annotation], found: Found) -> dict[str, str]:
    """Pieces of two assemblies; what splice sites are in them is added to ``found``."""
    contigs: dict[str, str] = {}
    for contig, assembly, chrom, first, letters in pieces(data):
        contigs[contig], fits = letters, consensus(letters)
        own = known[assembly]
        for edge in own.near(chrom, first + _EDGE, first + len(letters) - _EDGE):
            if fits[edge.kind, edge.strand][edge.at - first]:
                found.add(contig, edge._replace(at=edge.at - first), edge in own.edges[chrom])
    return contigs


def record(data: Path, file: str, name: str) -> str:
    """Letters of the only record of a FASTA whose name begins so."""
    with Genome(data / file) as genome:
        (contig,) = (contig for contig in genome.contigs if contig.startswith(name))
        return decode(genome.fetch(contig, 0, genome.contigs[contig]))


def refseq_genes(data: Path, known: Annotation, found: Found) -> str:
    """Records of RefSeqGene in one contig; their splice sites are added to ``found``."""
    joined = ""
    for name, gene in _REFSEQ_GENES.items():
        letters = record(data, _REFSEQ, name)
        chrom, start, end = known.genes[gene]
        edges = known.near(chrom, start - len(letters), end + len(letters))
        turned = decode(reverse_complement(encode(letters)))
        pairs, letters = max(
            ((laid(x, edges), x) for x in (letters, turned)), key=lambda pair: len(pair[0])
        )
        for edge, here in pairs:
            moved = here._replace(at=here.at + len(joined))
            found.add("refseqgene", moved, edge in known.edges[chrom])
        joined += letters + "N" * _GAP
    return joined


def vertebrates(
    data: Path, encode_regions: dict[str, tuple[str, list[Edge]]], found: Found
) -> tuple[str, list[Span]]:
    """What lies about splice sites of other vertebrates, in one contig, and what is read of it."""
    records: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
    with Genome(data / _VERTEBRATES) as genome:
        for name, length in genome.contigs.items():
            species, region = name.split("|")[:2]
            if length > _SHORT and species not in _TOO_CLOSE:
                records[species, region][name] = decode(genome.fetch(name, 0, length))
    joined, spans = "", []
    for (_, region), others in sorted(records.items()):
        letters, edges = encode_regions[region]
        places_of: dict[str, set[Edge]] = defaultdict(set)
        for name, edge in orthologous(letters, edges, others):
            places_of[name].add(edge)
        for name, own in sorted(places_of.items()):
            places = [edge.at for edge in own]
            for low, high in merged(places, _ABOUT, len(others[name])):
                moved = [x._replace(at=x.at - low + len(joined)) for x in own if low <= x.at < high]
                for edge in moved:
                    found.add("vertebrates", edge, True)
                end = len(joined) + high - low
                for first, last in merged([edge.at for edge in moved], _COUNTED, end):
                    spans.append(("vertebrates", max(first, len(joined)), last))
                joined += others[name][low:high] + "N" * _GAP
    return joined, spans


def merged(places: list[int], about: int, length: int) -> list[tuple[int, int]]:
    """Intervals of so many bp on either side of places, joined where they overlap."""
    intervals: list[tuple[int, int]] = []
    for place in sorted(places):
        start, end = max(place - about, 0), min(place + about, length)
        if intervals and start <= intervals[-1][1]:
            start = intervals.pop()[0]
        intervals.append((start, end))
    return intervals


def add_windows(data: Path, contigs: dict[str, str], sites: set[Site]) -> Iterator[Span]:
    """Add the windows of GUE that lie in no contig that tests; yield what is read of them."""
    half = _WORD // 2
    rows = {
        split: list(rows_of(data / "gue" / "splice" / "reconstructed" / f"{split}.csv.gz"))
        for split in ("dev", "test")
    }
    about = {_near(row["sequence"]) for split in rows.values() for row in split}
    about |= {decode(reverse_complement(encode(word))) for word in about}
    tested = {
        word
        for name, letters in contigs.items()
        if name.startswith(_KEPT_OUT)
        for at in range(len(letters) - _WORD)
        if (word := letters[at : at + _WORD]) in about
    }
    tested |= {decode(reverse_complement(encode(word))) for word in tested}
    for split, windows in rows.items():
        contig, joined = f"gue_{split}", []
        for row in windows:
            letters, label = row["sequence"].upper(), int(row["label"])
            if _near(letters) in tested:
                continue
            middle = len(joined) * (len(letters) + _GAP) + _MIDDLE
            yield contig, middle - half, middle + half
            if label < 2:
                at, kind = (middle, "donor") if label else (middle - 1, "acceptor")
                sites.add(Site(contig, at, at + 1, kind, "+"))
            joined.append(letters)
        contigs[contig] = ("N" * _GAP).join(joined)


def _near(window: str) -> str:
    """Return the bases about the middle of a window of GUE."""
    return window.upper()[_MIDDLE - _WORD // 2 : _MIDDLE + _WORD // 2]


def human_splice(data: Path) -> tuple[dict[str, str], set[Site], list[Span], set[Site]]:
    """All contigs, their splice sites, what is read of them, and doubtful sites."""
    known = {assembly: annotation(data, assembly) for assembly in ("hg19", "hg38")}
    found = Found(set(), set())
    contigs = human(data, known, found)
    spans: list[Span] = []
    encode_regions: dict[str, tuple[str, list[Edge]]] = {}
    for contig, file, name, chrom, start, end in _LAID:
        letters = contigs[contig] = record(data, file, name)
        pairs, sure = laid(letters, known["hg19"].near(chrom, start, end)), known["hg19"].edges
        for edge, here in pairs:
            found.add(contig, here, edge in sure[chrom])
        if contig == _COX:
            inside = [x.at for edge, x in pairs if _ELSEWHERE[0] <= edge.at < _ELSEWHERE[1]]
            spans.append((contig, 0, min(inside) - _ABOUT))
            spans.append((contig, max(inside) + _ABOUT, len(letters)))
        sites = [here for edge, here in pairs if edge in sure[chrom]]
        encode_regions[contig.partition("_")[2]] = letters, sites
    contigs["refseqgene"] = refseq_genes(data, known["hg19"], found)
    whole = (name for name in contigs if name != _COX and not name.startswith(_CHR21))
    spans += [(name, 0, len(contigs[name])) for name in whole]
    contigs["vertebrates"], about = vertebrates(data, encode_regions, found)
    spans = [*without(spans, found.doubtful), *about, *add_windows(data, contigs, found.sites)]
    return contigs, found.sites, sorted(spans), found.doubtful


def without(spans: list[Span], sites: set[Site]) -> Iterator[Span]:
    """Yield spans without the bases of some sites, but all of those that test."""
    places: dict[str, list[int]] = defaultdict(list)
    for site in sites:
        places[site.contig].append(site.start)
    for contig, start, end in spans:
        for at in sorted(set(places[contig])) if contig != _TEST else ():
            if start <= at < end:
                yield contig, start, at
                start = at + 1
        yield contig, start, end


def promoters(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Pieces of two assemblies, and the promoters in them."""
    known: dict[str, set[int]] = defaultdict(set)
    for row in lines_of(data / "regions-human" / "encode_ccre_v4.PLS.hg38.no_chr19.bed.gz"):
        known[row[0]].update(range(int(row[1]), int(row[2])))
    for row in lines_of(data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"):
        start = int(row[1]) - (_UPSTREAM if row[5] == "+" else _DOWNSTREAM)
        known[row[0]].update(range(start, start + _UPSTREAM + 1 + _DOWNSTREAM))
    contigs = {piece.contig: piece.letters for piece in pieces(data)}
    return contigs, set(found_in_pieces(data, {"promoter": known}))


def enhancers(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Pieces of two assemblies, and the enhancers in them."""
    known: dict[str, set[int]] = defaultdict(set)
    file = "regions-human/fantom5_permissive_enhancers.hg38.no_chr19.bed.gz"
    for row in lines_of(data / file):
        known[row[0]].update(range(int(row[1]), int(row[2])))
    contigs = {piece.contig: piece.letters for piece in pieces(data)}
    return contigs, set(found_in_pieces(data, {"enhancer": known}))


def ctcf(data: Path) -> tuple[dict[str, str], set[Site]]:
    """Pieces of two assemblies, with peaks of CTCF and accessible sites of it."""
    lift = lift_over(data)
    peaks: dict[str, set[int]] = defaultdict(set)
    for row in rows_of(data / "tf-chipseq-hg19" / "ctcf.hg19.no_chr19.tsv.gz"):
        lifted = lift.convert_coordinate(row["chrom"], (int(row["start"]) + int(row["end"])) // 2)
        if lifted:
            chrom, middle = lifted[0][:2]
            peaks[chrom].update(range(middle - _PEAK // 2, middle + _PEAK // 2))
    accessible: dict[str, set[int]] = defaultdict(set)
    for row in lines_of(data / "regions-human" / "encode_ccre_v4.CA-CTCF.hg38.no_chr19.bed.gz"):
        accessible[row[0]].update(range(int(row[1]), int(row[2])))
    contigs = {piece.contig: piece.letters for piece in pieces(data)}
    return contigs, set(found_in_pieces(data, {"peak": peaks, "accessible": accessible}))


def lift_over(data: Path) -> LiftOver:
    """Coordinates of hg38 for those of hg19."""
    from pyliftover import LiftOver  # pip install pyliftover

    return LiftOver(str(data / "regions-human" / "hg19ToHg38.over.chain.gz"))


def found_in_pieces(data: Path, known: dict[str, dict[str, set[int]]]) -> Iterator[Site]:
    """Yield the intervals of each class whose bases, or those they are lifted to, are known.

    ``known`` has the bases of hg38 by class and chromosome.
    """
    lift = lift_over(data)
    for contig, assembly, chrom, first, letters in pieces(data):
        inside = {kind: bytearray(len(letters) + 2) for kind in known}  # an end on either side
        for at, letter in enumerate(letters):
            if letter == "N":
                continue
            place = chrom, first + at
            if assembly == "hg19":
                lifted = lift.convert_coordinate(*place)
                if not lifted:
                    continue
                place = lifted[0][:2]
            for kind, bases in known.items():
                inside[kind][at + 1] = place[1] in bases[place[0]]
        for kind, found in inside.items():
            edges = np.flatnonzero(np.diff(np.frombuffer(found, np.int8)))
            for start, end in edges.reshape(-1, 2).tolist():
                yield Site(contig, start, end, kind, ".")


def write_genome(path: Path, contigs: dict[str, str]) -> None:
    """Contigs as FASTA."""
    with path.open("w") as file:
        for name, letters in contigs.items():
            lines = (letters[i : i + 100] for i in range(0, len(letters), 100))
            file.write(f">{name}\n" + "\n".join(lines) + "\n")


def write_sites(path: Path, sites: set[Site]) -> None:
    """Sites as BED, in their order."""
    with path.open("w") as file:
        for site in sorted(sites):
            columns = (site.contig, site.start, site.end, site.kind, 0, site.strand)
            file.write("\t".join(map(str, columns)) + "\n")


def main() -> None:
    """Run the command."""
    sets = {
        "splice-worm": worm,
        "splice-plant": plant,
        "splice-human": human_splice,
        "promoter-human": promoters,
        "ctcf": ctcf,
        "enhancer": enhancers,
        "promoter-worm": worm_promoters,
        "promoter-plant": plant_promoters,
        "promoter-yeast": yeast,
    }
    if len(sys.argv) != 4 or sys.argv[1] not in sets:
        sys.exit(__doc__)
    contigs, sites, *others = sets[sys.argv[1]](Path(sys.argv[2]))
    out = Path(sys.argv[3])
    out.mkdir(parents=True, exist_ok=True)
    write_genome(out / "genome.fa", contigs)
    write_sites(out / "sites.bed", sites)
    if others:
        regions, doubtful = others
        with (out / "regions.bed").open("w") as file:
            file.writelines(f"{name}\t{start}\t{end}\n" for name, start, end in regions)
        write_sites(out / "doubtful.bed", doubtful)


if __name__ == "__main__":
    main()
