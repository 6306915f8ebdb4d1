"""``findna variants``: records as they went in, with the scores of each allele."""

import contextlib
import gzip
import io
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import anndata
import numpy as np
import pysam
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import findna
from findna.errors import FindnaError, VariantError
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.model.checkpoint import load_checkpoint
from findna.model.devices import Compute
from findna.tasks.task import load_task
from findna.variants.alleles import SCORED, UNSCORED, Examiner, class_of_allele
from findna.variants.annotate import InfoField, VcfWriter
from findna.variants.scores import Scorer, cosine_distance, log_odds
from findna.variants.vcf import VcfRecord, VcfSource
from tests.conftest import random_sequence
from tests.reference import one_hot

BCFTOOLS = shutil.which("bcftools")
needs_bcftools = pytest.mark.skipif(BCFTOOLS is None, reason="bcftools is not installed")

LIKELIHOODS = ["FINDNA_DIST", "FINDNA_LLR", "FINDNA_LLR_REF", "FINDNA_LLR_ALT"]
ADDED = ",".join(f"INFO/{name}" for name in LIKELIHOODS)

HEADER = """\
##fileformat=VCFv4.2
##contig=<ID=c,length=400>
##INFO=<ID=AF,Number=A,Type=Float,Description="Allele frequency">
##INFO=<ID=DB,Number=0,Type=Flag,Description="Known">
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=GQ,Number=1,Type=Float,Description="Quality">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO	FORMAT	one	two
"""


def rc(letters):
    return decode(reverse_complement(encode(letters)))


@pytest.fixture(scope="module")
def cpu():
    return torch.device("cpu")


@pytest.fixture(scope="module")
def checkpoint(model_folder):
    return load_checkpoint(str(model_folder))


@pytest.fixture
def effects(tmp_path, checkpoint, cpu):
    """Scores of (pos, ref, alt) on a contig given as letters; shape (n, n_scores)."""

    def score(contig, records, *tasks, window=60, strand="both", max_tokens=None):
        path = tmp_path / f"{abs(hash(contig))}.fa"
        path.write_text(f">c\n{contig}\n")
        loaded = [load_task(str(task)) for task in tasks]
        scorer = Scorer(
            checkpoint, tasks=loaded, strand=strand, compute=Compute(cpu, max_tokens=max_tokens)
        )
        with Genome(path) as genome:
            examiner = Examiner(genome, window)
            windows = []
            for pos, ref, alt in records:
                record = VcfRecord(1, "c", pos, ".", ref, (alt,), "")
                assert examiner.problem(record) is None
                windows.append(examiner.examine(record).windows[0])
        return np.array([effect.values for effect in scorer(windows)])

    return score


CONTIG = random_sequence(150, 1) + "A" * 12 + random_sequence(100, 2) + "CAG" * 9
CONTIG += random_sequence(138 - 27, 3)
VARIANTS = [
    (100, CONTIG[100], "ACGT"["ACGT".index(CONTIG[100]) - 1]),
    (30, CONTIG[30:33], rc(CONTIG[30:33])[::-1]),
    (150, CONTIG[150], CONTIG[150] + "A"),
    (170, CONTIG[170:175], CONTIG[170]),
    (200, CONTIG[200], CONTIG[200] + "TTAGA"),
    (210, CONTIG[210:214], "GG" + CONTIG[211] + "T"),
    (265, CONTIG[265:268], CONTIG[265:268] * 2),
    (0, CONTIG[:3], CONTIG[0]),
    (len(CONTIG) - 1, CONTIG[-1], CONTIG[-1] + "GGC"),
]


