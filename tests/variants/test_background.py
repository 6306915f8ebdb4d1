"""Scores of common SNPs as a background: quantiles, and LLR less the mean of its context."""

import gzip
import json
import shutil
from collections import defaultdict
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import findna
from findna.genome.encoding import decode, encode, reverse_complement
from findna.variants.background import CLASSES, read_background, share_below
from tests.conftest import random_sequence

HEAD = (
    "##fileformat=VCFv4.2\n##contig=<ID=c,length={}>\n"
    '##INFO=<ID=LABEL,Number=.,Type=String,Description="Effect">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
CONTIG = random_sequence(9_000, 11)
SNPS = [(at, "ACGT"["ACGT".index(CONTIG[at]) - 1 - at % 3]) for at in range(0, 9_000, 7)]
OTHERS = [
    (at, CONTIG[at], "ACGT"["ACGT".index(CONTIG[at]) - 1 - at % 3]) for at in range(5, 9_000, 400)
]
OTHERS += [(0, CONTIG[0], "ACGT"["ACGT".index(CONTIG[0]) - 1]), (60, CONTIG[60], CONTIG[60] + "T")]
OTHERS += [(70, CONTIG[70:72], rc := decode(reverse_complement(encode(CONTIG[70:72])))[::-1])]


def vcf(rows, length=len(CONTIG), info="."):
    lines = (f"c\t{at + 1}\t.\t{ref}\t{alt}\t.\t.\t{info}\n" for at, ref, alt in sorted(rows))
    return HEAD.format(length) + "".join(lines)


def kind_and_context(contig, at, alt):
    """Class and trinucleotide by letters, on the strand where REF is a pyrimidine."""
    word = contig[max(at - 1, 0) : at + 2]
    middle = min(at, 1)
    if contig[at] in "AG":
        middle = len(word) - 1 - middle
        word, alt = (decode(reverse_complement(encode(x))) for x in (word, alt))
    in_cpg = word[middle : middle + 2] == "CG" and alt == "T"
    return "CpG>TpG" if in_cpg else f"{word[middle]}>{alt}", f"{word}>{alt}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory, model_folder, tasks):
    """Genome, common SNPs, and copies of a model and a task."""
    folder = tmp_path_factory.mktemp("background")
    (folder / "g.fa").write_text(f">c\n{CONTIG}\n")
    (folder / "common.vcf").write_text(vcf([(at, CONTIG[at], alt) for at, alt in SNPS]))
    (folder / "others.vcf").write_text(vcf(OTHERS))
    shutil.copytree(model_folder, folder / "little")
    shutil.copytree(tasks["binary"], folder / "binary")
    return folder


@pytest.fixture
def score(run, folder):
    def invoke(name, *options, window=40, model="little", **more):
        words = ["variants", folder / "g.fa", folder / name if name != "-" else name]
        return run(*words, "-m", folder / model, "--window", window, *options, **more)

    return invoke


@pytest.fixture
def made(folder, score):
    """The background of the model and the task, made once; and the scores of its SNPs."""
    file, out = folder / "made.json", folder / "common.tsv"
    if not file.exists():
        done = score("common.vcf", "-t", folder / "binary", "--background-out", file, "-o", out)
        assert f"-> {out}, {file}" in done.stderr
        assert "no quantiles" not in done.stderr
    return file, table(out.read_text())


def table(text):
    head, *rows = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(head, row, strict=True)) for row in rows]


def numbers(rows, name):
    return np.array([np.nan if row[name] == "." else float(row[name]) for row in rows])


def test_quantiles_are_shares_of_the_common_snps(folder, score, made):
    file, common = made
    assert "FINDNA_LLR_Q" not in common[0]
    words = ["-t", folder / "binary", "--background", file, "-O", "tsv"]
    found = table(score("others.vcf", *words).stdout)
    sizes = defaultdict(list)
    for (at, alt), row in zip(SNPS, common, strict=True):
        kind, _ = kind_and_context(CONTIG, at, alt)
        for name, size in (("DIST", float), ("LLR", lambda x: -float(x)),
                           ("BINARY", lambda x: abs(float(x)))):  # fmt: skip
            value = row["FINDNA_BINARY_DELTA" if name == "BINARY" else f"FINDNA_{name}"]
            sizes[kind, name].append(size(value))
    assert min(map(len, sizes.values())) >= 50
    n = 0
    for (at, _, alt), row in zip(sorted(OTHERS), found, strict=True):
        for name in ("DIST", "LLR", "BINARY"):
            if row["class"] != "snv":
                assert row[f"FINDNA_{name}_Q"] == "."
                continue
            kind, _ = kind_and_context(CONTIG, at, alt)
            value = float(row["FINDNA_BINARY_DELTA" if name == "BINARY" else f"FINDNA_{name}"])
            size = -value if name == "LLR" else abs(value)
            share = np.mean(np.array(sizes[kind, name]) < size)
            least = 1.5 / len(sizes[kind, name])
            assert float(row[f"FINDNA_{name}_Q"]) == pytest.approx(share, abs=least + 0.005)
            n += 1
    assert n > 60


