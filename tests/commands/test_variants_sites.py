"""``findna variants`` with a task of single bases: gains and losses of probability, and where."""

import random
import shutil

import numpy as np
import pysam
import pytest
import torch

import findna
from findna.genome.batching import Sequences
from findna.genome.encoding import decode, encode, reverse_complement
from findna.model.devices import Compute
from findna.tasks.sites import Tile, load_sites
from tests.conftest import MOTIF, random_sequence

CPU = Compute(torch.device("cpu"))
NAMES = [f"{what}{part}" for what in ("GAIN", "LOSS") for part in ("", "_POS", "_REF", "_ALT")]
needs_bcftools = pytest.mark.skipif(not shutil.which("bcftools"), reason="no bcftools")


def rc(letters):
    return decode(reverse_complement(encode(letters)))


def vcf(rows, contigs, genotypes=None):
    """Text of a VCF of (chrom, 0-based start, ref, alt)."""
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO" + "\tFORMAT\ts" * bool(genotypes)
    lines = ["##fileformat=VCFv4.2"]
    lines += [f"##contig=<ID={name},length={len(letters)}>" for name, letters in contigs.items()]
    lines += ['##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">', columns]
    for i, (chrom, start, ref, alt) in enumerate(rows):
        call = f"\tGT\t{genotypes[i]}" if genotypes else ""
        lines.append(f"{chrom}\t{start + 1}\t.\t{ref}\t{alt}\t.\t.\t.{call}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def score(run, write):
    """Fields of every allele, as numbers or None: ``score({"c": letters}, rows, task, ...)``."""

    def invoke(contigs, rows, task, *options, genotypes=None):
        genome = write("g.fa", "".join(f">{name}\n{x}\n" for name, x in contigs.items()))
        genome.with_name("g.fa.fai").unlink(missing_ok=True)
        records = write("v.vcf", vcf(rows, contigs, genotypes))
        words = ["variants", genome, records, "--task", task, "--scores", "none", "-O", "tsv"]
        head, *lines = run(*words, *options).stdout.splitlines()
        names = [name.removeprefix("FINDNA_") for name in head.split("\t")]
        return [
            {
                name: None if value == "." else float(value)
                for name, value in zip(names[6:], line.split("\t")[6:], strict=True)
            }
            for line in lines
        ]

    return invoke


@pytest.fixture(scope="module")
def motifs(donors):
    """Contigs, and sites as (chrom, position, strand)."""
    lines = (donors / "g.fa").read_text().split()
    contigs = {name[1:]: letters for name, letters in zip(lines[::2], lines[1::2], strict=True)}
    rows = [line.split("\t") for line in (donors / "s.bed").read_text().splitlines()]
    return contigs, [(row[0], int(row[1]), row[5]) for row in rows]


def breaking(contigs, chrom, site, strand):
    """The SNV of the motif's last T, five bases behind a site: (chrom, start, ref, alt)."""
    at = site + 5 if strand == "+" else site - 5
    assert contigs[chrom][at] == ("T" if strand == "+" else "A")
    return chrom, at, contigs[chrom][at], "A" if strand == "+" else "T"


def edited(contigs, row):
    chrom, start, ref, alt = row
    letters = contigs[chrom]
    return {**contigs, chrom: letters[:start] + alt + letters[start + len(ref) :]}


@pytest.mark.parametrize("strand", "+-")
def test_a_motif_that_is_destroyed_or_made(score, donors, motifs, strand):
    contigs, sites = motifs
    chosen = [site for site in sites if site[2] == strand][:12]
    rows = [breaking(contigs, *site) for site in chosen]
    found = score(contigs, rows, donors / "donors")
    assert list(found[0]) == [f"DONORS_{name}" for name in NAMES]
    hits = 0
    for site, row, values in zip(chosen, rows, found, strict=True):
        # in a few the little model never saw the site, or sees more in its neighbourhood
        if values["DONORS_LOSS"] < 0.3 or values["DONORS_LOSS_POS"] != site[1] - row[1]:
            continue
        hits += 1
        assert values["DONORS_GAIN"] < 0.2
        (back,) = score(edited(contigs, row), [(row[0], row[1], row[3], row[2])], donors / "donors")
        assert back["DONORS_GAIN"] == pytest.approx(values["DONORS_LOSS"], abs=1.1e-3)
        assert back["DONORS_GAIN_POS"] == values["DONORS_LOSS_POS"]
        assert back["DONORS_LOSS"] == pytest.approx(values["DONORS_GAIN"], abs=1.1e-3)
        other = "-" if strand == "+" else "+"
        (unseen,) = score(contigs, [row], donors / "donors", "--strand", other)
        assert unseen["DONORS_LOSS"] < 0.2
    assert hits >= 8


def test_an_indel_before_a_site_moves_no_position(score, donors, motifs):
    contigs, sites = motifs
    chosen = [site for site in sites if site[2] == "+"][:10]
    rows, inside = [], []
    for chrom, at, _ in chosen:
        letters = contigs[chrom]
        rows.append((chrom, at - 14, letters[at - 14], letters[at - 14] + "ACTAC"))
        rows.append((chrom, at - 16, letters[at - 16 : at - 12], letters[at - 16]))
        inside.append((chrom, at, letters[at], letters[at] + "CCTCC"))  # behind the site
    whole = score(contigs, [breaking(contigs, *site) for site in chosen], donors / "donors")
    for i, values in enumerate(score(contigs, rows, donors / "donors")):
        assert values["DONORS_LOSS"] < 0.5 * whole[i // 2]["DONORS_LOSS"] + 0.1
    there = 0
    for values, of_snv in zip(score(contigs, inside, donors / "donors"), whole, strict=True):
        if of_snv["DONORS_LOSS"] > 0.3 and values["DONORS_LOSS"] > 0.3:
            there += values["DONORS_LOSS_POS"] == 0
    assert there >= 5


def test_a_motif_that_is_inserted_or_deleted(score, donors):
    letters = random_sequence(200, 5) + "C" + random_sequence(199, 7)
    row = ("c", 200, letters[200], letters[200] + MOTIF)
    (new,) = score({"c": letters}, [row], donors / "donors")
    assert new["DONORS_GAIN"] > 0.3
    assert new["DONORS_GAIN_POS"] == 0  # all of it stands for the base before
    (old,) = score(edited({"c": letters}, row), [("c", 200, row[3], row[2])], donors / "donors")
    assert old["DONORS_LOSS"] > 0.3
    assert old["DONORS_LOSS_POS"] == 1 + 3  # of the motif's fourth base


def test_two_ways_to_write_an_allele(score, donors, site_task):
    left, right = random_sequence(150, 1), random_sequence(150, 2)
    letters = left + "CAG" * 5 + right
    ways = [
        ("c", 149, letters[149:153], letters[149]),
        ("c", 155, letters[155:159], letters[155]),
        ("c", 149, letters[149:165], letters[149] + letters[153:165]),
    ]
    for task, stems in ((donors / "donors", [""]), (site_task, ["_DONOR", "_ACCEPTOR"])):
        found = score({"c": letters}, ways, task)
        name = task.name.upper()
        for row, values in zip(ways, found, strict=True):
            for stem in stems:
                for what in ("GAIN", "LOSS"):
                    field = f"{name}{stem}_{what}"
                    assert values[field] == found[0][field]
                    if values[field]:
                        there = values[f"{field}_POS"] + row[1]
                        assert there == found[0][f"{field}_POS"] + ways[0][1]


def test_far_from_everything(score, donors):
    quiet = "".join(random.Random(3).choices("AT", k=600))
    (values, same) = score(
        {"c": quiet},
        [("c", 300, quiet[300], "AT"[quiet[300] == "A"]), ("c", 9, quiet[9], quiet[9])],
        donors / "donors",
    )  # fmt: skip
    nothing = {name: None if "_" in name.removeprefix("DONORS_") else 0.0 for name in values}
    assert same == nothing
    assert values == nothing


# against editing by hand


def by_hand(task, contig, row, size, reach, strands=(False, True)):
    """Changes of probability by position, one array per strand, from whole edited contigs."""
    _, start, ref, alt = row
    result = []
    for turned in strands:
        old, new = contig, contig[:start] + alt + contig[start + len(ref) :]
        if turned:
            old, new = rc(old), rc(new)
        shortest, last, first = min(len(old), len(new)), 0, 0
        while last < shortest and old[-1 - last] == new[-1 - last]:
            last += 1
        while first < shortest - last and old[first] == new[first]:
            first += 1
        n_ref, n_alt = len(old) - first - last, len(new) - first - last
        sides = []
        for letters, n in ((old, n_ref), (new, n_alt)):
            width = min(size, len(letters))
            begin = first - (size - max(n_ref, n_alt)) // 2
            begin = min(max(begin, 0), len(letters) - width)
            source = Sequences([encode(letters[begin : begin + width])])
            ((_, bases),) = task.read([(None, Tile("0", 0, width, 0, width, False))], source, CPU)
            level = {}
            for i in range(max(first - reach, begin), min(first + n + reach, begin + width)):
                if i < first:
                    stands_for = i
                elif i < first + n:
                    stands_for = max(first + min(i - first, n_ref - 1), 0)
                else:
                    stands_for = i - n + n_ref
                place = len(old) - 1 - stands_for if turned else stands_for
                before = level.get(place, np.zeros(len(task.config.classes)))
                level[place] = np.maximum(before, np.nan_to_num(bases.values[i - begin]))
            sides.append(level)
        zero = np.zeros(len(task.config.classes))
        places = {*sides[0], *sides[1]}
        result.append({p: sides[1].get(p, zero) - sides[0].get(p, zero) for p in places})
    return result


def check(values, stem, changes, number, start):
    """Compare the fields of a class with changes by strand and position."""
    for what, sign in (("GAIN", 1), ("LOSS", -1)):
        column = {(s, p): sign * x[number] for s, strand in enumerate(changes) for p, x in
                  strand.items()}  # fmt: skip
        largest = max(column.values())
        found = values[f"{stem}_{what}"]
        assert found == pytest.approx(max(largest, 0), abs=6e-4)
        position = values[f"{stem}_{what}_POS"]
        assert (position is None) == (found == 0)
        if found:
            ref, alt = (values[f"{stem}_{what}_{side}"] for side in ("REF", "ALT"))
            assert sign * (alt - ref) == pytest.approx(found, abs=1.6e-3)
            assert 0 <= min(ref, alt) <= max(ref, alt) <= 1
            there = max(column.get((s, start + position), -1) for s in range(len(changes)))
            assert there == pytest.approx(largest, abs=1e-5)


def made_up(contig, n, seed):
    """Variants of all kinds and lengths, at the ends too."""
    rng = random.Random(seed)
    rows = []
    for i in range(n):
        size, new = rng.choice([(1, 1), (1, 4), (5, 1), (3, 3), (4, 2), (2, 5), (0, 0)])
        start = [0, len(contig) - size, rng.randrange(len(contig) - 8)][min(i, 2)]
        ref = contig[start : start + max(size, 1)]
        if not size:  # an indel of a repeat, if there is one
            start = contig.index("CACACA")
            ref, alt = contig[start : start + 2], contig[start : start + 2] * 2
        else:
            alt = random_sequence(new, seed + i)
        if ref != alt:
            rows.append(("c", start, ref, alt))
    return rows


@pytest.mark.parametrize(("length", "size", "reach"), [(500, 100, 30), (130, 61, 8), (48, 100, 30)])
def test_scores_are_those_of_contigs_edited_by_hand(score, donors, site_task, length, size, reach):
    half = length // 2
    contig = random_sequence(half - 10, 3) + MOTIF + "CACACACA" + random_sequence(half - 8, 4)
    rows = made_up(contig, 24, length)
    for path, stems in (
        (donors / "donors", ["DONORS"]),
        (site_task, ["SITES_DONOR", "SITES_ACCEPTOR"]),
    ):
        task = load_sites(str(path))
        options = ["--window", size, "--reach", reach, "--max-tokens", 500]
        for strand, turned in (("both", (False, True)), ("-", (True,))):
            found = score({"c": contig}, rows, path, *options, "--strand", strand)
            for row, values in zip(rows, found, strict=True):
                changes = by_hand(task, contig, row, size, reach, turned)
                for number, stem in enumerate(stems):
                    check(values, stem, changes, number, row[1])


def test_haplotypes(score, donors, site_task):
    """Scores on a haplotype are those on the edited contig, at positions of the FASTA."""
    contig = random_sequence(180, 3) + MOTIF + random_sequence(200, 4)
    near = ("c", 170, contig[170], contig[170] + "GATTC")
    gone = ("c", 200, contig[200:204], contig[200])
    snv = ("c", 184, contig[184], "ACGT"["ACGT".index(contig[184]) - 1])
    task = load_sites(str(site_task))
    rows = [near, snv, gone]
    for genotypes in (["0|1", "0|1", "0|1"], ["0|1", "1|1", "0|1"]):
        found = score(
            {"c": contig}, rows, site_task, "--reach", 30, "--haplotype", "s", genotypes=genotypes
        )[1]
        there = edited({"c": contig}, gone)["c"]
        there = edited({"c": there}, near)["c"]
        changes = by_hand(task, there, (snv[0], 189, *snv[2:]), 100, 30)
        lifted = []
        for s, strand in enumerate(changes):
            at = {}
            for p, x in strand.items():
                if 171 <= p < 176:  # inserted; they stand for the base that they follow
                    p = 171 if s else 170
                elif p >= 176:
                    p = p - 5 if p - 5 <= 200 else p - 2
                at.setdefault(p, []).append(x)
            lifted.append({p: xs[0] for p, xs in at.items() if len(xs) == 1})
        if genotypes[1] == "1|1":  # averaged with the haplotype that is the FASTA
            alone = by_hand(task, contig, snv, 100, 30)
            zero = np.zeros(2)
            lifted = [
                {p: (a.get(p, zero) + b.get(p, zero)) / 2 for p in {*a, *b}}
                for a, b in zip(lifted, alone, strict=True)
            ]
        for number, stem in enumerate(("SITES_DONOR", "SITES_ACCEPTOR")):
            check(found, stem, lifted, number, snv[1])


# with everything else


def test_order_classes_and_the_header(run, donors, site_task, tasks, example, model_folder):
    words = ["variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder]
    words += ["--window", 100, "-t", site_task, "-t", tasks["binary"], "-t", donors / "donors"]
    lines = run(*words, "--class", "acceptor").stdout.splitlines()
    fields = {
        line.split("ID=")[1].split(",")[0]: line for line in lines if "INFO=<ID=FINDNA" in line
    }
    expected = [f"FINDNA_SITES_ACCEPTOR_{name}" for name in NAMES]
    expected += [f"FINDNA_BINARY_{name}" for name in ("REF", "ALT", "DELTA")]
    expected += [f"FINDNA_DONORS_{name}" for name in NAMES]
    assert list(fields) == [
        "FINDNA_DIST",
        *(f"FINDNA_LLR{x}" for x in ("", "_REF", "_ALT")),
        *expected,
    ]
    assert ",Number=A,Type=Integer," in fields["FINDNA_DONORS_GAIN_POS"]
    assert ",Number=A,Type=Float," in fields["FINDNA_DONORS_GAIN"]
    digest = load_sites(str(donors / "donors")).digest[:12]
    assert (
        f"Largest loss of probability of donor, task donors {digest}, at a base of the + strand or "
        "the - strand within 19 bp, windows of 100 bp" in fields["FINDNA_DONORS_LOSS"]
    )
    alone = run(*words[:5], "--window", 100, "-t", tasks["binary"], "--scores", "dist").stdout
    for line, other in zip(lines[-40:], alone.splitlines()[-40:], strict=True):
        info, of_other = (dict(x.split("=") for x in y.split("\t")[7].split(";") if "=" in x) for y
                          in (line, other))  # fmt: skip
        assert of_other["FINDNA_BINARY_REF"] == info["FINDNA_BINARY_REF"]
    assert "no task has a class x" in run(*words, "--class", "x", code=2).stderr


@needs_bcftools
def test_bcf(run, donors, tmp_path):
    snv = (donors / "g.fa").read_text().split()[1][500]
    text = vcf([("c0", 500, snv, "ACGT".replace(snv, "")[0] + ",<DEL>")], {"c0": "A" * 3000})
    (tmp_path / "v.vcf").write_text(text)
    out = tmp_path / "o.bcf"
    run("variants", donors / "g.fa", tmp_path / "v.vcf", "-t", donors / "donors", "--scores",
        "none", "-o", out)  # fmt: skip
    with pysam.VariantFile(str(out)) as file:
        (record,) = file
        assert file.header.info["FINDNA_DONORS_LOSS_POS"].type == "Integer"
        assert record.info["FINDNA_DONORS_LOSS"][1] is None
        assert record.info["FINDNA_DONORS_GAIN"][0] >= 0


def test_parts(run, site_task, example, tmp_path):
    words = ["variants", example / "genome.fa", example / "variants.vcf", "-t", site_task]
    words += ["--scores", "none", "--no-version"]
    run(*words, "-o", tmp_path / "whole.vcf")
    parts = [tmp_path / f"p{i}.vcf" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        run(*words, "--shard", f"{i}/2", "-o", part)
    run("merge", *parts, "-o", tmp_path / "m.vcf")
    assert (tmp_path / "m.vcf").read_bytes() == (tmp_path / "whole.vcf").read_bytes()
    run(*words, "--shard", "2/2", "-o", parts[1], "--reach", 20, "--force")
    assert "reach" in run("merge", *parts, "-o", tmp_path / "n.vcf", code=1).stderr
    run(*words, "-o", tmp_path / "r.vcf", "--resume")
    assert (tmp_path / "r.vcf").read_bytes() == (tmp_path / "whole.vcf").read_bytes()


def test_an_allele_that_leaves_no_room(run, score, site_task, write):
    contig = random_sequence(300, 6)
    rows = [("c", 150, contig[150:175], contig[150]), ("c", 150, contig[150:154], contig[150])]
    found = score({"c": contig}, rows, site_task, "--reach", 30)
    assert set(found[0].values()) == {None}
    assert None not in (found[1]["SITES_DONOR_GAIN"], found[1]["SITES_DONOR_LOSS"])
    genome, records = write("w.fa", f">c\n{contig}\n"), write("w.vcf", vcf(rows, {"c": contig}))
    words = ["variants", genome, records, "-t", site_task, "--scores", "none"]
    done = run(*words, "--reach", 30)
    assert done.stderr.count("hold less than 42 bp on either side") == 1
    small = score({"c": contig}, rows, site_task, "--reach", 25)
    assert small[0]["SITES_DONOR_LOSS"] is not None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--reach", 38], "--reach 38: task sites does not use 12 bp at either end of a window, "
                          "so it takes --window 101 or more; windows are 100 bp"),
        (["--window", 20], "so it takes --window 27 or more; windows are 20 bp"),
        (["--window", 101], "was trained on at most 100 bp"),
    ],
)  # fmt: skip
def test_what_is_refused(run, site_task, example, words, message):
    base = ["variants", example / "genome.fa", example / "variants.vcf", "--scores", "none"]
    assert message in run(*base, "-t", site_task, *words, code=2).stderr


def test_refusals_elsewhere(run, site_task, tasks, example, tmp_path):
    genome, records = example / "genome.fa", example / "variants.vcf"
    done = run("variants", genome, records, "-t", tasks["binary"], "--reach", 9, code=2)
    assert "--reach is for tasks of single bases" in done.stderr
    text = records.read_text().replace("#CHROM", '##INFO=<ID=LABEL,Number=1,Type=Integer,'
                                       'Description="x">\n#CHROM')  # fmt: skip
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.vcf").write_text(text)
    done = run("evaluate", genome, "--suite", "variants", "--data", tmp_path / "set", "-t",
               site_task, "-o", tmp_path / "r", code=2)  # fmt: skip
    assert "tells single bases, not regions" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("load", [str, findna.load_task])
def test_from_python(site_task, example, load):
    records = list(
        findna.score_variants(
            example / "genome.fa", example / "variants.vcf", scores=[], task=load(site_task),
            reach=20, device="cpu",
        )
    )  # fmt: skip
    (scores,) = records[0].scores
    assert list(scores)[:8] == [f"FINDNA_SITES_DONOR_{name}" for name in NAMES]
    positions = [s[k] for r in records for s in r.scores for k in s if k.endswith("_POS")]
    assert any(p is not None for p in positions)
    assert all(p is None or (isinstance(p, int) and abs(p) <= 20) for p in positions)
