"""``findna evaluate``: small suites of motifs planted in random sequence."""

import json
import re
import shutil
import warnings

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef, roc_auc_score

from findna.errors import ConfigError, LabelError, OutputError
from findna.evaluation import geneb
from findna.evaluation import protocol as evaluation
from findna.evaluation.baselines import random_model
from findna.evaluation.protocol import EvaluateOptions, evaluate
from findna.evaluation.published import tables
from findna.evaluation.report import summary_rows, to_markdown, verdict
from findna.evaluation.runs import Run
from findna.genome.encoding import reverse_complement
from findna.labelled.metrics import METRICS, NAMES
from findna.labelled.sets import read_labelled
from findna.model.checkpoint import load_checkpoint
from findna.tasks.features import Features, FeatureTable
from findna.tasks.kmers import kmer_counts
from findna.tasks.recipe import FineTuneConfig
from tests.commands.test_finetune import CPU, csv_of, made, write_set
from tests.conftest import TINY
from tests.pages import Page

FROZEN = tables()[0]

ALL = ("random", "k-mers", "cnn")
QUICK = EvaluateOptions(seeds=1, draws=1, baselines=(), kmers=False)


def evaluated(suite, data, folder, options, **run):
    return evaluate(suite, Run(data, CPU, folder=folder, **run), options)


@pytest.fixture(scope="module")
def suite(tmp_path_factory):
    """Sets ``half/only`` (starred), ``leaky``, ``plain`` (without dev) and ``value`` (numbers).

    Of ``leaky`` training rows 0 and 2 are test row 0, and row 1 is test row 1 turned round.
    """
    folder = tmp_path_factory.mktemp("suite")
    for split, n, seed in (("dev", 48, 1), ("test", 40, 2)):
        write_set(folder / "half" / "only" / f"{split}.csv", made("presence", n, seed))
    train, dev, test = (made("presence", n, seed) for n, seed in ((48, 3), (24, 4), (40, 5)))
    train.sequences[0] = train.sequences[2] = test.sequences[0]
    train.sequences[1] = reverse_complement(test.sequences[1])
    for split, one in (("train", train), ("dev", dev), ("test", test)):
        write_set(folder / "leaky" / f"{split}.csv", one)
    for split, n, seed in (("train", 60, 8), ("test", 40, 9)):
        write_set(folder / "plain" / f"{split}.csv", made("three", n, seed))
        text = csv_of(made("counted", n, seed)).replace("sequence,n\n", "sequence,label\n")
        (folder / "value").mkdir(exist_ok=True)
        (folder / "value" / f"{split}.csv").write_text(text)
    return folder


@pytest.fixture(scope="module")
def measured(suite, model_folder, tmp_path_factory):
    """Report of everything, and the folder it is kept in."""
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    options = EvaluateOptions(seeds=2, draws=2)
    return evaluated("folder", suite, folder, model=str(model_folder), options=options), folder


@pytest.fixture
def one(suite, model_folder):
    """``one("plain", mode="knn")``: the result of one set, measured quickly."""

    def get(name, data=suite, **options):
        settings = EvaluateOptions(**{**vars(QUICK), **options})
        report = evaluated(
            "folder", data, None, model=str(model_folder), options=settings, only=(name,)
        )
        return report["sets"][0]

    return get


def of(report, name):
    (found,) = [result for result in report["sets"] if result["name"] == name]
    return found


def figures(result):
    """Metrics, intervals and choices by method and seed, without how long they took."""
    return {
        method: [(run["metrics"], run["intervals"], run["choice"]) for run in runs]
        for method, runs in result["methods"].items()
    }


# what is measured


@pytest.mark.slow
def test_every_method_is_measured_on_every_set_and_seed(measured):
    report, _ = measured
    assert [result["name"] for result in report["sets"]] == ["half/only", "leaky", "plain", "value"]
    assert report["missing"] == []
    for result in report["sets"]:
        # the CNN tells classes apart and nothing else
        known = ["findna", *ALL][: 4 if result["kind"] == "classes" else 3]
        assert list(result["methods"]) == known
        for runs in result["methods"].values():
            assert [run["seed"] for run in runs] == [0, 1]
            for run in runs:
                assert run.keys() == {
                    "seed", "metrics", "intervals", "choice", "one_class", "seconds"
                }  # fmt: skip
                assert run["metrics"].keys() == set(METRICS[result["kind"]])
                for metric, (low, high) in run["intervals"].items():
                    assert low <= run["metrics"][metric] <= high
        assert result["methods"]["findna"][0]["choice"].keys() == {"features", "C"}
        assert result["methods"]["k-mers"][0]["choice"].keys() == {"k", "both_strands", "C"}
    json.dumps(report, allow_nan=False)