def test_the_common_snps_themselves_are_uniform(score, made):
    found = table(score("common.vcf", "--background", made[0], "-O", "tsv").stdout)
    for name in ("FINDNA_DIST_Q", "FINDNA_LLR_Q"):
        tenths = np.histogram(numbers(found, name), np.linspace(0, 1, 11))[0] / len(found)
        assert abs(tenths - 0.1).max() < 0.02


def test_llr_less_the_mean_of_its_context(score, made):
    file, common = made
    of_kind, of_context = defaultdict(list), defaultdict(list)
    for (at, alt), row in zip(SNPS, common, strict=True):
        kind, context = kind_and_context(CONTIG, at, alt)
        of_kind[kind].append(float(row["FINDNA_LLR"]))
        if len(context) == 5:
            of_context[context].append(float(row["FINDNA_LLR"]))
    found = table(score("others.vcf", "--background", file, "-O", "tsv").stdout)
    for (at, _, alt), row in zip(sorted(OTHERS), found, strict=True):
        if row["class"] != "snv":
            assert row["FINDNA_LLR_CTX"] == "."
            continue
        kind, context = kind_and_context(CONTIG, at, alt)
        mean = np.mean(of_kind[kind])
        if len(context) == 5:  # the first base of the contig has no context
            own = of_context[context]
            mean = (sum(own) + 10 * mean) / (len(own) + 10)
        expected = float(row["FINDNA_LLR"]) - mean
        assert float(row["FINDNA_LLR_CTX"]) == pytest.approx(expected, abs=1e-4)


def test_the_other_strand_gives_the_same(folder, score, made, write):
    rows = [(at, ref, alt) for at, ref, alt in OTHERS if len(ref) == len(alt) == 1]
    n = len(CONTIG)
    other = folder / "turned"
    other.mkdir()
    (other / "g.fa").write_text(f">c\n{decode(reverse_complement(encode(CONTIG)))}\n")
    turned = [
        (n - 1 - at, *(decode(reverse_complement(encode(x))) for x in alleles))
        for at, *alleles in rows
    ]
    (other / "v.vcf").write_text(vcf(turned))
    (folder / "snvs.vcf").write_text(vcf(rows))
    words = ["--background", made[0], "-O", "tsv"]
    one = table(score("snvs.vcf", *words).stdout)
    two = [
        dict(zip(record.scores[0], map(str, record.scores[0].values()), strict=True))
        for record in findna.score_variants(
            other / "g.fa", other / "v.vcf", model=folder / "little", window=40,
            background=made[0], device="cpu",
        )
    ]  # fmt: skip
    for name in ("FINDNA_DIST_Q", "FINDNA_LLR_Q", "FINDNA_LLR_CTX"):
        np.testing.assert_allclose(numbers(one, name), numbers(two, name)[::-1], atol=5e-4)


def test_the_header_says_what_and_of_which_snps(folder, score, made):
    text = score("others.vcf", "--background", made[0], "-t", folder / "binary").stdout
    values = json.loads(made[0].read_text())
    assert (
        values["settings"] | {"window": 40, "strand": "both", "precision": "fp32"}
        == (values["settings"])
    )
    assert values["source"]["snps"] == len(SNPS)
    title = f"background common.vcf {values['source']['sha256'][:12]}, windows of 40 bp"
    for name, words in (
        ("FINDNA_LLR_Q", "with a higher FINDNA_LLR, 0 to 1, SNVs only, " + title),
        ("FINDNA_DIST_Q", "with a smaller absolute FINDNA_DIST, 0 to 1, SNVs only, " + title),
        ("FINDNA_BINARY_Q", "with a smaller absolute FINDNA_BINARY_DELTA, 0 to 1, SNVs only"),
        ("FINDNA_LLR_CTX", "same trinucleotide and ALT, SNVs only, " + title),
    ):
        (line,) = [line for line in text.splitlines() if f"ID={name}," in line]
        assert words in line


