"""``findna verify`` through the command line."""

import json
import os
import shutil

import anndata
import h5py
import numpy as np
import pytest

from findna.model.checkpoint import save_checkpoint
from findna.outputs.shards import Shard, read_note, write_note
from tests.conftest import TINY, make_model


@pytest.fixture
def embedded(run, example, model_folder, tmp_path):
    """Embed some regions of the example; the file."""

    def invoke(*options, regions=example / "regions.bed"):
        out = tmp_path / "o.h5"
        words = [example / "genome.fa"] + ([] if regions is None else [regions])
        run("embed", *words, "-m", model_folder, "-o", out, "-f", *options)
        return out

    return invoke


@pytest.fixture
def verify(run, example, model_folder):
    def invoke(path, *options, code=0, genome=example / "genome.fa", model=model_folder):
        done = run("verify", path, genome, "-m", model, "--json", *options, code=code)
        report = json.loads(done.stdout)
        assert report["passed"] is (code == 0)
        return {check["name"]: check for check in report["checks"]}

    return invoke


BED12 = "chrA\t100\t400\tn\t0\t-\t100\t400\t0\t2\t100,120,\t0,180,\n"


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-s", "--both-strands"],
        ["--window", 250, "--anchor", "start", "-s"],
        ["--flank", 40, "--out-of-bounds", "pad", "--whole"],
        ["--pool", "max", "--pool", "cls", "--pool", "center", "--pool", "std", "--bins", 3],
        ["--per-base", "--bins", 2, "--dtype", "float16"],
        ["--precision", "bf16"],
    ],
)
def test_a_file_is_the_same_again(embedded, verify, options):
    checks = verify(embedded(*options), "--all")
    assert list(checks) == ["structure", "weights", "contigs", "rows"]
    assert checks["rows"]["measured"] <= checks["rows"]["tolerance"] / 10
    assert checks["rows"]["message"] == "96 of 96 rows computed again: the same"


@pytest.mark.slow
def test_every_kind_of_row(embedded, verify, write):
    """Three columns, more than twelve, blocks, FASTA records, rows that cannot be read."""
    three = write("3.bed", "chrA\t0\t100\nchrB\t5\t5\nnone\t1\t2\nchrB\t7\t8\n")
    verify(embedded("--on-error", "null", regions=three))
    verify(embedded("--on-error", "skip", regions=three))
    verify(embedded("--split", "-s", regions=write("12.bed", BED12)))
    verify(embedded("-s", regions=write("13.bed", BED12.replace("\n", "\tmore\n"))))
    verify(embedded(regions=None), "--rows", 1)
    verify(embedded(regions=write("0.bed", "")))


