"""``findna embed`` through the command line."""

import dataclasses
import gzip
import os
import shlex
import signal
import subprocess
import sys
import time

import anndata
import h5py
import numpy as np
import pysam
import pytest

from findna.genome.encoding import decode, reverse_complement
from findna.genome.fasta import Genome
from findna.model.checkpoint import save_checkpoint
from tests.conftest import TINY, make_model, random_sequence


@pytest.fixture
def embed(run, example, model_folder, tmp_path):
    """Run embed on the example and return the AnnData it wrote."""

    def invoke(regions, *options, fasta=example / "genome.fa", input=None, name="o.h5"):
        out = tmp_path / name
        words = [fasta] if regions is None else [fasta, regions]
        run("embed", *words, "-m", model_folder, "-o", out, "--force", *options, input=input)
        return anndata.read_h5ad(out)

    return invoke


def relative(a, b):
    return np.linalg.norm(a - b, axis=-1).max() / np.linalg.norm(b, axis=-1).min()


def test_rows_come_out_as_they_went_in(embed, example):
    data = embed(example / "regions.bed")
    lines = [line.split("\t") for line in (example / "regions.bed").read_text().splitlines()]
    assert data.shape == (len(lines), 24)
    obs = data.obs.astype(str)
    for i, line in enumerate(lines):
        row = obs.iloc[i]
        assert list(row[["chrom", "start", "end", "name", "strand"]]) == [*line[:4], line[5]]
        assert float(row["score"]) == float(line[4])
    assert (data.obs["status"] == "ok").all()
    assert (data.obs["length"] == data.obs["end"] - data.obs["start"]).all()
    assert (data.obs["n_fraction"] == 0).all()
    assert data.X.dtype == np.float32
    assert np.isfinite(data.X).all()


def test_scores_are_numbers_and_contigs_and_strands_categories(embed, write):
    rows = ["chrB\t0\t9\ta\t960\t-", "chrA\t0\t9\tb\t.\t.", "chrB\t0\t9\tc\t-1.5e2\t-"]
    obs = embed(write("r.bed", "\n".join(rows))).obs
    assert obs["score"].tolist()[::2] == [960, -150]
    assert np.isnan(obs["score"].iloc[1])
    assert obs["chrom"].cat.categories.tolist() == ["chrB", "chrA"]  # as they come
    assert obs["chrom"].tolist() == ["chrB", "chrA", "chrB"]
    assert obs["strand"].cat.categories.tolist() == ["-", "."]
    assert not obs["chrom"].cat.ordered
    assert embed(write("0.bed", "")).obs["chrom"].tolist() == []


@pytest.mark.parametrize("score", ["high", "1_0", "inf", "1e999", " 5", "0x1f", ""])
def test_scores_that_are_not_all_numbers_stay_text(embed, write, score):
    bed = write("r.bed", f"chrA\t0\t9\ta\t07\t-\nchrA\t0\t9\tb\t{score}\t+\n")
    assert embed(bed).obs["score"].tolist() == ["07", score]


def test_plain_h5py(embed, example, tmp_path):
    embed(example / "regions.bed", "--pool", "mean", "--pool", "max", "--bins", 3)
    with h5py.File(tmp_path / "o.h5") as file:
        n = len(file["obs/start"])
        assert file["X"][:].shape == (n, 24)
        assert file["obs/start"][:].dtype == np.int64
        chroms = file["obs/chrom/categories"].asstr()[:][file["obs/chrom/codes"][:]]
        assert (chroms[0], chroms[-1]) == ("chrA", "chrB")
        assert file["obsm/max"].shape == (n, 24)
        assert file["obsm/bins"].shape == (n, 3, 24)
        facts = file["uns/findna"]
        assert facts["model/name"].asstr()[()] == "little"
        assert len(facts["model/digest"].asstr()[()]) == 64
        assert facts["genome/contig"].asstr()[:].tolist() == ["chrA", "chrB"]
        assert [len(md5) for md5 in facts["genome/md5"]] == [32, 32]
        assert facts["command"].asstr()[()].startswith("findna embed ")


