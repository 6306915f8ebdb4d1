"""``findna evaluate --suite variants``: a made-up genome, and labels with known reasons."""

import gzip
import json
import re
import shutil

import numpy as np
import pysam
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from findna.errors import LabelError, VariantError
from findna.evaluation import variant_protocol
from findna.evaluation.report import markdown
from findna.evaluation.runs import Run
from findna.evaluation.variant_protocol import VariantOptions, evaluate_variants
from findna.evaluation.variant_report import variant_markdown, variant_rows
from findna.evaluation.variant_sets import distances, find_variant_sets, read_starts, read_variants
from findna.evaluation.variants import APART, TSS, folds, held_out
from findna.genome.fasta import Genome
from findna.model.devices import Compute
from tests.pages import Page

CPU = Compute(torch.device("cpu"))

HEADER = """\
##fileformat=VCFv4.2
##contig=<ID=chrA,length=60000>
##contig=<ID=chrB,length=40000>
##INFO=<ID=TISSUE,Number=.,Type=String,Description="Tissues">
##INFO=<ID=LABEL,Number=.,Type=String,Description="Label per tissue">
#CHROM	POS	ID	REF	ALT	QUAL	FILTER	INFO
"""
TRANSITION = {"A": "G", "G": "A", "C": "T", "T": "C"}
TRANSVERSION = {"A": "C", "G": "T", "C": "A", "T": "G"}
SET = "effects.vcf"


@pytest.fixture(scope="session")
def letters(example):
    with Genome(example / "genome.fa") as fasta:
        return {name: fasta.fetch(name, 0, n) for name, n in fasta.contigs.items()}


@pytest.fixture(scope="session")
def record(letters):
    """``record("chrA", 99, label="1")``: a line; ALT is a transversion where the label is 1."""

    def make(chrom, start, label="0", alt=None, ref=None):
        ref = ref or "ACGNT"[letters[chrom][start]]
        alt = alt or (TRANSVERSION if label == "1" else TRANSITION)[ref]
        info = "." if label is None else f"LABEL={label}"
        return f"{chrom}\t{start + 1}\t.\t{ref}\t{alt}\t.\t.\t{info}\n"

    return make


@pytest.fixture(scope="session")
def data(record, tmp_path_factory):
    """40 transversions within 60 bp of a TSS, and 50 transitions at least 500 bp from any."""
    folder = tmp_path_factory.mktemp("variants")
    rows, starts = [], []
    for chrom, n in (("chrA", 25), ("chrB", 15)):
        for i in range(n):
            start = 1_000 + 2_300 * i
            strand = "+-"[i % 2]  # the 5' end is the same position
            at = (start, start + 100) if strand == "+" else (start - 99, start + 1)
            starts.append(f"{chrom}\t{at[0]}\t{at[1]}\tt{i}\t0\t{strand}\n")
            rows.append(record(chrom, start + 7 * (i % 9 - 4), "1"))
            rows.append(record(chrom, start + 700 + 11 * i))
    rows += [record("chrB", 38_000 + 50 * i) for i in range(10)]
    (folder / SET).write_text(HEADER + "".join(rows))
    (folder / "tss.bed").write_text("".join(starts))
    (folder / "other.vcf").write_text(HEADER.replace("ID=LABEL", "ID=CLASS") + rows[0])
    return folder


@pytest.fixture(scope="session")
def measured(data, example, model_folder, tasks, tmp_path_factory):
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    with Genome(example / "genome.fa") as fasta:
        run = Run(data, CPU, model=str(model_folder), folder=folder)
        names = [str(tasks["binary"]), str(tasks["three"])]
        options = VariantOptions(names, data / "tss.bed", draws=2)
        return evaluate_variants(fasta, run, options), folder


@pytest.fixture
def command(run, example, model_folder):
    """The command line, on a folder, with one random encoder."""

    def invoke(folder, *options, code=0, genome=(example / "genome.fa",)):
        words = ["--suite", "variants", "--data", folder, "-m", model_folder, "--draws", 1]
        return run("evaluate", *genome, *words, *options, code=code)

    return invoke


@pytest.fixture
def read(example, write):
    """``read(lines)``: the set that a file of these records is."""

    def get(*rows, header=HEADER, window=100):
        path = write("made.vcf", header + "".join(rows))
        with Genome(example / "genome.fa") as fasta:
            return read_variants(path, fasta, "LABEL", window)

    return get


# what is measured