def test_what_a_report_is_about(measured, model_folder):
    expected = {
        "model": "little",
        "digest": load_checkpoint(str(model_folder)).digest,
        "mode": "probe",
        "seeds": 2,
        "draws": 2,
        "baselines": list(ALL),
        "suite": "folder",
        "most": 0,
        "remove_leaks": False,
    }
    about = measured[0]["about"]
    assert {key: about[key] for key in expected} == expected


def test_splits_and_how_they_are_used(measured, suite):
    report, _ = measured
    assert [result["starred"] for result in report["sets"]] == [True, False, False, False]
    assert of(report, "half/only")["used"] == {"train": 36, "valid": 12, "test": 40}
    assert of(report, "leaky")["used"] == {"train": 48, "valid": 24, "test": 40}  # its own dev
    assert of(report, "plain")["used"] == {"train": 45, "valid": 15, "test": 40}
    assert list(of(report, "leaky")["splits"]) == ["train", "dev", "test"]
    assert of(report, "plain")["splits"]["train"] == {
        "rows": 60,
        "sha256": read_labelled(suite / "plain" / "train.csv").digest,
        "file": "train.csv",
    }
    assert of(report, "plain")["classes"] == ["0", "1", "2"]
    assert of(report, "value")["kind"] == "regression"


def test_planted_motifs_are_found(measured):
    for method in ("findna", "k-mers"):
        for metrics, *_ in figures(of(measured[0], "plain"))[method]:
            assert metrics["auroc"] > 0.75


def test_seeds_differ(measured):
    for method in ("findna", "random", "k-mers", "cnn"):
        first, second = figures(of(measured[0], "plain"))[method]
        assert first != second


@pytest.mark.slow
def test_a_set_alone_gives_the_same_figures_again(measured, one):
    again = one("plain", seeds=2, draws=2, baselines=ALL, kmers=True)
    assert figures(again) == figures(of(measured[0], "plain"))


@pytest.mark.slow
def test_the_test_split_decides_nothing(suite, one, tmp_path):
    shutil.copytree(suite / "plain", tmp_path / "plain")
    path = tmp_path / "plain" / "test.csv"
    first, *rows = path.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    labels = np.random.default_rng(0).permutation([label for _, label in cells])
    mixed = [f"{s},{label}" for (s, _), label in zip(cells, labels, strict=True)]
    path.write_text("\n".join([first, *mixed]) + "\n")
    a, b = (figures(one("plain", folder, baselines=ALL)) for folder in (suite, tmp_path))
    for method in a:
        (there, _, choice), (here, _, same) = a[method][0], b[method][0]
        assert choice == same
        assert there != here


@pytest.mark.slow
def test_random_encoders_are_drawn_in_turn(one, monkeypatch):
    drawn = []

    def remember(config, seed):
        drawn.append(seed)
        return random_model(config, seed)

    monkeypatch.setattr(evaluation, "random_model", remember)
    found = one("plain", seeds=3, draws=2, baselines=("random",))
    assert drawn == [0, 1]
    assert len(found["methods"]["random"]) == 3


def test_random_encoders_have_the_sizes_of_the_model_and_leave_the_seed_alone():
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    a, b, c = (random_model(TINY, seed).encoder.embedding.weight for seed in (0, 0, 1))
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(a, b)
    assert not torch.equal(a, c)
    assert a.shape == (TINY.dim, 5)


def test_nearest_neighbours(one):
    found = one("plain", mode="knn", seeds=2, baselines=("random",))
    for runs in found["methods"].values():
        assert [run["choice"].keys() for run in runs] == [{"k"}, {"k"}]
    assert found["methods"]["findna"][0]["metrics"]["auroc"] > 0.6


@pytest.mark.slow
def test_full_training(one):
    config = FineTuneConfig(epochs=1, batch_tokens=600)
    found = one("plain", mode="full", baselines=("random",), config=config)
    for runs in found["methods"].values():
        assert runs[0]["choice"].keys() == {"features", "C", "epoch"}
        assert 0 <= runs[0]["choice"]["epoch"] <= 1
        assert "mers" not in runs[0]["choice"]["features"]