def test_files_in_the_folders_of_weights(folder, score, made, tmp_path):
    for name in ("little", "binary"):
        shutil.copytree(folder / name, tmp_path / name)
    task, model = tmp_path / "binary", tmp_path / "little"
    words = ["-t", task, "-m", model, "-O", "tsv"]
    bare = score("others.vcf", *words)
    assert "no quantiles" not in bare.stderr
    told = score("others.vcf", *words, "-v").stderr
    assert "model little: no background.json in its folder, so no quantiles (_Q)" in told
    assert "task binary: no background.json" in told
    shutil.copy(made[0], model / "background.json")
    some = score("others.vcf", *words)
    assert "FINDNA_LLR_Q\t" in some.stdout.splitlines()[0]
    assert "FINDNA_BINARY_Q" not in some.stdout.splitlines()[0]
    shutil.copy(made[0], task / "background.40.json")
    both = score("others.vcf", *words)
    assert "no quantiles" not in both.stderr
    assert (
        both.stdout == score("others.vcf", *words, "--background", made[0], model="binary").stdout
    )
    # the fields that were there before stay as they were
    n = len(bare.stdout.splitlines()[0].split("\t"))
    assert [row.split("\t")[:n] for row in both.stdout.splitlines()] == (
        [row.split("\t") for row in bare.stdout.splitlines()]
    )


def test_other_settings_or_weights(folder, score, made, run, tmp_path):
    shutil.copytree(folder / "little", tmp_path / "little")
    shutil.copy(made[0], tmp_path / "little" / "background.json")
    words = ["-m", tmp_path / "little", "-O", "tsv"]
    for options, where in (
        ({"window": 50}, "background.json is of --window 40, not --window 50"),
        ({"strand": "+"}, "background.json is of --strand both, not --strand +"),
    ):  # fmt: skip
        more = [x for name, value in options.items() for x in (f"--{name}", value)]
        found = score("others.vcf", *words, *more)
        (line,) = [line for line in found.stderr.splitlines() if "no quantiles" in line]
        assert where in line
        assert "_Q" not in found.stdout.splitlines()[0]
        refused = score("others.vcf", "--background", made[0], *more, code=2).stderr
        assert "made.json: made.json is of" in refused
        assert len(refused.splitlines()) == 1
    values = json.loads(made[0].read_text())
    values["weights"] = {f"{i:064}": own for i, own in enumerate(values["weights"].values())}
    (tmp_path / "little" / "background.json").write_text(json.dumps(values))
    assert "(background.json is of other weights)" in score("others.vcf", *words).stderr


def test_shares_of_equal_scores():
    half = [0.0] * 101 + [i / 100 for i in range(1, 101)]  # half of the SNPs have no effect
    assert [share_below(x, half) for x in (0, 1e-9, 0.5, 1, 2)] == [0, 0.5, 0.75, 1, 1]
    assert [share_below(x, [0.0] * 201) for x in (0, 1e-9)] == [0, 1]
    assert [share_below(x, [-1, 0, 1]) for x in (-2, -1, -0.5, 1)] == [0, 0, 0.25, 1]


def test_ranks_of_an_earlier_run_go_with_its_scores(score, made, tmp_path):
    score("others.vcf", "--background", made[0], "-o", tmp_path / "one.vcf")
    again = score(tmp_path / "one.vcf", "--strand", "+", "--no-version").stdout
    lines = [line for line in again.splitlines() if not line.startswith("##findnaCommand")]
    assert lines == score("others.vcf", "--strand", "+", "--no-version").stdout.splitlines()