def test_poolings_agree_with_each_other(embed, example, tmp_path):
    data = embed(
        example / "regions.bed",
        *("--pool", "mean", "--pool", "max", "--pool", "cls", "--pool", "center"),
        *("--bins", 2, "--per-base"),
    )
    assert list(data.obsm) == ["bins", "center", "cls", "max"]
    assert relative(data.obsm["bins"].mean(1), data.X) < 1e-5
    values, offsets = data.uns["per_base"]["values"], data.uns["per_base"]["offsets"]
    assert values.dtype == np.float16
    assert offsets[-1] == data.obs["length"].sum()
    for i in range(data.n_obs):
        rows = values[offsets[i] : offsets[i + 1]].astype(np.float32)
        np.testing.assert_allclose(rows.mean(0), data.X[i], atol=2e-3)
        np.testing.assert_allclose(rows.max(0), data.obsm["max"][i], atol=5e-3)


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["--both-strands"], ["-s"], ["--whole"]])
def test_a_vector_depends_on_its_region_alone(embed, example, write, options):
    lines = (example / "regions.bed").read_text().splitlines()
    expected = embed(example / "regions.bed", *options).X
    assert (
        relative(embed(example / "regions.bed", *options, "--max-tokens", 100).X, expected) < 1e-5
    )
    assert relative(embed(example / "regions.bed", *options, "-@", 2).X, expected) < 1e-5
    order = np.random.default_rng(0).permutation(len(lines))
    shuffled = write("s.bed", "\n".join(lines[i] for i in order))
    assert relative(embed(shuffled, *options).X, expected[order]) < 1e-5
    alone = write("a.bed", lines[7] + "\n")
    assert relative(embed(alone, *options).X, expected[7:8]) < 1e-5


def flipped_genome(genome, folder):
    """The same contigs, reverse-complemented."""
    text = ""
    for name, length in genome.contigs.items():
        text += f">{name}\n{decode(reverse_complement(genome.fetch(name, 0, length)))}\n"
    (folder / "flipped.fa").write_text(text)
    return folder / "flipped.fa"


def test_both_strands_give_the_same_vector(embed, example, genome, write, tmp_path):
    """Also tiled (100 bp) and with poolings that look at a place."""
    flipped = flipped_genome(genome, tmp_path)
    regions = [("chrA", 0, 250), ("chrA", 1001, 1100), ("chrB", 39_000, 39_601), ("chrB", 5, 6)]
    forward = write("f.bed", "".join(f"{c}\t{a}\t{b}\n" for c, a, b in regions))
    backward = write(
        "b.bed",
        "".join(f"{c}\t{genome.contigs[c] - b}\t{genome.contigs[c] - a}\n" for c, a, b in regions),
    )
    pools = ["--pool", "mean", "--pool", "max", "--pool", "cls", "--pool", "center", "--bins", 4]
    one = embed(forward, "--both-strands", *pools)
    two = embed(backward, "--both-strands", *pools, fasta=flipped)
    assert relative(one.X, two.X) < 1e-5
    for kind in ("max", "cls", "center"):
        assert relative(one.obsm[kind], two.obsm[kind]) < 1e-5
    assert relative(one.obsm["bins"], two.obsm["bins"][:, ::-1]) < 1e-5
    assert relative(embed(backward, fasta=flipped).X, one.X) > 1e-3  # one strand does differ


@pytest.mark.slow
def test_the_strand_counts_only_when_asked(embed, genome, example, write, tmp_path):
    plus = write("p.bed", "chrA\t100\t350\tx\t0\t+\n")
    minus = write("m.bed", "chrA\t100\t350\tx\t0\t-\n")
    assert np.array_equal(embed(plus).X, embed(minus).X)
    stranded = embed(minus, "-s").X
    assert relative(stranded, embed(plus, "-s").X) > 1e-3
    length = genome.contigs["chrA"]
    mirrored = write("q.bed", f"chrA\t{length - 350}\t{length - 100}\n")
    assert relative(embed(mirrored, fasta=flipped_genome(genome, tmp_path)).X, stranded) < 1e-5
    assert relative(embed(plus, "--both-strands").X, embed(minus, "-s", "--both-strands").X) < 1e-5