def test_at_most_so_many_sequences(one):
    found = one("leaky", most=20)
    assert found["used"] == {"train": 20, "valid": 20, "test": 20}
    assert {split["rows"] for split in found["splits"].values()} == {20}


def test_leaks_are_counted_and_removed(measured, one):
    assert of(measured[0], "plain")["leaks"]["identical"] == 0
    leaks = {"identical": 1, "reverse_complement": 1, "removed": 0}
    assert of(measured[0], "leaky")["leaks"] == leaks
    cleaned = one("leaky", remove_leaks=True)
    assert cleaned["leaks"] == {**leaks, "removed": 3}
    assert cleaned["splits"]["train"]["rows"] == 45
    assert cleaned["used"]["train"] == 45


def test_a_set_that_is_nothing_but_leaks_is_told_so(run, write, model_folder, tmp_path):
    rows = "sequence,label\n" + "".join(f"{'ACGT' * 9}{'A' * i},{i % 2}\n" for i in range(8))
    for split in ("train", "test"):
        write(f"{split}.csv", rows)
    words = ["--data", tmp_path, "-m", model_folder, "--baseline", "none"]
    said = run("evaluate", *words, "--remove-leaks", code=1).stderr
    assert "train.csv without 8 rows (--remove-leaks): holds no rows" in said


# the protocol of GENEB


GENEB = EvaluateOptions(protocol="geneb", draws=2, baselines=("random", "k-mers"))


@pytest.fixture(scope="module")
def geneb_report(suite, model_folder):
    return evaluated("folder", suite, None, GENEB, model=str(model_folder))