@pytest.mark.slow
def test_rows_and_what_they_are_said_to_be(measured):
    report, _ = measured
    (result,) = report["sets"]
    of_model = {
        "FINDNA_DIST": "high",
        "FINDNA_LLR, absolute": "high",
        "FINDNA_LLR": "low",
        "regression on the embedding of the window": "fitted",
        "regression on the change of embedding": "fitted",
        f"regression on the change of embedding and {TSS}": "fitted",
    }
    assert result["effect_if"] == {
        TSS: "low",
        f"regression on GC content and {TSS}": "fitted",
        "transversion": "yes",
        "CpG made or lost": "yes",
        "GC content of the window": "high",
        "regression on 3-mers of the window": "fitted",
        "regression on the change of 3-mers": "fitted",
        **of_model,
        "FINDNA_BINARY_DELTA, absolute": "high",
        **{
            f"FINDNA_THREE_{name}_DELTA, absolute": "high"
            for name in ("DONOR", "ACCEPTOR", "NEITHER")
        },
        **{f"{name}, random weights": word for name, word in of_model.items()},
    }
    assert result["methods"].keys() == result["effect_if"].keys()
    for name, runs in result["methods"].items():
        assert len(runs) == (2 if "random" in name else 1)
        for figures in runs:
            for metric in ("auroc", "auprc"):
                low, high = figures["intervals"][metric]
                assert 0 <= low <= figures["metrics"][metric] <= high <= 1
    first, second = result["methods"]["FINDNA_DIST, random weights"]
    assert first != second
    assert (result["variants"], result["positives"], result["left_out"]) == (90, 40, {})
    assert report["missing"] == ["other.vcf (its header defines no INFO/LABEL)"]
    json.dumps(report, allow_nan=False)


def test_what_separates_perfectly_has_an_auroc_of_1(measured):
    methods = measured[0]["sets"][0]["methods"]
    for name in (TSS, "transversion"):
        (figures,) = methods[name]
        assert figures["metrics"] == {"auroc": 1, "auprc": 1}
        assert figures["intervals"] == {"auroc": [1, 1], "auprc": [1, 1]}
        assert figures["beyond_tss"] == {"auroc": 0, "auprc": 0}
    (other,) = methods["FINDNA_DIST"]
    assert other["beyond_tss"]["auroc"] == pytest.approx(other["metrics"]["auroc"] - 1, abs=1e-5)
    low, high = other["intervals"]["auroc"]
    assert other["beyond_tss_intervals"]["auroc"] == pytest.approx([low - 1, high - 1], abs=2e-5)


def test_scores_are_those_of_findna_variants(measured, data, run, example, model_folder, tasks):
    table = run(
        "variants",
        example / "genome.fa",
        data / SET,
        "-m",
        model_folder,
        "-O",
        "tsv",
        "--task",
        tasks["binary"],
    ).stdout
    header, *rows = [line.split("\t") for line in table.splitlines()]
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    text = (data / SET).read_text()
    labels = [int(row[-1]) for row in text.splitlines() if not row.startswith("#")]
    methods = measured[0]["sets"][0]["methods"]
    for name, field, sign in (
        ("FINDNA_DIST", "FINDNA_DIST", abs),
        ("FINDNA_LLR, absolute", "FINDNA_LLR", abs),
        ("FINDNA_LLR", "FINDNA_LLR", lambda value: -value),
        ("FINDNA_BINARY_DELTA, absolute", "FINDNA_BINARY_DELTA", abs),
    ):
        values = [sign(float(text)) for text in columns[field]]
        found = methods[name][0]["metrics"]
        # six digits in the table may tie what is not tied
        assert found["auroc"] == pytest.approx(roc_auc_score(labels, values), abs=2e-3)
        assert found["auprc"] == pytest.approx(average_precision_score(labels, values), abs=2e-3)


def test_composition_is_measured(measured, data, letters):
    at = {"CG": [], "GC": []}
    labels = []
    for line in (data / SET).read_text().splitlines()[HEADER.count("\n") :]:
        chrom, pos, _, _, alt, *_, info = line.split("\t")
        start = int(pos) - 1 - 49
        window = "".join("ACGNT"[token] for token in letters[chrom][start : start + 100])
        changed = window[:49] + alt + window[50:]
        at["CG"].append(window.count("CG") != changed.count("CG"))
        at["GC"].append(window.count("G") + window.count("C"))
        labels.append(int(info[-1]))
    methods = measured[0]["sets"][0]["methods"]
    for name, values in (("CpG made or lost", at["CG"]), ("GC content of the window", at["GC"])):
        expected = roc_auc_score(labels, values)
        assert methods[name][0]["metrics"]["auroc"] == pytest.approx(expected, abs=1e-5)


