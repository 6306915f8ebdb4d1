"""``findna tasks measure``: a trained task on labelled data."""

import json

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from findna.commands import measure as measuring
from findna.genome.encoding import decode, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.regions import RegionOptions
from findna.model.devices import Compute
from findna.tasks.sites import load_any_task
from tests.conftest import make_task, random_sequence
from tests.pages import Page

SEQUENCES = [random_sequence(120, i) for i in range(40)]
LABELS = [i % 2 for i in range(40)]


def table(rows, header="sequence,label"):
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


@pytest.fixture
def measure(run):
    """The rows that ``findna tasks measure`` prints."""

    def invoke(task, *words):
        result = run("tasks", "measure", task, *words, "--precision", "fp32")
        lines = [line.split("\t") for line in result.stdout.splitlines()]
        assert lines[0][0].startswith("#")
        return lines[1:]

    return invoke


def values(rows):
    return {(row[0], row[1]): row[2:] for row in rows}


@pytest.mark.slow
def test_the_test_set_again_gives_the_figures_of_the_card(run, measure, write, model_folder,
                                                          tmp_path):  # fmt: skip
    motif = "TATAAAGG"
    letters = [x[:50] + motif * y + x[50 + 8 * y :] for x, y in zip(SEQUENCES, LABELS, strict=True)]
    more = [random_sequence(120, 100 + i) for i in range(60)]
    more = [x[:50] + motif * (i % 2) + x[50 + 8 * (i % 2) :] for i, x in enumerate(more)]
    train = write("train.csv", table(zip(more, [i % 2 for i in range(60)], strict=True)))
    test = write("test.csv", table(zip(letters, LABELS, strict=True)))
    task = tmp_path / "x"
    run("finetune", "-t", "x", "-o", task, "-m", model_folder, "--train", train, "--test", test,
        "--class-names", "none,tata")  # fmt: skip
    record = json.loads((task / "task.json").read_text())
    found = values(measure(task, "--data", test))
    names = {"accuracy": "accuracy", "mcc": "MCC", "auroc": "AUROC", "auprc": "AUPRC",
             "macro_f1": "macro-F1"}  # fmt: skip
    for key, name in names.items():
        value, low, high = map(float, found["x", name])
        assert value == record["metrics"]["test"][key]
        assert [low, high] == record["metrics"]["test_interval_95"][key]
    assert run("tasks", "measure", task, "--data", train).stderr.count("figures flatter") == 0
    whole = write("valid.csv", train.read_text())
    run("finetune", "-t", "x", "-o", task, "-f", "-m", model_folder, "--train", train, "--valid",
        whole, "--on-overlap", "keep")  # fmt: skip
    said = run("tasks", "measure", task, "--data", whole).stderr
    assert "was trained on it: its figures flatter" in said


def test_counting_letters_beside_it(measure, tasks, write):
    found = values(measure(tasks["binary"], "--data",
                           write("t.csv", table(zip(SEQUENCES, LABELS, strict=True)))))  # fmt: skip
    cpg = [x.count("CG") for x in SEQUENCES]
    gc = [x.count("C") + x.count("G") for x in SEQUENCES]
    for name, scores in (("CpG", cpg), ("GC content", gc)):
        assert float(found[name, "AUROC"][0]) == round(roc_auc_score(LABELS, scores), 4)
        assert float(found[name, "AUPRC"][0]) == round(average_precision_score(LABELS, scores), 4)
        assert found[name, "AUROC"][1:] == [".", "."]


def test_classes_by_name_or_by_number(run, measure, tasks, write):
    names, some = ("donor", "acceptor", "neither"), [i % 3 for i in range(40)]
    by_number = write("n.csv", table(zip(SEQUENCES, some, strict=True)))
    by_name = write("w.csv", table((x, names[i]) for x, i in zip(SEQUENCES, some, strict=True)))
    wanted = measure(tasks["three"], "--data", by_number)
    assert measure(tasks["three"], "--data", by_name) == wanted
    assert {row[0] for row in wanted} == {"three"}  # letters are counted for two classes only
    turned = write("t.csv", table((x, 2 - i) for x, i in zip(SEQUENCES, some, strict=True)))
    assert measure(tasks["three"], "--data", turned) != wanted
    other = write("o.csv", table((x, "ab"[i > 0]) for x, i in zip(SEQUENCES, some, strict=True)))
    error = run("tasks", "measure", tasks["three"], "--data", other, code=1).stderr
    assert "class 'a'; the task tells donor, acceptor, neither: call them so, or 0 to 2" in error


