"""``findna predict``: rows as they went in, with what tasks say of them."""

import gzip
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from pybedtools import BedTool
from safetensors.numpy import load_file, save_file

from findna.commands.predict import predict as predict_rows
from findna.genome.batching import read_window
from findna.genome.encoding import BLANK, decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.genome.sources import RegionSource
from findna.genome.windows import Region, Window
from findna.model.checkpoint import Model, load_checkpoint, save_checkpoint
from findna.model.precision import compute_on
from findna.outputs.destination import Destination
from findna.outputs.tables import COLOURS, NO_COLOUR
from findna.tasks.features import Features
from findna.tasks.task import load_task, tasks_home
from tests.conftest import TINY, make_model, make_task, random_sequence

PROBABILITY = re.compile(r"[01]\.\d{6}")


@pytest.fixture
def predict(run, example, tasks):
    """``predict(bed, "binary")``: standard output as bytes; tasks by the names of the fixture."""

    def invoke(regions, task, *options, fasta=example / "genome.fa", **more):
        words = [fasta] if regions is None else [fasta, regions]
        names = ",".join(str(tasks.get(name, name)) for name in str(task).split(","))
        return run("predict", *words, "-t", names, *options, **more).stdout_bytes

    return invoke


def table(output):
    return [line.split("\t") for line in output.decode().splitlines()]


def column(output, i):
    return np.array([row[i] for row in table(output)], dtype=float)


@pytest.fixture
def lines(example):
    return (example / "regions.bed").read_text().splitlines()


@pytest.fixture
def some(lines, write):
    """A third of the rows: of both contigs, and of both kinds."""
    return write("some.bed", "".join(line + "\n" for line in lines[::3]))


# rows


def test_rows_come_out_as_they_went_in(predict, example, lines):
    rows = predict(example / "regions.bed", "binary").decode().splitlines()
    assert len(rows) == len(lines)
    seen = set()
    for row, line in zip(rows, lines, strict=True):
        kept, label, probability = row.rsplit("\t", 2)
        assert kept == line
        assert PROBABILITY.fullmatch(probability)
        assert label == ("yes" if float(probability) > 0.5 else "no")
        seen.add(label)
    assert seen == {"yes", "no"}  # the made-up task does tell rows apart


ROWS = [b"chrA\t0\t100", b"chrB\t300\t410", b"chrA\t7\t8"]


@pytest.mark.parametrize(
    ("extra", "end", "last"),
    list(
        product(
            [b"", b"\tn\t0\t.", b"\tcaf\xe9\t\t \t\t", b'\t"q"\t-1e5\tx y\t,\t#\t;' + b"\tz" * 9],
            [b"\n", b"\r\n"],
            [b"\n", b""],
        )
    ),
)
def test_input_columns_are_kept_byte_for_byte(predict, write, extra, end, last):
    text = end.join(row + extra for row in ROWS) + last
    bed = write("r.bed", b"# note\ntrack name=x\n" + text)
    for source, given in ((bed, None), ("-", text)):
        output = predict(source, "binary,value", input=given)
        n = ROWS[0].count(b"\t") + extra.count(b"\t") + 1
        kept = [b"\t".join(row.split(b"\t")[:n]) for row in output.split(b"\n")]
        assert kept == [row + extra for row in ROWS] + [b""]
        assert all(row.count(b"\t") == n + 3 for row in output.split(b"\n")[:-1])


@pytest.mark.parametrize("text", [b"", b"#only\n", b"track name=x\r\n\n", b"\n"])
def test_no_rows_give_no_rows(predict, write, text):
    assert predict(write("e.bed", text), "binary") == b""
    assert predict("-", "binary", input=text) == b""
    assert predict("-", "binary", "-O", "jsonl", input=text) == b""
    header = predict("-", "binary", "-O", "tsv", input=text)
    assert header == b"#chrom\tstart\tend\tbinary\tbinary_probability\n"


def test_rows_of_unlike_width(run, example, tasks, write):
    text = b"chrA\t0\t10\tn\nchrA\t0\t10\n"
    for source in (write("b.bed", text), "-"):
        words = ["predict", example / "genome.fa", source, "-t", tasks["binary"]]
        assert ":2: 3 columns, but the first row has 4" in run(*words, input=text, code=1).stderr


@pytest.mark.parametrize("command", ["predict", "scan"])
def test_the_last_line_names_the_output(run, example, some, tasks, tmp_path, command):
    rows = [some] if command == "predict" else ["--regions", some, "--window", 60]
    words = [command, example / "genome.fa", *rows, "-t", tasks["binary"]]
    out = tmp_path / {"predict": "out.bed", "scan": "out.bedgraph"}[command]
    assert run(*words, "-o", out).stderr.endswith(f" -> {out}\n")
    assert "->" not in run(*words).stderr


def test_same_input_same_bytes(predict, some, tmp_path):
    contents = []
    for i in range(2):
        out = tmp_path / f"{i}.bed.gz"
        predict(some, "three", "-o", out)
        contents.append(out.read_bytes())
    assert contents[0] == contents[1]
    assert contents[0].count(b"\x1f\x8b\x08\x04") == 2  # one block and the end: not one per row


# what the numbers are


@pytest.mark.slow
def test_probabilities_of_every_class(predict, example):
    bed, n = example / "regions.bed", 6
    two = table(predict(bed, "binary", "--all-classes"))
    for *_, label, p, no, yes in two:
        assert p == yes
        assert label == ("yes" if float(yes) > float(no) else "no")
        assert abs(float(no) + float(yes) - 1) < 2e-6
    three = table(predict(bed, "three", "--all-classes"))
    for row in three:
        label, p, *each = row[n:]
        assert abs(sum(map(float, each)) - 1) < 3e-6
        assert p == max(each)
        assert label == ("donor", "acceptor", "neither")[each.index(p)]
    assert len({row[n] for row in three}) == 3
    several = table(predict(bed, "labels", "--all-classes"))
    for row in several:
        label, p, *each = row[n:]
        above = [name for name, q in zip("abc", each, strict=True) if float(q) >= 0.5]
        assert label == (",".join(above) or "none")
        assert p == max(each)
    assert len({row[n] for row in several}) > 3
    for row in table(predict(bed, "value", "--all-classes")):
        assert row[n] == "log2fc"
        assert row[n + 1] == row[n + 2] != row[n + 3]


def hidden(model, sequence, n_layers=0):
    """Hidden states of one sequence alone, by the encoder; (length, dim), float64."""
    tokens = np.concatenate((encode(sequence), np.full(TINY.n_cls, BLANK, np.uint8)))
    with torch.inference_mode():
        found = model.encoder(torch.from_numpy(tokens), torch.tensor([0, len(tokens)]), n_layers)
    return found[: len(sequence)].double().numpy()


def head_of(folder, x):
    tensors = load_file(folder / "head.safetensors")
    standard = (x - tensors["mean"]) / tensors["scale"]
    return tensors["linear.weight"] @ standard + tensors["linear.bias"]


def kmers(sequence, k):
    words = ["".join(word) for word in product("ACGT", repeat=k)]
    found = [sequence[i : i + k] for i in range(len(sequence) - k + 1)]
    return np.array([found.count(word) for word in words]) * 100 / len(sequence)