def test_the_example(run, example, model_folder):
    lines = run("variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder)
    before = (example / "variants.vcf").read_text().splitlines()
    after = lines.stdout.splitlines()
    assert [line for line in after if not re.match("##INFO=<ID=FINDNA_|##findna", line)] == [
        line if line.startswith("#") else f"{line[:-1]}{other.split(chr(9))[7]}"
        for line, other in zip(before, after[len(after) - len(before) :], strict=True)
    ]
    number = r"-?\d\.?\d*(e-\d\d)?"
    for line in after:
        if not line.startswith("#"):
            info = line.split("\t")[7]
            names = ("DIST", "LLR", "LLR_REF", "LLR_ALT")
            expected = ";".join(f"FINDNA_{name}={number}" for name in names)
            assert re.fullmatch(expected, info), info
    assert "48 alleles of 48 records scored (48 snv), in" in lines.stderr
    assert "model little " in lines.stderr


# properties


@pytest.fixture
def few(tasks):
    """Tasks of each kind, which together read every feature."""
    return [tasks[name] for name in ("binary", "three", "labels", "value")]


@pytest.mark.slow
def test_swapping_the_alleles_changes_the_sign(effects, few):
    n_tasks = 1 + 3 + 3 + 2
    for pos, ref, alt in VARIANTS:
        new = CONTIG[:pos] + alt + CONTIG[pos + len(ref) :]
        one = effects(CONTIG, [(pos, ref, alt)], *few)[0]
        two = effects(new, [(pos, alt, ref)], *few)[0]
        assert len(one) == 4 + 3 * n_tasks
        np.testing.assert_allclose(one[0], two[0], rtol=1e-3, atol=1e-9)
        assert abs(one[0] - two[0]) < 1e-5
        np.testing.assert_allclose(one[1], -two[1], atol=1e-5)
        np.testing.assert_allclose(one[2:4], two[2:4][::-1], atol=1e-5)
        assert one[1] == pytest.approx(one[3] - one[2])
        for i in range(4, len(one), 3):
            np.testing.assert_allclose(one[i : i + 2], two[i : i + 2][::-1], atol=1e-5)
            np.testing.assert_allclose(one[i + 2], -two[i + 2], atol=1e-5)
        assert one[0] > 1e-7
        assert abs(one[1]) > 1e-3
        assert (abs(one[6::3]) > 1e-4).all()


def test_the_turned_genome_gives_the_same_scores(effects, few):
    turned = [(len(CONTIG) - pos - len(ref), rc(ref), rc(alt)) for pos, ref, alt in VARIANTS]
    one, two = effects(CONTIG, VARIANTS, *few), effects(rc(CONTIG), turned, *few)
    np.testing.assert_allclose(one, two, atol=1e-5)
    np.testing.assert_allclose(one[:, 0], two[:, 0], rtol=1e-3)


def test_one_direction(effects, few):
    """Both are the mean of the two, and each is the other one's on the turned genome."""
    turned = [(len(CONTIG) - pos - len(ref), rc(ref), rc(alt)) for pos, ref, alt in VARIANTS]
    plus, minus = (effects(CONTIG, VARIANTS, *few, strand=strand) for strand in "+-")
    np.testing.assert_allclose(
        ((plus + minus) / 2)[:, 1:], effects(CONTIG, VARIANTS, *few)[:, 1:], atol=1e-5
    )
    np.testing.assert_allclose(plus, effects(rc(CONTIG), turned, *few, strand="-"), atol=1e-5)
    assert (abs(plus - minus)[:, 1] > 1e-3).all()
    alone = effects(CONTIG, VARIANTS, strand="-")
    np.testing.assert_allclose(alone, minus[:, :4], atol=1e-5)


def test_no_change_is_exactly_zero(effects, few):
    found = effects(CONTIG, [(40, CONTIG[40:44], CONTIG[40:44]), (9, CONTIG[9], CONTIG[9].lower())],
                    *few)  # fmt: skip
    assert (found[:, :2] == 0).all()
    assert (found[:, 6::3] == 0).all()
    assert (found[:, 4::3] == found[:, 5::3]).all()


@pytest.mark.slow
def test_an_indel_in_a_repeat_scores_the_same_wherever_it_is_written(effects, few):
    start = CONTIG.index("A" * 12)
    homopolymer = [(start + i, "AA", "A") for i in range(11)]
    homopolymer += [(start - 1, CONTIG[start - 1 : start + 1], CONTIG[start - 1])]
    homopolymer += [(start, "AAAA", "AAA"), (start - 2, CONTIG[start - 2 : start + 3],
                                            CONTIG[start - 2 : start + 2])]  # fmt: skip
    first = CONTIG.index("CAG" * 9)
    tandem = [(first + i, CONTIG[first + i], CONTIG[first + i : first + i + 4]) for i in range(22)]
    tandem += [(first + 2, "GCAG", "GCAGCAG")]
    for records in (homopolymer, tandem):
        found = effects(CONTIG, records, *few)
        assert (found == found[0]).all()  # the very same windows
        for record in records[::5]:
            np.testing.assert_allclose(effects(CONTIG, [record], *few)[0], found[0], atol=1e-5)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.slow
def test_batches_order_and_neighbours_change_nothing(effects, data):
    expected = effects(CONTIG, VARIANTS)
    order = data.draw(st.permutations(range(len(VARIANTS))))
    max_tokens = data.draw(st.integers(1, 2_000))
    found = effects(CONTIG, [VARIANTS[i] for i in order], max_tokens=max_tokens)
    np.testing.assert_allclose(found, expected[order], atol=1e-5)
    np.testing.assert_allclose(found[:, 0], expected[order][:, 0], rtol=1e-3)
    i = data.draw(st.integers(0, len(VARIANTS) - 1))
    np.testing.assert_allclose(effects(CONTIG, [VARIANTS[i]])[0], expected[i], atol=1e-5)


# from first principles


def without_sharing(encoder, tokens, offsets, reads):
    """Hidden states, each layer computed at every position."""
    found = [encoder(tokens, offsets, n_layers) for n_layers, _ in reads]
    pairs = zip(found, reads, strict=True)
    return [x if positions is None else x[positions] for x, (_, positions) in pairs]


@pytest.mark.parametrize("strand", ["both", "-"])
def test_sharing_states_changes_no_score(effects, few, strand, monkeypatch):
    contig = CONTIG[:120] + "NNN" + CONTIG[123:]
    variants = [*VARIANTS, *((99, contig[99], base) for base in "ACGT")]
    shared = effects(contig, variants, *few, strand=strand)
    monkeypatch.setattr("findna.model.inference.shared_states", without_sharing)
    np.testing.assert_allclose(
        shared, effects(contig, variants, *few, strand=strand), rtol=1e-5, atol=1e-6
    )


def blanked_log_probability(checkpoint, window, start, bases):
    """Sum over the bases of a window at ``start`` of log p(base | the window without them)."""
    blanked = window[:start] + "." * len(bases) + window[start + len(bases) :]
    model = checkpoint.model
    rows = one_hot(blanked + "." * model.encoder.config.n_cls)
    hidden = model.encoder(rows, torch.tensor([0, len(rows)]))
    weight, bias = model.masked_nucleotide.weight, model.masked_nucleotide.bias
    total = 0.0
    for i, base in enumerate(bases):
        outputs = (hidden[start + i] @ weight.T + bias).double()
        four = {letter: outputs["ACGNT".index(letter)].exp() for letter in "ACGT"}
        total += float((four[base] / sum(four.values())).log())
    return total


def test_the_ratio_of_a_substitution(effects, checkpoint):
    pos, size = 120, 61
    for alt in {*"ACGT"} - {CONTIG[pos]}:
        window = CONTIG[pos - 30 : pos + 31]
        expected = 0.0
        for letters, ref_, alt_ in (
            (window, CONTIG[pos], alt),
            (rc(window), rc(CONTIG[pos]), rc(alt)),
        ):
            expected += blanked_log_probability(checkpoint, letters, 30, alt_) / 2
            expected -= blanked_log_probability(checkpoint, letters, 30, ref_) / 2
        found = effects(CONTIG, [(pos, CONTIG[pos], alt)], window=size)[0, 1]
        assert found == pytest.approx(expected, abs=1e-5)


def test_the_ratio_of_a_deletion_in_a_repeat(effects, checkpoint):
    """Of two A: each strand reads the variant at the first A that it meets."""
    start, size = CONTIG.index("A" * 12), 60
    expected = 0.0
    for letters, first, base in ((CONTIG, start, "A"), (rc(CONTIG), 400 - start - 12, "T")):
        window = letters[first - 29 : first + 31]
        assert window[29:41] == base * 12
        expected -= blanked_log_probability(checkpoint, window, 29, base * 2) / 2
    found = effects(CONTIG, [(start + 5, "AAA", "A")], window=size)[0, 1]
    assert found == pytest.approx(expected, abs=1e-5)


def test_the_ratio_of_a_complex_change(effects, checkpoint):
    pos, ref, alt = 200, CONTIG[200:203], "".join(rc(CONTIG[200])) + "TTGC"
    alt = alt[:-1] + rc(ref[-1])
    new = CONTIG[:pos] + alt + CONTIG[pos + 3 :]
    expected = 0.0
    for turned in (False, True):
        old_, new_ = (rc(CONTIG), rc(new)) if turned else (CONTIG, new)
        first = len(CONTIG) - pos - 3 if turned else pos
        for letters, bases, sign in ((old_, ref, -1), (new_, alt, 1)):
            window = letters[first - 27 : first + 33]
            bases = rc(bases) if turned else bases
            expected += sign * blanked_log_probability(checkpoint, window, 27, bases) / 2
    assert effects(CONTIG, [(pos, ref, alt)])[0, 1] == pytest.approx(expected, abs=1e-5)


def test_distance_is_that_of_embed(run, effects, write, model_folder, tmp_path):
    """With an odd window both strands of a substitution are one region."""
    pos, window = 120, 51
    alt = rc(CONTIG[pos])
    changed = CONTIG[:pos] + alt + CONTIG[pos + 1 :]
    fasta = write("both.fa", f">old\n{CONTIG}\n>new\n{changed}\n")
    bed = write("r.bed", f"old\t{pos - 25}\t{pos + 26}\nnew\t{pos - 25}\t{pos + 26}\n")
    run("embed", fasta, bed, "-m", model_folder, "--both-strands", "-o", tmp_path / "o.h5")
    a, b = anndata.read_h5ad(tmp_path / "o.h5").X.astype(float)
    expected = 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)
    found = effects(CONTIG, [(pos, CONTIG[pos], alt)], window=window)[0, 0]
    assert found == pytest.approx(expected, rel=1e-3)