def test_geneb_is_logistic_regression_on_mean_vectors(geneb_report, suite, model_folder):
    found = of(geneb_report, "leaky")
    checkpoint = load_checkpoint(str(model_folder))
    train, test = (read_labelled(suite / "leaky" / f"{split}.csv") for split in ("train", "test"))
    readings = {
        "findna": checkpoint.model.encoder,
        "random": random_model(checkpoint.config, geneb.SEEDS[0]).encoder,
    }
    for method, encoder in readings.items():
        x, y = (
            FeatureTable(encoder, data.sequences, CPU).matrix(
                Features(both_strands=False), np.arange(len(data))
            )
            for data in (train, test)
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = LogisticRegression(max_iter=1000).fit(x, train.labels)
        run = found["methods"][method][0]
        expected = matthews_corrcoef(test.labels, model.predict(y))
        assert run["metrics"]["mcc"] == pytest.approx(expected, abs=1e-4)
        expected = roc_auc_score(test.labels, model.predict_proba(y)[:, 1])
        assert run["metrics"]["auroc"] == pytest.approx(expected, abs=1e-3)
    x, y = (kmer_counts(data.sequences, 4, both_strands=False) for data in (train, test))
    model = LogisticRegression(max_iter=1000).fit(x.toarray(), train.labels)
    expected = matthews_corrcoef(test.labels, model.predict(y.toarray()))
    assert found["methods"]["k-mers"][0]["metrics"]["mcc"] == pytest.approx(expected, abs=1e-4)


def test_geneb_has_its_own_seeds_and_learns_on_all_of_train(geneb_report):
    assert [result["name"] for result in geneb_report["sets"]] == ["leaky", "plain"]
    assert geneb_report["missing"] == [
        "half/only (no train split, on which --protocol geneb learns)",
        "value (labels of regression; --protocol geneb measures classes)",
    ]
    assert of(geneb_report, "leaky")["used"] == {"train": 48, "valid": 0, "test": 40}
    assert of(geneb_report, "plain")["used"] == {"train": 60, "valid": 0, "test": 40}
    assert list(of(geneb_report, "leaky")["splits"]) == ["train", "test"]
    for result in geneb_report["sets"]:
        assert list(result["methods"]) == ["findna", "random", "k-mers"]
        for method, runs in result["methods"].items():
            assert [run["seed"] for run in runs] == [13, 17, 42, 123, 997]
            figures = [run["metrics"] for run in runs]
            assert figures == [figures[0], figures[1], *figures[:2], figures[0]]  # two draws
            assert (figures[0] != figures[1]) == (method == "random")


def test_geneb_on_both_strands(suite, one):
    settings = vars(GENEB) | {"both_strands": True}
    a = one("plain", **settings)["methods"]
    b = one("plain", **vars(GENEB))["methods"]
    for method, strands in ((a, "both strands"), (b, "forward strand")):
        assert method["findna"][0]["choice"]["features"] == f"mean, {strands}"
        assert method["k-mers"][0]["choice"]["features"] == f"4-mers, {strands}"
    for method in a:
        assert a[method][0]["metrics"] != b[method][0]["metrics"]


def test_geneb_in_markdown(geneb_report):
    text = to_markdown(geneb_report)
    assert "protocol geneb, mean vectors of the forward strand, fp32, 5 seeds" in text
    assert "fitted on all of train; nothing is chosen" in text
    assert "| plain | MCC | 60, 0, 40 |" in text
    assert "What validation chose" not in text
    fakes = [fake("gue/mouse/2", 0.7), fake("gue/mouse/0", 0.36)]
    part = to_markdown(report_of(*fakes))
    part = part[part.index("### Beside published figures: GENEB") :]
    cells = rows_of(part[: part.index("Against the best")])
    assert cells["gue/mouse/2"][1:3] == ["0.440", "0.667"]
    assert cells["gue/mouse/0"][-1] == "loss against SpliceBERT (20 M)"


# going on, and going wrong


@pytest.fixture
def copied(measured, tmp_path):
    return shutil.copytree(measured[1], tmp_path / "copied")


def must_not(*_, **__):
    raise AssertionError("measured again")


def test_a_resumed_run_measures_nothing_again(measured, copied, suite, model_folder, monkeypatch):
    monkeypatch.setattr(evaluation, "evaluate_set", must_not)
    again = evaluated(
        "folder",
        suite,
        copied,
        EvaluateOptions(seeds=2, draws=2),
        model=str(model_folder),
        resume=True,
    )
    before = json.loads(json.dumps(measured[0]))
    assert again["about"].pop("seconds") <= before["about"].pop("seconds")
    assert json.loads(json.dumps(again)) == before


@pytest.mark.slow
def test_an_interrupted_run_goes_on_where_it_was(suite, model_folder, tmp_path, monkeypatch):
    ordinary, calls = evaluation.evaluate_set, []

    def stop_at_the_second(chosen, *arguments, **more):
        calls.append(chosen.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return ordinary(chosen, *arguments, **more)

    monkeypatch.setattr(evaluation, "evaluate_set", stop_at_the_second)
    options = {"model": str(model_folder), "options": QUICK}
    with pytest.raises(KeyboardInterrupt):
        evaluated("folder", suite, tmp_path / "o", **options)
    assert [path.name for path in (tmp_path / "o").iterdir()] == ["half.only.json"]
    report = evaluated("folder", suite, tmp_path / "o", resume=True, **options)
    assert calls == ["half/only", "leaky", "leaky", "plain", "value"]
    assert len(report["sets"]) == 4


def test_results_are_not_mixed(copied, suite, model_folder, monkeypatch):
    monkeypatch.setattr(evaluation, "evaluate_set", must_not)
    options = EvaluateOptions(seeds=2, draws=2)
    words = {"model": str(model_folder), "options": options}
    with pytest.raises(OutputError, match="holds results already; --resume"):
        evaluated("folder", suite, copied, **words)
    for other in ({"options": QUICK}, {"model": "tiny"}):
        with pytest.raises(OutputError, match="another model or other options"):
            evaluated("folder", suite, copied, **{**words, **other}, resume=True)


@pytest.mark.parametrize("change", ["a file", "a name", "another folder"])
def test_results_of_other_data_are_not_mixed(copied, suite, model_folder, tmp_path, change):
    """A set that is not measured now counts too: its result would be in the report."""
    data = shutil.copytree(suite, tmp_path / "data")
    if change == "a file":
        with (data / "plain" / "test.csv").open("a") as file:
            file.write("ACGTACGTACGT,a\n")
    elif change == "a name":
        (data / "plain" / "train.csv").rename(data / "plain" / "dev.csv")
    else:
        shutil.rmtree(data / "plain")
    options = EvaluateOptions(seeds=2, draws=2)
    words = {"model": str(model_folder), "options": options, "only": ("value",)}
    evaluated("folder", shutil.copytree(suite, tmp_path / "same"), copied, resume=True, **words)
    with pytest.raises(OutputError, match=r"plain\.json: measured on other data than"):
        evaluated("folder", data, copied, resume=True, **words)


@pytest.mark.parametrize("result", ["5", "{}", '{"name": []}'])
def test_a_result_of_another_make(tmp_path, suite, model_folder, monkeypatch, result):
    monkeypatch.setattr(evaluation, "evaluate_set", must_not)
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "x.json").write_text(f'{{"settings": "x", "result": {result}}}')
    (tmp_path / "o" / "y.json").write_text("[" * 100_000)
    words = {"model": str(model_folder), "options": QUICK, "resume": True}
    with pytest.raises(OutputError, match="not a result of this findna"):
        evaluated("folder", suite, tmp_path / "o", **words)


def test_force_begins_anew_and_leaves_files_of_others(copied, suite, model_folder):
    for name in ("mine", "settings"):
        (copied / f"{name}.json").write_text(json.dumps({name: 1}))
    options = {"model": str(model_folder), "options": QUICK, "only": ("plain",)}
    evaluated("folder", suite, copied, force=True, **options)
    left = ["mine.json", "plain.json", "settings.json"]
    assert sorted(path.name for path in copied.iterdir()) == left


def test_a_set_that_cannot_be_read_is_left_out(suite, model_folder, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(suite / "plain", tmp_path / name)
    (tmp_path / "a" / "train.csv").write_text("sequence,label\nACGT,0\nACXT,1\n")
    options = {"model": str(model_folder), "options": QUICK}
    report = evaluated("folder", tmp_path, None, **options)
    assert [result["name"] for result in report["sets"]] == ["b"]
    (missing,) = report["missing"]
    assert missing.startswith("a (")
    assert "train.csv:3" in missing
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(LabelError, match=r"no set could be measured: a \("):
        evaluated("folder", tmp_path, None, **options)


@pytest.mark.slow
def test_sets_of_a_suite_that_are_not_there_are_named(suite, model_folder, tmp_path):
    shutil.copytree(suite / "plain", tmp_path / "GUE" / "tf" / "0")
    options = {"model": str(model_folder), "options": QUICK}
    report = evaluated("gue", tmp_path, None, **options)
    assert [result["name"] for result in report["sets"]] == ["gue/tf/0"]
    assert len(report["missing"]) == 27
    assert "gue/virus/covid" in report["missing"]
    assert "gue/virus/covid" in to_markdown(report)
    for name in ("tf/0", "gue/tf/0"):
        assert evaluated("gue", tmp_path, None, only=(name,), **options)["missing"] == []
    with pytest.raises(ConfigError, match="--set tf/1: not among the sets found: gue/tf/0"):
        evaluated("gue", tmp_path, None, only=("tf/1",), **options)


# the command line


@pytest.fixture
def command(run, suite, model_folder):
    def invoke(*options, code=0, data=suite, genome=()):
        words = ["--data", data, "-m", model_folder, "--no-kmers", "--seeds", 1]
        return run("evaluate", *genome, *words, *options, code=code)

    return invoke


@pytest.mark.slow
def test_a_table_in_a_pipe_and_reports_in_a_folder(command, tmp_path):
    out = tmp_path / "out"
    result = command("-o", out, "--baseline", "k-mers", "--set", "plain", "--set", "half/only")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0][:4] == ["#set", "metric", "findna", "k-mers"]
    assert [row[:2] for row in rows[1:]] == [["half/only*", "AUROC"], ["plain", "AUROC"]]
    for row in rows[1:]:
        assert all(re.fullmatch(r"0\.\d{3}|1\.000", cell) for cell in row[2:4])  # of one seed
    assert f"2 sets in {json.loads((out / 'report.json').read_text())['about']['seconds']} s" in (
        result.stderr
    )
    names = ["half.only.json", "plain.json", "report.html", "report.json", "report.md"]
    assert sorted(path.name for path in out.iterdir()) == names
    assert "half/only*" in (out / "report.md").read_text()
    page = Page(out / "report.html")
    assert page.pictures == ["AUROC by set"]
    assert [row[0] for row in page.tables[0]] == ["set", "half/only*", "plain", "mean of 2"]
    assert list(page.sections)[1:] == ["little on folder", "Other metrics", "What validation chose"]
    before = {name: (out / name).read_bytes() for name in names[:2]}
    assert "holds results already" in command("-o", out, code=1).stderr
    options = ["--baseline", "k-mers", "--resume"]
    command("-o", out, *options, "--set", "plain")
    assert {name: (out / name).read_bytes() for name in names[:2]} == before
    assert "other options" in command("-o", out, "--resume", code=1).stderr


def test_no_baseline_and_no_folder(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = command("--baseline", "none", "--set", "plain")
    assert result.stdout.splitlines()[0] == "#set\tmetric\tfindna"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [("--mode", "knn"), ("--mode", "full", "--epochs", 1), ("--protocol", "geneb"), ()]
)
def test_how_long_it_takes_is_told(run, suite, model_folder, tmp_path, monkeypatch, options):
    monkeypatch.setattr("findna.evaluation.protocol.FEW_BASES", 0)
    monkeypatch.setattr("findna.tasks.duration.LEAST_SECONDS", 0)
    words = ["evaluate", "--data", suite, "-m", model_folder, "--set", "plain", "--set", "leaky"]
    words += [*options, "--cache", "none", "-o", tmp_path / "out", "--draws", 1]
    words += [] if "geneb" in options else ["--seeds", 1]
    told = run(*words).stderr.splitlines()[0]
    end = ", if training goes on for 1 epoch" if "full" in options else ""
    of_leaky = 88 if "geneb" in options else 112  # geneb reads no dev split
    said = rf"sequences of \d+ bp: about \d+ minutes? on this machine{end}"
    assert re.fullmatch(f"findna: 2 sets, {100 + of_leaky} {said}", told)
    (tmp_path / "out" / "leaky.json").unlink()
    told = run(*words, "--resume").stderr.splitlines()[0]
    assert re.fullmatch(f"findna: {of_leaky} {said}", told)
    assert "about" not in run(*words, "--resume").stderr


def test_geneb_from_the_command_line(run, suite, model_folder, tmp_path):
    words = ["evaluate", "--data", suite, "-m", model_folder, "--protocol", "geneb", "--draws", 1]
    result = run(*words, "--set", "plain", "--cache", tmp_path / "kept", "-o", tmp_path / "out")
    rows = [line.split("\t") for line in result.stdout.splitlines()]
    assert rows[0] == ["#set", "metric", "findna", "random weights", "k-mers"]
    assert rows[1][:2] == ["plain", "MCC"]
    assert len(list((tmp_path / "kept").iterdir())) == 2  # of the model and of random weights
    again = run(*words, "--set", "plain", "--cache", tmp_path / "kept")
    assert again.stdout == result.stdout
    assert run(*words, "--set", "plain", "--cache", "none").stdout == result.stdout
    assert "cnn does not go" in run(*words, "--baseline", "cnn", code=2).stderr
    assert "--mode does not go" in run(*words, "--mode", "knn", code=2).stderr
    error = run(*words, "--set", "half/only", code=1).stderr
    assert "half/only (no train split, on which --protocol geneb learns)" in error


def test_vectors_are_kept_between_runs(command, tmp_path):
    words = "--set", "plain", "--baseline", "random"
    first = command(*words, "--cache", tmp_path / "kept")
    kept = {path: path.read_bytes() for path in (tmp_path / "kept").iterdir()}
    assert len(kept) == 8  # two encoders, two layers, two strands
    assert command(*words, "--cache", tmp_path / "kept").stdout == first.stdout
    assert {path: path.read_bytes() for path in (tmp_path / "kept").iterdir()} == kept
    next(iter(kept)).write_bytes(b"")
    assert command(*words, "--cache", tmp_path / "kept").stdout == first.stdout
    assert command(*words, "--cache", "none").stdout == first.stdout
    assert command(*words).stdout == first.stdout


def test_sets_of_intervals(command, example, tmp_path):
    for split, offset in (("train", 0), ("test", 40)):
        rows = [f"chrA\t{i * 100}\t{i * 100 + 60}\t{i % 2}\n" for i in range(offset, offset + 40)]
        (tmp_path / "x").mkdir(exist_ok=True)
        (tmp_path / "x" / f"{split}.bed").write_text("".join(rows))
    options = ["--baseline", "none"]
    command(*options, data=tmp_path, genome=[example / "genome.fa"])
    error = command(*options, data=tmp_path, code=1).stderr
    assert "no set could be measured" in error.splitlines()[-1]
    assert "give GENOME" in error


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--resume"], 2, "--resume needs -o"),
        (["--lr", 1e-3], 2, "--lr needs --mode full"),
        (["--mode", "knn", "--epochs", 2], 2, "--epochs needs --mode full"),
        (["--mode", "full", "--dropout", 1], 2, "dropout must be"),
        (["--set", "nothing"], 2, "--set nothing: not among the sets found: half/only, leaky"),
        (["--suite", "gue"], 2, "no set of the suite gue"),
        (["--suite", "other"], 2, "--suite"),
        (["--seeds", 0], 2, "--seeds"),
        (["--baseline", "oracle"], 2, "--baseline"),
        (["-m", "nowhere"], 1, "no model nowhere"),
        (["--protocol", "geneb"], 2, "--seeds does not go with --protocol geneb"),
        (["--both-strands"], 2, "--both-strands needs --protocol geneb"),
    ],
)
def test_options_that_are_wrong(command, options, code, message):
    assert message in command(*options, code=code).stderr


