"""``findna scan``: a task's probability along a genome, as bedGraph and bigWig."""

import os
import re
import shlex
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from findna.commands.scan import ScanOptions, mean_track, windows
from findna.commands.scan import scan as scan_genome
from findna.genome.fasta import Genome
from findna.model.precision import compute_on
from findna.outputs.destination import Destination
from findna.outputs.tracks import Segment, joined, write_bigwig
from findna.tasks.task import load_task
from tests.conftest import make_task, random_sequence


@pytest.fixture
def fasta(write):
    """Contigs that are not in the order of their names, one shorter than a window."""
    contigs = {"chr2": 420, "chr10": 333, "chr1": 205, "Un": 41}
    return write("g.fa", "".join(f">{n}\n{random_sequence(k, k)}\n" for n, k in contigs.items()))


@pytest.fixture
def scan(run, fasta, tasks):
    """``scan("binary", ...)``: standard output; windows of 60 bp every 20 unless told."""

    def invoke(task, *options, fasta=fasta, size=("--window", 60, "--step", 20), **more):
        return run("scan", fasta, "-t", tasks.get(task, task), *size, *options, **more).stdout

    return invoke


def rows(output):
    """Contig, start, end and value of each line."""
    found = (line.split("\t") for line in output.splitlines())
    return [(chrom, int(start), int(end), float(value)) for chrom, start, end, value in found]


def per_base(segments, length, chrom):
    """A track as one value per base; NaN in gaps."""
    values = np.full(length, np.nan)
    for name, start, end, value in segments:
        if name == chrom:
            assert np.isnan(values[start:end]).all()  # never two values
            values[start:end] = value
    return values


def is_a_track(segments):
    """Sorted, not overlapping, nothing empty, equal neighbours joined."""
    for before, after in zip(segments, segments[1:], strict=False):
        if before[0] == after[0]:
            assert before[2] <= after[1]
            assert before[2] < after[1] or before[3] != after[3]
        else:
            assert before[0].encode() < after[0].encode()
    return all(start < end for _, start, end, _ in segments)


# arithmetic


@given(st.integers(0, 50), st.integers(1, 300), st.integers(1, 80), st.integers(1, 80))
def test_windows_cover_an_interval_and_stay_inside(start, length, window, step):
    step = min(step, window)
    found = list(windows(start, start + length, window, step))
    size = min(window, length)
    assert all(b - a == size for a, b in found)
    assert found[0][0] == start
    assert found[-1][1] == start + length
    steps = np.diff([a for a, _ in found])
    assert (steps[:-1] == step).all()
    assert (steps > 0).all()
    assert (steps <= step).all()


@given(
    st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3), st.booleans()), max_size=30),
    st.integers(1, 20),
)
def test_a_track_is_the_mean_of_what_covers_each_base(steps, size):
    scored, start, chrom = [], 0, "a"
    for step, value, next_contig in steps:
        start, chrom = (0, chrom + "a") if next_contig else (start + step, chrom)
        scored.append(Segment(chrom, start, start + size, value / 7))
    track = list(joined(mean_track(scored)))
    assert is_a_track(track)
    for name in {one.chrom for one in scored}:
        total, count = np.zeros(1000), np.zeros(1000)
        for chrom, a, b, value in scored:
            if chrom == name:
                total[a:b] += value
                count[a:b] += 1
        expected = np.divide(total, count, where=count > 0, out=np.full(1000, np.nan))
        np.testing.assert_allclose(per_base(track, 1000, name), expected, atol=1e-6)


def test_a_piece_is_given_out_as_soon_as_it_is_final():
    taken = []

    def scored():
        for i in range(5):
            taken.append(i)
            yield Segment("a", 10 * i, 10 * i + 20, i)

    track = mean_track(scored())
    assert next(track) == ("a", 0, 10, 0)
    assert taken == [0, 1]


def test_values_are_rounded_before_neighbours_are_joined():
    parts = [("a", 0, 5, 0.1234561), ("a", 5, 9, 0.1234564), ("a", 10, 12, 0.1234564)]
    found = list(joined(Segment(*part) for part in parts))
    assert found == [("a", 0, 9, 0.123456), ("a", 10, 12, 0.123456)]
    assert str(next(joined([Segment("a", 0, 5, -1e-9)])).value) == "0.0"