def test_log_odds_are_those_of_predict(run, effects, write, tasks):
    pos = 120
    changed = CONTIG[:pos] + rc(CONTIG[pos]) + CONTIG[pos + 1 :]
    fasta = write("both.fa", f">old\n{CONTIG}\n>new\n{changed}\n")
    bed = write("r.bed", f"old\t{pos - 25}\t{pos + 26}\nnew\t{pos - 25}\t{pos + 26}\n")
    rows = run("predict", fasta, bed, "-t", tasks["binary"], "-O", "tsv").stdout.splitlines()[1:]
    p = np.array([float(row.split("\t")[-1]) for row in rows])
    found = effects(CONTIG, [(pos, CONTIG[pos], rc(CONTIG[pos]))], tasks["binary"], window=51)[0]
    np.testing.assert_allclose(found[4:6], np.log(p / (1 - p)), atol=1e-4)


def test_log_odds():
    logits = np.array([0.3, -1.0, 2.0])
    p = np.exp(logits / 0.5) / np.exp(logits / 0.5).sum()
    np.testing.assert_allclose(log_odds(logits, "classes", 0.5), np.log(p / (1 - p)))
    np.testing.assert_allclose(log_odds(logits, "multilabel", 0.5), logits / 0.5)
    np.testing.assert_allclose(log_odds(logits, "regression", 0.5), logits)


def test_log_odds_of_a_task_at_another_prior(write, tasks):
    at = 120
    fasta = write("c.fa", f">c\n{CONTIG}\n")
    record = f"c\t{at + 1}\t.\t{CONTIG[at]}\t{rc(CONTIG[at])}\t.\t.\t.\n"
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    vcf = write("v.vcf", f"##fileformat=VCFv4.2\n{columns}{record}")
    task = findna.load_task(tasks["three"])
    rare = replace(task, task=replace(task.task, offsets=(0.0, -3.0, 0.5)))
    window = CONTIG[at - 25 : at + 26]
    for each in (task, rare):
        p = each.predict(window).probabilities[0].astype(float)
        (found,) = findna.score_variants(fasta, vcf, scores=(), task=each, window=51, strand="+")
        for name, value in zip(task.classes, np.log(p / (1 - p)), strict=True):
            assert found.scores[0][f"FINDNA_THREE_{name.upper()}_REF"] == pytest.approx(
                value, abs=1e-3
            )
        region = f"c:{at - 24}-{at + 26}"
        explained = findna.explain(fasta, region, task=each, class_name="donor")
        assert explained.value == pytest.approx(np.log(p[0] / (1 - p[0])), abs=1e-3)


def test_cosine_distance():
    a, b = np.random.default_rng(0).normal(size=(2, 20))
    assert cosine_distance(a, a) == 0
    assert cosine_distance(a, b) == pytest.approx(1 - a @ b / np.sqrt(a @ a * (b @ b)))
    assert cosine_distance(a, -a) == pytest.approx(2)
    assert cosine_distance(a * 0, a) == 1


# the row contract


@pytest.fixture
def fasta(write):
    return write("c.fa", f">c\n{CONTIG.lower()}\n")


@pytest.fixture
def score(run, fasta, model_folder):
    def invoke(vcf, *options, genome=fasta, **more):
        return run("variants", genome, vcf, "-m", model_folder, *options, **more)

    return invoke


def other(base):
    return "ACGT"["ACGT".index(base) - 2]


def messy():
    """Records of every class, out of order, with values that htslib would print differently."""
    at = CONTIG
    snp = f"{at[99]}\t{other(at[99])}"
    multi = f"{at[149]}\t{other(at[149])},{at[149]}TT,*,<DEL>"
    rows = [
        f"c\t100\trs1;rs2\t{snp}\t30.00\tPASS\tAF=1e-05;DB\tGT:GQ\t0|1:9.50\t1/1:.",
        f"c\t50\t.\t{at[49].lower()}\t{other(at[49]).lower()}\t.\t.\t.\tGT\t.\t./.",
        f"c\t150\t.\t{multi}\t4174.512345\tPASS\tAF=0.10,0.2,0.3000001,0;\tGT\t1|2\t0/3",
        f"c\t20\t.\t{at[19]}\t.\t1e3\tPASS\tAF=.\tGT\t0/0\t0/0",
        f"c\t30\t.\t{at[29:33]}\t{rc(at[29:33])},{at[29]},N\t.\tPASS\tDB\tGT\t0/0\t0/1",
        f"c\t10\tbnd\t{at[9]}\t{at[9]}[c:90[,.{at[9]}\t.\tPASS\t.\tGT\t0/0\t0/1",
        f"c\t11\t\t{at[10]}\t{at[10]}\t.\tPASS\t.\tGT\t0/0\t0/1",
        f"c\t300\tlong\t{at[299]}\t{at[299]}{'GATTACA' * 20}\t.\tPASS\t.\tGT\t0/0\t0/1",
    ]
    return rows


def stripped(line):
    """A line without what findna puts into it, by text alone."""
    columns = line.split("\t")
    items = [item for item in columns[7].split(";") if not item.startswith("FINDNA_")]
    columns[7] = ";".join(items) or "."
    return "\t".join(columns)


def test_records_stay_as_they_were(score, write, tasks):
    rows = messy()
    vcf = write("m.vcf", HEADER + "\n".join(rows) + "\n")
    found = score(vcf, "--task", tasks["binary"])
    lines = found.stdout.splitlines()
    new = [line for line in lines if "FINDNA" in line and line.startswith("#")]
    assert [line for line in lines[: -len(rows)] if line not in new and "##findna" not in line] == (
        HEADER.splitlines()
    )
    assert lines[-len(rows) - 1] == HEADER.splitlines()[-1]
    assert [stripped(line) for line in lines[-len(rows) :]] == [
        row.replace("AF=0.10,0.2,0.3000001,0;\t", "AF=0.10,0.2,0.3000001,0\t") for row in rows
    ]
    ids = re.findall(r"##INFO=<ID=(\w+),Number=A,Type=Float,", "\n".join(new))
    assert ids == [*LIKELIHOODS,
                   *(f"FINDNA_BINARY_{what}" for what in ("REF", "ALT", "DELTA"))]  # fmt: skip
    assert all(re.search(r"(model|task) \w+ [0-9a-f]{12}.*, windows of 100 bp", x) for x in new)
    values = [re.search(r"FINDNA_LLR=([^;\t]*)", line) for line in lines[-len(rows) :]]
    shapes = [re.sub(r"[^,.]*\d[^,]*", "x", value[1]) if value else None for value in values]
    assert shapes == ["x", "x", "x,x,.,.", None, "x,x,.", ".,.", "x", "."]
    said = re.search(
        r"(\d+) alleles of 8 records scored \((.*?)\), not scored: (.*?), in", found.stderr
    )
    assert said[1] == "7"
    assert said[2] == "3 snv, 1 mnv, 1 insertion, 1 deletion, 1 same"
    assert said[3] == (
        "1 no_alt, 1 overlapping_deletion, 1 symbolic, 2 breakend, 1 not_acgt, 1 too_long"
    )


def bcftools(*words, input=None, code=0):
    done = subprocess.run([BCFTOOLS, *map(str, words)], input=input, capture_output=True)
    assert done.returncode == code, done.stderr
    assert done.stderr == b""
    return done.stdout