def test_lengths_of_indels_are_a_baseline_where_they_differ(
    data, record, example, model_folder, tmp_path
):
    rows = [record("chrA", 1_000 + 500 * i, "1", alt="ACGTACGT", ref=None) for i in range(6)]
    rows += [record("chrA", 20_000 + 500 * i) for i in range(6)]
    (tmp_path / SET).write_text(HEADER + "".join(rows))
    with Genome(example / "genome.fa") as fasta:
        run = Run(tmp_path, CPU, model=str(model_folder))
        report = evaluate_variants(fasta, run, VariantOptions(draws=1))
    (result,) = report["sets"]
    assert result["methods"]["bases inserted or deleted"][0]["metrics"]["auroc"] == 1
    assert TSS not in result["methods"]
    assert "beyond_tss" not in result["methods"]["FINDNA_DIST"][0]
    assert TSS not in variant_markdown(report)


# labels


def test_an_allele_is_one_row_with_the_label_that_all_give(read, record):
    several = record("chrA", 100, "1,1,1", alt="ACG")
    again = record("chrA", 100, "1", alt="acg")
    other_allele = record("chrA", 100, "0", alt="ACGT")
    found = read(
        several,
        again,
        other_allele,
        record("chrA", 200, "0,1"),
        record("chrB", 5, "0,."),
        record("chrB", 7, "."),
        record("chrB", 8, None),
    )
    assert found.n_records == 7
    assert [(r.start, r.alts) for r in found.records[:2]] == [(100, ("ACG",)), (100, ("ACGT",))]
    assert found.places[2].tolist() == [1, 5]
    assert found.labels.tolist() == [1, 0, 0]
    assert found.left_out == {"no_label": 2, "labels_disagree": 1}


def test_records_that_give_one_allele_two_labels_are_left_out(read, record):
    first = record("chrA", 100, "1")
    again = first.replace("LABEL=1", "LABEL=0")
    found = read(first, again, record("chrA", 300, "1"), record("chrB", 5), record("chrA", 50))
    assert found.left_out == {"labels_disagree": 1}
    assert found.labels.tolist() == [0, 1, 0]
    assert found.places.tolist() == [[0, 50], [0, 300], [1, 5]]


def test_what_cannot_be_scored_is_counted(read, record):
    known = [record("chrA", 300, "1"), record("chrB", 5)]
    odd = [record("chrA", 100, alt=alt) for alt in ("<DEL>", ".", "*", "C,G", "A" * 120, "N")]
    found = read(*known, *odd)
    assert found.left_out == {
        "symbolic": 1,
        "no_alt": 1,
        "overlapping_deletion": 1,
        "several_alleles": 1,
        "too_long": 1,
        "not_acgt": 1,
    }
    assert len(found.records) == 2


def test_labels_that_are_wrong(read, record):
    both = [record("chrA", 300, "1"), record("chrB", 5)]
    with pytest.raises(LabelError, match=r"made.vcf:9: INFO/LABEL is '2', not 0 or 1"):
        read(*both, record("chrA", 100, "0,2"))
    with pytest.raises(LabelError, match="INFO/LABEL is 1 of all that can be used; 0 and 1 are"):
        read(both[0], record("chrA", 400, "1,1"), record("chrA", 500, "."))
    with pytest.raises(LabelError, match=r"no label of any that can be used.*; 1 no label"):
        read(record("chrA", 100, None))
    with pytest.raises(VariantError, match="1 of 3 records do not fit") as error:
        read(*both, record("chrA", 100, ref="ACGT" * 20, alt="A"))
    assert "same assembly" in str(error.value)
    assert "--ref-mismatch" not in str(error.value)  # evaluate has no such option


def test_sets_are_files_with_labels(data, write, tmp_path):
    text = (data / SET).read_text()
    with gzip.open(tmp_path / "b.vcf.gz", "wt") as file:
        file.write(text)
    (tmp_path / "c.vcf").write_text(text)
    pysam.tabix_index(str(shutil.copy(tmp_path / "c.vcf", tmp_path / "d.vcf")), preset="vcf")
    write("broken.vcf", "no header\n")
    write("notes.txt", "no set")
    sets, missing = find_variant_sets(tmp_path, "LABEL")
    assert [one.name for one in sets] == ["b.vcf.gz", "c.vcf", "d.vcf.gz"]
    assert len(missing) == 1
    assert missing[0].startswith("broken.vcf (")
    assert find_variant_sets(tmp_path, "CLASS")[0] == []


