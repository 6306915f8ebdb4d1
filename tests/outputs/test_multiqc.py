"""``--multiqc FOLDER/SAMPLE`` of predict, variants and validate: what is counted, and its form."""

import json
import shutil
import subprocess
from collections import Counter

import pytest

from findna.outputs.multiqc import Histogram, section_id
from tests.conftest import random_sequence

SECTION = {
    "id", "parent_id", "parent_name", "parent_description", "section_name", "description",
    "plot_type", "pconfig", "data",
}  # fmt: skip


@pytest.fixture
def sections(tmp_path):
    """Data of each section of the sample ``one``, by id."""

    def read():
        found = {}
        for path in sorted((tmp_path / "qc").iterdir()):
            values = json.loads(path.read_text(), parse_constant=pytest.fail)
            assert set(values) == SECTION
            assert path.name == f"one.{values['id']}_mqc.json"
            assert values["plot_type"] in ("bargraph", "linegraph")
            assert ("xlab" in values["pconfig"]) == (values["plot_type"] == "linegraph")
            assert values["pconfig"]["id"] == f"{values['id']}_plot"
            assert values["parent_id"] == "findna"
            (data,) = values["data"].values()
            found[values["id"]] = data if isinstance(data, dict) else dict(data)
            assert isinstance(data, dict) == (values["plot_type"] == "bargraph")
            assert list(values["data"]) == ["one"]
        return found

    (tmp_path / "qc").mkdir()
    return read


@pytest.fixture
def prefix(tmp_path):
    return tmp_path / "qc" / "one"


@pytest.fixture
def mixed(write):
    rows = [f"chrA\t{i * 50}\t{i * 50 + 50}\n" for i in range(12)]
    return write("mixed.bed", "".join([*rows, "chrX\t0\t50\n"]))


def test_labels_and_probabilities(run, example, tasks, site_task, mixed, prefix, sections):
    names = ("binary", "three", "labels", "value")
    words = [word for name in names for word in ("-t", tasks[name])] + ["-t", site_task]
    words += ["--on-error", "null", "--multiqc", prefix, "--min-prob", 0.5]
    done = run("predict", example / "genome.fa", mixed, *words[:4], *words[-6:])
    assert len(done.stdout.splitlines()) < 13  # what is not written is counted all the same
    done = run("predict", example / "genome.fa", mixed, *words[:-2], "--force", "-O", "jsonl")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    found = sections()
    kinds = ("labels", "probability")
    assert found.keys() == {
        section_id("predict", name, kind)
        for name in ("binary", "three", "labels", "sites")
        for kind in kinds
    }
    for name in ("binary", "three", "labels", "sites"):
        labels = [row[name]["label"].split(",") if row[name] else [row["status"]] for row in rows]
        assert found[f"findna_predict_{name}_labels"] == Counter(x for some in labels for x in some)
        line = found[f"findna_predict_{name}_probability"]
        assert list(line) == [round((i + 0.5) / 20, 3) for i in range(20)]
        assert sum(line.values()) == 12
        above = sum(row[name]["probability"] >= 0.5 for row in rows if row[name])
        assert sum(n for x, n in line.items() if x > 0.5) == above


def test_classes_and_scores(run, example, model_folder, tasks, site_task, prefix, sections):
    words = ["-m", model_folder, "-t", tasks["binary"], "-t", site_task, "--window", 60]
    done = run("variants", example / "genome.fa", example / "variants.vcf", *words, "-O", "tsv",
               "--multiqc", prefix)  # fmt: skip
    header, *lines = [line.split("\t") for line in done.stdout.splitlines()]
    table = [dict(zip(header, line, strict=True)) for line in lines]
    found = sections()
    assert found.pop("findna_variants_classes") == Counter(row["class"] for row in table)
    fields = {name.removeprefix("findna_variants_") for name in found}
    assert {"FINDNA_DIST", "FINDNA_LLR", "FINDNA_BINARY_DELTA"} < fields
    assert {name.rpartition("_")[2] for name in fields} == {"DIST", "LLR", "DELTA", "GAIN", "LOSS"}
    column = {name.upper(): name for name in header}
    for name in fields:
        key = column.get(name) or column[name.removeprefix("FINDNA_")]
        n = sum(row[key] != "." for row in table)
        assert sum(found[f"findna_variants_{name}"].values()) == n > 0