# values


@pytest.mark.parametrize(
    ("task", "options", "column"),
    [
        ("binary", [], 4),
        ("binary", ["--class", "no"], 3),
        ("three", ["--class", "acceptor"], 4),
        ("three", ["--class", "donor", "--strand", "-"], 3),
        ("labels", ["--class", "c"], 5),
        ("value", ["--class", "rate"], 4),
    ],
)
def test_the_track_is_the_mean_of_what_predict_says(
    scan, run, fasta, tasks, write, task, options, column
):
    text = "".join(
        f"{name}\t{a}\t{b}\tx\t0\t-\n"
        for name, length in (("chr2", 420), ("chr10", 333), ("chr1", 205), ("Un", 41))
        for a, b in windows(0, length, 60, 20)
    )
    bed = write("w.bed", text)
    stranded = ["-s"] * ("--strand" in options)
    output = run("predict", fasta, bed, "-t", tasks[task], "--all-classes", *stranded).stdout
    predicted = [line.split("\t") for line in output.splitlines()]
    track = rows(scan(task, *options))
    assert is_a_track(track)
    for name, length in (("chr2", 420), ("chr10", 333), ("chr1", 205), ("Un", 41)):
        total, count = np.zeros(length), np.zeros(length)
        for chrom, start, end, *_ in predicted:
            here = slice(int(start), int(end))
            if chrom == name:
                count[here] += 1
        for row in predicted:
            if row[0] == name:
                total[int(row[1]) : int(row[2])] += float(row[3 + 3 + column - 1])
        np.testing.assert_allclose(per_base(track, length, name), total / count, atol=3e-6)


def test_contigs_come_in_the_order_of_their_bytes_and_are_covered(scan, tmp_path):
    output = scan("binary")
    assert is_a_track(rows(output))
    assert all(re.fullmatch(r"\S+\t\d+\t\d+\t[01]\.\d{6}", line) for line in output.splitlines())
    (tmp_path / "t.bedgraph").write_text(output)
    check = "LC_ALL=C sort -c -k1,1 -k2,2n t.bedgraph && bedtools merge -i t.bedgraph"
    done = subprocess.run(check, shell=True, cwd=tmp_path, capture_output=True, check=True)
    assert done.stdout == b"Un\t0\t41\nchr1\t0\t205\nchr10\t0\t333\nchr2\t0\t420\n"
    assert done.stderr == b""


def test_batches_and_pieces_of_sequence_change_nothing(scan, monkeypatch):
    words = ["three", "--class", "donor", "--strand", "-"]
    expected = scan(*words)
    monkeypatch.setattr("findna.commands.scan.BASES_AT_A_TIME", 70)
    assert scan(*words) == expected
    monkeypatch.setattr("findna.commands.scan.WINDOWS_AT_A_TIME", 2)
    small, large = rows(scan(*words, "--max-tokens", 1)), rows(expected)
    for chrom in ("chr2", "chr10", "chr1", "Un"):  # as values of bases: some may be joined
        np.testing.assert_allclose(
            per_base(small, 420, chrom), per_base(large, 420, chrom), atol=2e-6
        )


def test_window_and_step_by_default(run, fasta, model_folder, tmp_path):
    task = make_task(tmp_path / "t", model_folder, window=80)
    result = run("scan", fasta, "-t", task)
    assert "windows of 80 bp every 13 bp" in result.stderr
    assert result.stdout == run("scan", fasta, "-t", task, "--window", 80, "--step", 13).stdout
    warned = run("scan", fasta, "-t", task, "--window", 50).stderr
    assert "task t was trained on 80 bp, not on 50" in warned
    assert "windows of 50 bp every 8 bp" in warned


def test_both_strands_of_a_task_that_reads_one(scan, run, fasta, tasks):
    forward = scan("three", "--class", "donor")
    assert forward == scan("three", "--class", "donor", "--strand", "+")
    assert forward != scan("three", "--class", "donor", "--strand", "-")
    words = ["scan", fasta, "-t", tasks["binary"], "--window", 60, "--strand", "-"]
    assert "reads both strands; --strand changes nothing" in run(*words).stderr


# where