def test_long_regions_are_the_weighted_mean_of_their_tiles(embed, write):
    long = embed(write("l.bed", "chrA\t0\t250\n")).X[0]
    tiles = embed(write("t.bed", "chrA\t0\t83\nchrA\t83\t167\nchrA\t167\t250\n")).X
    expected = (83 * tiles[0] + 84 * tiles[1] + 83 * tiles[2]) / 250
    assert relative(long, expected) < 1e-5
    assert relative(embed(write("l.bed", "chrA\t0\t250\n"), "--whole").X[0], long) > 1e-4


def test_case_and_rna_change_nothing(embed, write):
    sequence = random_sequence(300)
    upper = write("u.fa", f">c\n{sequence}\n")
    lower = write("l.fa", f">c\n{sequence.lower().replace('t', 'u')}\n")
    bed = write("r.bed", "c\t0\t300\n")
    assert np.array_equal(embed(bed, fasta=upper).X, embed(bed, fasta=lower).X)


def test_n_is_counted(embed, write):
    fasta = write("n.fa", ">c\nACGTNNNNRY\n")
    data = embed(write("r.bed", "c\t0\t10\nc\t0\t4\nc\t4\t8\n"), fasta=fasta)
    assert data.obs["n_fraction"].tolist()[:2] == [0.6, 0.0]
    assert np.isfinite(data.X).all(1).tolist() == [True, True, False]


def test_fasta_records_without_a_bed(embed, example):
    data = embed(None)
    assert data.obs["chrom"].tolist() == ["chrA", "chrB"]
    assert data.obs["name"].tolist() == ["chrA:0-60000", "chrB:0-40000"]


def test_region_strings(embed, run, example, model_folder, tmp_path):
    out = tmp_path / "r.h5"
    run("embed", example / "genome.fa", "-m", model_folder, "-o", out,
        "-r", "chrA:1,001-1,100", "-r", "chrB")  # fmt: skip
    data = anndata.read_h5ad(out)
    assert data.obs[["start", "end"]].to_numpy().tolist() == [[1000, 1100], [0, 40_000]]


def test_flank_and_window(embed, write):
    bed = write("r.bed", "chrA\t500\t510\n")
    same = embed(write("w.bed", "chrA\t495\t515\n")).X
    assert np.array_equal(embed(bed, "--flank", 5).X, same)
    assert np.array_equal(embed(bed, "--window", 20).X, same)
    data = embed(bed, "--flank", 5)
    assert data.obs[["start", "end", "length"]].to_numpy().tolist() == [[500, 510, 20]]


def test_bed12_blocks(embed, write):
    line = "chrA\t100\t200\tn\t0\t+\t100\t200\t0\t2\t10,20,\t0,80,\n"
    data = embed(write("r.bed", line), "--split")
    assert data.obs["length"].tolist() == [30]
    assert data.obs["blockSizes"].tolist() == ["10,20,"]
    assert embed(write("r.bed", line)).obs["length"].tolist() == [100]


BAD = "chrA\t0\t100\nA\t0\t10\nchrA\t59990\t60010\nchrB\t5\t5\nchrA\t9\t3\nchrB\t0\t50\n"


def test_rows_that_cannot_be_read_stop_the_run_before_it_begins(run, example, write, tmp_path):
    bed, out = write("b.bed", BAD), tmp_path / "o.h5"
    error = run("embed", example / "genome.fa", bed, "-o", out, code=1).stderr
    assert len(error.splitlines()) == 1
    assert "b.bed: 4 of 6 regions cannot be read: line 2: no contig A" in error
    assert "--on-error null" in error
    assert not out.exists()


def test_on_error_null_keeps_every_row(embed, write):
    data = embed(write("b.bed", BAD), "--on-error", "null", "--bins", 2, "--per-base")
    assert data.obs["status"].tolist() == [
        "ok", "unknown_contig", "out_of_bounds", "empty", "reversed", "ok",
    ]  # fmt: skip
    missing = np.isnan(data.X).all(1)
    assert missing.tolist() == [False, True, True, True, True, False]
    assert np.isnan(data.obsm["bins"]).all((1, 2)).tolist() == missing.tolist()
    assert data.obs["start"].tolist() == [0, 0, 59990, 5, 9, 0]
    assert np.diff(data.uns["per_base"]["offsets"]).tolist() == [100, 0, 0, 0, 0, 50]