def test_folders_without_sets(command, tmp_path):
    (tmp_path / "notes").mkdir()
    error = command(data=tmp_path, code=2).stderr
    assert error.count("\n") == 1
    assert "a set is a folder that holds test and train (or dev) files" in error
    assert "does not exist" in command(data=tmp_path / "nowhere", code=2).stderr
    (tmp_path / "file").write_text("")
    out = tmp_path / "file"
    assert "is not a folder" in command("-o", out, "--set", "plain", code=1).stderr


# the report


def fake(name, ours, others=(), starred=False, leaks=(0, 0, 0), kind="classes", width=0.02):
    """A result of two seeds; every metric of a method has the same value."""

    def runs(value):
        return [
            {
                "seed": seed,
                "metrics": dict.fromkeys(METRICS[kind], value + 0.01 * (2 * seed - 1)),
                "intervals": {metric: [value - width, value + width] for metric in METRICS[kind]},
                "choice": {"k": 5, "both_strands": True, "C": 0.1, "features": "mean"},
            }
            for seed in (0, 1)
        ]

    return {
        "name": name,
        "starred": starred,
        "kind": kind,
        "leaks": dict(zip(("identical", "reverse_complement", "removed"), leaks, strict=True)),
        "used": {"train": 75, "valid": 25, "test": 50},
        "methods": {"findna": runs(ours)} | {m: runs(value) for m, value in dict(others).items()},
    }


