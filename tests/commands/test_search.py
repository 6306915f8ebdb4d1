"""``findna search`` through the command line, most of it on files of made-up vectors."""

import gzip
import json
import os
import shutil
from importlib.util import find_spec

import h5py
import numpy as np
import pytest
from scipy.stats import kstest

import findna
from findna.errors import CheckpointError, ConfigError
from findna.genome.encoding import decode
from findna.genome.regions import RegionOptions
from findna.model.checkpoint import save_checkpoint
from findna.outputs import hits, similarity
from findna.outputs.hdf5 import EmbeddingWriter
from findna.outputs.provenance import obs_columns
from findna.places import cache_folder
from tests.conftest import TINY, make_model

needs_usearch = pytest.mark.skipif(find_spec("usearch") is None, reason="usearch is not installed")

DIM = 12


def write_vectors(path, vectors, starts=None, *, contig="c", width=100, pool="mean", md5="0" * 32):
    """A file as of findna embed; NaN of rows without a vector, and rows side by side."""
    options = {"pool": pool, "bins": 0, "both_strands": False, "n_cls": 0, "precision": "fp32"}
    options |= RegionOptions().facts()
    metadata = {
        "model": {"name": "none", "digest": "d" * 64},
        "options": options,
        "genome": {"file": "g.fa", "contig": [contig], "md5": [md5]},
    }
    starts = range(0, width * len(vectors), width) if starts is None else starts
    columns = obs_columns(6, numeric_score=True)
    with EmbeddingWriter(
        path, dim=vectors.shape[1], columns=columns, kinds=[pool], metadata=metadata
    ) as writer:
        for i, (start, vector) in enumerate(zip(starts, vectors, strict=True)):
            missing = np.isnan(vector).any()
            row = {"chrom": contig, "start": start, "end": start + width, "name": f"{contig}{i}",
                   "score": "0", "strand": "+", "length": width, "n_fraction": 0.0,
                   "status": "no_sequence" if missing else "ok"}  # fmt: skip
            writer.write(row, None if missing else {pool: vector})
    return path