def test_probabilities_from_first_principles(predict, tasks, model_folder, write):
    """Features and heads written out here; every length divides into its bins."""
    model = load_checkpoint(str(model_folder)).model
    sequences = [random_sequence(length, length) for length in (100, 88, 80, 64, 4)]
    fasta = write("s.fa", "".join(f">s{i}\n{s}\n" for i, s in enumerate(sequences)))
    bed = write("s.bed", "".join(f"s{i}\t0\t{len(s)}\n" for i, s in enumerate(sequences)))
    columns = table(predict(bed, "binary,three,labels,value", "--all-classes", fasta=fasta))
    for row, sequence in zip(columns, sequences, strict=True):
        turned = decode(reverse_complement(encode(sequence)))
        forward = hidden(model, sequence)
        both, early = (
            (hidden(model, sequence, n) + hidden(model, turned, n)[::-1]) / 2 for n in (0, 2)
        )
        length = len(sequence)
        width = min(64, length)
        middle = slice((length - width) // 2, (length + width) // 2)
        three = [forward.std(0), forward[middle].mean(0)]
        three += [*forward.reshape(4, -1, TINY.dim).mean(1), kmers(sequence, 3)]
        logits = {
            "binary": head_of(tasks["binary"], both.mean(0)) / 0.7,
            "three": head_of(tasks["three"], np.concatenate(three)) / 0.7,
            "labels": head_of(tasks["labels"], early.reshape(2, -1, TINY.dim).mean(1).ravel())
            / 0.7,
        }
        value = head_of(tasks["value"], np.concatenate((forward.max(0), forward.mean(0))))
        binary, three_classes = (np.exp(logits[n]) for n in ("binary", "three"))
        expected = [
            *(binary / binary.sum()),
            *(three_classes / three_classes.sum()),
            *(1 / (1 + np.exp(-logits["labels"]))),
            *value,
        ]
        found = [*row[5:7], *row[9:12], *row[14:17], *row[19:21]]
        np.testing.assert_allclose(np.array(found, float), expected, atol=2e-5)


@pytest.mark.slow
def test_several_tasks_are_each_alone(predict, some, tasks):
    alone = [table(predict(some, name)) for name in tasks]
    together = table(predict(some, ",".join(tasks)))
    repeated = table(predict(some, "binary", *(f"-t{tasks[n]}" for n in list(tasks)[1:])))
    assert together == repeated
    for i, row in enumerate(together):
        assert row[:6] == alone[0][i][:6]
        for j, one in enumerate(alone):
            assert row[6 + 2 * j] == one[i][6]
            assert float(row[7 + 2 * j]) == pytest.approx(float(one[i][7]), abs=2e-6)


@pytest.mark.slow
def test_tasks_of_one_encoder_with_other_features(predict, some, model_folder, tmp_path):
    """Some share a pass over the sequence, some need one of their own."""
    kinds = [
        Features(("mean",)), Features(("max",)), Features(("std", "center")), Features((), 8),
        Features(("mean",), 8), Features(("mean",), 0, 0, False), Features((), 8, 2, False),
        Features(("mean",), 0, 4), Features(("mean",), readout=3), Features(("max",), readout=3),
    ]  # fmt: skip
    folders = [
        make_task(tmp_path / f"t{i}", model_folder, features, seed=i)
        for i, features in enumerate(kinds)
    ]
    together = table(predict(some, ",".join(map(str, folders))))
    for i, folder in enumerate(folders):
        alone = column(predict(some, folder), 7)
        np.testing.assert_allclose([float(row[7 + 2 * i]) for row in together], alone, atol=2e-6)


def test_a_task_of_an_earlier_layer(predict, some, model_folder, tmp_path):
    """It says what a task says of a model that is read there by itself."""
    weights = load_checkpoint(str(model_folder)).model.state_dict()
    early = Model(replace(TINY, readout=3))
    early.load_state_dict(weights)
    save_checkpoint(tmp_path / "early", early, {}, "")
    features = Features(("mean", "max"), 4)
    one = make_task(tmp_path / "one", model_folder, replace(features, readout=3))
    other = make_task(tmp_path / "other", tmp_path / "early", features)
    found, expected = (column(predict(some, task), 7) for task in (one, other))
    np.testing.assert_allclose(found, expected, atol=2e-6)
    last = column(predict(some, make_task(tmp_path / "last", model_folder, features)), 7)
    assert np.abs(found - last).max() > 1e-2


@pytest.mark.slow
@pytest.mark.parametrize("task", ["binary", "three", "value"])
def test_a_row_does_not_depend_on_the_others(predict, lines, write, task):
    lines = lines[::5]
    expected = column(predict(write("r.bed", "\n".join(lines)), task), 7)

    def same(options, order):
        bed = write("s.bed", "".join(lines[i] + "\n" for i in order))
        found = column(predict(bed, task, *options), 7)
        np.testing.assert_allclose(found, expected[order], atol=2e-5, rtol=2e-5)

    everything = np.arange(len(lines))
    for options in (["--max-tokens", 1], ["--max-tokens", 777], ["-@", 2], ["-@", 1]):
        same(options, everything)
    same([], np.random.default_rng(0).permutation(len(lines)))
    same([], everything[7:8])


def flipped_genome(genome, write):
    text = "".join(
        f">{name}\n{decode(reverse_complement(genome.fetch(name, 0, length)))}\n"
        for name, length in genome.contigs.items()
    )
    return write("flipped.fa", text)


def test_both_strands_say_the_same_where_the_task_reads_both(
    predict, genome, write, model_folder, tmp_path
):
    kmers = make_task(tmp_path / "kmers", model_folder, Features(("mean", "max"), 0, 4))
    regions = [("chrA", 0, 250), ("chrA", 1001, 1100), ("chrB", 39_000, 39_601), ("chrB", 5, 6)]
    forward = write("f.bed", "".join(f"{c}\t{a}\t{b}\n" for c, a, b in regions))
    mirrored = [(c, genome.contigs[c] - b, genome.contigs[c] - a) for c, a, b in regions]
    backward = write("b.bed", "".join(f"{c}\t{a}\t{b}\n" for c, a, b in mirrored))
    flipped = flipped_genome(genome, write)
    one = predict(forward, f"binary,{kmers},three")
    two = predict(backward, f"binary,{kmers},three", fasta=flipped)
    for i in (4, 6):
        np.testing.assert_allclose(column(one, i), column(two, i), atol=2e-6)
    assert abs(column(one, 8) - column(two, 8)).max() > 1e-3  # which reads one strand


def test_the_strand_counts_only_when_asked(predict, genome, write):
    text = "chrA\t100\t200\tx\t0\t{}\nchrA\t700\t790\ty\t0\t{}\n"
    plus, minus = (write(f"{s}.bed", text.format(s, s)) for s in "+-")
    assert np.array_equal(column(predict(plus, "three"), 7), column(predict(minus, "three"), 7))
    stranded = column(predict(minus, "three", "-s"), 7)
    assert abs(stranded - column(predict(plus, "three", "-s"), 7)).max() > 1e-3
    length = genome.contigs["chrA"]
    mirrored = write(
        "q.bed", f"chrA\t{length - 200}\t{length - 100}\nchrA\t{length - 790}\t{length - 700}\n"
    )
    flipped = column(predict(mirrored, "three", fasta=flipped_genome(genome, write)), 4)
    np.testing.assert_allclose(flipped, stranded, atol=2e-6)
    both = [column(predict(bed, "binary", "-s"), 7) for bed in (plus, minus)]
    np.testing.assert_allclose(both[0], both[1], atol=2e-6)


def test_windows_flanks_and_blocks(predict, write):
    bed = write("r.bed", "chrA\t500\t510\n")
    same = predict(write("w.bed", "chrA\t495\t515\n"), "binary").split(b"\t")[3:]
    assert predict(bed, "binary", "--flank", 5).split(b"\t")[3:] == same
    assert predict(bed, "binary", "--window", 20).split(b"\t")[3:] == same
    twelve = "chrA\t100\t200\tn\t0\t+\t100\t200\t0\t2\t10,20,\t0,80,\n"
    joined = predict(write("t.bed", twelve), "three", "--split").split(b"\t")[12:]
    assert joined != predict(write("t.bed", twelve), "three").split(b"\t")[12:]


def test_kmers_come_from_what_was_read(predict, genome, write, model_folder, tmp_path):
    """Of the minus strand, of joined blocks and of padding: the same as of a record of them."""
    task = make_task(tmp_path / "k", model_folder, Features(("mean",), 0, 2, False))
    text = "chrA\t100\t200\tn\t0\t-\t100\t200\t0\t2\t10,20,\t0,80,\n"
    region = Region("chrA", ((100, 110), (180, 200)), reverse=True)
    letters = decode(read_window(genome, Window(region, 0, 30)))
    record = write("k.fa", f">k\n{letters}\n")
    found = predict(write("t.bed", text), task, "--split", "-s").split(b"\t")[12:]
    assert found == predict(write("k.bed", "k\t0\t30\n"), task, fasta=record).split(b"\t")[3:]


def test_a_length_the_task_was_not_trained_on(run, example, model_folder, write, tmp_path):
    task = make_task(tmp_path / "t", model_folder, window=100)
    bed = write("r.bed", "chrA\t0\t100\nchrA\t500\t520\nchrA\t500\t530\n")
    words = ["predict", example / "genome.fa", bed, "-t", task]
    warning = run(*words).stderr
    assert "line 2 is 20 bp; task t was trained on 100 bp: --anchor center lays" in warning
    assert "--anchor start about its 5' end" in warning
    assert warning.count("trained on") == 1
    assert "trained on" not in run(*words[:2], write("s.bed", "chrA\t0\t100\n"), "-t", task).stderr
    assert run(*words, "-q").stderr == ""


# the windows of a task

POINTS = "chrA\t500\t501\ta\t0\t+\nchrA\t700\t701\tb\t0\t-\nchrA\t90\t91\tc\t0\t+\n"
FORWARD = Features(("mean",), 2, 0, False)


@pytest.fixture
def by_strand(model_folder, tmp_path):
    """A task of windows of 90 bp by strand, 60 before the point, that reads one direction."""
    settings = {"window": 90, "upstream": 60, "stranded": True}
    return make_task(tmp_path / "tss", model_folder, FORWARD, **settings)


def calls(output):
    return [line.rsplit("\t", 2)[1:] for line in output.decode().splitlines()]


def test_points_get_the_windows_of_the_task(predict, run, example, write, by_strand):
    bed, fasta = write("p.bed", POINTS), example / "genome.fa"
    slopped = BedTool(str(bed)).slop(g={"chrA": (0, 60_000)}, l=60, r=29, s=True)
    wanted = calls(predict(write("s.bed", str(slopped)), by_strand, "-s"))
    assert len({tuple(call) for call in wanted}) == 3
    result = run("predict", fasta, bed, "-t", by_strand)
    assert calls(result.stdout_bytes) == wanted
    assert result.stdout_bytes.decode().startswith("chrA\t500\t501\ta\t0\t+\t")
    assert "regions predicted, windows of 90 bp, 60 upstream of each point in" in result.stderr
    assert "trained on" not in result.stderr
    for options in (["-s"], ["--upstream", 60, "--downstream", 29], ["--anchor", "end"]):
        assert calls(predict(bed, by_strand, *options)) == wanted
    assert calls(predict("-", by_strand, input=POINTS.encode())) == wanted


def test_an_anchor_lays_the_windows_of_the_task_about_every_row(predict, run, write, by_strand):
    wanted = calls(predict(write("p.bed", POINTS), by_strand))
    longer = POINTS.replace("\t501", "\t620").replace("\t700", "\t620").replace("\t91", "\t99")
    bed = write("l.bed", longer)
    assert calls(predict(bed, by_strand, "--anchor", "start")) == wanted
    assert calls(predict(bed, by_strand, "--anchor", "start", "--upstream", 60, "--downstream", 29)
                 ) == wanted  # fmt: skip
    as_they_are = calls(predict(bed, by_strand))
    assert all(a != b for a, b in zip(as_they_are, wanted, strict=True))


def peak(start: int, end: int, summit: int, strand: str = ".") -> str:
    return f"chrA\t{start}\t{end}\tp\t0\t{strand}\t9.1\t3\t2\t{summit}\n"


@pytest.mark.parametrize(
    "options", [[], ["-s", "--window", 40], ["--upstream", 30, "--downstream", 9]]
)
def test_windows_about_summits(run, predict, example, write, by_strand, options):
    points = write("p.bed", "chrA\t520\t521\tp\t0\t+\nchrA\t740\t741\tp\t0\t-\n")
    peaks = write("p.narrowPeak", peak(500, 600, 20, "+") + peak(700, 790, 40, "-"))
    wanted = calls(predict(points, by_strand, *options))
    assert calls(predict(peaks, by_strand, "--anchor", "summit", *options)) == wanted
    said = run("predict", example / "genome.fa", peaks, "-t", by_strand, "--anchor", "summit")
    assert "upstream of each summit" in said.stderr


def test_an_anchor_without_windows_to_lay(run, example, write, tasks, site_task):
    bed = write("p.narrowPeak", peak(500, 600, 20) + peak(700, 790, 30))
    for task in (tasks["binary"], site_task):
        words = [example / "genome.fa", bed, "-t", task, "--anchor"]
        error = run("predict", *words, "summit", code=2).stderr
        assert "--anchor summit changes nothing alone: give --window, or --upstream" in error
        assert "(no windows of a task are laid here)" in error
        assert "(no windows" not in run("predict", *words, "end", "--split", code=2).stderr
        run("predict", *words, "center")
        run("predict", *words, "summit", "--window", 40)
    labelled = write("l.narrowPeak", (peak(500, 600, 20) + peak(700, 790, 30)).replace("p", "1"))
    measured = ["tasks", "measure", tasks["binary"], example / "genome.fa", "--data", labelled]
    assert "changes nothing alone" in run(*measured, "--anchor", "summit", code=2).stderr


def test_a_peak_without_a_summit_keeps_its_row(run, example, write, by_strand):
    bed = write("p.narrowPeak", peak(500, 600, 20) + peak(700, 790, -1))
    words = ["predict", example / "genome.fa", bed, "-t", by_strand, "--anchor", "summit"]
    error = run(*words, code=1).stderr
    assert "line 2: its summit (column 10) is '-1', and it has 90 bp; --anchor center" in error
    rows = run(*words, "--on-error", "null").stdout.splitlines()
    assert len(rows) == 2
    assert rows[1].endswith("\t.\t.")
    assert "1 no_summit" in run(*words, "--on-error", "skip").stderr
    wrong = write("a.bed", "chrA\t900\t950\n")
    assert "3 columns; its summit would be the last of narrowPeak's 10" in run(
        *words[:2], wrong, *words[3:], code=1
    ).stderr  # fmt: skip


def test_a_centred_task_takes_the_middle_and_needs_no_strand(
    predict, run, example, write, model_folder, tmp_path
):
    task = make_task(tmp_path / "t", model_folder, FORWARD, window=90)
    bed = write("p.bed", "".join(line[:12] + "\n" for line in POINTS.splitlines()[:2]))
    result = run("predict", example / "genome.fa", bed, "-t", task)
    assert calls(result.stdout_bytes) == calls(predict(bed, task, "--window", 90))
    assert "windows of 90 bp, centred on each point" in result.stderr
    anchored = run("predict", example / "genome.fa", bed, "-t", task, "--anchor", "center")
    assert "windows of 90 bp, centred on each middle" in anchored.stderr
    assert "strand" not in result.stderr


def test_points_without_a_strand_are_read_forward_and_said_once(run, example, write, by_strand):
    bed = write("p.bed", "chrA\t500\t501\nchrA\t700\t701\n")
    warning = run("predict", example / "genome.fa", bed, "-t", by_strand).stderr
    assert warning.count("has strand") == 1
    assert "line 1 has strand '.', not + or -" in warning
    rows = write("r.bed", "chrA\t500\t590\n")
    assert "strand" not in run("predict", example / "genome.fa", rows, "-t", by_strand).stderr


def test_points_near_an_end_leave_the_contig(run, example, write, by_strand):
    bed = write("p.bed", "chrA\t10\t11\ta\t0\t+\n")
    words = ["predict", example / "genome.fa", bed, "-t", by_strand]
    assert "its window -50-40 leaves chrA" in run(*words, code=1).stderr
    assert "1 of 1" in run(*words, "--out-of-bounds", "pad").stderr


def test_tasks_of_other_windows_refuse_points(run, predict, example, write, by_strand, tasks):
    other = make_task(by_strand.parent / "wide", load_task(str(by_strand)).encoder, window=120)
    bed = write("p.bed", "chrA\t100\t200\n" + "chrA\t500\t501\n")
    words = ["predict", example / "genome.fa", "-t", f"{by_strand},{other}"]
    error = run(*words, bed, code=2).stderr
    assert "1 of the regions have 1 bp: the tasks read different windows" in error
    assert "tss: windows of 90 bp, 60 upstream of a point" in error
    error = run(*words, "-", input=bed.read_bytes(), code=2).stderr
    assert "line 2 has 1 bp: the tasks read different windows" in error
    assert "--anchor start: the tasks" in run(*words, bed, "--anchor", "start", code=2).stderr
    run(*words, bed, "--window", 100)
    run(*words, write("r.bed", "chrA\t100\t200\n"))
    # a task of sequences of several lengths has no windows of its own
    both = run("predict", example / "genome.fa", bed, "-t", f"{by_strand},{tasks['binary']}")
    assert "60 upstream" in both.stderr


@pytest.mark.parametrize("others", [["--window", 9], ["--flank", 9], ["--split"]])
def test_upstream_excludes_other_ways_to_say_what_is_read(run, example, tasks, others):
    words = ["predict", example / "genome.fa", "-t", tasks["binary"], "--downstream", 5]
    assert "cannot be combined" in run(*words, *others, code=2).stderr


def test_a_resumed_run_of_points_has_the_same_windows(predict, run, example, write, by_strand):
    bed = write("p.bed", POINTS)
    wanted = predict(bed, by_strand)
    parts = []
    for i in (1, 2):
        parts.append(bed.parent / f"part{i}.bed")
        predict(bed, by_strand, "--shard", f"{i}/2", "-o", parts[-1])
    out = bed.parent / "all.bed"
    run("merge", *parts, "-o", out)
    assert out.read_bytes() == wanted


# rows that cannot be read

BAD = "chrA\t0\t100\nA\t0\t10\nchrA\t59990\t60010\nchrB\t5\t5\nchrA\t9\t3\nchrB\t0\t50\n"


def test_bad_rows_of_a_file_stop_the_run_before_it_begins(run, example, tasks, write, tmp_path):
    bed, out = write("b.bed", BAD), tmp_path / "o.bed"
    error = run("predict", example / "genome.fa", bed, "-t", tasks["binary"], "-o", out, code=1)
    assert len(error.stderr.splitlines()) == 1
    assert "b.bed: 4 of 6 regions cannot be read: line 2: no contig A" in error.stderr
    assert "--on-error null" in error.stderr
    assert error.stdout == ""
    assert not out.exists()


def test_a_bad_row_of_a_pipe_stops_the_run_there(run, example, tasks, tmp_path):
    words = ["predict", example / "genome.fa", "-", "-t", tasks["binary"]]
    result = run(*words, input=BAD.encode(), code=1)
    assert len(result.stderr.splitlines()) == 1
    assert "<stdin>:2: no contig A in genome.fa" in result.stderr
    assert "--on-error null" in result.stderr
    out = tmp_path / "o.bed"
    run(*words, "-o", out, input=BAD.encode(), code=1)
    assert list(tmp_path.iterdir()) == []  # nor half a file under that name


@pytest.mark.parametrize("piped", [False, True])
def test_on_error_null_keeps_every_row(run, example, tasks, write, piped):
    bed = "-" if piped else write("b.bed", BAD)
    words = ["predict", example / "genome.fa", bed, "-t", f"{tasks['binary']},{tasks['three']}",
             "--on-error", "null"]  # fmt: skip
    result = run(*words, input=BAD.encode())
    rows = table(result.stdout_bytes)
    assert ["\t".join(row[:3]) for row in rows] == BAD.splitlines()
    missing = [row[3:] == ["."] * 4 for row in rows]
    assert missing == [False, True, True, True, True, False]
    assert "2 of 6 regions predicted, 4 without a prediction" in result.stderr
    every = run(*words, "--all-classes", input=BAD.encode()).stdout.splitlines()
    assert {row.count("\t") for row in every} == {2 + 4 + 5}
    found = [
        json.loads(row)
        for row in run(*words, "-Ojsonl", input=BAD.encode()).stdout.split("\n")[:-1]
    ]
    assert [row["status"] for row in found] == [
        "ok", "unknown_contig", "out_of_bounds", "empty", "reversed", "ok",
    ]  # fmt: skip
    assert [row["binary"] is None for row in found] == missing


@pytest.mark.parametrize("piped", [False, True])
def test_on_error_skip_counts(run, example, tasks, write, piped):
    bed = "-" if piped else write("b.bed", BAD)
    result = run("predict", example / "genome.fa", bed, "-t", tasks["binary"], "--on-error",
                 "skip", input=BAD.encode())  # fmt: skip
    assert [row[:3] for row in table(result.stdout_bytes)] == [
        ["chrA", "0", "100"],
        ["chrB", "0", "50"],
    ]
    assert "2 of 6 regions predicted, 4 skipped" in result.stderr


def test_many_bad_rows_between_good_ones_keep_their_places(predict, write, monkeypatch):
    monkeypatch.setattr("findna.genome.batching.MOST_PIECES", 3)
    bad, good = "nowhere\t0\t10\n" * 10, "chrA\t0\t10\n" * 2
    output = predict(write("b.bed", bad + good + bad + good), "binary,three", "--on-error", "null")
    assert [row[3] == "." for row in table(output)] == ([True] * 10 + [False] * 2) * 2


def test_padding_and_aliases(predict, write):
    assert predict(write("b.bed", "chrB\t39990\t40010\n"), "binary", "--out-of-bounds", "pad")
    one = predict(write("c.bed", "1\t0\t90\n"), "binary", "--chrom-alias", write("a", "1\tchrA\n"))
    assert one == predict(write("d.bed", "chrA\t0\t90\n"), "binary").replace(b"chrA", b"1")


# forms


def test_only_probable_rows(run, predict, example, tasks, some):
    everything = predict(some, "binary").splitlines()
    kept = predict(some, "binary", "--min-prob", 0.5).splitlines()
    assert kept == [row for row in everything if float(row.split(b"\t")[7]) >= 0.5]
    assert 0 < len(kept) < len(everything)
    either = table(predict(some, "binary,labels", "--min-prob", 0.6))
    assert all(max(float(row[7]), float(row[9])) >= 0.6 for row in either)
    said = run("predict", example / "genome.fa", some, "-t", tasks["binary"], "--min-prob", 0.5)
    assert f"32 of 32 regions predicted, {len(kept)} written" in said.stderr


def test_bed6(predict, lines, some, write):
    rows = table(predict(some, "binary", "--bed6"))
    plain = table(predict(some, "binary"))
    for row, line, full in zip(rows, lines[::3], plain, strict=True):
        given = line.split("\t")
        assert row[:3] == given[:3]
        assert row[3] == given[3] != full[6]
        assert row[4].isdigit()
        assert 0 <= int(row[4]) <= 1000
        assert abs(int(row[4]) - 1000 * float(full[7])) <= 0.501
        assert row[5] == given[5]
    bed = write("b.bed", "chrA\t0\t100\nA\t0\t10\n")
    assert table(predict(bed, "binary", "--bed6", "--on-error", "null"))[1] == [
        "A", "0", "10", ".", "0", ".",
    ]  # fmt: skip
    unnamed = "chrA\t0\t100\nchrA\t0\t90\n"
    for text in (unnamed, unnamed.replace("0\n", "0\t.\n"), unnamed.replace("0\n", "0\t\n")):
        source = write("u.bed", text)
        labels = [row[-2] for row in table(predict(source, "three"))]
        assert [row[3] for row in table(predict(source, "three", "--bed6"))] == labels
    names, row = predict(bed, "three", "--bed6", "--on-error", "skip", "-O", "bed",
                         "--header").decode().splitlines()[1:]  # fmt: skip
    assert names == "#chrom\tstart\tend\tname\tscore\tstrand"
    assert len(row.split("\t")) == 6


def test_bed9(run, predict, example, some, tasks, write):
    colours = dict(zip(load_task(str(tasks["three"])).config.classes, COLOURS, strict=False))
    six, plain = table(predict(some, "three", "--bed6")), table(predict(some, "three"))
    rows = table(predict(some, "three", "--bed9"))
    for row, shorter, full in zip(rows, six, plain, strict=True):
        assert row == [*shorter, row[1], row[2], colours[full[6]]]
    assert len({row[8] for row in rows}) > 1
    bed = write("b.bed", "browser x\ntrack name=y\n##note\nA\t0\t10\tgene\nchrA\t0\t100\t.\n")
    words = [bed, "three", "--bed9", "--header", "--on-error", "null"]
    *headers, missing, row = predict(*words).decode().splitlines()
    assert headers[:3] == [
        "browser x",
        "##note",
        f'track name="{tasks["three"].name}" itemRgb="On"',
    ]
    assert headers[4].split("\t") == ["##itemRgb", *(f"{c}={rgb}" for c, rgb in colours.items())]
    assert headers[5] == ("#chrom\tstart\tend\tname\tscore\tstrand\tthickStart\tthickEnd\titemRgb")
    assert missing.split("\t") == ["A", "0", "10", "gene", "0", ".", "0", "0", NO_COLOUR]
    assert row.split("\t")[3] in colours
    assert predict("-", *words[1:], input=bed.read_bytes()) == predict(*words)
    # of several labels that of the most probable one; of none of them grey
    labels = load_task(str(tasks["labels"])).config.classes
    found = table(predict(some, "labels", "--all-classes"))
    for row, full in zip(table(predict(some, "labels", "--bed9")), found, strict=True):
        best = int(np.argmax([float(p) for p in full[8:]]))
        assert row[8] == (NO_COLOUR if full[6] == "none" else COLOURS[best])
        assert full[6] == "none" or labels[best] in full[6]


def test_columns_for_browsers_in_bedtools(predict, some, tmp_path):
    predict(some, "three", "--bed9", "--header", "-o", tmp_path / "nine.bed")
    nine = BedTool(str(tmp_path / "nine.bed"))
    plain = table(predict(some, "three"))
    assert nine.file_type == "bed"
    assert [(x.name, x.strand, len(x.fields)) for x in nine] == [(p[3], p[5], 9) for p in plain]
    assert all(0 <= int(x.score) <= 1000 for x in nine)
    both = nine.intersect(str(some), wa=True, f=1, r=True, u=True)
    assert [x.fields for x in both] == [x.fields for x in nine]


def test_header(predict, write, tasks):
    digests = {name: load_task(str(folder)).digest for name, folder in tasks.items()}
    bed = write("b.bed", "browser x\ntrack name=y\n##note\nchrA\t0\t100\tn\n#late\nchrA\t5\t9\tm\n")
    *headers, names, _, _ = predict(bed, "binary,value", "--header").decode().splitlines()
    assert headers[:3] == ["browser x", "track name=y", "##note"]
    assert re.fullmatch(r"##findna \S+ binary=\w{12} value=\w{12}", headers[3])
    assert all(digests[name][:12] in headers[3] for name in ("binary", "value"))
    assert names.split("\t") == [
        "#chrom", "start", "end", "name", "binary", "binary_probability", "value", "value_value",
    ]  # fmt: skip
    assert predict(bed, "binary").count(b"#") == 0
    piped = predict("-", "binary,value", "--header", input=bed.read_bytes())
    assert piped == predict(bed, "binary,value", "--header")


def test_header_of_an_input_that_names_its_columns(predict, write):
    bed = write("b.bed", "#seq\tfrom\tto\tgene\nchrA\t0\t100\tn\n")
    once = predict(bed, "binary", "--header")
    assert once.decode().splitlines()[1] == ("#seq\tfrom\tto\tgene\tbinary\tbinary_probability")
    twice = predict("-", "three", "--header", input=once).decode().splitlines()
    assert [line[:8] for line in twice[:2]] == ["##findna"] * 2
    assert twice[2].split("\t")[4:] == [
        "binary",
        "binary_probability",
        "three",
        "three_probability",
    ]
    assert len(twice) == 4
    other = write("o.bed", "#five\tnames\nchrA\t0\t100\tn\n")
    assert predict(other, "binary", "--header").decode().splitlines()[0] == "#five\tnames"


def test_table(predict, example, lines):
    header, *rows = (
        predict(example / "regions.bed", "three", "-O", "tsv", "--all-classes")
        .decode()
        .splitlines()
    )
    assert header == (
        "#chrom\tstart\tend\tname\tscore\tstrand\tthree\tthree_probability"
        "\tthree_donor\tthree_acceptor\tthree_neither"
    )
    assert len(rows) == len(lines)
    assert all(row.startswith(line + "\t") for row, line in zip(rows, lines, strict=True))


def test_json_lines(predict, write):
    bed = write("b.bed", b"chrA\t0\t100\tcaf\xe9\t0\t-\textra\n")
    (line,) = predict(bed, "binary,value", "-O", "jsonl", "--all-classes").splitlines()
    found = json.loads(line)  # strictly UTF-8, whatever the input was
    assert [found[key] for key in ("chrom", "start", "end", "strand")] == ["chrA", 0, 100, "-"]
    assert found["name"].encode("utf-8", "surrogateescape") == b"caf\xe9"
    assert found["columns"][-1] == "extra"
    assert found["status"] == "ok"
    assert found["binary"]["label"] in ("yes", "no")
    assert found["binary"]["probability"] == found["binary"]["all"]["yes"]
    assert found["value"]["value"] == found["value"]["all"]["log2fc"]
    assert set(found["value"]) == {"label", "value", "all"}


@pytest.mark.parametrize(
    ("name", "form"),
    [("o.tsv", "tsv"), ("o.txt", "tsv"), ("o.jsonl.gz", "jsonl"), ("o.bed", "bed")],
)
def test_the_name_of_the_output_chooses_the_form(predict, some, tmp_path, name, form):
    assert predict(some, "binary", "-o", tmp_path / name) == b""
    content = (tmp_path / name).read_bytes()
    content = gzip.decompress(content) if name.endswith("gz") else content
    assert content == predict(some, "binary", "-O", form)


def test_fasta_records_without_a_bed(predict, write):
    text = "".join(f">s{i} made up\n{random_sequence(90, i)}\n" for i in range(3))
    header, *rows = predict(None, "binary", fasta=write("s.fa", text)).decode().splitlines()
    assert header == "#name\tlength\tbinary\tbinary_probability"
    assert [row.split("\t")[:2] for row in rows] == [[f"s{i}", "90"] for i in range(3)]
    bed = table(predict(None, "binary", "-O", "bed", fasta=write("s.fa", text)))
    assert [row[:3] for row in bed] == [[f"s{i}", "0", "90"] for i in range(3)]
    assert [row[3:] for row in bed] == [row.split("\t")[2:] for row in rows]


def test_region_strings(predict):
    rows = table(predict(None, "binary", "-r", "chrA:1,001-1,100", "-r", "chrB"))
    assert [row[:3] for row in rows] == [["chrA", "1000", "1100"], ["chrB", "0", "40000"]]


# outputs


def test_an_indexed_output(predict, example, tmp_path):
    out = tmp_path / "x.bed.gz"
    predict(example / "regions.bed", "binary", "-o", out, "--write-index")
    assert (tmp_path / "x.bed.gz.tbi").exists()
    found = subprocess.run(["tabix", out, "chrB:1-3000"], capture_output=True, check=True).stdout
    expected = [r for r in table(predict(example / "regions.bed", "binary"))
                if r[0] == "chrB" and int(r[1]) < 3000]  # fmt: skip
    assert table(found) == expected
    assert len(expected) > 1


def test_an_indexed_output_with_track_lines(predict, write, tmp_path):
    """Which tabix's own preset for BED takes for rows."""
    out = tmp_path / "x.bed.gz"
    bed = write("t.bed", "browser position chrA\ntrack name=x\nchrA\t0\t90\nchrB\t5\t90\n")
    predict(bed, "binary", "-o", out, "--write-index", "--header")
    found = subprocess.run(["tabix", out, "chrB"], capture_output=True, check=True)
    assert found.stdout.startswith(b"chrB\t5\t90\t")
    assert found.stderr == b""


def test_unsorted_rows_cannot_be_indexed(run, example, tasks, write, tmp_path):
    out = tmp_path / "x.bed.gz"
    bed = write("u.bed", "chrA\t500\t600\nchrB\t0\t90\nchrA\t0\t90\n")
    words = ["predict", example / "genome.fa", "-t", tasks["binary"], "-q", "-o", out]
    error = run(*words, bed, "--write-index", code=1).stderr
    assert f"{bed}:3: not sorted, as --write-index needs it to be; sort the input (sort" in error
    assert not out.exists()
    error = run(*words, "-", "--write-index", input=bed.read_bytes(), code=1).stderr
    assert error.splitlines()[-1].startswith(f"findna: {out}: written, but not indexed")
    assert "sort -k1,1 -k2,2n" in error
    assert out.exists()
    assert not (tmp_path / "x.bed.gz.tbi").exists()
    bed.write_text("chrA\t500\t600\nchrB\t0\t0\nchrA\t700\t790\n")
    run(*words, bed, "--write-index", "--on-error", "skip", "-f")
    assert (tmp_path / "x.bed.gz.tbi").exists()
    run(*words, bed, "--on-error", "skip", "-f")  # an index would be that of the file before
    assert not (tmp_path / "x.bed.gz.tbi").exists()


def test_existing_outputs_and_inputs_are_safe(run, example, tasks, write, tmp_path):
    out = write("o.bed", "mine")
    bed = write("b.bed", "chrA\t0\t10\n")
    fasta = write("g.fa", (example / "genome.fa").read_bytes())
    words = ["predict", fasta, bed, "-t", tasks["binary"], "-O", "bed", "-o"]
    assert "--force overwrites it" in run(*words, out, code=1).stderr
    assert out.read_text() == "mine"
    run(*words, out, "--force")
    assert out.read_text().startswith("chrA\t0\t10\t")
    for path in (bed, fasta):
        before = path.read_bytes()
        assert "is also an input" in run(*words, path, "-f", code=1).stderr
        assert path.read_bytes() == before
    assert "there is no folder" in run(*words, tmp_path / "no" / "o.bed", code=1).stderr


def test_a_failed_run_leaves_nothing_behind(run, example, tasks, tmp_path, monkeypatch):
    def fail(self, *_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("findna.outputs.tables.PredictionWriter.write", fail)
    error = run("predict", example / "genome.fa", example / "regions.bed", "-t", tasks["binary"],
                "-o", tmp_path / "o.bed", code=1).stderr  # fmt: skip
    assert "No space left on device" in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("task", "options", "code", "message"),
    [
        ("binary", ["-r", "chrA:1-2"], 2, "not both"),
        ("binary", ["--split", "--flank", 3], 2, "--split cannot be combined"),
        ("binary", ["--bed6", "-O", "tsv"], 2, "--bed6 is BED"),
        ("binary,three", ["--bed6"], 2, "--bed6 holds the probability of one task"),
        ("value", ["--bed6"], 2, "not be a regression"),
        ("binary", ["--bed9", "-O", "jsonl"], 2, "--bed9 is BED"),
        ("binary", ["--bed9", "-o", "x.tsv"], 2, "--bed9 is BED"),
        ("binary", ["--bed6", "--bed9"], 2, "give --bed6 or --bed9, not both"),
        ("binary,three", ["--bed9"], 2, "--bed9 holds the probability of one task"),
        ("value", ["--min-prob", 0.5], 2, "a regression has no probability"),
        ("binary", ["--min-prob", 1.5], 2, "--min-prob"),
        ("binary,binary", [], 2, "binary is there twice"),
        ("binary", ["--write-index"], 2, "--write-index needs a BGZF file"),
        (
            "binary",
            ["--write-index", "-o", "x.tsv.gz"],
            2,
            "--write-index needs a format that has an index",
        ),
        ("binary", ["--device", "cuda:99"], 2, "cuda:99"),
        ("nothing", [], 1, "no task nothing"),
    ],
)
def test_wrong_usage(run, example, tasks, task, options, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ",".join(str(tasks.get(name, name)) for name in task.split(","))
    result = run("predict", example / "genome.fa", example / "regions.bed", "-t", names, *options,
                 code=code)  # fmt: skip
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


# tasks


def test_a_task_by_its_name(run, example, some, model_folder):
    make_task(tasks_home() / "mine", model_folder)
    words = [example / "genome.fa", some]
    named = run("predict", *words, "-t", "mine").stdout
    assert named == run("predict", *words, "-t", tasks_home() / "mine").stdout
    assert "known tasks (ctcf, mine" in run("predict", *words, "-t", "yours", code=1).stderr


def damage_json(change):
    def damage(folder):
        path = folder / "task.json"
        values = json.loads(path.read_text())
        change(values)
        path.write_text(json.dumps(values))

    return damage


def damage_head(change):
    def damage(folder):
        tensors = dict(load_file(folder / "head.safetensors"))
        change(tensors)
        save_file(tensors, folder / "head.safetensors")

    return damage


def text(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def setting(key, value):
    return damage_json(lambda values: values["task"].__setitem__(key, value))


def tensor(key, change):
    return damage_head(lambda tensors: tensors.__setitem__(key, change(tensors[key])))


PICKLE = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R."


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "head.safetensors").unlink(),
        lambda folder: (folder / "task.json").unlink(),
        text("head.safetensors", b""),
        text("head.safetensors", b"\xff" * 64),
        text("head.safetensors", PICKLE),
        text("task.json", b""),
        text("task.json", b"[]"),
        text("task.json", b"\xff\xfe"),
        text("task.json", b"[" * 100_000),
        text("task.json", b'{"format": 1, "task": {}}'),
        text("task.json", b" " * (2 << 20)),
        damage_json(lambda values: values.update(format=2)),
        damage_json(lambda values: values.pop("format")),
        setting("surprise", 1),
        setting("kind", "classification"),
        setting("mode", "half"),
        setting("classes", ["one"]),
        setting("classes", "yes"),
        setting("classes", [f"c{i}" for i in range(20_000)]),
        setting("classes", ["a", "b", "c"]),
        setting("temperature", 0),
        setting("temperature", float("nan")),
        setting("temperature", "warm"),
        setting("features", {"pools": ["median"]}),
        setting("features", {"pools": [], "bins": 0}),
        setting("features", {"pools": ["mean"], "bins": 10**9}),
        setting("features", {"pools": ["mean"], "k": 12}),
        setting("features", {"pools": ["mean", "max"]}),
        setting("features", {"pools": ["mean"], "readout": -1}),
        setting("features", {"pools": ["mean"], "readout": 11}),
        setting("features", {"pools": ["mean"], "readout": 1.5}),
        setting("encoder", "no-such-model"),
        setting("encoder_digest", "0" * 64),
        tensor("mean", lambda a: a[:-1].copy()),
        tensor("scale", lambda a: np.full_like(a, np.nan)),
        tensor("linear.weight", lambda a: np.full_like(a, np.inf)),
        tensor("linear.bias", lambda a: a[:1].copy()),
        damage_head(lambda tensors: tensors.pop("scale")),
        damage_head(lambda tensors: tensors.update(more=np.zeros(3, np.float32))),
    ],
)
def test_a_broken_task_is_one_line(run, example, model_folder, tmp_path, damage):
    folder = make_task(tmp_path / "t", model_folder)
    damage(folder)
    result = run("predict", example / "genome.fa", example / "regions.bed", "-t", folder, "-o",
                 tmp_path / "o.bed", code=1)  # fmt: skip
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith("findna: ")
    assert len(result.stderr) < 600
    assert result.stdout == ""
    assert not (tmp_path / "o.bed").exists()