@needs_bcftools
def test_bcftools_reads_it_without_a_warning(score, write, tmp_path):
    rows = [row.replace("c\t11\t\t", "c\t11\t.\t") for row in messy()]
    rows = [rows[0], rows[2].replace("*,<DEL>", "*"), rows[4].replace(",N", "")]
    rows[1] = rows[1].replace(",0;", "").replace("0/3", "0/2")
    vcf = write(
        "m.vcf", HEADER + "\n".join(sorted(rows, key=lambda r: int(r.split("\t")[1]))) + "\n"
    )
    out = tmp_path / "o.vcf.gz"
    score(vcf, "-o", out, "--write-index")
    assert (tmp_path / "o.vcf.gz.tbi").exists()
    ids = ADDED
    added = re.compile(rb"##(INFO=<ID=FINDNA|findnaCommand).*\n")
    assert added.sub(b"", bcftools("annotate", "--no-version", "-x", ids, out)) == (
        bcftools("view", "--no-version", vcf)
    )
    assert b"number of records:\t3" in bcftools("stats", out)
    assert bcftools("view", "-H", out, "c:100-100").count(b"\n") == 1
    table = bcftools("query", "-f", "%POS %FINDNA_LLR\\n", out).decode().splitlines()
    assert [len(row.split(",")) for row in table] == [2, 1, 3]


@needs_bcftools
def test_a_record_of_many_alleles_is_its_split_records(score, write, tmp_path):
    at = CONTIG
    rows = [
        f"c\t150\ta\t{at[149:152]}\t{at[149]},{other(at[149])}{at[150:152]},{at[149:152]}GG",
        f"c\t200\tb\t{at[199]}\t{','.join(sorted({*'ACGT'} - {at[199]}))}",
    ]
    text = HEADER + "".join(f"{row}\t.\t.\t.\tGT\t0/1\t0/2\n" for row in rows)
    joint = write("joint.vcf", text)
    split = tmp_path / "split.vcf"
    subprocess.run([BCFTOOLS, "norm", "-m-", joint, "-o", split], check=True, capture_output=True)
    tables = []
    for vcf in (joint, split):
        found = score(vcf, "-O", "tsv").stdout.splitlines()[1:]
        tables.append(np.array([line.split("\t")[6:] for line in found], float))
    np.testing.assert_allclose(*tables, atol=1e-5)
    scored = tmp_path / "scored.vcf"
    score(joint, "-o", scored)
    lines = subprocess.run([BCFTOOLS, "norm", "-m-", scored], check=True, capture_output=True)
    assert b"Warning" not in lines.stderr
    again = subprocess.run([BCFTOOLS, "query", "-f", "%FINDNA_DIST\t%FINDNA_LLR\n", "-"],
                           input=lines.stdout, capture_output=True, check=True)  # fmt: skip
    values = np.array([line.split() for line in again.stdout.decode().splitlines()], float)
    np.testing.assert_allclose(values, tables[0][:, :2], atol=1e-5)


def test_scores_are_named_in_the_table(score, write, tasks):
    vcf = write("m.vcf", HEADER + "\n".join(messy()) + "\n")
    header, *rows = score(vcf, "-O", "tsv", "--scores", "none", "--task", tasks["three"],
                          "--class", "donor").stdout.splitlines()  # fmt: skip
    names = [f"FINDNA_THREE_DONOR_{what}" for what in ("REF", "ALT", "DELTA")]
    assert header.split("\t") == ["#chrom", "pos", "id", "ref", "alt", "class", *names]
    classes = [row.split("\t")[5] for row in rows]
    assert classes == [
        "snv", "snv", "snv", "insertion", "overlapping_deletion", "symbolic", "no_alt",
        "mnv", "deletion", "not_acgt", "breakend", "breakend", "same", "too_long",
    ]  # fmt: skip
    for row in rows:
        *_, class_, ref, alt, delta = row.split("\t")
        if class_ in ("snv", "mnv", "insertion", "deletion", "same"):
            assert float(delta) == pytest.approx(float(alt) - float(ref), abs=2e-5)
        else:
            assert (ref, alt, delta) == (".", ".", ".")


@pytest.mark.parametrize(
    ("ref", "alt", "kind"),
    [
        ("A", "c", "snv"), ("AC", "AT", "snv"), ("AC", "GT", "mnv"), ("A", "AT", "insertion"),
        ("CAA", "A", "deletion"), ("AC", "GTT", "complex"), ("AC", "ac", "same"),
        ("A", "*", "overlapping_deletion"), ("A", "<DEL>", "symbolic"), ("A", "<*>", "symbolic"),
        ("A", "A[c:5[", "breakend"), ("A", ".A", "breakend"), ("A", "A.", "breakend"),
        ("A", "<ctg>[c:5[", "breakend"), ("A", "R", "not_acgt"), ("N", "A", "not_acgt"),
        ("A", "", "no_alt"),
    ],
)  # fmt: skip
def test_kinds(ref, alt, kind):
    assert class_of_allele(ref, alt) == kind


# BCF, pipes, indexes


@needs_bcftools
@pytest.mark.parametrize("compression", ["b", "u"])
def test_bcf_in_and_out(score, write, tmp_path, compression):
    rows = [row.replace("c\t11\t\t", "c\t11\t.\t").replace(",0;\t", ",0\t") for row in messy()]
    vcf = write("m.vcf", HEADER + "\n".join(rows) + "\n")
    bcf, out = tmp_path / "m.bcf", tmp_path / "o.bcf"
    bcf.write_bytes(bcftools("view", "--no-version", f"-O{compression}", vcf))
    score(bcf, "-o", out, "--no-version")
    assert bcftools("annotate", "--no-version", "-x", ADDED, out) == (
        bcftools("view", "--no-version", bcf)
    )
    from_text = score(vcf, "--no-version").stdout
    from_bcf = score(bcf, "--no-version").stdout
    piped = score("-", "--no-version", input=bcf.read_bytes()).stdout
    assert piped == from_bcf
    query = ["query", "-f", "%POS\t%FINDNA_DIST\t%FINDNA_LLR\n", "-"]
    assert bcftools(*query, input=from_text.encode()) == bcftools(*query, input=from_bcf.encode())
    assert bcftools(*query, input=from_bcf.encode()) == bcftools(*query[:-1], out)
    score(vcf, "-o", out, "--no-version", "--force")
    assert bcftools("view", "--no-version", out) == bcftools(
        "view", "--no-version", "-", input=from_text.encode()
    )


def test_bcf_needs_everything_defined(score, write, tmp_path):
    vcf = write(
        "u.vcf", HEADER + f"c\t100\t.\t{CONTIG[99]}\t{other(CONTIG[99])}\t.\t.\tXX=1\tGT\t.\t.\n"
    )
    error = score(vcf, "-o", tmp_path / "o.bcf", code=1).stderr
    assert len(error.splitlines()) == 1
    assert "u.vcf:8: INFO XX is not defined in the header, as BCF needs it to be" in error
    assert "XX=1;FINDNA_DIST=" in score(vcf).stdout


BCF_HEADER = HEADER.replace(
    "#CHROM",
    """\
##INFO=<ID=I,Number=.,Type=Integer,Description="Integers">
##INFO=<ID=F,Number=.,Type=Float,Description="Floats">
##FORMAT=<ID=DP,Number=.,Type=Integer,Description="Integers">
##FORMAT=<ID=FL,Number=0,Type=Flag,Description="A flag">
##FORMAT=<ID=TX,Number=.,Type=String,Description="Text">
#CHROM""",
)