def test_regions_are_sorted_and_merged(scan, write):
    bed = write(
        "r.bed", "chr2\t300\t400\nchr10\t0\t100\nchr2\t50\t200\nchr2\t60\t80\nchr2\t200\t210\n"
    )
    track = rows(scan("binary", "--regions", bed))
    assert is_a_track(track)
    covered = np.flatnonzero(~np.isnan(per_base(track, 420, "chr2")))
    assert covered.tolist() == [*range(50, 210), *range(300, 400)]
    merged = write("m.bed", "#x\nchr10\t0\t100\nchr2\t50\t210\nchr2\t300\t400\n")
    assert rows(scan("binary", "--regions", merged)) == track
    assert rows(scan("binary", "--regions", "-", input=bed.read_bytes())) == track
    strings = ["-r", "chr2:51-210", "-r", "chr10:1-100", "-r", "chr2:301-400"]
    assert rows(scan("binary", *strings)) == track


def test_windows_stay_inside_a_region(scan, run, fasta, tasks, write):
    """What lies outside makes no difference; a region as long as a window is what predict says."""
    bed = write("r.bed", "chr2\t100\t160\nchr2\t300\t330\n")
    found = rows(scan("binary", "--regions", bed))
    output = run("predict", fasta, bed, "-t", tasks["binary"]).stdout
    expected = [float(line.split("\t")[4]) for line in output.splitlines()]
    assert [row[:3] for row in found] == [("chr2", 100, 160), ("chr2", 300, 330)]
    np.testing.assert_allclose([row[3] for row in found], expected, atol=2e-6)


def test_no_regions_give_an_empty_track(scan, write):
    assert scan("binary", "--regions", write("e.bed", "#none\n")) == ""


def test_windows_of_n_are_gaps(scan, write):
    letters = random_sequence(200, 1) + "N" * 200 + random_sequence(100, 2)
    fasta = write("n.fa", f">c\n{letters}\n>n\n{'N' * 300}\n")
    track = rows(scan("binary", fasta=fasta))
    assert {row[0] for row in track} == {"c"}
    missing = np.flatnonzero(np.isnan(per_base(track, 500, "c")))
    # windows from 180 on are more than half N; the one from 160 ends at 220
    assert missing.tolist() == list(range(220, 380))
    none = rows(scan("binary", "--max-n", 0, fasta=fasta))
    assert np.flatnonzero(np.isnan(per_base(none, 500, "c"))).tolist() == list(range(200, 400))
    every = rows(scan("binary", "--max-n", 1, fasta=fasta))
    missing = np.flatnonzero(np.isnan(per_base(every, 500, "c")))
    assert missing.tolist() == list(range(240, 360))  # where windows hold nothing but N
    assert {row[0] for row in every} == {"c"}


def test_regions_that_cannot_be_read(scan, run, fasta, tasks, write):
    bed = write("b.bed", "chr2\t0\t100\n2\t0\t10\nchr10\t300\t400\n")
    words = ["scan", fasta, "-t", tasks["binary"], "--window", 60, "--regions", bed]
    error = run(*words, code=1).stderr
    assert "b.bed: 2 of 3 regions cannot be read: line 2: no contig 2" in error
    far = write("far.bed", "".join(f"chr2\t{10**8 + n}\t{10**8 + n + 9}\n" for n in range(3)))
    error = run(*words[:-1], far, code=1).stderr
    assert error.count("check that the regions and the FASTA are the same assembly") == 1
    assert error.count("is past the end of chr2") == 3
    for choice in ("skip", "null"):
        result = run(*words, "--on-error", choice)
        assert {row[0] for row in rows(result.stdout)} == {"chr2"}
        assert "2 of 3 regions left out" in result.stderr
    alias = write("alias", "2\tchr2\n")
    good = write("g.bed", "2\t0\t100\n")
    aliased = scan("binary", "--regions", good, "--chrom-alias", alias)
    assert aliased == scan("binary", "-r", "chr2:1-100")


# forms


def test_header(scan, tasks):
    comment, track, *values = scan("three", "--header", "--class", "donor").splitlines()
    digest = load_task(str(tasks["three"])).digest[:12]
    assert re.match(rf"#findna \S+ three={digest} class=donor window=60 step=20 ", comment)
    assert track.startswith('track type=bedGraph name="three donor" description="')
    assert track.endswith("viewLimits=0:1")
    assert "\n".join(values) + "\n" == scan("three", "--class", "donor")