def test_an_encoder_that_is_not_the_one_it_was_trained_on(run, example, tmp_path):
    save_checkpoint(tmp_path / "m", make_model(TINY, seed=1), {}, "")
    task = make_task(tmp_path / "t", tmp_path / "m")
    save_checkpoint(tmp_path / "m", make_model(TINY, seed=2), {}, "")
    error = run("predict", example / "genome.fa", "-t", task, code=1).stderr
    assert "task t was trained on weights" in error
    assert "findna finetune" in error


def test_a_model_folder_is_not_a_task(run, example, model_folder):
    error = run("predict", example / "genome.fa", "-t", model_folder, code=1).stderr
    assert "not a task folder" in error
    assert "findna embed uses it" in error


def test_call_of_ties(tasks):
    """The first of equals; one half is above one half for labels, and named."""
    binary, labels = (load_task(str(tasks[name])) for name in ("binary", "labels"))
    half = np.float32(0.5)
    assert binary.call(np.array([half, half])).label == "no"
    assert labels.call(np.array([half, 0.1, half], np.float32)).label == "a,c"
    assert labels.call(np.array([0.1, 0.2, 0.3], np.float32)).label == "none"


# processes and pipes


def start(*arguments, **more):
    words = [sys.executable, "-m", "findna", "predict", *map(str, arguments)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **more)  # fmt: skip