@pytest.mark.parametrize("in_place", [False, True])
def test_a_fasta_of_the_same_size_and_time(run, verify, example, model_folder, tmp_path, in_place):
    """Digests are kept; another sequence under the same name, size and time is read again."""
    genome, out = tmp_path / "g.fa", tmp_path / "o.h5"
    shutil.copy2(example / "genome.fa", genome)
    run("embed", genome, "-r", "chrA:1-100", "-m", model_folder, "-o", out)
    before, content = genome.stat(), genome.read_bytes()
    changed = genome if in_place else tmp_path / "other.fa"
    begin = content.index(b"\n") + 1
    changed.write_bytes(content[:begin] + content[begin:].replace(b"A", b"C", 1))
    os.utime(changed, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed.replace(genome)
    assert genome.stat().st_size == before.st_size
    assert genome.stat().st_mtime_ns == before.st_mtime_ns
    assert not verify(out, genome=genome, code=1)["contigs"]["passed"]


def test_a_file_from_before_max_n(embedded, verify):
    path = embedded()
    with h5py.File(path, "r+") as file:
        del file["uns/findna/options/max_n"]
    verify(path)


def test_rows_are_spread_evenly(embedded, verify):
    assert verify(embedded(), "--rows", 3)["rows"]["message"].startswith("3 of 96 rows")
    path = embedded()
    with h5py.File(path, "r+") as file:
        file["X"][95] += 1
    assert "row 95" in verify(path, "--rows", 2, code=1)["rows"]["message"]


def test_what_differs_is_said(embedded, verify, run, example, model_folder):
    path = embedded("--bins", 2)
    with h5py.File(path, "r+") as file:
        file["X"][7] *= 1.01
        file["obsm/bins"][8, 1, 3] = np.nan
        file["obs/length"][9] += 1
        file["obs/n_fraction"][10] = 0.5
        file["obs/status"][11] = "empty"
    rows = verify(path, "--all", code=1)["rows"]
    assert rows["message"].startswith(
        "5 of 96 rows differ, 1 in X, 1 in obsm/bins, 1 in length, 1 in n_fraction, 1 in status: "
        "row 7 (background_chrA_4): X differs by"
    )
    assert rows["message"].endswith("; ...")
    assert rows["measured"] is None  # not a number, which later rows must not hide
    text = run("verify", path, example / "genome.fa", "-m", model_folder, code=1).stdout
    assert [line.split()[0] for line in text.splitlines()] == ["ok", "ok", "ok", "FAILED"]


@pytest.mark.slow
def test_lengths_and_status(embedded, verify):
    for name, value, said in [
        ("length", 1, "length is 1, now"),
        ("n_fraction", 0.5, "n_fraction is 0.5, now 0"),
        ("status", "empty", "status is empty, now ok"),
        ("end", 1, "now reversed"),
    ]:
        path = embedded()
        with h5py.File(path, "r+") as file:
            file[f"obs/{name}"][0] = value
        rows = verify(path, code=1)["rows"]
        assert said in rows["message"]
        assert rows["measured"] is None  # no vector differs: 0.0 beside FAILED says nothing


def test_the_figure_that_failed(embedded, verify, run, example, model_folder):
    path = embedded()
    with h5py.File(path, "r+") as file:
        file["X"][7] *= 1.01
        file["obs/length"][9] += 1
    rows = verify(path, "--all", code=1)["rows"]
    assert rows["message"].startswith("2 of 96 rows differ, 1 in X, 1 in length: row 7")
    assert rows["measured"] == pytest.approx(0.01, rel=0.02)
    with h5py.File(path, "r+") as file:
        file["X"][7] = np.nan
    words = ["verify", path, example / "genome.fa", "-m", model_folder, "--all"]
    assert "FAILED  rows          nan (at most 1e-04)  2 of 96" in run(*words, code=1).stdout


def test_values_where_there_should_be_none(embedded, verify, write):
    path = embedded("--on-error", "null", regions=write("r.bed", "none\t0\t9\nchrA\t0\t9\n"))
    with h5py.File(path, "r+") as file:
        file["X"][0] = 0
    said = verify(path, code=1)["rows"]["message"]
    assert "X has values, but its status is unknown_contig" in said


@pytest.mark.slow
def test_other_weights(embedded, verify, run, example, tmp_path):
    other = tmp_path / "other"
    save_checkpoint(other, make_model(TINY, seed=2), {}, "")
    checks = verify(embedded(), model=other, code=1)
    assert "model other is" in checks["weights"]["message"]
    assert not checks["rows"]["passed"]
    checks = verify(embedded(), model="tiny", code=1)
    assert checks["rows"]["message"] == "model tiny cannot have made such vectors"
    error = run("verify", embedded(), example / "genome.fa", code=1).stderr
    assert error.startswith("findna: no model little")
    assert error.endswith("name the model of this file with -m\n")


@pytest.mark.slow
def test_another_genome(embedded, verify, example, tmp_path, write):
    text = (example / "genome.fa").read_text()
    at = text.index("\n", text.index(">chrB")) + 1
    changed = write("changed.fa", text[:at] + "N" + text[at + 1 :])
    checks = verify(embedded(), "--all", genome=changed, code=1)
    assert checks["contigs"]["message"].endswith("(genome.fa): chrB has another sequence")
    assert checks["rows"]["passed"]  # no region has that base
    half = write("half.fa", text[: text.index(">chrB")])
    checks = verify(embedded(), "--all", genome=half, code=1)
    assert "chrB is missing" in checks["contigs"]["message"]
    assert "now unknown_contig" in checks["rows"]["message"]


def test_aliases(run, embedded, verify, write):
    alias, bed = write("a.tsv", "A\tchrA\n"), write("r.bed", "A\t0\t50\n")
    path = embedded("--chrom-alias", alias, regions=bed)
    verify(path, "--chrom-alias", alias)
    assert "now unknown_contig" in verify(path, code=1)["rows"]["message"]


def as_version_1(path):
    """Turn a file into what findna wrote before scores were numbers and contigs categories."""
    with h5py.File(path, "r+") as file:
        for name in ("chrom", "strand"):
            words = file[f"obs/{name}/categories"].asstr()[:]
            texts = words[file[f"obs/{name}/codes"][:]]
            del file[f"obs/{name}"]
            write_texts(file["obs"], name, texts)
        scores = [f"{score:g}" for score in file["obs/score"][:]]
        del file["obs/score"], file["uns/findna/options/n_cls"]
        write_texts(file["obs"], "score", scores)
        file["uns/findna/format_version"][()] = 1
    return path


def write_texts(obs, name, texts):
    column = obs.create_dataset(name, data=texts, dtype=h5py.string_dtype(), maxshape=(None,))
    column.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})