def test_an_indexed_track(scan, tmp_path):
    out = tmp_path / "t.bedgraph.gz"
    scan("binary", "-o", out, "--write-index", "--header")
    found = subprocess.run(["tabix", out, "chr10:101-120"], capture_output=True, check=True)
    assert found.stderr == b""
    expected = [r for r in rows(scan("binary")) if r[0] == "chr10" and r[1] < 120 and r[2] > 100]
    assert rows(found.stdout.decode()) == expected != []


def test_same_input_same_bytes(scan, tmp_path):
    for i in range(2):
        scan("binary", "-o", tmp_path / f"{i}.bg.gz")
    assert (tmp_path / "0.bg.gz").read_bytes() == (tmp_path / "1.bg.gz").read_bytes()


@pytest.mark.parametrize("name", ["t.bw", "t.bigWig", "t.track"])
def test_bigwig_holds_the_same_values(scan, tmp_path, name):
    pybigtools = pytest.importorskip("pybigtools")
    out = tmp_path / name
    scan("binary", "-o", out, *(["-O", "bigwig"] * name.endswith("track")))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    named = tmp_path / "read.bw"
    named.write_bytes(out.read_bytes())
    with pybigtools.open(str(named)) as file:
        found = [
            (chrom, start, end, f"{value:.6f}")
            for chrom in sorted(file.chroms())
            for start, end, value in file.records(chrom)
        ]
        assert file.chroms() == {"chr2": 420, "chr10": 333, "chr1": 205, "Un": 41}
    assert found == [(*row[:3], f"{row[3]:.6f}") for row in rows(scan("binary"))]