@pytest.mark.slow
def test_a_pipe_is_answered_while_it_is_read(example, tasks):
    """A batch of 300 tokens holds one row of 100 bp, so rows 1 to 9 are due before the last."""
    rows = [f"chrA\t{i}\t{i + 100}\n".encode() for i in range(10)]
    with start(example / "genome.fa", "-", "-t", tasks["binary"], "--max-tokens", 300) as process:
        for row in rows[:-1]:
            process.stdin.write(row)
        process.stdin.flush()
        due = [process.stdout.readline() for _ in rows[:-2]]
        assert [row[: len(given) - 1] for row, given in zip(due, rows[:-2], strict=True)] == [
            row[:-1] for row in rows[:-2]
        ]
        assert process.poll() is None
        process.stdin.write(rows[-1])
        process.stdin.close()
        assert len(process.stdout.readlines()) == 2
        assert process.wait(60) == 0


def many_regions(n):
    return "".join(f"chrA\t{i}\t{i + 200}\n" for i in range(n))


@pytest.mark.slow
def test_a_reader_that_has_had_enough(example, tasks, write):
    bed = write("many.bed", many_regions(30_000))
    with start(example / "genome.fa", bed, "-t", tasks["binary"]) as process:
        assert process.stdout.readline().startswith(b"chrA\t0\t200\t")
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr.read() == b""