@pytest.mark.slow
def test_files_of_format_1_are_read(run, example, model_folder, embedded, verify, tmp_path):
    checks = verify(as_version_1(embedded("-s")), "--all")
    assert checks["rows"]["message"] == "96 of 96 rows computed again: the same"
    parts = [tmp_path / "1.h5", tmp_path / "2.h5"]
    words = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/2")
    age(parts[0])
    mixed = run("merge", *parts, "-o", tmp_path / "m.h5", code=1).stderr
    assert "2.h5: obs/chrom" in mixed
    assert not (tmp_path / "m.h5").exists()
    age(parts[1])
    run("merge", *parts, "-o", tmp_path / "m.h5")
    assert anndata.read_h5ad(tmp_path / "m.h5").obs["chrom"].tolist()[::95] == ["chrA", "chrB"]
    verify(tmp_path / "m.h5", "--all")


def age(part):
    """Turn a shard, and the note beside it, into one of format 1."""
    note = read_note(part)
    as_version_1(part)
    write_note(part, Shard(*note.shard), note.facts, note.rows, note.total, note.counts)


DAMAGE = {
    "X has 3 axes": lambda f: replace(f, "X", np.zeros((96, 24, 1), np.float32)),
    "X is text": lambda f: replace(f, "X", np.zeros((96, 24), np.int64)),
    "a column is short": lambda f: replace(f, "obs/end", np.zeros(5, np.int64)),
    "no column": lambda f: f.__delitem__("obs/strand"),
    "a pooling is narrow": lambda f: replace(f, "obsm/max", np.zeros((96, 2), np.float32)),
    "a pooling too few": lambda f: f.__delitem__("obsm/max"),
    "offsets": lambda f: f["uns/per_base/offsets"].__setitem__(5, 1),
    "values": lambda f: replace(f, "uns/per_base/values", np.zeros((3, 24), np.float16)),
    "version": lambda f: f["uns/findna/format_version"].__setitem__((), 3),
    "no facts": lambda f: f.__delitem__("uns/findna"),
    "no model": lambda f: f.__delitem__("uns/findna/model"),
    "an option": lambda f: replace(f, "uns/findna/options/anchor", "middle"),
    "no option": lambda f: f.__delitem__("uns/findna/options/bins"),
    "a category": lambda f: f["obs/chrom/codes"].__setitem__(3, 9),
    "categories": lambda f: replace(f, "obs/chrom/categories", ["x"] * 97),
    "no categories": lambda f: f.__delitem__("obs/strand/categories"),
    "no obs": lambda f: f.__delitem__("obs"),
}


def replace(file, name, value):
    del file[name]
    file[name] = value


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_one_line(embedded, run, example, model_folder, what):
    path = embedded("--pool", "mean", "--pool", "max", "--per-base")
    with h5py.File(path, "r+") as file:
        DAMAGE[what](file)
    done = run("verify", path, example / "genome.fa", "-m", model_folder, code=1)
    assert done.stderr.startswith(f"findna: {path}: ")
    assert done.stderr.count("\n") == 1


def test_other_files_are_one_line(run, example, model_folder, tasks, tmp_path, write):
    fasta, out = example / "genome.fa", tmp_path / "o.h5"
    said = run("verify", write("t.h5", "text"), fasta, code=1).stderr
    assert said.endswith("t.h5: not an HDF5 file; give what findna embed -o NAME.h5 wrote\n")
    none = tmp_path / "none.h5"
    for path, reason in ((none, "No such file or directory"), (tmp_path, "Is a directory")):
        assert run("verify", path, fasta, code=1).stderr == f"findna: {path}: {reason}\n"
    run("explain", fasta, "-r", "chrA:1-20", "--task", tasks["binary"], "-o", out)
    assert "made by findna explain" in run("verify", out, fasta, code=1).stderr
    vectors = tmp_path / "v.h5"
    run("variants", fasta, example / "variants.vcf", "-m", model_folder, "--embeddings", vectors)
    assert "made by findna variants" in run("verify", vectors, fasta, code=1).stderr
    whole = tmp_path / "whole.h5"
    run("embed", fasta, example / "regions.bed", "-m", model_folder, "-o", whole)
    cut = write("cut.h5", whole.read_bytes()[:9_000])
    assert run("verify", cut, fasta, code=1).stderr.startswith(f"findna: {cut}: damaged HDF5")


def test_the_model_is_found_by_name(run, example, tmp_path):
    out = tmp_path / "o.h5"
    run("embed", example / "genome.fa", "-r", "chrA:1-300", "-o", out)
    lines = run("verify", out, example / "genome.fa").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [
        ["ok", "structure"], ["ok", "weights"], ["ok", "contigs"], ["ok", "rows"],
    ]  # fmt: skip


@pytest.mark.realdata
def test_bgzf_and_real_regions(run, shared_data, model_folder, tmp_path):
    hg38 = shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"
    tss = shared_data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"
    out = tmp_path / "o.h5"
    run("embed", hg38, tss, "--window", 300, "--on-error", "null", "-m", model_folder, "-o", out)
    said = run("verify", shutil.copy(out, tmp_path / "copy.h5"), hg38, "-m", model_folder,
               "--rows", 500).stdout  # fmt: skip
    assert "500 of 27586 rows computed again: the same" in said