def test_parts_regions_and_pipes_give_the_same(folder, score, made, run, tmp_path):
    words = ["--background", made[0], "--no-version"]
    whole = score("others.vcf", *words).stdout
    shards = [tmp_path / f"{i}.vcf" for i in (1, 2)]
    for i, shard in enumerate(shards, 1):
        score("others.vcf", *words, "-o", shard, "--shard", f"{i}/2")
    run("merge", *shards, "-o", tmp_path / "m.vcf")
    assert (tmp_path / "m.vcf").read_text() == whole
    text = (folder / "others.vcf").read_bytes()
    assert score("-", *words, input=gzip.compress(text)).stdout == whole
    score("others.vcf", *words, "-o", tmp_path / "v.vcf.gz", "--write-index")
    packed = tmp_path / "v.vcf.gz"
    rows = [row for row in whole.splitlines() if row.startswith("c\t4")]
    region = run("variants", folder / "g.fa", packed, "-m", folder / "little", "--window", 40,
                 *words, "-r", "c:4000-4999").stdout  # fmt: skip
    chosen = [row for row in region.splitlines() if row.startswith("c\t4")]
    assert chosen
    assert set(chosen) <= set(rows)
    score("others.vcf", "--no-version", "-o", tmp_path / "2.vcf", "--shard", "2/2", "--force")
    merged = run("merge", shards[0], tmp_path / "2.vcf", "-o", tmp_path / "x.vcf", code=1)
    assert "options backgrounds" in merged.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--shard", "1/2", "-o", "x.vcf"], "leave out --shard and --resume"),
        (["--haplotype", "S1"], "leave out --haplotype"),
        (["--precision", "bf16"], "compute with --precision fp32"),
    ],
)
def test_what_no_background_is_made_of(score, tmp_path, monkeypatch, options, reason):
    monkeypatch.chdir(tmp_path)
    error = score("others.vcf", *options, "--background-out", tmp_path / "b.json", code=2).stderr
    assert f"--background-out: {reason}" in error