def bcf_row(**values):
    columns = {
        "chrom": "c", "pos": 100, "id": ".", "ref": CONTIG[99], "alt": other(CONTIG[99]),
        "qual": ".", "filter": ".", "info": ".", "format": "GT", "one": ".", "two": "0/1",
    }  # fmt: skip
    return "\t".join(map(str, (columns | values).values())) + "\n"


LOST = [
    ({"info": "I=2147483648"}, "INFO I is '2147483648', not a 32-bit integer"),
    ({"info": "DB;I=1,-2147483641"}, "INFO I is '-2147483641', not a 32-bit integer"),
    ({"info": "I=abc"}, "INFO I is 'abc', not a 32-bit integer"),
    ({"info": "I=3.5"}, "INFO I is '3.5', not a 32-bit integer"),
    ({"info": "F=0.1,1e-300"}, "INFO F is '1e-300', not a 32-bit float"),
    ({"info": "F=1e39"}, "INFO F is '1e39', not a 32-bit float"),
    ({"info": "F=abc"}, "INFO F is 'abc', not a 32-bit float"),
    ({"info": "=3"}, "INFO of no name is not defined"),
    ({"qual": "1e400"}, "QUAL is '1e400', not a 32-bit float"),
    ({"qual": "1e-300"}, "QUAL is '1e-300', not a 32-bit float"),
    ({"qual": "abc"}, "QUAL is 'abc', not a 32-bit float"),
    ({"qual": ""}, "QUAL is '', not a 32-bit float"),
    ({"filter": "PASS;"}, "FILTER of no name is not defined"),
    ({"format": "GT:DP", "one": ".:1", "two": "0/1:99999999999"}, "FORMAT DP is '99999999999'"),
    ({"format": "GT:GQ", "one": ".:1", "two": "0/1:1,"}, "FORMAT GQ is '', not a 32-bit float"),
    ({"format": "GT:TX:DP", "two": "0/1::5"}, "FORMAT TX is '', not a value or a dot"),
    ({"format": "GT:DP", "two": "0/1:1:2"}, "a sample has 3 values, but FORMAT 2 names"),
    ({"format": "GT:GT", "two": "0/1:0/1"}, "FORMAT is 'GT:GT', which has a name twice"),
    ({"format": "GT:FL", "two": "0/1"}, "FORMAT FL is a flag"),
    ({"two": "0/a"}, "FORMAT GT is '0/a', not a genotype"),
    ({"pos": 2**31, "ref": "N", "alt": "<DEL>"}, "BCF cannot hold the position 2147483648"),
]


@pytest.mark.parametrize(("values", "reason"), LOST)
def test_bcf_refuses_what_it_cannot_hold(score, write, tmp_path, values, reason):
    row = bcf_row(**values)
    vcf = write("m.vcf", BCF_HEADER + bcf_row() + row)
    error = score(vcf, "-o", tmp_path / "o.bcf", code=1).stderr
    [line] = error.splitlines()
    assert f"m.vcf:{BCF_HEADER.count(chr(10)) + 2}: {reason}" in line
    assert line.endswith(", or write VCF: -O vcf")
    assert "<stdin>:" in score("-", "-O", "bcf", input=vcf.read_bytes(), code=1).stderr
    assert (
        score(vcf, "--no-version").stdout.splitlines()[-1].split("\t")[:7] == (row.split("\t")[:7])
    )
    assert [path.name for path in tmp_path.glob("o.bcf*")] == []


@needs_bcftools
def test_bcf_keeps_the_values_that_fit(score, write, tmp_path):
    rows = [
        bcf_row(),
        bcf_row(qual="inf", info="I=2147483647,-2147483640,.;F=1e-44,nan,3.4e+38"),
        bcf_row(qual="30", info="DB", format="GT:DP", one="0|1:.", two="1:2147483647"),
    ]
    vcf = write("m.vcf", BCF_HEADER + "".join(rows))
    score(vcf, "-o", tmp_path / "o.bcf")
    text = bcftools("annotate", "-x", ADDED, tmp_path / "o.bcf")
    found = text.decode().splitlines()[-3:]
    assert [f"{line}\n" for line in found] == [row.replace("1e-44", "9.80909e-45") for row in rows]


def test_merged_bcf_refuses_what_it_cannot_hold(score, run, write, tmp_path):
    vcf = write("m.vcf", BCF_HEADER + bcf_row() + bcf_row(info="I=2147483648"))
    parts = [tmp_path / f"{i}.vcf" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        score(vcf, "-o", part, "--shard", f"{i}/2")
    error = run("merge", *parts, "-o", tmp_path / "o.bcf", code=1).stderr
    assert "2.vcf:" in error
    assert "INFO I is '2147483648', not a 32-bit integer" in error
    assert not (tmp_path / "o.bcf").exists()
    run("merge", *parts, "-o", tmp_path / "o.vcf")


def test_bcf_of_an_input_without_contigs(score, write, tmp_path):
    header = BCF_HEADER.replace("##contig=<ID=c,length=400>\n", "")
    out = tmp_path / "o.bcf"
    score(write("m.vcf", header + bcf_row()), "-o", out)
    with pysam.VariantFile(str(out)) as file:
        assert file.header.contigs["c"].length == len(CONTIG)
        assert [record.pos for record in file] == [100]
    vcf = write("n.vcf", header + bcf_row(chrom="d"))
    error = score(vcf, "-o", out, "-f", "--ref-mismatch", "null", code=1).stderr
    assert "contig d is not defined in the header" in error


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("\ttwo", "\tone", "Duplicated sample name 'one'"),
        ("ID=I,Number", "ID=I,Nu#ber", "Could not parse the header line: "),
    ],
)
def test_bcf_says_why_htslib_refuses_the_header(score, write, tmp_path, old, new, reason):
    vcf = write("m.vcf", BCF_HEADER.replace(old, new) + bcf_row(info="I=1"))
    error = score(vcf, "-o", tmp_path / "o.bcf", code=1).stderr
    [line] = error.splitlines()
    assert f"BCF cannot have this header ({reason}" in line
    assert "cannot write" not in line
    assert "tmp" not in line


def test_a_pipe_gives_the_same_as_a_file(score, write):
    text = HEADER + "\n".join(messy()) + "\n"
    vcf = write("m.vcf", text)
    expected = score(vcf, "--no-version").stdout
    assert score("-", "--no-version", input=text.encode()).stdout == expected
    assert score("-", "--no-version", input=gzip.compress(text.encode())).stdout == expected
    crlf = text.replace("\n", "\r\n").encode()
    assert score("-", "--no-version", input=crlf).stdout == expected