def test_on_error_skip_counts(run, embed, example, write, model_folder, tmp_path):
    bed = write("b.bed", BAD)
    data = embed(bed, "--on-error", "skip")
    assert data.obs["end"].tolist() == [100, 50]
    result = run("embed", example / "genome.fa", bed, "-m", model_folder, "--on-error", "skip",
                 "-o", tmp_path / "p.h5")  # fmt: skip
    assert "2 of 6 regions embedded, 4 skipped" in result.stderr


def test_padding(embed, write):
    bed = write("b.bed", "chrB\t39990\t40010\n")
    data = embed(bed, "--out-of-bounds", "pad")
    assert data.obs["n_fraction"].tolist() == [0.5]
    wide = embed(write("c.bed", "chrB\t0\t10\n"), "--flank", 10, "--out-of-bounds", "pad")
    assert wide.obs["length"].tolist() == [30]


def test_contig_aliases(embed, write):
    alias = write("alias.tsv", "1\tchrA\n")
    data = embed(write("b.bed", "1\t0\t100\n"), "--chrom-alias", alias)
    assert data.obs["chrom"].tolist() == ["1"]
    assert np.array_equal(data.X, embed(write("c.bed", "chrA\t0\t100\n")).X)


@pytest.mark.parametrize("text", ["", "#only\ntrack x\n"])
def test_no_rows_is_a_valid_result(embed, run, example, write, model_folder, text):
    bed = write("e.bed", text)
    data = embed(bed, "--pool", "mean", "--pool", "max", "--bins", 2)
    assert data.shape == (0, 24)
    result = run("embed", example / "genome.fa", bed, "-m", model_folder, "-O", "tsv")
    assert len(result.stdout.splitlines()) == 1


def test_bytes_that_are_not_utf8(run, example, model_folder, write, tmp_path):
    bed = write("b.bed", b"chrA\t0\t10\tcaf\xe9\n")
    words = ["embed", example / "genome.fa", bed, "-m", model_folder]
    error = run(*words, "-o", tmp_path / "o.h5", code=1).stderr
    assert "b.bed:1: not UTF-8 text" in error
    table = run(*words, "-O", "tsv").stdout_bytes
    assert table.splitlines()[1].startswith(b"chrA\t0\t10\tcaf\xe9\tok\t")


def test_many_rows_without_a_vector_are_not_held(run, example, model_folder, write, monkeypatch):
    monkeypatch.setattr("findna.genome.batching.MOST_PIECES", 3)
    bad, good = "nowhere\t0\t10\n" * 10, "chrA\t0\t10\n" * 2
    bed = write("b.bed", bad + good + bad + good)
    result = run("embed", example / "genome.fa", bed, "-m", model_folder, "-O", "tsv",
                 "--on-error", "null")  # fmt: skip
    status = [line.split("\t")[3] for line in result.stdout.splitlines()[1:]]
    assert status == (["unknown_contig"] * 10 + ["ok"] * 2) * 2


def test_same_input_same_bytes(run, example, model_folder, tmp_path, monkeypatch):
    contents = []
    for _ in range(2):
        monkeypatch.chdir(tmp_path)
        run("embed", example / "genome.fa", example / "regions.bed", "-m", model_folder,
            "-o", "o.h5", "--force", "--per-base", "--bins", 2)  # fmt: skip
        contents.append((tmp_path / "o.h5").read_bytes())
        time.sleep(1.1)  # a second later: no time may be stored
    assert contents[0] == contents[1]


def test_table(run, example, model_folder, embed):
    result = run("embed", example / "genome.fa", example / "regions.bed", "-m", model_folder,
                 "-O", "tsv", "--pool", "mean", "--pool", "max", "--bins", 2)  # fmt: skip
    header, *rows = result.stdout.splitlines()
    lines = (example / "regions.bed").read_text().splitlines()
    assert len(rows) == len(lines)
    assert all(row.startswith(line + "\tok\t") for row, line in zip(rows, lines, strict=True))
    names = header.split("\t")
    assert names[0] == "#chrom"
    assert [names[i] for i in (6, 7, 31, 55, 79)] == [
        "status",
        "e0",
        "max_e0",
        "bin0_e0",
        "bin1_e0",
    ]
    values = np.array([row.split("\t")[7:31] for row in rows], dtype=float)
    np.testing.assert_allclose(values, embed(example / "regions.bed").X, rtol=1e-5)