def report_of(*sets, missing=()):
    about = {
        "findna_version": "1",
        "model": "little",
        "digest": "0" * 64,
        "mode": "probe",
        "seeds": 2,
        "draws": 2,
        "most": 5000,
        "suite": "folder",
        "hardware": "a computer",
    }
    return {"about": about, "sets": list(sets), "missing": list(missing)}


def rows_of(text):
    return {
        cells[0]: cells[1:]
        for cells in ([c.strip() for c in line.split("|")[1:-1]] for line in text.splitlines())
        if len(cells) > 3
    }


def test_a_real_report_in_markdown(measured):
    text = to_markdown(measured[0])
    assert text.startswith("# little on folder\n")
    for title in ("half/only*", "leaky†", "plain", "value"):
        assert f"| {title} |" in text
    assert "\\* trained on dev" in text
    assert "leaky 1 and 1" in text
    for words in ("AUROC", "R2", "findna - random weights", "Spearman rho", "all sequences"):
        assert words in text
    assert "published figures" not in text
    assert "What validation chose" in text


def test_means_differences_and_exceptions():
    k_mers, random = "k-mers", "random"
    text = to_markdown(
        report_of(
            fake("a", 0.8, {random: 0.7, k_mers: 0.85}),
            fake("b", 0.9, {random: 0.6, k_mers: 0.87}),
            fake("c", 0.7, {random: 0.5}),  # not measured with k-mers: in no mean
            missing=["d", "e (no test split)"],
        )
    )
    table = rows_of(text[: text.index("### Other")])
    assert table["a"] == [
        "AUROC",
        "75, 25, 50",
        "0.800 ± 0.010 (0.780-0.820)",
        "0.700 ± 0.010",
        "0.850 ± 0.010",
        "+0.100",
        "-0.050",
    ]
    assert table["c"][-3:] == ["", "+0.200", ""]
    assert table["mean of 2"][2:] == ["0.850", "0.650", "0.860", "+0.200", "-0.010"]
    assert "- Against random weights: +0.200 in the mean of 3 sets; above it on all." in text
    assert "- Against k-mers: -0.010 in the mean of 2 sets; not above it on 1: a (-0.050)." in text
    assert "at most 5,000 sequences of a split" in text
    assert text.endswith("Not measured: d; e (no test split).\n")