def test_compressed_output_and_its_index(score, write, tmp_path):
    rows = sorted((row for row in messy()), key=lambda row: int(row.split("\t")[1]))
    vcf = write("m.vcf", HEADER + "\n".join(rows) + "\n")
    out = tmp_path / "o.vcf.gz"
    score(vcf, "-o", out, "--write-index")
    with pysam.TabixFile(str(out)) as file:
        assert len(list(file.fetch("c", 99, 100))) == 1
    assert gzip.decompress(out.read_bytes()).count(b"\n") == len(HEADER.splitlines()) + 5 + 8
    assert "exists; --force overwrites it" in score(vcf, "-o", out, code=1).stderr
    bcf = tmp_path / "o.bcf"
    rows = [row.replace("c\t11\t\t", "c\t11\t.\t") for row in rows]
    score(write("n.vcf", HEADER + "\n".join(rows) + "\n"), "-o", bcf, "--write-index")
    assert (tmp_path / "o.bcf.csi").exists()
    before = out.read_bytes()
    unsorted = write("u.vcf", HEADER + "\n".join(messy()) + "\n")
    error = score(unsorted, "-o", out, "-f", "--write-index", code=1).stderr
    assert "u.vcf:9: c:50 comes after c:100, but --write-index needs sorted records" in error
    assert out.read_bytes() == before
    text = unsorted.read_bytes()
    error = score("-", "-o", out, "-f", "--write-index", input=text, code=1).stderr
    assert "written, but not indexed: its records are not sorted; sort it (bcftools sort)" in error
    assert out.read_bytes() != before
    for options in (["-o", tmp_path / "x.vcf"], [], ["-o", tmp_path / "x.tsv.gz"]):
        assert "--write-index needs a" in score(vcf, *options, "--write-index", code=2).stderr


def test_annotating_again_replaces_the_values(score, write):
    vcf = write("m.vcf", HEADER + "\n".join(messy()) + "\n")
    once = score(vcf, "--no-version").stdout
    assert score(write("n.vcf", once), "--no-version").stdout == once


@pytest.mark.parametrize(
    "old",
    [
        '##INFO=<Number=A,ID=FINDNA_DIST,Type=Integer,Description="old">',
        '##INFO=<Description="a, ID=x, \\"b\\"",Type=Integer, ID=FINDNA_DIST,Number=A>',
    ],
)
def test_a_definition_is_replaced_wherever_its_id_stands(score, write, tmp_path, old):
    others = ['##INFO=<ID=X,Number=1,Type=String,Description="not ID=FINDNA_DIST">']
    others.append('##FORMAT=<Number=1,ID=FINDNA_DIST,Type=String,Description="of a sample">')
    row = f"c\t100\t.\t{CONTIG[99]}\t{other(CONTIG[99])}\t.\t.\tX=1\tGT\t.\t.\n"
    header = HEADER.replace("#CHROM", "\n".join([old, *others, "#CHROM"]))
    out = tmp_path / "o.vcf"
    score(write("m.vcf", header + row), "-o", out, "--no-version")
    lines = out.read_text().splitlines()
    defining = [line for line in lines if "FINDNA_DIST" in line and line.startswith("##")]
    assert defining[:2] == others
    assert defining[2].startswith("##INFO=<ID=FINDNA_DIST,Number=A,Type=Float,")
    assert len(defining) == 3
    with pysam.VariantFile(str(out)) as file:
        [found] = file
        assert 0 < found.info["FINDNA_DIST"][0] < 2


def test_the_same_bytes_again_and_the_command(score, write, tmp_path):
    vcf = write("m.vcf", HEADER + "\n".join(messy()) + "\n")
    one, two = score(vcf).stdout, score(vcf).stdout
    assert one == two
    lines = [line for line in one.splitlines() if line.startswith("##findnaCommand=")]
    assert len(lines) == 1
    assert str(vcf) in lines[0]
    assert "##findna" not in score(vcf, "--no-version").stdout


def test_embeddings(score, write, tmp_path):
    vcf = write("m.vcf", HEADER + "\n".join(messy()) + "\n")
    out = tmp_path / "e.h5"
    table = score(vcf, "-O", "tsv", "--embeddings", out).stdout.splitlines()[1:]
    data = anndata.read_h5ad(out)
    rows = [line.split("\t") for line in table]
    columns = ["chrom", "pos", "id", "ref", "alt", "class"]
    assert data.obs[columns].astype(str).to_numpy().tolist() == [row[:6] for row in rows]
    np.testing.assert_allclose(data.X, data.obsm["alt"] - data.obsm["ref"])
    for i, row in enumerate(rows):
        if row[6] == ".":
            assert np.isnan(data.X[i]).all()
        else:
            a, b = (data.obsm[key][i].astype(float) for key in ("ref", "alt"))
            assert cosine_distance(a, b) == pytest.approx(float(row[6]), rel=1e-2, abs=1e-12)
    assert data.uns["findna"]["options"]["window"] == 100


# what does not fit


def record(pos=100, ref=CONTIG[99], alt=other(CONTIG[99]), chrom="c"):
    return f"{chrom}\t{pos}\t.\t{ref}\t{alt}\t.\t.\t.\tGT\t0/1\t0/1\n"


def wrong():
    """Three records that do not fit the genome, and one that does."""
    return (
        record(ref=other(CONTIG[99]), alt=CONTIG[99])
        + record(9999)
        + record(chrom="chr")
        + record()
    )


def test_records_that_do_not_fit_stop_the_run(score, write, tmp_path):
    vcf, out = write("w.vcf", HEADER + wrong()), tmp_path / "o.vcf"
    error = score(vcf, "-o", out, "-m", "tiny", code=1).stderr
    assert len(error.splitlines()) == 1
    assert "w.vcf: 3 of 4 records do not fit the genome: line 8 (c:100): REF is" in error
    assert f"but c.fa has {CONTIG[99]}" in error
    assert "--ref-mismatch null" in error
    assert not out.exists()
    piped = score("-", input=(HEADER + wrong()).encode(), code=1).stderr
    assert "<stdin>:8: c:100: REF is" in piped


def test_records_that_do_not_fit_may_stay_without_scores(score, write):
    vcf = write("w.vcf", HEADER + wrong())
    found = score(vcf, "--ref-mismatch", "null")
    rows = found.stdout.splitlines()[-4:]
    assert [stripped(row) for row in rows] == wrong().splitlines()
    assert [row.split("\t")[7] for row in rows[:3]] == [
        ";".join(f"{name}=." for name in LIKELIHOODS)
    ] * 3
    assert "1 ref_mismatch, 1 unknown_contig, 1 out_of_bounds" in found.stderr


def test_telomeric_breakends_may_lie_outside(score, write):
    vcf = write("t.vcf", HEADER + record(0, "N", ".[c:5[") + record(401, "N", "]c:9]."))
    assert score(vcf).stdout.count("FINDNA_LLR_ALT=.\t") == 2


def test_n_as_ref_of_records_without_scores_fits_any_base(score, write):
    vcf = write("n.vcf", HEADER + record(5, "N", "<DEL>") + record(9, "N", "N[c:50["))
    assert "1 symbolic, 1 breakend" in score(vcf).stderr
    there = CONTIG[4:6]
    mixed = record(5, "N" + there[1], "<DEL>") + record(5, "N" + other(there[1]), "<DEL>")
    assert "1 of 2 records" in score(write("m.vcf", HEADER + mixed), code=1).stderr


def test_names_of_contigs(score, write):
    text = HEADER.replace("##contig=<ID=c,length=400>\n", "") + record(chrom="1")
    vcf, alias = write("a.vcf", text), write("alias.tsv", "1\tc\n")
    assert "no contig 1 in c.fa, which has c" in score(vcf, code=1).stderr
    found = score(vcf, "--chrom-alias", alias).stdout
    assert "##contig=<ID=c,length=400>\n##contig=<ID=1,length=400>\n" in found
    plain = score(write("c.vcf", HEADER + record()), "--no-version").stdout.splitlines()[-1]
    assert found.splitlines()[-1] == plain.replace("c\t", "1\t", 1)