def test_table_of_missing_values(run, example, model_folder, write):
    result = run("embed", example / "genome.fa", write("b.bed", BAD), "-m", model_folder,
                 "-O", "tsv", "--on-error", "null")  # fmt: skip
    rows = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    assert [row[3] for row in rows][:3] == ["ok", "unknown_contig", "out_of_bounds"]
    assert set(rows[1][4:]) == {"."}


def test_compressed_table_is_bgzf(run, example, model_folder, tmp_path):
    out = tmp_path / "o.tsv.gz"
    run("embed", example / "genome.fa", example / "regions.bed", "-m", model_folder, "-o", out)
    with pysam.BGZFile(str(out)) as file:
        assert len(list(file)) == 97
    assert out.read_bytes()[12:14] == b"BC"


@pytest.mark.parametrize("name", ["-", "stdin", "/dev/stdin"])
def test_standard_input(embed, example, name):
    text = (example / "regions.bed").read_bytes()
    assert np.array_equal(embed(name, input=text).X, embed(example / "regions.bed").X)


def test_float16(embed, example):
    half = embed(example / "regions.bed", "--dtype", "float16").X
    assert half.dtype == np.float16
    np.testing.assert_allclose(half, embed(example / "regions.bed").X, rtol=1e-3, atol=1e-3)


def test_existing_and_unwritable_outputs(run, example, model_folder, tmp_path):
    out = tmp_path / "o.h5"
    out.write_text("mine")
    words = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder, "-o"]
    assert "--force overwrites it" in run(*words, out, code=1).stderr
    assert out.read_text() == "mine"
    assert "there is no folder" in run(*words, tmp_path / "no" / "o.h5", code=1).stderr
    assert "is a folder" in run(*words, tmp_path, code=1).stderr
    assert "-O tsv" in run(*words[:-1], code=2).stderr
    assert "-O tsv" in run(*words, "-", code=2).stderr


def test_an_input_is_never_the_output(run, example, model_folder, write):
    bed = write("b.bed", "chrA\t0\t10\n")
    genome = write("g.fa", (example / "genome.fa").read_bytes())
    for output in (bed, genome):
        before = output.read_bytes()
        error = run("embed", genome, bed, "-m", model_folder, "-O", "tsv", "-f", "-o", output,
                    code=1).stderr  # fmt: skip
        assert "is also an input" in error
        assert output.read_bytes() == before


def test_pipes_and_devices_are_written_to_and_not_replaced(run, example, model_folder, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    words = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder, "-f"]
    with subprocess.Popen(["cat", fifo], stdout=subprocess.PIPE) as reader:
        run(*words, "-O", "tsv", "-o", fifo)
        assert len(reader.stdout.read().splitlines()) == 97
    assert fifo.is_fifo()
    assert "not a regular file" in run(*words, "-o", fifo, code=1).stderr