@pytest.mark.slow
def test_an_interrupt_is_one_line_and_leaves_nothing(example, tasks, write, tmp_path):
    bed, folder = write("many.bed", many_regions(50_000)), tmp_path / "out"
    folder.mkdir()
    with start(
        example / "genome.fa", bed, "-t", tasks["binary"], "-o", folder / "o.bed"
    ) as process:
        for _ in range(600):
            time.sleep(0.1)
            if list(folder.iterdir()):
                break
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
        assert process.stderr.read().splitlines() == [b"findna: interrupted"]
    assert list(folder.iterdir()) == []


@pytest.mark.slow
def test_between_other_tools(example, tasks, tmp_path):
    """bedtools on both sides, sort, bgzip and tabix, in one real pipe."""
    findna = shlex.join([sys.executable, "-m", "findna"])
    script = f"""
set -euo pipefail
cut -f1,2 {example}/genome.fa.fai > sizes
bedtools makewindows -g sizes -w 300 | awk 'NR % 9 == 0' > windows.bed
cat windows.bed | {findna} predict -q {example}/genome.fa - -t {tasks["binary"]} |
  tee all.bed | sort -k1,1r -k2,2nr | sort -k1,1 -k2,2n | bgzip > sorted.bed.gz
tabix -p bed sorted.bed.gz
tabix sorted.bed.gz chrB > b.bed
bedtools intersect -a all.bed -b {example}/regions.bed -u > hit.bed
bedtools intersect -a windows.bed -b {example}/regions.bed -u > expected.bed
"""
    (tmp_path / "script").write_text(script)
    subprocess.run(["bash", tmp_path / "script"], check=True, cwd=tmp_path)

    def read(name, columns):
        rows = [line.split("\t") for line in (tmp_path / name).read_text().splitlines()]
        return [row[:columns] for row in rows]

    assert read("all.bed", 3) == read("windows.bed", 3)
    assert read("hit.bed", 3) == read("expected.bed", 3) != []
    assert read("b.bed", 5) == [row for row in read("all.bed", 5) if row[0] == "chrB"]
    fields = [list(row.fields) for row in BedTool(str(tmp_path / "all.bed"))]
    assert fields == read("all.bed", 5)