def test_wins_ties_and_losses_against_published_figures():
    best = {name: max(FROZEN.rows[name]) for name in FROZEN.rows}
    win, tie, loss = "gue/EMP/H3", "gue/EMP/H4", "gue/EMP/H4ac"
    sets = [fake(win, best[win] + 0.03), fake(tie, best[tie] + 0.01), fake(loss, best[loss] - 0.1)]
    for result, said in zip(sets, ("win", "tie", "loss"), strict=True):
        assert verdict(result, FROZEN, best[result["name"]]) == said
    text = to_markdown(report_of(*sets))
    part = text[text.index(FROZEN.source) :]
    assert (
        f"Against the best of these models findna wins on 1: {win}; ties on 1: {tie}; "
        f"loses on 1: {loss}." in part
    )
    assert FROZEN.note in part
    cells = rows_of(part[: part.index("Against the best")])[win]
    assert cells[0].startswith(f"{best[win] + 0.03:.3f} ±")
    assert cells[1:-1] == [f"{value:.3f}" for value in FROZEN.rows[win]]
    assert cells[-1] == "win against Caduceus-Ph"
    mcc = text[text.index("Zhou et al.") :]  # another source, another metric
    assert f"findna, {NAMES['mcc']}" in mcc


def test_marks_of_sets():
    sets = [
        fake("starred", 0.8, starred=True),
        fake("leaky", 0.8, leaks=(2, 0, 0)),
        fake("turned", 0.8, leaks=(0, 1, 0)),
        fake("cleaned", 0.8, leaks=(5, 1, 2)),  # several test rows of one training row
        fake("both", 0.8, starred=True, leaks=(1, 0, 0)),
    ]
    text = to_markdown(report_of(*sets))
    for title in ("starred*", "leaky†", "turned†", "cleaned", "both*†"):
        assert f"| {title} |" in text
    assert "leaky 2 and 0; turned 0 and 1; both 1 and 0." in text
    plain = to_markdown(report_of(fake("cleaned", 0.8, leaks=(5, 1, 2))))
    assert "†" not in plain
    assert "trained on dev" not in plain