def test_a_background_needs_a_file_and_enough_snps(folder, score, tmp_path, site_task):
    out = tmp_path / "b.json"
    text = (folder / "others.vcf").read_bytes()
    assert "a file of variants" in score("-", "--background-out", out, input=text, code=2).stderr
    few = score("others.vcf", "--background-out", out, code=1).stderr
    assert "a class needs 50: give more common SNPs (C>A" in few
    words = ["--scores", "none", "-t", site_task, "--background-out", out]
    assert "tasks of single bases have no quantiles" in (
        score("others.vcf", *words, window=100, code=2).stderr
    )
    assert not out.exists()
    out.write_text("mine")
    assert "--force" in score("others.vcf", "--background-out", out, code=1).stderr
    twice = score("others.vcf", "--background-out", out, "-o", out, "-O", "vcf", "-f", code=2)
    assert "is also another output" in twice.stderr
    for given in ("g.fa", "others.vcf"):
        before = (folder / given).read_bytes()
        again = ["--background-out", folder / given, "--force"]
        assert "is also an input" in score("others.vcf", *again, code=1).stderr
        assert (folder / given).read_bytes() == before
    quiet = score("others.vcf", *words[:4], window=100).stderr
    assert "no quantiles" not in quiet


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda values: values | {"format": 9}, "format 9; this findna reads format 1"),
        (lambda values: values | {"weights": 3}, "not a background"),
        (lambda values: {"format": 1}, "'settings'"),
        (lambda values: [], "not a background"),
        (lambda values: values | {"settings": {}}, "'window'"),
        (lambda values: values | {"counts": {"ACA>T": "x"}}, "not a background"),
        (lambda values: values | {"weights": {"a": {"quantiles": {"x": {"C>A": [2, 1]}}}}},
         "quantiles do not ascend"),
        (lambda values: values | {"weights": {"a": {"quantiles": {}, "means": {"C>A": 1e999}}}},
         "a mean is not finite"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_background(score, made, tmp_path, change, reason):
    file = tmp_path / "b.json"
    file.write_text(json.dumps(change(json.loads(made[0].read_text()))))
    error = score("others.vcf", "--background", file, code=1).stderr
    assert f"{file}: not a background" in error
    assert reason in error
    assert len(error.splitlines()) == 1


def test_rankings_of_an_evaluation(folder, run, made, tmp_path):
    shutil.copytree(folder / "little", tmp_path / "little")
    shutil.copy(made[0], tmp_path / "little" / "background.json")
    sets = tmp_path / "sets"
    sets.mkdir()
    rows = [(at, ref, alt) for at, ref, alt in OTHERS if len(ref) == len(alt) == 1]
    text = vcf(rows).splitlines(keepends=True)
    for i, line in enumerate(text):
        if not line.startswith("#"):
            text[i] = line[:-2] + f"LABEL={i % 2}\n"
    labels = [int(line[-2]) for line in text if not line.startswith("#")]
    (sets / "s.vcf").write_text("".join(text))
    run("evaluate", folder / "g.fa", "--suite", "variants", "--data", sets, "-m",
        tmp_path / "little", "--window", 40, "--draws", 1, "-o", tmp_path / "r")  # fmt: skip
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    (result,) = report["sets"]
    assert len(report["about"]["backgrounds"]) == 1
    values = json.loads(made[0].read_text())
    counts, places = values["counts"], values["trinucleotides"]
    n_snps, n_places = defaultdict(int), defaultdict(int)
    for a, b, word in product("ACGT", "ACGT", ("CA", "CG", "CT", "TA", "TC", "TG")):
        context = f"{a}{word[0]}{b}>{word[1]}"
        kind = "CpG>TpG" if word + b == "CTG" else f"{word[0]}>{word[1]}"
        n_snps[kind] += counts.get(context, 0)
        n_places[kind] += places[context[:3]]
    rates = []
    for at, _, alt in sorted(rows):
        kind, context = kind_and_context(CONTIG, at, alt)
        rate = (n_snps[kind] + 0.5) / (n_places[kind] + 1)
        if len(context) == 5:
            rate = (counts.get(context, 0) + 10) / (places[context[:3]] + 10 / rate)
        rates.append(rate)
    found = result["methods"]["mutation rate of the trinucleotide"][0]["metrics"]["auroc"]
    assert found == pytest.approx(roc_auc_score(labels, -np.array(rates)), abs=1e-4)
    effect_if = result["effect_if"]
    assert effect_if["FINDNA_LLR_Q"] == effect_if["FINDNA_LLR_CTX, absolute"] == "high"
    assert effect_if["FINDNA_LLR_CTX"] == effect_if["mutation rate of the trinucleotide"] == "low"
    assert not any("CTX" in name or "_Q" in name for name in effect_if if "random" in name)
    table_ = table(
        run("variants", folder / "g.fa", sets / "s.vcf", "-m", tmp_path / "little", "--window", 40,
            "-O", "tsv").stdout
    )  # fmt: skip
    found = result["methods"]["FINDNA_LLR_CTX"][0]["metrics"]["auroc"]
    expected = roc_auc_score(labels, -numbers(table_, "FINDNA_LLR_CTX"))
    assert found == pytest.approx(expected, abs=2e-3)


SHIPPED = Path(findna.__file__).parent / "shipped"
BACKGROUNDS = sorted(SHIPPED.glob("*/*/background*.json"))


@pytest.mark.parametrize("file", BACKGROUNDS, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_what_ships_is_of_the_weights_beside_it(file):
    """Otherwise the weights have changed since: bin/variant-background DATA."""
    background = read_background(file)
    name = "config.json" if file.parent.parent.name == "models" else "task.json"
    about = json.loads((file.parent / name).read_text())
    assert list(background.weights) == [about["digest"]]
    assert background.settings["precision"] == "fp32"
    for quantiles in background.weights[about["digest"]]["quantiles"].values():
        assert list(quantiles) == list(CLASSES)


def test_which_backgrounds_ship():
    names = {file.parent.name for file in BACKGROUNDS}
    assert names == {"tiny", "ctcf", "promoter"}


@pytest.mark.realdata
@pytest.mark.slow
def test_common_snps_of_a_cohort(run, shared_data, tmp_path):
    """Of common SNPs about as many lie below the middle as above it."""
    source = shared_data / "variants" / "hapmap_3.3.chr21.hg38.vcf.gz"
    with gzip.open(source, "rt") as file:
        lines = file.readlines()
    head = [line for line in lines if line.startswith("#")]
    (tmp_path / "v.vcf").write_text("".join([*head, *lines[len(head) :: 35][:40]]))
    genome = shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"
    found = table(run("variants", genome, tmp_path / "v.vcf", "-O", "tsv").stdout)
    for name in ("FINDNA_DIST_Q", "FINDNA_LLR_Q"):
        values = numbers(found, name)
        values = values[~np.isnan(values)]  # indels have none
        assert len(values) > 30
        assert 0 <= values.min() <= values.max() <= 1
        assert 0.3 < np.median(values) < 0.7