def test_bigwig_that_cannot_be_written(scan, run, fasta, tasks, write, tmp_path, monkeypatch):
    pytest.importorskip("pybigtools")
    words = ["scan", fasta, "-t", tasks["binary"], "--window", 60, "-o", tmp_path / "t.bw"]
    empty = write("e.bed", "")
    assert "no base has a value" in run(*words, "--regions", empty, code=1).stderr
    assert "--header is for bedGraph" in run(*words, "--header", code=2).stderr
    before = sorted(tmp_path.iterdir())

    def fail(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("findna.commands.scan.WindowReader.fetch", fail)
    assert "Input/output error" in run(*words, code=1).stderr
    assert sorted(tmp_path.iterdir()) == before


def test_a_failure_between_two_values_of_a_bigwig_is_not_lost(tmp_path):
    """pybigtools prints what an iterator raises, and goes on."""
    pytest.importorskip("pybigtools")

    def segments():
        yield Segment("a", 0, 5, 0.5)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_bigwig(tmp_path / "t", segments(), {"a": 10})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(("kilobytes", "n"), [(1, 30_000), (180, 30_000), (1, 400)])
def test_a_full_disk_leaves_no_bigwig(tmp_path, kilobytes, n):
    """A limit on the file's size stands in for the disk: early, late, and in a small file."""
    pytest.importorskip("pybigtools")
    code = """
import sys
from pathlib import Path
from findna.errors import OutputError
from findna.outputs.tracks import Segment, write_bigwig
try:
    def values():
        for i in range(int(sys.argv[2])):
            if i in (0, 5000):
                print("at", i, file=sys.stderr, flush=True)
            yield Segment("a", i, i + 1, (i * 7919 % 10007) / 10007)
    write_bigwig(Path(sys.argv[1]), values(), {"a": 30_000})
except OutputError as error:
    print(error)
"""
    words = [sys.executable, "-c", code, tmp_path / "t", n]
    command = f"ulimit -f {kilobytes}; exec " + shlex.join(map(str, words))
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stdout == "cannot write the bigWig file; is the disk full?\n"
    assert done.stderr.splitlines() in (["at 0"], ["at 0", "at 5000"])  # nothing of pybigtools
    assert list(tmp_path.iterdir()) == []


def test_without_a_value_there_is_no_bigwig(run, fasta, tasks, tmp_path):
    words = ["scan", fasta, "-t", tasks["binary"], "--window", 60, "--regions", "-"]
    error = run(*words, "-o", tmp_path / "t.bw", input="", code=1).stderr
    assert error.endswith("check the regions (bedGraph, -o NAME.bedgraph, may be empty)\n")
    assert list(tmp_path.glob("t.*")) == []


def test_without_pybigtools(run, fasta, tasks, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pybigtools", None)
    error = run("scan", fasta, "-t", tasks["binary"], "-o", tmp_path / "t.bw", code=1).stderr
    assert "pip install 'findna[bigwig]'" in error


def test_existing_outputs_and_inputs_are_safe(run, fasta, tasks, write):
    out = write("o.bedgraph", "mine")
    bed = write("b.bed", "chr2\t0\t100\n")
    words = ["scan", fasta, "-t", tasks["binary"], "--window", 60, "--regions", bed]
    words += ["-O", "bedgraph", "-o"]
    assert "--force overwrites it" in run(*words, out, code=1).stderr
    assert out.read_text() == "mine"
    assert "is also an input" in run(*words, bed, "-f", code=1).stderr
    assert "is also an input" in run(*words, fasta, "-f", code=1).stderr
    run(*words, out, "-f", "-q")
    assert len(rows(out.read_text())) > 1


@pytest.mark.parametrize(
    ("task", "options", "code", "message"),
    [
        ("binary", [], 2, "choose one with --window"),
        ("binary", ["--window", 60, "--step", 61], 2, "it leaves gaps"),
        ("binary", ["--window", 60, "--class", "maybe"], 2, "the task's classes are no, yes"),
        ("three", ["--window", 60], 2, "choose it with --class (donor, acceptor, neither)"),
        ("binary", ["--window", 60, "--regions", "x", "-r", "chr2"], 2, "not both"),
        ("binary", ["--window", 60, "-O", "bigwig"], 2, "name a file with -o"),
        ("binary", ["--window", 60, "--call", "0.5"], 2, "cut the track (| awk"),
        (
            "binary",
            ["--window", 60, "--write-index"],
            2,
            "--write-index needs a BGZF file: -o NAME.bedgraph.gz",
        ),
        ("binary", ["--window", 60, "-r", "chr3"], 1, "no contig chr3"),
        ("binary", ["--window", 60, "--regions", "none.bed"], 1, "No such file"),
        ("nothing", [], 1, "no task nothing"),
        ("promotor", [], 1, "did you mean promoter?"),
    ],
)
def test_wrong_usage(scan, run, fasta, tasks, task, options, code, message):
    result = run("scan", fasta, "-t", tasks.get(task, task), *options, code=code)
    assert message in result.stderr
    assert result.stdout == ""


@pytest.mark.slow
def test_a_reader_that_has_had_enough(tasks, write):
    """Text comes out while it is computed, and `| head` ends quietly."""
    fasta = write("long.fa", f">c\n{random_sequence(200_000)}\n")
    words = [sys.executable, "-m", "findna", "scan", fasta, "-t", tasks["binary"], "--window", 90]
    with subprocess.Popen(
        list(map(str, words)), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    ) as process:  # fmt: skip
        assert process.stdout.readline().startswith(b"c\t0\t15\t")
        assert process.poll() is None
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


def test_from_python(fasta, tasks, tmp_path):
    with Genome(fasta) as genome:
        summary = scan_genome(
            genome,
            Destination(tmp_path / "o.bg", "bedgraph"),
            task=str(tasks["binary"]),
            options=ScanOptions(window=60),
            compute=compute_on("cpu"),
        )
    assert (summary.counts["bases"], summary.counts["covered"]) == (999, 999)
    assert summary.options.step == 10
    assert summary.counts["windows"] == 37 + 29 + 16 + 1
    assert [len(digest) for digest in summary.weights.values()] == [64]


def test_upstream_and_downstream_say_how_long_a_window_is(run, example, model_folder, tmp_path):
    task = make_task(tmp_path / "t", model_folder, window=60)
    words = ["scan", example / "genome.fa", "-t", task, "-r", "chrA:1-400"]
    wanted = run(*words, "--window", 50).stdout
    assert run(*words, "--upstream", 40, "--downstream", 9).stdout == wanted
    assert "combined" in run(*words, "--upstream", 40, "--window", 50, code=2).stderr


def test_regions_after_the_genome_are_answered_with_the_option(run, fasta, tasks):
    words = ["scan", fasta, "in.bed", "-t", tasks["binary"]]
    error = run(*words, code=2).stderr
    assert "unexpected extra argument (in.bed); regions to scan: --regions in.bed" in error