def test_n_in_the_window_and_the_ends_of_the_contig(score, write):
    contig = CONTIG[:80] + "NNRY" + CONTIG[84:]
    genome = write("n.fa", f">c\n{contig}\n")
    rows = record(79, contig[78], other(contig[78])) + record(81, "N", "A") + record(83, "R", "A")
    rows += record(1, contig[0], other(contig[0])) + record(400, contig[-1], other(contig[-1]))
    found = score(write("n.vcf", HEADER + rows), "-O", "tsv", genome=genome).stdout.splitlines()[1:]
    assert [line.split("\t")[5] for line in found] == ["snv", "not_acgt", "not_acgt", "snv", "snv"]
    short = write("s.fa", f">c\n{CONTIG[:30]}\n")
    row = record(30, CONTIG[29], other(CONTIG[29])) + record(1, CONTIG[:30], CONTIG[0])
    assert (
        "2 alleles of 2 records scored" in score(write("s.vcf", HEADER + row), genome=short).stderr
    )


MALFORMED = [
    ("", "neither VCF nor BCF"),
    ("c\t1\t.\tA\tC\t.\t.\t.\n", "neither VCF nor BCF"),
    ("chr1\t0\t100\n", "BED, not VCF; findna embed and findna predict read BED"),
    ("##fileformat=VCFv4.2\n", "ends before its #CHROM line"),
    ("##fileformat=VCFv4.2\nc\t1\t.\tA\tC\t.\t.\t.\n", "2: no line that begins with #CHROM"),
    (HEADER + "c\t1\t.\tA\tC\t.\t.\n", "8: 7 tab-separated columns, but the #CHROM line has 11"),
    (HEADER + record().replace("\t0/1\n", "\n"), "8: 10 tab-separated columns"),
    (HEADER + record("x"), "8: POS is 'x', not a whole number"),
    (HEADER + record(-5), "8: POS is '-5'"),
    (HEADER + record(alt=""), "8: ALT is empty"),
    (HEADER + record(ref=""), "8: REF is empty"),
    (HEADER + record() + "#comment\n", "9: 1 tab-separated column,"),
    (HEADER.encode() + b"c\t\0\n", "8: holds a NUL byte"),
    (gzip.compress((HEADER + record()).encode(), mtime=0)[:-12], "ends early"),
    (b"BCF\2\2garbage", "htslib cannot read"),
    (HEADER + record(alt="," * 70_000), "8: 70002 alleles, more than VCF tools can hold"),
    ((HEADER + record()).replace("\n", "\r"), "1: a carriage return within the line"),
]


@pytest.mark.parametrize(("content", "message"), MALFORMED)
def test_what_is_not_vcf(score, write, tmp_path, content, message):
    vcf = write("bad.vcf", content)
    error = score(vcf, "-o", tmp_path / "o.vcf", code=1).stderr
    assert len(error.splitlines()) == 1
    assert message in error
    assert "bad.vcf" in error
    content = content.encode() if isinstance(content, str) else content
    piped = score("-", "-o", tmp_path / "o.vcf", input=content, code=1).stderr
    assert piped == error.replace(str(vcf), "<stdin>")
    assert not (tmp_path / "o.vcf").exists()


@pytest.mark.slow
def test_a_file_that_was_cut_off(score, write, tmp_path):
    out = tmp_path / "x.vcf.gz"
    with pysam.BGZFile(str(out), "wb") as file:
        file.write((HEADER + "".join(record() for _ in range(1500))).encode())
    whole = out.read_bytes()
    for cut in (whole[:-28], whole[:-60]):
        error = score(write("cut.vcf.gz", cut), code=1).stderr
        assert "BGZF without its last block" in error
    inside = score("-", input=whole[:-60], code=1).stderr
    assert "compressed data ends early" in inside
    between = score("-", input=whole[:-28], code=1)
    assert "<stdin>: compressed data ends early or is damaged after line 1507" in between.stderr
    assert len(between.stderr.splitlines()) == 1
    assert len(score("-", input=whole, code=0).stdout.splitlines()) > 1507
    score("-", "-o", tmp_path / "o.vcf", input=whole[:-28], code=1)
    assert not (tmp_path / "o.vcf").exists()
    bcf = tmp_path / "x.bcf"
    score(out, "-o", bcf)
    whole = bcf.read_bytes()
    assert "ends early" in score("-", input=whole[:-28], code=1).stderr
    cut = write("cut.bcf", whole[:-68] + whole[-28:])
    error = score(cut, code=1).stderr
    assert "cut.bcf: BCF that htslib cannot read (" in error
    assert "BCF read error" in error or "Failed to" in error
    assert len(error.splitlines()) == 1


def test_records_in_any_order(score, write):
    """Only --haplotype and indexes need them sorted."""
    rows = [record(), record(3, CONTIG[2], other(CONTIG[2])), record(9, CONTIG[8], "*")]
    found = [
        score(write("u.vcf", HEADER + "".join(order)), "--no-version").stdout.splitlines()[-3:]
        for order in (rows, rows[::-1])
    ]
    assert found[0] == found[1][::-1]


def test_records_without_fields_stay_as_they_are(score, write, tmp_path):
    text = HEADER + record() + record(9, CONTIG[8], "<DEL>")
    found = score(write("m.vcf", text), "--scores", "none", "--embeddings", tmp_path / "v.h5")
    assert found.stdout.splitlines()[-2:] == text.splitlines()[-2:]


def test_no_records_is_a_valid_result(score, write):
    found = score(write("e.vcf", HEADER))
    assert found.stdout.splitlines()[-1] == HEADER.splitlines()[-1]
    assert "0 alleles of 0 records scored, in" in found.stderr


def test_wrong_usage(score, write, tasks, fasta, tmp_path):
    vcf = write("m.vcf", HEADER + record())
    assert "--scores: no score cosine" in score(vcf, "--scores", "cosine", code=2).stderr
    assert "nothing to do" in score(vcf, "--scores", "none", code=2).stderr
    assert "trained on at most 100 bp" in score(vcf, "--window", 101, code=2).stderr
    assert "1 allele of 1 record scored" in score(vcf, "--window", 101, "--whole").stderr
    error = score(vcf, "--task", tasks["three"], "--class", "exon", code=2).stderr
    assert "no task has a class exon" in error
    assert "is also an input" in score(vcf, "-o", vcf, "-f", code=1).stderr
    out = tmp_path / "o"
    assert "is also the output" in score(vcf, "-o", out, "--embeddings", out, code=2).stderr


def test_tasks_get_names_that_vcf_allows(score, write, tasks, tmp_path):
    folder = tmp_path / "my-task.v2"
    shutil.copytree(tasks["value"], folder)
    found = score(write("m.vcf", HEADER + record()), "--task", folder, "--scores", "none").stdout
    assert "##INFO=<ID=FINDNA_MY_TASK_V2_LOG2FC_DELTA,Number=A,Type=Float," in found
    other_folder = tmp_path / "my_task.v2"
    shutil.copytree(folder, other_folder)
    error = score(write("m.vcf", HEADER + record()), "--task", f"{folder},{other_folder}", code=2)
    assert "two scores would be called FINDNA_MY_TASK_V2_" in error.stderr