def test_from_python(example, tasks, tmp_path):
    with Genome(example / "genome.fa") as genome:
        summary = predict_rows(
            genome,
            RegionSource.bed(example / "regions.bed"),
            Destination(tmp_path / "o.bed"),
            tasks=[str(tasks["binary"])],
            compute=compute_on("cpu"),
        )
    assert [summary.counts[name] for name in ("rows", "predicted", "written")] == [96, 96, 96]
    assert len(summary.weights["task binary"]) == 64


@pytest.mark.parametrize("name", ["", ",", " "])
def test_an_option_without_a_name_is_wrong_usage(run, example, model_folder, tasks, name):
    """As with a variable of the shell that is not set."""
    regions = ["predict", example / "genome.fa", example / "regions.bed"]
    variants = ["variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder]
    for words in (
        [*regions, "-t", name],
        [*regions, "-t", name, "--bed6"],
        [*variants, "-t", name],
        [*variants, "-t", tasks["binary"], "--scores", name],
    ):
        found = run(*words, code=2)
        assert "no name in it" in found.stderr
        assert not found.stdout


@pytest.mark.parametrize("piped", [False, True])
def test_rows_of_nothing_but_n(run, tasks, write, piped):
    fasta = write("gap.fa", f">g\n{'N' * 200}{random_sequence(200)}\n")
    rows = "g\t0\t100\tgap\t7\t+\ng\t150\t250\thalf\t7\t-\ng\t10\t60\tgap\t7\t+\n"
    bed = "-" if piped else write("gap.bed", rows)
    words = ["predict", fasta, bed, "-t", tasks["binary"]]
    given = rows.encode() if piped else None
    result = run(*words, input=given)
    columns = [line.split("\t")[6:] for line in result.stdout.splitlines()]
    assert columns[0] == columns[2] == [".", "."]
    assert columns[1][0] in ("no", "yes")
    assert "1 of 3 regions predicted, 2 without a prediction (2 no_sequence)" in result.stderr
    assert result.stderr.count("100 of its 100 bp are N") == 1
    objects = [
        json.loads(line) for line in run(*words, "-O", "jsonl", input=given).stdout.split("\n")[:3]
    ]
    assert [x["status"] for x in objects] == ["no_sequence", "ok", "no_sequence"]
    assert [x["binary"] is None for x in objects] == [True, False, True]
    result = run(*words, "--max-n", 0.4, "--min-prob", 0, input=given)
    assert result.stdout == ""
    result = run(*words, "--on-error", "skip", input=given)
    assert [line.split("\t")[3] for line in result.stdout.splitlines()] == ["half"]


def test_contigs_by_rule(run, example, tasks, write, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [("A", 0), ("chrB", 0), ("A", 9)]
    bed = "".join(f"{name}\t{start}\t{start + 90}\n" for name, start in rows)
    write("a.bed", bed)
    write("b.bed", bed.replace("A\t", "chrA\t"))
    write("auto", "A\tchrB\n")

    def predict(name, aliases):
        words = [example / "genome.fa", name, "-t", tasks["binary"], "--chrom-alias", aliases]
        return run("predict", *words, input=bed.encode())

    expected = predict("b.bed", "auto")
    assert "alias" not in expected.stderr
    for name, said in (("a.bed", "a.bed"), ("-", "the input")):
        found = predict(name, "auto")
        assert found.stdout.replace("A\t", "chrA\t") == expected.stdout
        assert found.stderr.count("alias") == 1
        assert (
            f"chrom-alias auto: 1 name of {said} read as in genome.fa (A -> chrA)" in found.stderr
        )
    found = predict("a.bed", "./auto")
    assert found.stdout.replace("A\t", "chrA\t") != expected.stdout
    assert "alias" not in found.stderr


# region strings


def test_a_region_without_an_end_is_said_to_go_to_the_end(run, example, tasks):
    words = ["predict", example / "genome.fa", "-t", tasks["binary"]]
    for text, said in [
        ("chrB:39,901", "region chrB:39,901 goes to the end of chrB: 100 bp"),
        ("chrB:39,901-", ""),
        ("chrB", ""),
        ("chrB:39901-40000", ""),
    ]:
        done = run(*words, "-r", text)
        assert done.stderr.count("goes to the end") == bool(said)
        assert said in done.stderr
        start = "0" if text == "chrB" else "39900"
        assert done.stdout.startswith(f"chrB\t{start}\t40000\t")
    assert "goes to the end" not in run(*words, "-r", "chrZ:9", code=1).stderr
    assert "goes to the end" not in run(*words, "-r", "chrB:40,001", code=1).stderr
    scanned = run("scan", *words[1:], "--window", 60, "-r", "chrB:39,901")
    assert scanned.stderr.count("goes to the end of chrB: 100 bp") == 1
    assert "without -END to the end" in " ".join(run("predict", "--help").stdout.split())


def test_messages_name_a_region_as_it_was_typed(run, write, tasks):
    genome = write("g.fa", f">c\n{'N' * 50}{'ACGT' * 50}\n>nothing\n{'N' * 90}\n")
    words = ["predict", genome, "-t", tasks["binary"]]
    error = run(*words, "-r", "c:1-1,000", "-r", "c:1-60", code=1).stderr
    assert "1 of 2 regions cannot be read: region c:1-1,000: end 1000 is past" in error
    error = run(*words, "-r", "z:1-9", code=1).stderr
    assert "from region z:1-9 on: no contig z" in error
    assert (
        "findna: region c:1-0.04k: 40 of its 40 bp are N" in run(*words, "-r", "c:1-0.04k").stderr
    )
    assert "findna: record nothing: 90 of its 90 bp are N" in run(*words).stderr
    assert (
        "findna: region c:51-53 is 3 bp, too short"
        in run("embed", genome, "-r", "c:51-53", "-O", "tsv").stderr
    )


@pytest.mark.parametrize("content", ["", "# a comment\ntrack name=x\n"])
@pytest.mark.parametrize("command", ["predict", "embed", "explain", "scan"])
def test_a_file_without_rows_is_said_to_have_none(run, example, tasks, write, command, content):
    bed, genome = write("none.bed", content), example / "genome.fa"
    task = ["-O", "tsv"] if command == "embed" else ["-t", tasks["binary"]]
    rows = ["--regions", bed, "--window", 60] if command == "scan" else [bed]
    error = run(command, genome, *rows, *task).stderr
    assert error.count(f"findna: no rows in {bed}\n") == 1
    rows[rows.index(bed)] = "-"
    error = run(command, genome, *rows, *task, input=content.encode()).stderr
    assert error.count("findna: no rows in <stdin>\n") == 1