def made_up(n, seed=0):
    """Vectors whose axes differ in size and depend on each other, not centred; float32."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(n, DIM)) @ (rng.normal(size=(DIM, DIM)) * np.arange(1, DIM + 1))
    return (mixed + 3).astype(np.float32)


@pytest.fixture
def search(run):
    """Run the command; the columns of each line of its output."""

    def invoke(*words, **given):
        return [line.split("\t") for line in run("search", *words, **given).stdout.splitlines()]

    return invoke


def expected(index, queries, k, skip):
    """(row, similarity) of each query, computed another way."""
    rows = np.flatnonzero(np.isfinite(index).all(1))
    x = index[rows].astype(np.float64)
    values, axes = np.linalg.eigh(np.cov(x.T, bias=True))
    z = (np.concatenate((x, queries)) - x.mean(0)) @ axes / values**0.25
    z /= np.sqrt((z**2).sum(1))[:, None]
    for i, row in enumerate(z[len(x) :] @ z[: len(x)].T):
        row = np.round(row, 6)
        order = [j for j in np.lexsort((rows, -row)) if not skip(i, rows[j])]
        yield [(int(rows[j]), row[j]) for j in order[:k]]


@pytest.mark.parametrize("block", [4096, 7])
def test_hits_are_those_of_all_similarities(search, tmp_path, monkeypatch, block):
    monkeypatch.setattr(similarity, "_BLOCK", block)
    vectors = made_up(100)
    vectors[[3, 50]] = np.nan
    path = write_vectors(tmp_path / "i.h5", vectors)
    found = search(path, "--in", path, "-k", 8)
    queries = [i for i in range(100) if i not in (3, 50)]
    best = list(expected(vectors, vectors[queries], 8, lambda i, row: queries[i] == row))
    shown = iter(row for row in found if row[0] != ".")
    for query, rows in zip(queries, best, strict=True):
        for rank, (row, value) in enumerate(rows, 1):
            score = f"{round(1000 * value)}"
            place = ["c", f"{100 * row}", f"{100 * row + 100}", f"c{row}", score, "+"]
            assert next(shown)[:9] == [*place, f"c{query}", f"{rank}", f"{value:.6f}"]
    assert not list(shown)
    without = [row for row in found if row[0] == "."]
    for row, place in zip(without, ["c:300-400", "c:5000-5100"], strict=True):
        assert row[:6] == [".", "-1", "-1", "no_sequence", "-1", "."]
        assert row[7:] == [".", ".", ".", place]


def test_files_are_searched_as_if_one(run, tmp_path, monkeypatch):
    """The same bytes from one file, from two, from three, and for a query alone."""
    monkeypatch.setattr(similarity, "_BLOCK", 16)
    vectors = made_up(90)
    whole = write_vectors(tmp_path / "whole.h5", vectors)
    starts = range(0, 9000, 100)
    parts = [
        write_vectors(tmp_path / f"{a}.h5", vectors[a:b], starts[a:b])
        for a, b in [(0, 31), (31, 32), (32, 90)]
    ]
    two = write_vectors(tmp_path / "two.h5", vectors[32:], starts[32:])
    shared = ["-k", 30]

    def without_names(*files):
        words = [word for file in files for word in ("--in", file)]
        lines = run("search", whole, *words, *shared).stdout.splitlines()
        return [line.split("\t")[:3] + line.split("\t")[4:] for line in lines]

    once = without_names(whole)
    assert len(once) == 90 * 30
    assert once == without_names(*parts) == without_names(*parts[:2], two)
    alone = write_vectors(tmp_path / "alone.h5", vectors[40:41], starts[40:41])
    lines = run("search", alone, "--in", whole, *shared).stdout.splitlines()
    of_one = [row for row in once if row[-1] == "c:4000-4100"]
    assert [line.split("\t")[7:] for line in lines] == [row[6:] for row in of_one]


def test_ties_go_to_the_lower_row(search, tmp_path):
    vectors = made_up(40)
    vectors[[7, 19, 30]] = vectors[25]
    path = write_vectors(tmp_path / "i.h5", vectors)
    query = write_vectors(tmp_path / "q.h5", vectors[25:26], [99_000])
    found = search(query, "--in", path, "-k", 5)
    assert [row[3] for row in found[:4]] == ["c7", "c19", "c25", "c30"]
    assert {row[8] for row in found[:4]} == {"1.000000"}


def test_own_and_overlapping_rows(search, tmp_path):
    """Windows that slide: neighbours are alike, and only the best of them is a hit."""
    rng = np.random.default_rng(1)
    smooth = np.cumsum(rng.normal(size=(400, DIM)), axis=0).astype(np.float32)
    path = write_vectors(tmp_path / "i.h5", smooth, range(0, 4000, 10))
    query = write_vectors(tmp_path / "q.h5", smooth[200:201], [2000])
    ends = [(int(row[1]), int(row[2])) for row in search(query, "--in", path, "-k", 12)]
    assert len(ends) == 12
    assert all(end <= 2000 or start >= 2100 for start, end in ends)
    ends.sort()
    assert all(a[1] <= b[0] for a, b in zip(ends, ends[1:], strict=False))
    own = search(query, "--in", path, "-k", 12, "--own", "--overlapping")
    assert [own[0][1], own[0][8]] == ["2000", "1.000000"]
    both = next(expected(smooth, smooth[200:201], 12, lambda *_: False))
    assert [int(row[1]) // 10 for row in own] == [row for row, _ in both]
    every = search(query, "--in", path, "-k", 400)
    assert 20 < len(every) <= 39  # no more fit, and all candidates were looked at
    assert every[:12] == search(query, "--in", path, "-k", 12)


def test_rows_of_another_genome_are_not_the_query_itself(search, tmp_path):
    vectors = made_up(30)
    query = write_vectors(tmp_path / "q.h5", vectors)
    other = write_vectors(tmp_path / "other.h5", vectors, md5="1" * 32)
    assert [row[3] for row in search(query, "--in", other, "-k", 1)] == [f"c{i}" for i in range(30)]
    found = search(query, "--in", query, "--in", other, "-k", 1)
    assert [row[3] for row in found] == [f"c{i}" for i in range(30)]  # those of the other


def test_the_least_similarity(run, tmp_path):
    path = write_vectors(tmp_path / "i.h5", made_up(60))
    every = [line.split("\t") for line in run("search", path, "--in", path).stdout.splitlines()]
    some = run("search", path, "--in", path, "--min-sim", 0.7)
    found = [line.split("\t") for line in some.stdout.splitlines()]
    assert found == [row for row in every if float(row[8]) >= 0.7]
    without = 60 - len({row[6] for row in found})
    assert without > 0
    assert f", {len(found)} hits, {without} without one in " in some.stderr


def test_p_values_are_uniform_where_nothing_is_alike(search, tmp_path):
    vectors = made_up(540)
    index = write_vectors(tmp_path / "i.h5", vectors[:500])
    queries = write_vectors(tmp_path / "q.h5", vectors[500:], md5="1" * 32)
    p_values = np.array([float(row[9]) for row in search(queries, "--in", index, "-k", 500)])
    assert len(p_values) == 40 * 500
    assert 0 < p_values.min() <= p_values.max() <= 1
    assert abs(p_values.mean() - 0.5) < 0.01
    assert kstest(p_values, "uniform").statistic < 0.02
    best = [float(row[9]) for row in search(queries, "--in", index, "-k", 1)]
    assert 0.2 < np.mean(best) * 500 < 5  # of 500 rows, one is as alike as one in 500 by chance


def test_few_rows(search, tmp_path):
    """Fewer rows than dimensions; one; pairs of none."""
    vectors = made_up(5)
    path = write_vectors(tmp_path / "i.h5", vectors)
    assert len(search(path, "--in", path)) == 20
    one = write_vectors(tmp_path / "one.h5", vectors[:1])
    assert search(one, "--in", one) == []
    assert search(path, "--in", one, "--own")[0][8:10] == ["0.000000", "1"]
    none = write_vectors(tmp_path / "none.h5", vectors[:0])
    assert search(none, "--in", path) == []


@pytest.fixture
def embedded(run, example, model_folder, tmp_path):
    def invoke(*options, name="o.h5", regions=example / "regions.bed"):
        words = [example / "genome.fa"] + ([] if regions is None else [regions])
        out = tmp_path / name
        run("embed", *words, "-m", model_folder, "-o", out, "-f", *options)
        return out

    return invoke


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["-s", "--both-strands", "--precision", "bf16"],
        ["--window", 250, "--anchor", "start", "-s", "--pool", "max", "--pool", "mean"],
        ["--upstream", 100, "--downstream", 20, "--bins", 3],
        ["--flank", 40, "--whole", "--dtype", "float16"],
    ],
)
def test_queries_are_embedded_as_the_index_was(search, embedded, example, model_folder, options):
    """So a row finds itself, and finds the same as its stored vector does."""
    path, fasta = embedded(*options), example / "genome.fa"
    shared = ["--in", path, "-k", 1, "--own", "--overlapping"]
    found = search(fasta, example / "regions.bed", "-m", model_folder, *shared)
    lines = (example / "regions.bed").read_text().splitlines()
    assert [row[:4] for row in found] == [line.split("\t")[:4] for line in lines]
    assert all(float(row[8]) >= 0.999 for row in found)
    stored = search(path, *shared)
    assert [row[:4] for row in stored] == [row[:4] for row in found]


def test_rows_without_a_name_have_their_place(search, embedded, example, model_folder, write):
    """Of files of embeddings as of BED: a dot is no name."""
    rows = [("chrA", 100, 400), ("chrA", 900, 1200), ("chrB", 100, 400)]
    bed = write("dots.bed", "".join(f"{c}\t{a}\t{b}\t.\t0\t+\n" for c, a, b in rows))
    path = embedded(regions=bed)
    shared = ["--in", path, "-k", 1, "--own"]
    stored = search(path, *shared)
    assert stored == search(example / "genome.fa", bed, "-m", model_folder, *shared)
    assert [row[6] for row in stored] == [f"{c}:{a}-{b}" for c, a, b in rows]
    assert all(row[3] == f"{row[0]}:{row[1]}-{row[2]}" for row in stored)


def test_kinds_of_queries(search, run, embedded, example, model_folder, write):
    path, fasta = embedded(), example / "genome.fa"
    rest = ["--in", path, "-m", model_folder, "-k", 3]
    chrom, start, end, *_ = (example / "regions.bed").read_text().split("\n", 1)[0].split("\t")
    region = f"{chrom}:{int(start) + 1}-{end}"
    by_region = search(fasta, "-r", region, *rest)
    bed = f"{chrom}\t{start}\t{end}\n"
    by_pipe = search(fasta, "-", *rest, input=bed.encode())
    by_file = search(fasta, write("q.bed.gz", gzip.compress(bed.encode())), *rest)
    assert len(by_region) == 3
    assert by_region == by_pipe == by_file
    with findna.Genome(fasta) as genome:
        letters = decode(genome.fetch(chrom, int(start), int(end)))
    record = write("q.fa", f">mine\n{letters}\n")
    by_record = search(record, *rest)  # not the query itself, which lies elsewhere
    assert [by_record[0][i] for i in (1, 2, 6, 8)] == [
        start,
        end,
        f"mine:0-{len(letters)}",
        "1.000000",
    ]
    assert [row[:6] for row in by_record[1:]] == [row[:6] for row in by_region[:2]]


def test_windows_overlap_where_rows_do_not(search, embedded, example, model_folder, write):
    """Points 100 bp apart, of which 250 bp are read."""
    points = write("p.bed", "".join(f"chrA\t{at}\t{at + 1}\n" for at in range(2000, 5000, 100)))
    path = embedded("--window", 250, regions=points)
    for words in ([example / "genome.fa", "-r", "chrA:3,001-3,001", "-m", model_folder], [path]):
        query = [*words, "--in", path, "-k", 30]
        found = [row for row in search(*query) if row[10] == "chrA:3000-3001"]
        starts = sorted([3000, *(int(row[1]) for row in found)])
        assert len(starts) > 5
        assert min(np.diff(starts)) >= 300
        every = search(*query, "--own", "--overlapping")
        assert len([row for row in every if row[10] == "chrA:3000-3001"]) == 30


def test_the_window_of_queries(run, embedded, example, model_folder, write):
    path, fasta = embedded("--window", 200), example / "genome.fa"
    rest = ["--in", path, "-m", model_folder, "-k", 1]
    long = write("q.bed", "chrA\t2000\t3000\n")
    assert "rows of the index" not in run("search", fasta, long, *rest).stderr
    said = run("search", fasta, long, "--window", 1000, *rest).stderr
    assert "line 1 is 1000 bp, rows of the index 200;" in said
    other = embedded("--window", 300, name="other.h5")
    both = run("search", fasta, long, *rest, "--in", other, code=1).stderr
    assert both.startswith(f"findna: {other}: made with other windows than {path}; say with ")
    run("search", fasta, long, *rest, "--in", other, "--window", 200)
    run("search", path, "--in", path, "--in", other)
    run("search", fasta, "-r", "chrA:1-5", *rest, code=1)
    run("search", fasta, "-r", "chrA:1-5", *rest, "--out-of-bounds", "pad")


def test_queries_without_a_vector(run, embedded, model_folder, write):
    path = embedded()
    fasta = write("n.fa", ">chrA\n" + "ACGTTGCAAC" * 30 + "N" * 300 + "\n")
    bed = write("q.bed", "chrA\t0\t300\nchrA\t9\t3\nchrA\t300\t600\tn\nchrA\t0\t299\n".replace(
        "\tn\n", "\n"))  # fmt: skip
    rest = ["--in", path, "-m", model_folder, "-k", 1]
    said = run("search", fasta, bed, *rest, code=1)
    assert said.stdout == ""
    assert "1 of 4 regions cannot be read: line 2: start 9 is greater than end 3" in said.stderr
    kept = run("search", fasta, bed, *rest, "--on-error", "null")
    rows = [line.split("\t") for line in kept.stdout.splitlines()]
    assert [row[3] for row in rows[1:3]] == ["reversed", "no_sequence"]
    assert [row[10] for row in rows] == ["chrA:0-300", "chrA:9-3", "chrA:300-600", "chrA:0-299"]
    assert "2 of 4 regions searched, 2 kept without a hit (1 reversed, 1 no_sequence)" in " ".join(
        kept.stderr.split()
    )
    summary = bed.with_name("summary.json")
    skipped = run("search", fasta, bed, *rest, "--on-error", "skip", "--summary", summary)
    noted = json.loads(summary.read_text())
    assert noted["rows"] == {"in": 4, "out": 2}
    assert noted["statuses"] == {"ok": 2, "reversed": 1, "no_sequence": 1}
    assert noted["precision"] == "fp32"
    assert [line.split("\t") for line in skipped.stdout.splitlines()] == [rows[0], rows[3]]
    assert "2 skipped (1 reversed, 1 no_sequence) among 96 rows, 2 hits in" in skipped.stderr


def test_outputs(run, tmp_path):
    path = write_vectors(tmp_path / "i.h5", made_up(20))
    plain = run("search", path, "--in", path, "-k", 2).stdout
    header = "##findna 0.1.0 none=dddddddddddd\n#chrom\tstart\tend\tname\tscore\tstrand\tquery\t"
    header += "rank\tsimilarity\tp_value\tquery_region\n"
    assert run("search", path, "--in", path, "-k", 2, "--header").stdout == header + plain
    assert run("search", path, "--in", path, "-k", 2, "-O", "tsv").stdout == header + plain
    out = tmp_path / "hits.bed.gz"
    said = run("search", path, "--in", path, "-k", 2, "-o", out).stderr
    assert said.startswith("findna: 20 of 20 regions searched among 20 rows, 40 hits in ")
    assert said.endswith(f" s, model none dddddddddddd -> {out}\n")
    assert gzip.decompress(out.read_bytes()).decode() == plain
    assert out.read_bytes()[12:14] == b"BC"  # BGZF
    assert "--force" in run("search", path, "--in", path, "-o", out, code=1).stderr
    assert run("search", path, "--in", path, "-o", out, "-f", "-q").stderr == ""
    assert "is also an input" in run("search", path, "--in", path, "-o", path, "-f", "-O", "bed",
                                     code=1).stderr  # fmt: skip


def test_another_model_is_refused(run, embedded, example, tmp_path, model_folder):
    path, fasta = embedded(), example / "genome.fa"
    save_checkpoint(tmp_path / "other", make_model(TINY, 2), {}, "{digest}\n")
    said = run("search", fasta, "-r", "chrA:1-300", "--in", path, "-m", tmp_path / "other", code=1)
    assert said.stderr.count("\n") == 1
    assert said.stderr.startswith(f"findna: {path}: made with model ")
    assert "name the model of this file with -m" in said.stderr
    unknown = run("search", fasta, "-r", "chrA:1-300", "--in", path, code=1).stderr
    assert "name the model of this file with -m" in unknown
    run("embed", fasta, "-r", "chrA:1-300", "-m", tmp_path / "other", "-o", tmp_path / "q.h5")
    said = run("search", tmp_path / "q.h5", "--in", path, code=1).stderr
    assert said.startswith(f"findna: {tmp_path / 'q.h5'}: made with model ")


def test_files_that_cannot_be_compared(run, embedded, tmp_path, write, example):
    path = write_vectors(tmp_path / "i.h5", made_up(20))
    pooled = write_vectors(tmp_path / "max.h5", made_up(20), pool="max")
    said = run("search", path, "--in", path, "--in", pooled, code=1).stderr
    assert said == (
        f"findna: {pooled}: made with pooling max, but {path} with mean; such vectors cannot be "
        "compared: embed one of them again\n"
    )
    run("search", pooled, "--in", path, code=1)
    none = write_vectors(tmp_path / "none.h5", np.full((3, DIM), np.nan, np.float32))
    assert "no row has a vector" in run("search", path, "--in", none, code=1).stderr
    empty = write_vectors(tmp_path / "empty.h5", made_up(0))
    assert "no rows to search" in run("search", path, "--in", empty, code=1).stderr
    text = write("t.h5", "text")
    assert "not an HDF5 file" in run("search", path, "--in", text, code=1).stderr
    assert "no such file" in run("search", tmp_path / "no.fa", "--in", path, code=1).stderr
    for words in (["-r", "c:1-2"], [text], ["--window", 5], ["-m", "tiny"]):
        run("search", path, *words, "--in", path, code=2)
    with h5py.File(path, "r+") as file:
        del file["uns/findna/options/pool"]
    assert "uns/findna/options/pool" in run("search", pooled, "--in", path, code=1).stderr


def test_from_python(run, embedded, example, model_folder):
    path, fasta = embedded(), example / "genome.fa"
    lines = run("search", fasta, example / "regions.bed", "-m", model_folder, "--in", path,
                "-k", 3, "--min-sim", 0.2).stdout.splitlines()  # fmt: skip
    found = list(
        findna.search(
            fasta, example / "regions.bed", index=path, k=3, min_similarity=0.2, model=model_folder
        )
    )
    assert [
        [query.interval.label(), hit.interval.label(), f"{hit.similarity:.6f}"]
        for query, hits in found
        for hit in hits
    ] == [[line.split("\t")[i] for i in (6, 3, 8)] for line in lines]
    of_vectors = list(findna.search(path, index=[path], k=1))
    assert [hits[0].interval for _, hits in of_vectors][:1] == [found[0][1][0].interval]
    with pytest.raises(ConfigError, match="k: 0 is not a whole number"):
        findna.search(path, index=path, k=0)
    with pytest.raises(CheckpointError):
        findna.search(fasta, "chrA:1-300", index=path, model="tiny")
    with pytest.raises(TypeError, match="no option 'kk'"):
        findna.search(path, index=path, kk=0)


def test_without_usearch_every_row_is_compared(run, tmp_path, monkeypatch):
    path = write_vectors(tmp_path / "i.h5", made_up(50))
    exact = run("search", path, "--in", path)
    assert "usearch" not in exact.stderr
    monkeypatch.setattr(hits, "MOST_EXACT", 49)
    monkeypatch.setattr(hits, "has_usearch", lambda: False)
    slow = run("search", path, "--in", path)
    assert slow.stdout == exact.stdout
    assert slow.stderr.splitlines()[0] == (
        "findna: 50 rows are compared with each query; pip install 'findna[search]' keeps an "
        "index, which is faster"
    )
    assert "pip" not in run("search", path, "--in", path, "--exact").stderr
    assert not list(tmp_path.glob("*.search"))


def clustered(n, seed=0, dim=64):
    """Vectors around points of a plane of few dimensions, as those of an encoder are."""
    rng = np.random.default_rng(seed)
    plane = rng.normal(size=(n, 8)) @ np.random.default_rng(9).normal(size=(8, dim))
    return (plane + rng.normal(size=(n, dim)) / 2).astype(np.float32)


@pytest.fixture
def graph(monkeypatch, run):
    """Search with the approximate index; what -v says of it, and the lines."""
    monkeypatch.setattr(hits, "MOST_EXACT", 10)

    def invoke(*words, **given):
        done = run("search", *words, "-v", **given)
        return done.stdout.splitlines()

    return invoke


@pytest.mark.slow
@needs_usearch
def test_an_approximate_index_finds_nearly_all(graph, run, tmp_path):
    vectors = clustered(1500)
    vectors[::100] = np.nan
    path = write_vectors(tmp_path / "i.h5", vectors)
    queries = write_vectors(tmp_path / "q.h5", clustered(50, seed=1), md5="1" * 32)
    exact = run("search", queries, "--in", path, "--exact").stdout.splitlines()
    found = graph(queries, "--in", path)
    assert len(found) == len(exact) == 1000

    def pairs(lines):
        return {tuple(line.split("\t")[i] for i in (3, 6, 8, 9)) for line in lines}

    assert len(pairs(found) & pairs(exact)) >= 0.95 * 1000
    assert graph(queries, "--in", path) == found  # from the index that was kept
    shutil.rmtree(tmp_path / "i.h5.search")
    assert graph(queries, "--in", path) == found  # and from a new one
    one = write_vectors(tmp_path / "one.h5", clustered(50, seed=1)[:1], md5="1" * 32)
    assert graph(one, "--in", path) == found[:20]
    itself = graph(path, "--in", path, "-k", 1, "--own")
    assert len(itself) == 1500  # those without a vector too
    every = graph(queries, "--in", path, "-k", 1400)
    assert 0.9 * 50 * 1400 < len(every) <= 50 * 1400


@pytest.mark.slow
@needs_usearch
def test_an_approximate_index_is_of_the_file_as_it_is(graph, tmp_path):
    """Another content, damage, another file, or one that was not finished: built again."""
    vectors = clustered(300)
    path = write_vectors(tmp_path / "i.h5", vectors)
    folder = tmp_path / "i.h5.search"
    before = graph(path, "--in", path, "-k", 3)
    assert sorted(file.name for file in folder.iterdir()) == [
        "facts.json", "graph.usearch", "whitening.f64",
    ]  # fmt: skip
    made = (folder / "graph.usearch").stat().st_mtime_ns
    assert graph(path, "--in", path, "-k", 3) == before
    assert (folder / "graph.usearch").stat().st_mtime_ns == made

    stat = path.stat()
    with h5py.File(path, "r+") as file:
        file["X"][0] = file["X"][7]
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    after = graph(path, "--in", path, "-k", 3)
    assert after != before
    assert after[0].split("\t")[3] == "c7"
    for name, content in (("graph.usearch", b"x" * 500), ("whitening.f64", b""),
                          ("facts.json", b"{")):  # fmt: skip
        (folder / name).write_bytes(content)
        assert graph(path, "--in", path, "-k", 3) == after
    (folder / "facts.json").unlink()
    assert graph(path, "--in", path, "-k", 3) == after
    more = write_vectors(tmp_path / "more.h5", clustered(300, seed=2), contig="d", md5="1" * 32)
    both = graph(path, "--in", path, "--in", more, "-k", 3)
    assert {line.split("\t")[0] for line in both} == {"c", "d"}
    assert graph(path, "--in", path, "-k", 3) == after


@pytest.mark.slow
@needs_usearch
def test_an_approximate_index_that_cannot_lie_beside_its_file(graph, tmp_path, monkeypatch):
    path = write_vectors(tmp_path / "i.h5", clustered(300))
    there = graph(path, "--in", path, "-k", 3)
    shutil.rmtree(tmp_path / "i.h5.search")
    monkeypatch.setattr(os, "access", lambda _, mode, **__: mode != os.W_OK)
    assert graph(path, "--in", path, "-k", 3) == there
    assert not (tmp_path / "i.h5.search").exists()
    assert len(list(cache_folder().glob("searches/i.h5.*"))) == 1


@pytest.mark.realdata
def test_starts_of_transcription_find_each_other(run, search, shared_data, tmp_path):
    """Promoters of chr20 among twice as many windows elsewhere."""
    fasta = shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"
    tss = shared_data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"
    lines = [line.split() for line in gzip.decompress(tss.read_bytes()).decode().splitlines()]
    starts = [row for row in lines if row[0] == "chr20" and int(row[1]) < 9_990_000][:60]
    rows = [f"chr20\t{row[1]}\t{row[2]}\tpromoter\n" for row in starts]
    rows += [f"chr20\t{at}\t{at + 1}\tother\n" for at in range(1_000_000, 9_000_000, 66_667)]
    bed = tmp_path / "r.bed"
    bed.write_text("".join(rows))
    run("embed", fasta, bed, "--window", 300, "--both-strands", "-o", tmp_path / "i.h5")
    found = search(fasta, bed, "--in", tmp_path / "i.h5", "-k", 10)
    hits_of = [row[3] for row in found if row[6] == "promoter"]
    assert hits_of.count("promoter") / len(hits_of) > 0.6


def test_an_index_of_summits_asks_for_them(run, example, model_folder, write, tmp_path):
    peaks = "".join(
        f"chrA\t{300 + 80 * i}\t{370 + 80 * i}\tp{i}\t0\t.\t9\t3\t2\t{30 + i}\n" for i in range(9)
    )
    index, words = tmp_path / "i.h5", [example / "genome.fa", write("p.narrowPeak", peaks)]
    run("embed", *words, "-m", model_folder, "--anchor", "summit", "--window", 60, "-o", index)
    words += ["-m", model_folder, "--in", index]
    run("search", *words)
    words[1] = write("q.bed", "chrA\t300\t370\n")
    error = run("search", *words, code=1).stderr
    assert "3 columns; its summit would be the last of narrowPeak's 10" in error
    run("search", *words, "--window", 60)