# distances and folds


def test_distance_to_the_nearest_start(example, write):
    bed = write(
        "t.bed",
        "track x\nchrA\t100\t200\ta\t0\t+\nchrA\t300\t400\tb\t0\t-\n"
        "chrA\t99000\t99001\nchrZ\t1\t2\n",
    )
    with Genome(example / "genome.fa") as fasta:
        starts = read_starts(bed, fasta)
        contigs = list(fasta.contigs)
    assert {name: at.tolist() for name, at in starts.items()} == {"chrA": [100, 399, 99000]}
    places = np.array([[0, 0], [0, 100], [0, 260], [0, 400], [0, 59_999], [1, 5]])
    found = distances(starts, contigs, places)
    assert found[:5].tolist() == [100, 0, 139, 1, 39_001]
    assert found[5] > 1e9  # no start on the contig: farther than any


@pytest.mark.parametrize(("n", "spread"), [(200, 3_000_000), (37, 50_000_000), (3, 10), (1, 1)])
def test_folds_are_contiguous_and_far_from_what_is_learned(n, spread):
    rng = np.random.default_rng(n)
    places = np.stack((rng.integers(0, 3, n), rng.integers(0, spread, n)), 1)
    tested = []
    rank = np.empty(n, int)
    rank[np.lexsort((places[:, 1], places[:, 0]))] = range(n)
    for train, test in folds(places):
        tested += test.tolist()
        assert np.ptp(rank[test]) == len(test) - 1
        assert not set(train) & set(test)
        same = places[train, 0][:, None] == places[test, 0]
        gap = abs(places[train, 1][:, None] - places[test, 1])
        assert (gap[same] >= APART).all()
        far = ~np.isin(places[:, 0], places[test, 0])
        assert set(np.flatnonzero(far)) <= set(train)
    assert sorted(tested) == list(range(n))


@pytest.fixture
def scattered():
    """Places of 40 neighbourhoods of 5 variants, with labels that neighbours share."""
    rng = np.random.default_rng(0)
    where = np.repeat(rng.integers(0, 100_000_000, 40), 5)
    places = np.stack((np.zeros(200, int), where + rng.integers(0, 1_000, 200)), 1)
    return places, np.repeat(rng.permutation(np.arange(40) % 2), 5)


@pytest.mark.slow
def test_what_only_neighbours_know_is_not_learned(scattered):
    places, labels = scattered
    rng = np.random.default_rng(1)
    of_place = np.repeat(rng.normal(size=(40, 60)), 5, axis=0)  # tells neighbourhoods apart
    assert 0.3 < roc_auc_score(labels, held_out(of_place, labels, places)) < 0.7
    of_label = labels[:, None] + rng.normal(size=(200, 1)) / 3
    assert roc_auc_score(labels, held_out(of_label, labels, places)) > 0.95


@pytest.mark.slow
def test_labels_of_a_fold_do_not_decide_its_scores(scattered):
    places, labels = scattered
    features = np.random.default_rng(2).normal(size=(200, 5)) + labels[:, None]
    before = held_out(features, labels, places)
    _, test = next(folds(places))
    other = labels.copy()
    other[test] = 1 - other[test]
    after = held_out(features, other, places)
    np.testing.assert_array_equal(before[test], after[test])
    assert (before != after).any()


def test_the_share_of_positives_in_training_is_not_part_of_a_score(scattered):
    places, _ = scattered
    labels = (places[:, 1] > np.quantile(places[:, 1], 0.7)).astype(int)
    assert abs(held_out(np.ones((200, 1)), labels, places)).max() < 1e-3


def test_with_nothing_to_learn_from_all_scores_are_0():
    places = np.array([[0, i] for i in range(10)])  # one neighbourhood
    assert not held_out(np.arange(10.0)[:, None], np.arange(10) % 2, places).any()


# the report