def test_a_pipe_is_read_once(embed, example, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with subprocess.Popen(["cp", example / "regions.bed", fifo]):
        assert embed(fifo).n_obs == 96


@pytest.mark.parametrize("damage", [lambda b: b[:60], lambda b: b[:-8] + b"x" * 8])
def test_damaged_gzip_on_standard_input(run, example, model_folder, damage):
    data = damage(gzip.compress((example / "regions.bed").read_bytes()))
    error = run("embed", example / "genome.fa", "-", "-m", model_folder, "-O", "tsv", input=data,
                code=1).stderr  # fmt: skip
    assert "<stdin>: compressed data ends early or is damaged" in error
    assert len(error.splitlines()) == 1


def test_out_of_memory_is_one_line(run, example, model_folder, tmp_path, monkeypatch):
    def fail(*_):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: 9 bytes")

    monkeypatch.setattr("findna.model.inference.shared_states", fail)
    error = run("embed", example / "genome.fa", "-m", model_folder, "-o", tmp_path / "o.h5",
                code=1).stderr  # fmt: skip
    assert error.startswith("findna: out of memory; lower --max-tokens")


def test_many_columns(run, example, model_folder, write, tmp_path):
    bed = write("b.bed", "chrA\t0\t10" + "\tx" * 2000 + "\n")
    words = ["embed", example / "genome.fa", bed, "-m", model_folder]
    assert "2003 columns; HDF5" in run(*words, "-o", tmp_path / "o.h5", code=1).stderr
    assert run(*words, "-O", "tsv").stdout.count("\n") == 2


def test_a_message_stays_readable(run, example, write, tmp_path):
    bed = write("b.bed", "\x1b[31m" + "c" * 100_000 + "\t0\t10\n")
    error = run("embed", example / "genome.fa", bed, "-o", tmp_path / "o.h5", code=1).stderr
    assert len(error) < 2100
    assert "\x1b" not in error


def test_contigs_of_another_naming(run, write, tmp_path):
    genome = write("g.fa", ">chr2\nACGT\n>chr3\nACGT\n")
    bed = write("b.bed", "1\t0\t2\n2\t0\t2\n")
    error = run("embed", genome, bed, "-o", tmp_path / "o.h5", code=1).stderr
    assert "line 1 on: no contig 1, 2 in g.fa, which has chr2, chr3; did you mean chr2?" in error


@pytest.mark.slow
@pytest.mark.parametrize("name", ["o.h5", "o.tsv", "o.tsv.gz"])
def test_a_full_disk_is_one_line(example, model_folder, write, tmp_path, name):
    """A limit on the file's size stands in for the disk."""
    bed = write("many.bed", many_regions(3000))
    out = tmp_path / "out"
    out.mkdir()
    words = [sys.executable, "-m", "findna", "embed", example / "genome.fa", bed, "-m",
             model_folder, "-o", out / name]  # fmt: skip
    command = "ulimit -f 100; exec " + shlex.join(map(str, words))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=tmp_path)
    assert done.stderr == "findna: cannot write the output: File too large\n"
    assert done.returncode == 1
    assert list(out.iterdir()) == []


def test_a_symbolic_link_is_followed(run, example, model_folder, tmp_path):
    target, link = tmp_path / "real.h5", tmp_path / "link.h5"
    link.symlink_to(target)
    run("embed", example / "genome.fa", example / "regions.bed", "-m", model_folder, "-o", link)
    assert link.is_symlink()
    assert anndata.read_h5ad(target).n_obs == 96


def test_a_failed_run_leaves_nothing_behind(run, example, model_folder, tmp_path, monkeypatch):
    def fail(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("findna.outputs.hdf5.EmbeddingWriter.write", fail)
    out = tmp_path / "o.h5"
    error = run("embed", example / "genome.fa", example / "regions.bed", "-m", model_folder,
                "-o", out, code=1).stderr  # fmt: skip
    assert "No space left on device" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["-r", "chrA:1-2"], 2, "not both"),
        (["--split", "--flank", 3], 2, "--split cannot be combined"),
        (["--per-base", "-O", "tsv"], 2, "--per-base needs HDF5"),
        (["-m", "nothing"], 1, "no model nothing"),
        (["-m", "tinny"], 1, "did you mean tiny?"),
        (["--device", "cuda:99"], 2, "cuda:99"),
        (["--pool", "median"], 2, "median"),
        (["--chrom-alias", "absent"], 2, "absent"),
    ],
)
def test_wrong_usage(run, example, tmp_path, options, code, message):
    result = run("embed", example / "genome.fa", example / "regions.bed", "-o", tmp_path / "o.h5",
                 *options, code=code)  # fmt: skip
    assert message in result.stderr


def test_a_model_without_cls_positions(run, example, tmp_path):
    config = dataclasses.replace(TINY, n_cls=0)
    save_checkpoint(tmp_path / "m", make_model(config), {}, "")
    words = ["embed", example / "genome.fa", "-m", tmp_path / "m", "-o", tmp_path / "o.h5"]
    assert "appends no CLS positions" in run(*words, "--pool", "cls", code=2).stderr
    assert "trained without CLS positions" in run(*words, "--cls", code=2).stderr
    run(*words, "-r", "chrA:1-10")


def test_rows_of_unlike_width(run, example, write, tmp_path):
    bed = write("b.bed", "chrA\t0\t10\tn\nchrA\t0\t10\n")
    error = run("embed", example / "genome.fa", bed, "-o", tmp_path / "o.h5", code=1).stderr
    assert "b.bed:2: 3 columns, but the first row has 4" in error