@pytest.mark.slow
def test_what_the_length_alone_reaches(one, suite, tmp_path):
    assert one("plain")["length"] is None
    for split in ("train", "test"):
        data = made("presence", 60, len(split))
        data.sequences[:] = [s[: 40 + 10 * y] for s, y in zip(data.sequences, data.labels)]  # noqa: B905
        write_set(tmp_path / "uneven" / f"{split}.csv", data)
    result = one("uneven", data=tmp_path)
    assert result["length"] == 1
    text = to_markdown(report_of(result, {**fake("even", 0.8), "length": None}))
    assert "that is told nothing else reaches: uneven AUROC 1.000." in text
    assert "differ in length" not in to_markdown(report_of(fake("even", 0.8)))


def test_one_seed_has_no_spread():
    result = fake("a", 0.8, {"k-mers": 0.7})
    for runs in result["methods"].values():
        del runs[1:]
    report = report_of(result)
    report["about"] |= {"seeds": 1, "draws": 1, "most": 1}
    text = to_markdown(report)
    assert "±" not in text
    assert "1 seed, at most 1 sequence of a split, 1 random encoder, on" in text
    assert "in the mean of 1 set;" in text
    assert rows_of(text.split("### Other")[0])["a"][2:4] == ["0.790 (0.780-0.820)", "0.690"]


@pytest.mark.slow
def test_one_class_throughout_is_remarked(one, tmp_path):
    """Noise, in which class 1 is nine times as frequent."""
    for split, n in (("train", 80), ("test", 40)):
        data = made("presence", n, len(split))
        data.labels[:] = np.arange(n) % 10 > 0
        write_set(tmp_path / "rare" / f"{split}.csv", data)
    rare = one("rare", data=tmp_path, baselines=("k-mers",), seeds=2)
    first, second = rare["methods"]["k-mers"]
    assert first["one_class"] == second["one_class"] == "1"
    text = to_markdown(report_of(rare, fake("even", 0.8)))
    remark = "k-mers predicts 1 throughout (seeds: 2 of 2)"
    assert remark in text
    header, rows = summary_rows([rare, fake("even", 0.8)])
    assert header[-1] == "remark"
    assert remark in rows[0][-1]
    assert rows[1][-1] == ""
    assert "remark" not in summary_rows([fake("even", 0.8)])[0]


def test_a_metric_that_is_undefined_leaves_its_cell_empty():
    result = fake("a", 0.8, {"k-mers": 0.7})
    for run in result["methods"]["findna"]:
        run["metrics"]["auroc"] = None
        del run["intervals"]["auroc"]
    row = rows_of(to_markdown(report_of(result)).split("### Other")[0])["a"]
    assert row == ["AUROC", "75, 25, 50", "", "0.700 ± 0.010", ""]