def test_a_report_in_markdown(measured):
    text = variant_markdown(measured[0])
    assert text.startswith("# little on variants\n")
    for words in (
        "windows of 100 bp, task binary",
        "2 random encoders",
        f"## {SET}",
        "90 variants of 90 records, 40 with an effect; left out: none.",
        "| chance |  | 0.500 | 0.444 |  |",
        f"| {TSS} | low | 1.000 (1.000-1.000) | 1.000 (1.000-1.000) |  |",
        "| transversion | yes | 1.000 (1.000-1.000) | 1.000 (1.000-1.000) | "
        "+0.000 (+0.000 to +0.000) |",
        f"- Better than {TSS} (interval of the difference above 0): none;",
        "Not measured: other.vcf (its header defines no INFO/LABEL).",
    ):
        assert words in text
    assert f"(interval above .5): {TSS}; " in text
    assert " ± " in next(line for line in text.splitlines() if "DIST, random" in line)
    n_columns = {line.count("|") for line in text.splitlines() if line.startswith("|")}
    assert n_columns == {6}


def test_verdicts_follow_the_intervals():
    def runs(value, beyond):
        return [
            {
                "metrics": {"auroc": value, "auprc": value},
                "intervals": {"auroc": [value - 0.04, value + 0.04], "auprc": [0, 1]},
                "beyond_tss": {"auroc": beyond},
                "beyond_tss_intervals": {"auroc": [beyond - 0.04, beyond + 0.04]},
            }
        ]

    methods = {
        TSS: runs(0.6, 0),
        "more": runs(0.7, 0.1),
        "alike": runs(0.53, -0.02),
        "less": runs(0.4, -0.2),
    }
    report = {
        "about": {
            "findna_version": "1",
            "model": "m",
            "digest": "0" * 64,
            "suite": "variants",
            "tasks": {},
            "window": 5,
            "draws": 1,
            "hardware": "a computer",
        },
        "sets": [
            {
                "name": "a",
                "records": 9,
                "variants": 8,
                "positives": 2,
                "left_out": {"no_label": 1},
                "methods": methods,
                "effect_if": dict.fromkeys(methods, "high"),
            }
        ],
        "missing": [],
    }
    text = variant_markdown(report)
    assert f"- AUROC above chance (interval above .5): {TSS}; more.\n" in text
    assert "- Below chance (interval below .5): less.\n" in text
    assert "difference above 0): more; worse (below 0): 1 of 3." in text
    assert "left out: 1 no label." in text
    assert markdown(["score"], [["x"]])[0] == "| score |"
    header, rows = variant_rows(report["sets"])
    assert header == ["set", "score", "effect_if", "AUROC", "AUPRC"]
    assert rows[0] == ["a", "chance", "", "0.500", "0.250"]


# the command line


@pytest.mark.slow
def test_a_table_in_a_pipe_and_reports_in_a_folder(command, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    result = command(data, "-o", out, "--tss", data / "tss.bed", "--window", 60)
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0] == ["#set", "score", "effect_if", "AUROC", "AUPRC"]
    assert rows[1] == [SET, "chance", "", "0.500", "0.444"]
    assert rows[2] == [SET, TSS, "low", *["1.000 (1.000-1.000)"] * 2]
    assert "not measured: other.vcf" in result.stderr
    names = [f"{SET}.json", "report.html", "report.json", "report.md"]
    assert sorted(path.name for path in out.iterdir()) == names
    page = Page(out / "report.html")
    assert page.pictures == [f"AUROC on {SET}"]
    assert page.tables[0][1][:3] == ["chance", "", "0.500"]
    report = json.loads((out / "report.json").read_text())
    assert report["about"]["window"] == 60
    assert report["about"]["draws"] == 1
    assert "holds results already" in command(data, "-o", out, code=1).stderr
    monkeypatch.setattr(variant_protocol, "measure_variants", None)  # nothing is measured again
    command(data, "-o", out, "--tss", data / "tss.bed", "--window", 60, "--resume")
    for other in ([], ["--window", 60], ["--tss", data / "tss.bed"]):
        assert "other options" in command(data, "-o", out, *other, "--resume", code=1).stderr


@pytest.mark.slow
def test_how_long_it_takes_is_told(command, data, tmp_path, monkeypatch):
    assert "about" not in command(data).stderr  # it takes seconds
    monkeypatch.setattr(variant_protocol, "FEW_BASES", 0)
    monkeypatch.setattr("findna.tasks.duration.LEAST_SECONDS", 0)
    words = data, "-o", tmp_path / "out"
    said = r"findna: 90 variants: about \d+ minutes? on this machine"
    assert re.fullmatch(said, command(*words).stderr.splitlines()[0])
    assert "about" not in command(*words, "--resume").stderr