def start(*arguments):
    words = [sys.executable, "-m", "findna", "embed", *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def many_regions(n):
    return "".join(f"chrA\t{i}\t{i + 200}\n" for i in range(n))


@pytest.mark.slow
def test_a_reader_that_has_had_enough(example, model_folder, write):
    bed = write("many.bed", many_regions(3000))
    with start(example / "genome.fa", bed, "-m", model_folder, "-O", "tsv") as process:
        assert process.stdout.readline().startswith("#chrom")
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == ""


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_is_one_line_and_leaves_nothing(example, model_folder, write, tmp_path, kind):
    bed, folder = write("many.bed", 4 * many_regions(50_000)), tmp_path / "out"
    folder.mkdir()
    with start(example / "genome.fa", bed, "-m", model_folder, "-o", folder / "o.h5") as process:
        for _ in range(600):
            time.sleep(0.1)
            if list(folder.iterdir()):
                break
        os.kill(process.pid, kind)
        assert process.wait(60) == 130
        assert process.stderr.read().splitlines() == ["findna: interrupted"]
    assert list(folder.iterdir()) == []


def test_from_python(example, model_folder, tmp_path):
    from findna.commands.embed import embed
    from findna.genome.sources import RegionSource
    from findna.model.precision import compute_on
    from findna.outputs.destination import Destination

    with Genome(example / "genome.fa") as genome:
        source = RegionSource.bed(example / "regions.bed")
        output = Destination(tmp_path / "o.h5", "h5")
        summary = embed(genome, source, output, model=str(model_folder), compute=compute_on("cpu"))
    assert [summary.counts[name] for name in ("rows", "embedded", "skipped")] == [96, 96, 0]


GAP = f">g\n{'N' * 200}{random_sequence(200)}\n"
GAP_ROWS = "g\t0\t100\tgap\ng\t150\t250\thalf\ng\t10\t60\tgap\ng\t250\t350\tbases\n"


def test_rows_of_nothing_but_n(run, model_folder, write, tmp_path):
    out = tmp_path / "o.h5"
    words = ["embed", write("gap.fa", GAP), write("gap.bed", GAP_ROWS), "-m", model_folder]
    result = run(*words, "-o", out, "--bins", 2, "--per-base")
    assert result.stderr.count("no_sequence") == 2  # one warning for both, and the summary
    assert "line 1 (gap): 100 of its 100 bp are N" in result.stderr
    assert "2 of 4 regions embedded, 2 kept without a vector (2 no_sequence)" in result.stderr
    data = anndata.read_h5ad(out)
    assert data.obs["status"].tolist() == ["no_sequence", "ok", "no_sequence", "ok"]
    assert data.obs["length"].tolist() == [0, 100, 0, 100]
    assert np.isnan(data.X).all(1).tolist() == [True, False, True, False]
    assert np.isnan(data.obsm["bins"]).all((1, 2)).tolist() == [True, False, True, False]
    assert data.uns["per_base"]["offsets"].tolist() == [0, 0, 100, 100, 200]
    run("verify", out, tmp_path / "gap.fa", "-m", model_folder, "--all")

    result = run(*words, "-O", "tsv", "--max-n", 0.5, "--pool", "max")
    rows = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    assert [row[4] for row in rows] == ["no_sequence", "ok", "no_sequence", "ok"]
    assert set(rows[0][5:]) == {"."}
    result = run(*words, "-O", "tsv", "--max-n", 0.49, "--on-error", "skip")
    assert [line.split("\t")[3] for line in result.stdout.splitlines()[1:]] == ["bases"]
    assert "1 of 4 regions embedded, 3 skipped (3 no_sequence)" in result.stderr


def test_rows_of_nothing_but_n_in_parts(run, model_folder, write, tmp_path):
    words = ["embed", write("gap.fa", GAP), write("gap.bed", GAP_ROWS), "-m", model_folder]
    run(*words, "-o", tmp_path / "whole.tsv")
    parts = [tmp_path / f"{i}.tsv" for i in (1, 2)]
    results = [run(*words, "-o", p, "--shard", f"{i}/2") for i, p in enumerate(parts, 1)]
    assert [r.stderr.count("line 1 (gap)") for r in results] == [1, 0]
    run("merge", *parts, "-o", tmp_path / "merged.tsv")
    assert (tmp_path / "merged.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()
    result = run(*words, "-o", tmp_path / "resumed.tsv", "--resume")
    assert "(2 no_sequence)" in result.stderr
    assert (tmp_path / "resumed.tsv").read_bytes() == (tmp_path / "whole.tsv").read_bytes()


@pytest.mark.parametrize("command", ["embed", "predict", "explain", "validate"])
def test_window_and_flank(run, example, command):
    words = [command, example / "genome.fa", example / "regions.bed", "--window", 300]
    task = ["-t", "promoter"] if command in ("predict", "explain") else []
    result = run(*words, "--flank", 20, *task, code=2)
    assert "--flank cannot be combined with --window" in result.stderr


@pytest.mark.parametrize("columns", ["", "\tx\t0\t.", "\tx\t0\t_"])
def test_rows_without_a_strand(run, example, model_folder, tasks, write, columns):
    bed = write("s.bed", "chrA\t0\t100\tx\t0\t-\n" * bool(columns) + f"chrA\t5\t90{columns}\n" * 2)
    for words in (["embed", "-m", model_folder, "-O", "tsv"], ["predict", "-t", tasks["binary"]]):
        command = [words[0], example / "genome.fa", bed, *words[1:]]
        number = 2 if columns else 1
        expected = f"line {number} has strand {columns[-1:] or '.'!r}, not + or -; it and others"
        assert run(*command, "-s").stderr.count("has strand") == 1
        assert expected in run(*command, "-s").stderr
        assert "strand" not in run(*command).stderr


def test_short_regions(run, example, model_folder, write):
    bed = write("tss.bed", "chrA\t100\t101\nchrA\t200\t201\n")
    words = ["embed", example / "genome.fa", bed, "-m", model_folder, "-O", "tsv"]
    result = run(*words)
    assert result.stderr.count("line 1 is 1 bp, too short for a vector of its own") == 1
    assert "line 2" not in result.stderr
    assert "too short" not in run(*words, "--window", 60).stderr


def test_an_anchor_needs_a_length(run, example, model_folder, write):
    bed = write("tss.bed", "chrA\t100\t300\n")
    words = [
        "embed",
        example / "genome.fa",
        bed,
        "-m",
        model_folder,
        "-O",
        "tsv",
        "--anchor",
        "end",
    ]
    assert "--anchor end changes nothing alone: give --window" in run(*words, code=2).stderr
    run(*words, "--window", 60)


def test_peaks_keep_their_columns_and_are_verified(run, example, model_folder, write, tmp_path):
    lines = "".join(
        f"chrA\t{300 + 40 * i}\t{380 + 40 * i}\tp{i}\t{i}\t{'+-'[i % 2]}\t9.{i}\t3\t2\t{7 * i}\n"
        for i in range(9)
    )
    peaks, out = write("p.narrowPeak", lines), tmp_path / "o.h5"
    words = [example / "genome.fa", peaks, "-m", model_folder, "--anchor", "summit", "--window", 60]
    run("embed", *words, "-o", out)
    with h5py.File(out) as file:
        names = [str(name) for name in file["obs"].attrs["column-order"]]
        assert names[5:10] == ["strand", "signalValue", "pValue", "qValue", "peak"]
        assert file["obs/peak"].asstr()[:].tolist() == [str(7 * i) for i in range(9)]
        assert set(file["obs/length"][:]) == {60}
    verified = run("verify", out, example / "genome.fa", "-m", model_folder)
    assert "9 of 9 rows computed again: the same" in verified.stdout
    points = "".join(
        f"chrA\t{300 + 47 * i}\t{301 + 47 * i}\tp{i}\t{i}\t{'+-'[i % 2]}\n" for i in range(9)
    )
    words[1:2] = [write("s.bed", points)]
    words.remove("--anchor")
    words.remove("summit")
    run("embed", *words, "-o", tmp_path / "s.h5")
    with h5py.File(out) as one, h5py.File(tmp_path / "s.h5") as other:
        assert (one["X"][:] == other["X"][:]).all()