def test_other_kinds(measure, tasks, write):
    rng = np.random.default_rng(0)
    rows = [(x, *np.round(rng.normal(size=2), 3)) for x in SEQUENCES]
    found = values(measure(tasks["value"], "--data",
                           write("v.csv", table(rows, "sequence,log2fc,rate"))))  # fmt: skip
    assert {metric for _, metric in found} == {"R2", "Pearson r", "Spearman rho", "RMSE"}
    rows = [(x, i % 2, i // 2 % 2, i // 4 % 2) for i, x in enumerate(SEQUENCES)]
    found = values(measure(tasks["labels"], "--data",
                           write("l.csv", table(rows, "sequence,a,b,c"))))  # fmt: skip
    assert ("labels", "AUROC") in found


def test_vectors_are_held_for_some_sequences_at_a_time(measure, tasks, write, monkeypatch):
    data = write("t.csv", table(zip(SEQUENCES, [i % 3 for i in range(40)], strict=True)))
    wanted = measure(tasks["three"], "--data", data)
    sizes = []

    class Watched(measuring.FeatureTable):
        def __init__(self, encoder, sequences, *options, **more):
            sizes.append(len(sequences))
            super().__init__(encoder, sequences, *options, **more)

    monkeypatch.setattr(measuring, "_AT_A_TIME", 16)
    monkeypatch.setattr(measuring, "FeatureTable", Watched)
    assert measure(tasks["three"], "--data", data) == wanted
    assert sizes == [16, 16, 8]


def test_labels_stand_where_those_of_training_may(run, measure, tasks, model_folder, write,
                                                   tmp_path):  # fmt: skip
    """A list of labels in one column, and a target that has another name than its column."""
    names = ["", "a", "b;c", "a;b;c"]
    rows = [(x, names[i % 4]) for i, x in enumerate(SEQUENCES)]
    columns = [(x, *(int(name in y) for name in "abc")) for x, y in rows]
    listed = measure(tasks["labels"], "--data", write("l.csv", table(rows)))
    assert listed == measure(tasks["labels"], "--data",
                             write("c.csv", table(columns, "sequence,a,b,c")))  # fmt: skip
    value = make_task(tmp_path / "v", model_folder, kind="regression", classes=("strength",))
    name = make_task(tmp_path / "n", model_folder, kind="regression", classes=("name",))
    rows = [(x, i / 7) for i, x in enumerate(SEQUENCES)]
    found = measure(value, "--data", write("v.csv", table(rows)))
    named = write("s.csv", table(rows, "sequence,strength"))
    assert measure(value, "--data", named) == found
    bed = write("v.bed", "".join(f"chrA\t{i}\t{i + 30}\t{i / 7}\n" for i in range(20)))
    fasta = write("g.fa", f">chrA\n{random_sequence(200)}\n")
    found = measure(value, fasta, "--data", bed)
    cut = write("n.bed", bed.read_text().replace("\n", "|x\n"))
    assert [x[1:] for x in measure(name, fasta, "--data", cut)] == [x[1:] for x in found]
    names = ("signalValue", "score")
    two = make_task(tmp_path / "w", model_folder, kind="regression", classes=names)
    lines = (f"chrA\t{i}\t{i + 30}\tp\t{i % 7}\t+\t{i / 7}\t1\t1\t9\n" for i in range(20))
    peaks = write("v.narrowPeak", "".join(lines))
    assert measure(two, fasta, "--data", peaks)
    alone = ["--data", peaks, "--label-column", "signalValue"]
    assert measure(value, fasta, *alone) == found


def test_intervals_get_the_windows_of_the_task(run, measure, example, write, model_folder,
                                               tmp_path):  # fmt: skip
    task = make_task(tmp_path / "t", model_folder, window=60, upstream=40, stranded=True)
    points = [(300 + 37 * i, "+-"[i // 2 % 2], i % 2) for i in range(30)]
    rows = []
    with Genome(example / "genome.fa") as genome:
        for at, strand, label in points:
            low = at - (40 if strand == "+" else 19)
            tokens = genome.fetch("chrA", low, low + 60)
            rows.append((decode(reverse_complement(tokens) if strand == "-" else tokens), label))
    wanted = measure(task, "--data", write("s.csv", table(rows)))
    lines = "".join(f"chrA\t{at}\t{at + 1}\t{y}\t0\t{strand}\n" for at, strand, y in points)
    found = measure(task, example / "genome.fa", "--data", write("p.bed", lines))
    assert found == wanted
    wide = "".join(f"chrA\t{at - 9}\t{at + 10}\t{y}\t0\t{strand}\n" for at, strand, y in points)
    words = [example / "genome.fa", "--data", write("w.bed", wide)]
    assert measure(task, *words, "--anchor", "center") == wanted
    said = run("tasks", "measure", task, *words).stderr
    assert "sequences of 19 bp; t was trained on 60 bp: --anchor center lays its windows" in said
    cut = write("c.csv", table((x[:50], y) for x, y in rows))
    assert "sequences of 50 bp; t was trained on 60 bp" in run(
        "tasks", "measure", task, "--data", cut
    ).stderr  # fmt: skip


@pytest.mark.parametrize(
    ("options", "first"),
    [({}, -40), ({"upstream": 10, "downstream": 29}, -10), ({"window": 50}, -25)],
)
def test_letters_are_counted_from_the_point_that_was_given(example, write, model_folder, tmp_path,
                                                           options, first):  # fmt: skip
    task = load_any_task(str(make_task(tmp_path / "t", model_folder, window=60, upstream=40)))
    lines = "".join(f"chrA\t{300 + i}\t{301 + i}\t{i % 2}\n" for i in range(0, 900, 31))
    region, compute = RegionOptions(**options), Compute(torch.device("cpu"))
    with Genome(example / "genome.fa") as genome:
        data = measuring.read_measured(task, write("p.bed", lines), genome, region)
    found = measuring.measure_regions(task, data, compute, region)
    assert found.record["detail"]["motifs"]["first"] == first


def test_rows_of_nothing_but_n(run, tasks, write):
    """They have no prediction, so they have no measure."""
    fasta = write("g.fa", f">c\n{random_sequence(300)}{'N' * 200}{random_sequence(300, 1)}\n")
    lines = "c\t0\t100\t0\nc\t100\t200\t1\nc\t250\t350\t0\nc\t320\t420\t1\n"
    words = ["tasks", "measure", tasks["binary"], fasta, "--data", write("n.bed", lines)]
    error = run(*words, code=1).stderr
    assert "1 of 4 rows hold nothing but N, the first at" in error
    assert "n.bed:4; remove them" in error
    run(*words[:-1], write("k.bed", lines[: lines.index("c\t320")]))


def test_a_class_of_every_base_has_no_figures(run, measure, site_task, write):
    fasta = write("g.fa", f">c\n{random_sequence(600)}\n>n\nACGTNNNNAC\n")
    regions = write("r.bed", "c\t100\t300\n")
    words = [site_task, fasta, "--regions", regions, "--data"]
    both = write("b.bed", "c\t50\t400\tdonor\nc\t120\t121\tacceptor\t0\t+\n")
    assert {row[0] for row in measure(*words, both)} == {"acceptor"}
    said = run("tasks", "measure", *words, both).stderr
    assert "every base that is measured, on both strands, is donor; it has no figures" in said
    alone = write("a.bed", "c\t50\t400\tdonor\n")
    error = run("tasks", "measure", *words, alone, code=1).stderr
    assert "a.bed: every base that is measured, on both strands, is donor; measure more" in error
    unknown = write("u.bed", "n\t5\t6\tdonor\n")
    error = run("tasks", "measure", *words[:2], "--data", unknown, code=1).stderr
    assert "u.bed: all of its sites are N; measure more of GENOME" in error


def test_a_report_with_pictures(run, tasks, write, tmp_path):
    data = write("t.csv", table(zip(SEQUENCES, LABELS, strict=True)))
    words = ["tasks", "measure", tasks["binary"], "--data", data, "-o", tmp_path / "r.html"]
    assert f"-> {tmp_path / 'r.html'}" in run(*words, "--summary", tmp_path / "s.json").stderr
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["exit_status"] == 0
    assert "auroc" in summary["metrics"]["test"]
    page = Page(tmp_path / "r.html")
    assert "ROC, test set" in page.pictures
    assert "Reliability, test set" in page.pictures
    assert ["CpG", "AUROC"] in [row[:2] for rows in page.tables for row in rows]
    assert "exists" in run(*words, code=1).stderr
    run(*words, "-f")
    assert "name a .html file" in run(*words[:-1], tmp_path / "r.txt", code=2).stderr
    assert not (tmp_path / "r.txt").exists()
    assert "is also an input" in run(*words[:-1], data, "-f", code=1).stderr
    assert data.read_text().startswith("sequence")


def test_a_task_of_single_bases(run, measure, donors, tmp_path):
    """Of the contig that was held out it gives the figures of the card."""
    task, regions = donors / "donors", tmp_path / "r.bed"
    regions.write_text("c3\t0\t3000\n")
    test = json.loads((task / "task.json").read_text())["metrics"]["test"]["donor"]
    words = [donors / "g.fa", "--data", donors / "s.bed"]
    rows = measure(task, *words, "--regions", regions, "-o", tmp_path / "r.html")
    keys = ("auprc", "auroc", "precision_at_half_recall")
    wanted = {"donors": test} | {n: x for n, x in test["baselines"].items() if "C" in n}
    assert set(wanted) == {"donors", "GC content, 300 bp", "CpG, 300 bp", "GC content, 1000 bp",
                           "CpG, 1000 bp"}  # fmt: skip
    found = {row[3]: list(map(float, row[4:])) for row in rows}
    assert found == {name: [figures[key] for key in keys] for name, figures in wanted.items()}
    assert {tuple(row[:3]) for row in rows} == {("donor", "28", "6000")}
    assert "Letters, donor" in Page(tmp_path / "r.html").pictures
    everywhere = measure(task, *words)
    assert int(everywhere[0][2]) > 6000
    flatter = "donors was trained on it, but for the contigs that it held out: its figures flatter"
    assert flatter in run("tasks", "measure", task, *words).stderr
    assert flatter not in run("tasks", "measure", task, *words, "--regions", regions).stderr
    regions.write_text("d\t0\t130\n")
    error = run("tasks", "measure", task, *words, "--regions", regions, code=1).stderr
    assert "no site lies in 1 piece of sequence" in error


def test_options_of_the_other_kind_of_task(run, tasks, donors, write, example):
    data = write("t.csv", table([("ACGT" * 20, 0), ("AAGT" * 20, 1)]))
    words = ["tasks", "measure", tasks["binary"], "--data", data]
    assert "--sites is for single bases" in run(*words, "--sites", "donor", code=2).stderr
    both = ["--window", 20, "--upstream", 4]
    assert "cannot be combined" in run(*words, *both, code=2).stderr
    words = ["tasks", "measure", donors / "donors", "--data", donors / "s.bed"]
    assert "tells single bases: give GENOME" in run(*words, code=2).stderr
    words.insert(3, donors / "g.fa")
    assert "--window is for regions" in run(*words, "--window", 9, code=2).stderr
    assert "known are donor, acceptor" in run(*words, "--sites", "exon", code=2).stderr
    empty = write("e.csv", "sequence,label\n")
    assert "holds no rows" in run("tasks", "measure", tasks["binary"], "--data", empty, code=1
                                  ).stderr  # fmt: skip


def test_one_class_alone_has_what_is_defined(measure, tasks, write):
    found = values(measure(tasks["binary"], "--data", write("t.csv", table([(x, 1)
                                                    for x in SEQUENCES]))))  # fmt: skip
    assert found["binary", "AUROC"] == [".", ".", "."]
    assert float(found["binary", "accuracy"][0]) <= 1
    assert ("CpG", "AUROC") not in found