@pytest.mark.slow
def test_another_label(command, data, tmp_path):
    text = (data / SET).read_text().replace("LABEL", "CAUSAL")
    (tmp_path / "x.vcf").write_text(text)
    assert "x.vcf\tchance" in command(tmp_path, "--label", "CAUSAL").stdout
    error = command(tmp_path, code=2).stderr
    assert (
        "no set of the suite variants in it; unusable: x.vcf (its header defines no INFO/LABEL"
        in error
    )


@pytest.mark.slow
def test_a_set_that_cannot_be_used_is_left_out(command, data, record, tmp_path):
    shutil.copy(data / SET, tmp_path / "good.vcf")
    (tmp_path / "bad.vcf").write_text(HEADER + record("chrA", 5, "yes"))
    result = command(tmp_path)
    assert "not measured: bad.vcf (bad.vcf:7: INFO/LABEL is 'yes', not 0 or 1)" in result.stderr
    assert "good.vcf\tchance" in result.stdout
    (tmp_path / "good.vcf").unlink()
    error = command(tmp_path, code=1).stderr
    assert "no set could be measured: bad.vcf (" in error.splitlines()[-1]


def test_inputs_are_checked_before_the_model_is_loaded(
    command, data, record, tmp_path, write, monkeypatch
):
    def must_not(*_):
        raise AssertionError("loaded")

    monkeypatch.setattr(variant_protocol, "load_checkpoint", must_not)
    (tmp_path / "x").mkdir()
    wrong = record("chrA", 5, "1", ref="A" * 30, alt="C")
    (tmp_path / "x" / "x.vcf").write_text(HEADER + wrong)
    assert "1 of 1 record do not fit the genome" in command(tmp_path / "x", code=1).stderr
    (tmp_path / "x" / "x.vcf").write_text(HEADER + record("chrA", 5, "1"))
    assert "0 and 1 are both needed" in command(tmp_path / "x", code=1).stderr
    other = write("other.bed", "1\t5\t6\n")
    assert "other.bed: " in command(data, "--tss", other, code=1).stderr
    empty = write("empty.bed", "")
    assert "holds no rows" in command(data, "--tss", empty, code=1).stderr
    assert "--window 101: " in command(data, "--window", 101, code=2).stderr
    assert "no task nothing" in command(data, "--task", "nothing", code=1).stderr
    assert "no set of the suite" in command(tmp_path, code=2).stderr
    assert "--set y: not among the sets found" in command(data, "--set", "y", code=2).stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--mode", "knn"], "--mode does not go with --suite variants"),
        (["--seeds", 5], "--seeds does not go with --suite variants"),
        (["--baseline", "cnn"], "--baseline does not go with --suite variants"),
        (["--most", 5], "--most does not go with --suite variants"),
        (["--no-kmers"], "kmers does not go with --suite variants"),
        (["--remove-leaks"], "--remove-leaks does not go with --suite variants"),
        (["--lr", 0.1], "--lr needs --mode full"),
        (["--resume"], "--resume needs -o"),
    ],
)
def test_options_of_other_suites(command, data, options, message):
    assert message in command(data, *options, code=2).stderr


@pytest.mark.parametrize("option", ["--task", "--tss", "--window", "--label"])
def test_options_of_this_suite_alone(run, data, option):
    value = data / "tss.bed" if option == "--tss" else 5
    error = run("evaluate", "--data", data, option, value, code=2).stderr
    assert f"{option} needs --suite variants" in error


def test_a_genome_is_needed(command, data):
    assert "--suite variants needs GENOME" in command(data, genome=(), code=2).stderr


@pytest.mark.realdata
def test_variants_with_effects_in_human_tissues(command, shared_data, tmp_path):
    result = command(
        shared_data / "variants",
        "-o",
        tmp_path / "o",
        "--tss",
        shared_data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz",
        genome=[shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"],
    )
    report = json.loads((tmp_path / "o" / "report.json").read_text())
    (found,) = report["sets"]
    assert found["records"] == 401
    assert found["left_out"] == {"labels_disagree": 6}
    assert (found["variants"], found["positives"]) == (395, 182)
    assert found["methods"][TSS][0]["metrics"]["auroc"] > 0.55
    assert len(report["missing"]) == 5
    assert result.stdout.count("\n") == 2 + len(found["methods"])