def test_from_python(fasta, model_folder, write, tmp_path):
    from findna.commands.scoring import Scoring
    from findna.commands.variants import variants
    from findna.model.precision import compute_on
    from findna.outputs.destination import Destination
    from findna.variants.vcf import VcfSource

    asked = {"scoring": Scoring(model=str(model_folder)), "compute": compute_on("cpu")}

    vcf = write("m.vcf", HEADER + record())
    with Genome(fasta) as genome:
        summary = variants(genome, VcfSource(vcf), Destination(tmp_path / "o.vcf", "vcf"), **asked)
        assert (summary.counts["rows"], summary.counts["snv"]) == (1, 1)
        bad = VcfSource(write("b.vcf", HEADER + record(chrom="d")))
        with pytest.raises(VariantError):
            variants(genome, bad, Destination(tmp_path / "p.vcf", "vcf"), **asked)


@pytest.mark.slow
def test_the_page_of_the_documentation(example, tmp_path, monkeypatch, capsys):
    shutil.copytree(example, tmp_path / "demo")
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "variants.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    exec(compile(code, "variants.md", "exec"), {})
    assert capsys.readouterr().out == "Counter({'snv': 48})\n"
    for name in (*SCORED, *UNSCORED):
        assert f"`{name}`" in page


@pytest.mark.slow
def test_a_reader_that_has_had_enough(fasta, model_folder, write):
    vcf = write("m.vcf", HEADER + record() * 3000)
    words = [sys.executable, "-m", "findna", "variants", fasta, vcf, "-m", model_folder]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline().startswith(b"##fileformat")
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


@pytest.mark.slow
@pytest.mark.parametrize("from_pipe", [False, True])
def test_an_interrupt_is_one_line_and_leaves_nothing(
    fasta, model_folder, write, tmp_path, from_pipe
):
    vcf, folder = write("m.vcf", HEADER + record() * 50_000), tmp_path / "out"
    folder.mkdir()
    words = [sys.executable, "-m", "findna", "variants", fasta, "-" if from_pipe else vcf,
             "-m", model_folder, "-o", folder / "o.vcf.gz"]  # fmt: skip
    with (
        vcf.open("rb") as file,
        subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process,
    ):
        if from_pipe:
            process.stdin.write(file.read(1 << 16))  # and more never comes
            process.stdin.flush()
        for _ in range(600):
            time.sleep(0.1)
            if list(folder.iterdir()):
                break
        process.send_signal(signal.SIGTERM)  # SIGINT may be ignored, as in a background job
        assert process.wait(60) == 130
        assert process.stderr.read().splitlines() == [b"findna: interrupted"]
        assert list(folder.iterdir()) == []


def written(line, fields, values):
    file = io.BytesIO()
    record = VcfRecord(1, "c", 0, ".", "A", tuple("C" * len(values)), line)
    VcfWriter(file, fields).write(record, ["snv"] * len(values), values)
    return file.getvalue().decode("utf-8", "surrogateescape").removesuffix("\n")


column = st.text(st.characters(exclude_characters="\t\n\r\0", exclude_categories=["Cs"]))
info_item = st.text(st.characters(exclude_characters="\t\n\r\0;", exclude_categories=["Cs"]))


@pytest.mark.slow
@given(
    st.lists(column, min_size=7, max_size=7),
    st.lists(info_item | st.sampled_from(["X=1", "X", "XY=2", "Y=.", "AX=3", "."]), max_size=5),
    st.lists(column, max_size=3),
    st.lists(st.tuples(st.none() | st.floats(-9, 9), st.none()), min_size=1, max_size=4),
)
def test_editing_info_leaves_everything_else(before, items, samples, values):
    fields = [InfoField("X", "x"), InfoField("Y", "y")]
    info = ";".join(items)
    once = written("\t".join([*before, info, *samples]), fields, values)
    columns = once.split("\t")
    assert columns[:7] == before
    assert columns[8:] == samples
    kept = [item for item in info.split(";") if not item.startswith(("X=", "Y="))]
    *old, x, y = columns[7].split(";")
    assert [item for item in old if item] == [i for i in kept if i and (i != "." or len(kept) > 1)]
    assert x.startswith("X=")
    assert y == "Y=" + ",".join("." * len(values))
    assert x.count(",") == len(values) - 1
    if all(items):
        assert written(once, fields, values) == once  # again


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_give_records_or_one_clear_error(data, headed):
    with tempfile.NamedTemporaryFile(suffix=".vcf") as file:
        file.write(HEADER.encode() * headed + data)
        file.flush()
        with contextlib.suppress(FindnaError), VcfSource(file.name) as source:
            with source.open() as reader:
                lines = [record.line for record in reader.records]
            expected = [line.removesuffix(b"\r") for line in data.split(b"\n")]
            found = [line.encode("utf-8", "surrogateescape") for line in lines]
            assert found == [line for line in expected if line]


def test_alleles_among_too_many_n(run, model_folder, write, tmp_path):
    fasta = write("n.fa", f">c\n{'N' * 100}{'ACGT' * 50}\n")
    sites = [(101, "A"), (102, "C"), (201, "A")]
    lines = [f"c\t{at}\t.\t{ref}\tT\t.\t.\t.\tGT\t0|1\t0|0\n" for at, ref in sites]
    vcf = write("n.vcf", HEADER + "".join(lines))
    words = ["variants", fasta, vcf, "-m", model_folder, "--window", 60, "-O", "tsv"]
    result = run(*words)
    assert "no_sequence" not in result.output
    result = run(*words, "--max-n", 0.4)
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    column = rows[0].index("class")
    assert [row[column] for row in rows[1:]] == ["no_sequence", "no_sequence", "snv"]
    assert set(rows[1][column + 1 :]) == {"."}
    assert result.stderr.count("too many N around it") == 1
    assert "1 allele of 3 records scored (1 snv), not scored: 2 no_sequence" in result.stderr
    result = run("validate", fasta, vcf, "--window", 60, "--max-n", 0.4, "--no-estimate", "--json")
    assert '"no_sequence": 2' in result.stdout


def test_each_remedy_of_records_that_do_not_fit_is_named_once(run, write):
    genome = write("g.fa", f">chr1\n{'ACGT' * 50}\n>chr2\n{'ACGT' * 50}\n")
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    for rows, n_alias in [
        (["1\t5\t.\tA\tC"], 1),  # 1 for chr1 is a rule, which the message names
        (["ctg\t5\t.\tA\tC"], 1),
        (["chr1\t5\t.\tG\tC"], 0),
        (["chr1\t5\t.\tG\tC", "ctg\t5\t.\tA\tC"], 1),
    ]:
        text = head + "".join(f"{row}\t.\t.\t.\n" for row in rows)
        for name, piped in ((write("v.vcf", text), None), ("-", text.encode())):
            error = run("variants", genome, name, input=piped, code=1).stderr
            last = error.splitlines()[-1]
            assert last.count("--ref-mismatch null") == 1
            if piped is None:  # a pipe stops at its first record
                assert last.count("--chrom-alias") == n_alias
            assert last.count("--chrom-alias") <= 1