def test_statuses_lengths_and_classes(run, example, write, mixed, prefix, sections):
    genome = example / "genome.fa"
    run("validate", genome, mixed, "--no-estimate", "--multiqc", prefix, code=1)
    run("validate", genome, example / "variants.vcf", "--no-estimate", "--multiqc", prefix, "-f")
    rows = [f"{random_sequence(40, i)},{name}\n" for i, name in enumerate("ab" * 10 + "a")]
    rows = "sequence,label\n" + "".join(rows)
    run("validate", write("a.csv", rows), "--multiqc", prefix, "-f")
    found = sections()
    assert found["findna_validate_regions"] == {"ok": 12, "unknown_contig": 1}
    assert found["findna_validate_regions_bp"] == {20: 0, 50: 12, 100: 0}
    assert found["findna_validate_records"].keys() == {"ok"}
    assert "snv" in found["findna_validate_alleles"]
    assert found["findna_validate_labels"] == {"a": 11, "b": 10}


def test_files_that_are_there_are_kept(run, example, tasks, mixed, prefix, sections, tmp_path):
    words = ["predict", example / "genome.fa", example / "regions.bed", "-t", tasks["binary"]]
    words += ["--multiqc", prefix, "-o", tmp_path / "o.bed"]
    run(*words)
    before = sections()
    (tmp_path / "o.bed").unlink()
    assert "_mqc.json: exists; --force overwrites it" in run(*words, code=1).stderr
    assert not (tmp_path / "o.bed").exists()
    run("validate", *words[1:3], "--no-estimate", "--multiqc", prefix)  # sections of its own
    assert before.items() < sections().items()
    run(*words[:2], mixed, *words[3:], "--on-error", "skip", "--force")
    assert sections()["findna_predict_binary_labels"] != before["findna_predict_binary_labels"]
    error = run(*words[:-4], "--multiqc", tmp_path / "none" / "one", code=1).stderr
    assert "there is no folder" in error


def test_rows_of_an_interrupted_run_are_not_counted(run, example, tasks, prefix, tmp_path):
    words = ["predict", example / "genome.fa", "-t", tasks["binary"], "-o", tmp_path / "o.bed"]
    assert "leave out --resume" in run(*words, "--multiqc", prefix, "--resume", code=2).stderr


def test_bins_and_what_lies_beyond_them():
    histogram = Histogram(-1, 1, 4)
    for value in (-9, -1, -0.6, -0.5, 0, 0.99, 1, 7, float(-(2**40))):
        histogram.add(value)
    assert histogram.line() == {-0.75: 4, -0.25: 1, 0.25: 1, 0.75: 3}


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("multiqc") is None, reason="multiqc is not installed")
def test_multiqc_reads_them(run, example, tasks, mixed, model_folder, tmp_path):
    (tmp_path / "qc").mkdir()
    genome, calls = example / "genome.fa", example / "variants.vcf"
    for name, rows in (("one", mixed), ("two", example / "regions.bed")):
        words = [genome, rows, "--multiqc", tmp_path / "qc" / name]
        run("predict", *words, "-t", tasks["three"], "--on-error", "skip")
        run("validate", *words, "--no-estimate", code=int(name == "one"))
    run("variants", genome, calls, "-m", model_folder, "--multiqc", tmp_path / "qc" / "calls")
    words = ["multiqc", tmp_path / "qc", "-o", tmp_path / "report", "--strict"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    data = tmp_path / "report" / "multiqc_data"
    table = (data / "multiqc_findna_predict_three_labels_plot.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == ["Sample", "one", "two"]
    for name in ("predict_three_probability", "validate_regions_bp", "variants_FINDNA_LLR"):
        for line in (data / f"multiqc_findna_{name}_plot.txt").read_text().splitlines():
            points = [json.loads(word) for word in line.split("\t")[1:]]
            assert points == sorted(points)  # as they are drawn
            assert len(points) > 1
