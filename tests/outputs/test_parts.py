"""Shards and unfinished outputs: what is made in parts is what is made at once."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import h5py
import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from findna.commands import rows
from findna.errors import ConfigError
from findna.genome.encoding import decode
from findna.genome.fasta import Genome
from findna.outputs import unfinished
from findna.outputs.destination import Destination
from findna.outputs.shards import Shard, difference, write_journal
from findna.outputs.unfinished import Unfinished, open_unfinished


def contents(path):
    """Bytes of text; of HDF5 every dataset and attribute but the command line."""
    if path.suffix != ".h5":
        return path.read_bytes()
    found = {}

    def add(name, item):
        attributes = {key: str(value) for key, value in item.attrs.items()}
        if isinstance(item, h5py.Group):
            found[name] = attributes
        elif name != "uns/findna/command":
            value = np.asarray(item[()])
            raw = value.tolist() if value.dtype == object else value.tobytes()
            found[name] = (attributes, item.shape, str(item.dtype), item.chunks, raw)

    with h5py.File(path) as file:
        file.visititems(add)
    return found


# shards


@given(st.lists(st.integers(0, 50), max_size=60), st.integers(1, 9))
def test_shards_cover_every_row_once_in_order(sizes, count):
    total = sum(sizes)
    ranges = [Shard(i, count).rows(sizes, total) for i in range(1, count + 1)]
    assert [row for first, last in ranges for row in range(first, last)] == list(range(len(sizes)))
    assert all(a <= b for a, b in ranges)
    for (_, end), (start, _) in zip(ranges, ranges[1:], strict=False):
        assert start == end
    if total:
        # none holds more than its share and one row
        assert all(sum(sizes[a:b]) <= total / count + max(sizes) for a, b in ranges)


@pytest.mark.parametrize(
    "text", ["0/3", "4/3", "1", "1/0", "a/b", "-1/3", "1/3/5", "", "1.5/2", "²/3"]
)
def test_a_shard_is_two_numbers(text, run, example):
    with pytest.raises(ConfigError, match="--shard"):
        Shard.parse(text)
    found = run("embed", example / "genome.fa", "-o", "x.h5", "--shard", text, code=2)
    assert "--shard" in found.stderr


@pytest.fixture
def command(example, model_folder, tasks):
    """Words of a command and the suffix of its output."""
    genome, bed = example / "genome.fa", example / "regions.bed"
    return {
        "h5": (["embed", genome, bed, "-m", model_folder, "--pool", "mean", "--pool", "max",
                "--bins", 2, "--per-base", "-s"], "h5"),
        "table": (["embed", genome, bed, "-m", model_folder], "tsv.gz"),
        "bed": (["predict", genome, bed, "-t", tasks["binary"], "--header"], "bed.gz"),
        "bed9": (["predict", genome, bed, "-t", tasks["three"], "--bed9", "--header"], "bed"),
        "jsonl": (["predict", genome, bed, "-t", tasks["three"], "--min-prob", 0.4], "jsonl"),
        "records": (["predict", genome, "-t", tasks["binary"], "-O", "tsv"], "tsv"),
        "vcf": (["variants", genome, example / "variants.vcf", "-m", model_folder, "--window", 60,
                 "--no-version"], "vcf.gz"),
        "variants": (["variants", genome, example / "variants.vcf", "-m", model_folder, "--window",
                      60], "tsv"),
    }  # fmt: skip


KINDS = ["h5", "table", "bed", "bed9", "jsonl", "records", "vcf", "variants"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [1, 3])
def test_merged_is_a_single_run(command, run, tmp_path, kind, count):
    words, suffix = command[kind]
    run(*words, "-o", tmp_path / f"whole.{suffix}")
    parts = [tmp_path / f"{i}.{suffix}" for i in range(1, count + 1)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/{count}")
    found = run("merge", *parts[::-1], "-o", tmp_path / f"merged.{suffix}")
    assert f"of {count} part{'s' * (count > 1)} merged" in found.stderr
    assert contents(tmp_path / f"merged.{suffix}") == contents(tmp_path / f"whole.{suffix}")


def test_more_shards_than_rows(example, model_folder, run, tmp_path, write):
    bed = write("b.bed", "chrA\t5\t50\nchrA\t60\t90\n")
    words = ["embed", example / "genome.fa", bed, "-m", model_folder]
    run(*words, "-o", tmp_path / "whole.h5")
    parts = [tmp_path / f"{i}.h5" for i in range(1, 6)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/5")
    run("merge", *parts, "-o", tmp_path / "merged.h5")
    assert contents(tmp_path / "merged.h5") == contents(tmp_path / "whole.h5")


@pytest.mark.parametrize("kind", ["bed", "table"])
@pytest.mark.parametrize("more", [[], ["--resume"]])
def test_a_first_shard_without_rows_names_all_columns(command, run, tmp_path, write, kind, more):
    words, suffix = command[kind]
    words = [
        *words[:2],
        write("b.bed", "chrA\t5\t50\tx\t0\t+\nchrA\t60\t90\ty\t0\t-\n"),
        *words[3:],
    ]
    run(*words, "-o", tmp_path / f"whole.{suffix}")
    parts = [tmp_path / f"{i}.{suffix}" for i in range(1, 6)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/5", *more)
    run("merge", *parts, "-o", tmp_path / f"merged.{suffix}")
    assert contents(tmp_path / f"merged.{suffix}") == contents(tmp_path / f"whole.{suffix}")


@pytest.mark.slow
def test_rows_that_cannot_be_read_keep_their_place(example, model_folder, run, tmp_path, write):
    rows = [
        f"chrA\t{i * 40}\t{i * 40 + 30}\n" if i % 3 else f"lost\t0\t{i + 1}\n" for i in range(20)
    ]
    bed = write("b.bed", "".join(rows))
    for choice in ("null", "skip"):
        words = ["embed", example / "genome.fa", bed, "-m", model_folder, "--on-error", choice]
        run(*words, "-o", tmp_path / "whole.h5", "-f")
        for i in (1, 2):
            run(*words, "-o", tmp_path / f"{i}.h5", "--shard", f"{i}/2", "-f")
        run("merge", tmp_path / "1.h5", tmp_path / "2.h5", "-o", tmp_path / "merged.h5", "-f")
        assert contents(tmp_path / "merged.h5") == contents(tmp_path / "whole.h5")


def test_vectors_of_variants_are_merged_too(example, model_folder, run, tmp_path):
    words = ["variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder]
    words += ["--window", 60]
    run(*words, "-o", tmp_path / "w.vcf", "--embeddings", tmp_path / "whole.h5")
    for i in (1, 2):
        more = ["--embeddings", tmp_path / f"{i}.h5", "--shard", f"{i}/2"]
        run(*words, "-o", tmp_path / f"{i}.vcf", *more)
    run("merge", tmp_path / "1.h5", tmp_path / "2.h5", "-o", tmp_path / "merged.h5")
    assert contents(tmp_path / "merged.h5") == contents(tmp_path / "whole.h5")
    mixed = run("merge", tmp_path / "1.h5", tmp_path / "2.vcf", "-o", tmp_path / "x.h5", code=1)
    assert "of another run" in mixed.stderr


@pytest.mark.slow
def test_merge_refuses_what_is_no_whole(command, run, tmp_path, example, model_folder):
    words, _ = command["h5"]
    parts = [tmp_path / f"{i}.h5" for i in (1, 2, 3)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/3")

    def refused(*files):
        found = run("merge", *files, "-o", tmp_path / "x.h5", code=1).stderr
        assert not (tmp_path / "x.h5").exists()
        assert len(found.splitlines()) == 1
        return found

    missing = "shard 2 of 3 is missing: name its output too, or run --shard 2/3 first"
    assert missing in refused(parts[0], parts[2])
    assert "shard 1 of 3 is there twice" in refused(*parts, parts[0])
    assert "no such file" in refused(parts[0], tmp_path / "no.h5")
    run(*words, "--flank", 3, "-o", tmp_path / "other.h5", "--shard", "2/3")
    assert "options flank (3, not 0)" in refused(parts[0], tmp_path / "other.h5", parts[2])
    run(*words, "-o", tmp_path / "half.h5", "--shard", "1/2")
    assert "is one of 2" in refused(parts[0], tmp_path / "half.h5")
    run(*words, "-o", tmp_path / "alone.h5")
    assert "no alone.h5.shard.json beside it" in refused(tmp_path / "alone.h5")
    note = tmp_path / "2.h5.shard.json"
    for text in ("{", "[]", "{}", '{"format": 1}', '{"format": 1, "facts": 3}'):
        note.write_text(text)
        assert "2.h5.shard.json" in refused(*parts)
    run(*words, "-o", parts[1], "--shard", "2/3", "-f")
    with parts[1].open("ab") as file:
        file.write(b"x")
    assert "is not what the run wrote" in refused(*parts)
    run(*words, "-o", tmp_path / "only.h5", "--shard", "1/1")
    assert "HDF5 cannot be streamed" in run("merge", tmp_path / "only.h5", code=2).stderr


OPTIONS = {
    "h5": ["-m tiny", "--pool max", "--bins 3", "--per-base", "--both-strands", "--whole",
           "--dtype float16", "-s", "--split", "--flank 2", "--window 40",
           "--out-of-bounds pad", "--on-error null", "--precision bf16", "--anchor start"],
    "bed": ["-t {three}", "-O tsv", "--bed6", "--bed9", "--header", "--all-classes",
            "--min-prob .5", "-s", "--split", "--flank 2", "--window 40", "--out-of-bounds pad",
            "--on-error null", "--precision bf16", "-t {binary} -t {three}", "--anchor end"],
    "vcf": ["-m tiny", "--scores dist", "-t {binary}", "-t {three} --class donor", "--window 50",
            "--whole", "--strand +", "--haplotype HG1", "--ref-mismatch null", "--no-version",
            "--precision bf16", "-O tsv"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("kind", OPTIONS)
def test_each_option_that_changes_a_byte_makes_another_run(
    run, example, model_folder, tasks, write, tmp_path, kind
):
    header = '##fileformat=VCFv4.2\n##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
    header += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tHG1\n"
    with Genome(example / "genome.fa") as genome:
        ref = decode(genome.fetch("chrA", 299, 300))
    vcf = write("v.vcf", f"{header}chrA\t300\t.\t{ref}\t{ref}A\t.\t.\t.\tGT\t0|1\n")
    bed = write("b.bed", "chrA\t100\t160\tx\t0\t-\nchrA\t300\t390\ty\t0\t+\n")
    words = {
        "h5": ["embed", example / "genome.fa", bed, "-m", model_folder],
        "bed": ["predict", example / "genome.fa", bed, "-t", tasks["binary"]],
        "vcf": ["variants", example / "genome.fa", vcf, "-m", model_folder],
    }[kind]
    parts = [tmp_path / f"{i}.{kind}" for i in (1, 2)]
    run(*words, "-o", parts[0], "--shard", "1/2")
    for text in OPTIONS[kind]:
        if text.startswith("--anchor"):  # of a window
            words += ["--window", "40"]
            run(*words, "-o", parts[0], "--shard", "1/2", "-f")
        more = text.format(**tasks).split()
        given = words[:3] if more[0] in ("-t", "-m") and kind != "vcf" else words
        run(*given, *more, "-o", parts[1], "--shard", "2/2", "-f")
        found = run("merge", *parts, "-o", tmp_path / "merged", code=1).stderr
        assert "of another run" in found, text


@pytest.mark.slow
def test_tasks_in_another_order_are_another_run(run, example, tasks, tmp_path, monkeypatch):
    """The columns would be swapped."""
    words = ["predict", example / "genome.fa", example / "regions.bed"]
    orders = [f"{tasks['binary']},{tasks['three']}", f"{tasks['three']},{tasks['binary']}"]
    for i, order in enumerate(orders, 1):
        run(*words, "-t", order, "-o", tmp_path / f"{i}.bed", "--shard", f"{i}/2")
    found = run("merge", tmp_path / "1.bed", tmp_path / "2.bed", code=1)
    assert "weights task 1 (three" in found.stderr
    assert not found.stdout
    monkeypatch.setattr(Unfinished, "discard", lambda self: None)
    run(*words, "-t", orders[0], "-o", tmp_path / "o.bed", "--resume")
    (tmp_path / "o.bed").unlink()
    found = run(*words, "-t", orders[1], "-o", tmp_path / "o.bed", "--resume", code=1)
    assert "parts of another run: weights task 1 (binary" in found.stderr


def test_other_aliases_are_another_run(run, example, model_folder, tasks, write, tmp_path):
    bed = write("b.bed", "x\t100\t160\nx\t300\t390\n")
    vcf = write("v.vcf", "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
                "x\t200\t.\tN\tA\t.\t.\t.\nx\t300\t.\tN\tA\t.\t.\t.\n")  # fmt: skip
    aliases = [write(f"{name}.tsv", f"x\t{name}\n") for name in ("chrA", "chrB")]
    for words in (
        ["embed", example / "genome.fa", bed, "-m", model_folder, "-O", "tsv"],
        ["predict", example / "genome.fa", bed, "-t", tasks["binary"]],
        ["variants", example / "genome.fa", vcf, "-m", model_folder, "--ref-mismatch", "null"],
    ):
        for i, alias in enumerate(aliases, 1):
            more = ["--chrom-alias", alias, "--shard", f"{i}/2", "-f"]
            run(*words, "-o", tmp_path / f"{words[0]}{i}", *more)
        parts = [tmp_path / f"{words[0]}{i}" for i in (1, 2)]
        assert "alias x (chrB, not chrA)" in run("merge", *parts, code=1).stderr
        run(*words, "-o", parts[1], "--chrom-alias", "auto", "--shard", "2/2", "-f",
            "--on-error" if words[0] != "variants" else "--ref-mismatch", "null")  # fmt: skip
        assert "alias (auto, not " in run("merge", *parts, code=1).stderr


def test_merge_streams_text(command, run, tmp_path):
    words, _ = command["bed"]
    whole = run(*words).stdout
    for i in (1, 2):
        run(*words, "-o", tmp_path / f"{i}.bed", "--shard", f"{i}/2")
    assert run("merge", tmp_path / "2.bed", tmp_path / "1.bed").stdout == whole


@pytest.mark.parametrize("kind", ["vcf", "bcf", "bed"])
def test_a_merged_file_gets_an_index(command, run, tmp_path, example, kind):
    words, suffix = command["bed" if kind == "bed" else "vcf"]
    if kind == "bed":
        rows = sorted(
            (line.split("\t") for line in (example / "regions.bed").read_text().splitlines()),
            key=lambda row: (row[0], int(row[1])),
        )
        bed = tmp_path / "sorted.bed"
        bed.write_text("".join("\t".join(row) + "\n" for row in rows))
        words = [bed if word == example / "regions.bed" else word for word in words]
    parts = [tmp_path / f"{i}.{suffix}" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/2")
    out = tmp_path / ("m.bcf" if kind == "bcf" else f"m.{suffix}")
    run("merge", *parts, "-o", out, "--write-index")
    assert out.with_name(out.name + (".csi" if kind == "bcf" else ".tbi")).exists()
    refused = run("merge", *parts, "-o", tmp_path / "m.tsv", "--write-index", code=2)
    assert "--write-index needs" in refused.stderr
    assert not (tmp_path / "m.tsv").exists()


@pytest.mark.parametrize("name", ["M.BED.GZ", "m.bed.bgz"])
def test_every_name_that_asks_for_bgzf_gets_it_and_an_index(command, run, tmp_path, write, name):
    words, _ = command["bed"]
    words = [*words[:2], write("b.bed", "chrA\t5\t50\nchrA\t60\t90\n"), *words[3:]]
    whole, merged, index = tmp_path / name, tmp_path / f"m{name}", tmp_path / f"m{name}.tbi"
    run(*words, "-o", whole, "--write-index")
    assert whole.read_bytes()[:4] == b"\x1f\x8b\x08\x04"
    run(*words, "-o", tmp_path / "1.bed", "--shard", "1/1")
    run("merge", tmp_path / "1.bed", "-o", merged, "--write-index")
    assert merged.read_bytes() == whole.read_bytes()
    with pysam.TabixFile(str(merged), index=str(index)) as file:
        assert len(list(file.fetch("chrA", 0, 55))) == 1
    run("merge", tmp_path / "1.bed", "-o", merged, "-f")
    assert not index.exists()  # that of the file before


def test_rows_beyond_512_mbp_get_a_csi_index(command, run, tmp_path):
    """Such a row lies beyond its contig, and is kept with missing values."""
    words, _ = command["bed"]
    bed = tmp_path / "far.bed"
    bed.write_text("chrA\t5\t90\nchrA\t600000000\t600000090\n")
    words = [bed if str(word).endswith(".bed") else word for word in words]
    words += ["--on-error", "null"]
    parts = [tmp_path / f"{i}.bed" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/2")
    whole, merged = tmp_path / "whole.bed.gz", tmp_path / "merged.bed.gz"
    run(*words, "-o", whole, "--write-index")
    run("merge", *parts, "-o", merged, "--write-index")
    for path in (whole, merged):
        assert not path.with_name(path.name + ".tbi").exists()
        with pysam.TabixFile(str(path), index=f"{path}.csi") as file:
            assert len(list(file.fetch("chrA", 600_000_000, 600_000_001))) == 1


def test_a_merged_file_names_the_command_that_made_it(command, run, tmp_path):
    run(*command["h5"][0], "-o", tmp_path / "1.h5", "--shard", "1/1")
    run("merge", tmp_path / "1.h5", "-o", tmp_path / "m.h5")
    with h5py.File(tmp_path / "m.h5") as file:
        assert file["uns/findna/command"].asstr()[()].startswith("findna merge ")


def test_both_need_a_file(command, run, example):
    for kind in ("bed", "vcf"):
        words, _ = command[kind]
        for more in (["--shard", "1/2"], ["--resume"]):
            found = run(*words, *more, "-o", "-", code=2)
            assert f"{more[0]} needs a file" in found.stderr
    vcf = (example / "variants.vcf").read_bytes()
    words = ["variants", example / "genome.fa", "-", "-o", "x.vcf", "--resume"]
    assert "cannot be read twice" in run(*words, input=vcf, code=2).stderr


def test_standard_input_is_kept_for_more_than_one_reading(command, run, example, tmp_path):
    words, _ = command["bed"]
    words = [word if word != example / "regions.bed" else "-" for word in words]
    bed = (example / "regions.bed").read_bytes()
    run(*words, "-o", tmp_path / "whole.bed", input=bed)
    for i in (1, 2):
        run(*words, "-o", tmp_path / f"{i}.bed", "--shard", f"{i}/2", "--resume", input=bed)
    run("merge", tmp_path / "1.bed", tmp_path / "2.bed", "-o", tmp_path / "merged.bed")
    assert contents(tmp_path / "merged.bed") == contents(tmp_path / "whole.bed")


# names of what is being written


def test_two_runs_beside_each_other_have_files_of_their_own(command, run, tmp_path, monkeypatch):
    """Also where both have one process id, as in two containers."""
    monkeypatch.setattr(os, "getpid", lambda: 7)
    with Destination(tmp_path / "y.gz").published() as first:
        first.write_text("first")
        with Destination(tmp_path / "y.gz").published() as second:
            second.write_text("second")
        assert (tmp_path / "y.gz").read_text() == "second"
        (tmp_path / "y.gz").unlink()
        run(*command["bed"][0], "-o", tmp_path / "y", "--resume")
    assert (tmp_path / "y.gz").read_text() == "first"
    assert sorted(os.listdir(tmp_path)) == ["y", "y.gz"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["variants", "explain"])
def test_a_file_that_is_not_written_since_a_pipe_ended_is_a_failure(
    example, model_folder, tmp_path, kind
):
    """``findna variants --embeddings e.h5 | head``."""
    genome, vcf = example / "genome.fa", example / "variants.vcf"
    words = {
        "variants": ["variants", genome, vcf, "--embeddings"],
        "explain": ["explain", genome, "-r", "chrA:1-40", "--target", "mnm", "--track", "-", "-o"],
    }[kind]
    command = [sys.executable, "-m", "findna", *map(str, words), str(tmp_path / "e.h5")]
    command += ["-m", str(model_folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        (line,) = process.stderr.read().decode().splitlines()
    assert process.returncode == 1
    assert f"{tmp_path / 'e.h5'}: not written" in line
    assert not list(tmp_path.iterdir())


# unfinished outputs


def test_differences_are_named():
    a = {"genome": {"c": "1"}, "options": {"window": 5, "same": 1}, "rows": {"sha256": "a" * 64}}
    b = {"genome": {"c": "1"}, "options": {"window": None, "same": 1}, "rows": {"sha256": "b" * 64}}
    assert difference(a, b) == [
        "options window (5, not given there)",
        "rows sha256 (aaaaaaaaaaaa..., not bbbbbbbbbbbb...)",
    ]
    assert difference(a, a) == []


class Stopped(Exception):
    """Stands for a kill."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_resumed_is_uninterrupted(
    command, example, run, tmp_path, tmp_path_factory, kind, monkeypatch
):
    """Parts of one row or so; the run dies after each third one, in the middle of the fourth."""
    words, suffix = command[kind]
    few = tmp_path_factory.mktemp("few")
    for name in ("regions.bed", "variants.vcf"):
        lines = (example / name).read_text().splitlines(keepends=True)
        n_header = sum(line.startswith("#") for line in lines)
        (few / name).write_text("".join(lines[: n_header + 12]))
        words = [few / name if word == example / name else word for word in words]
    whole, parts = tmp_path / f"whole.{suffix}", tmp_path / f"parts.{suffix}"
    run(*words, "-o", whole)
    monkeypatch.setattr(unfinished, "SECONDS", 0)
    ordinary, journals = unfinished.write_journal, []

    def die(path, values):
        journals.append(path)
        if len(journals) % 4 == 0:
            raise Stopped
        ordinary(path, values)

    monkeypatch.setattr(unfinished, "write_journal", die)
    deaths = 0
    while not parts.exists():
        deaths += 1
        with suppress(AssertionError):  # what `run` makes of Stopped
            run(*words, "-o", parts, "--resume")
            deaths -= 1
    assert deaths >= (2 if kind != "records" else 0)
    assert contents(parts) == contents(whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([whole.name, parts.name])
    error = run(*words, "-o", parts, "--resume", code=1).stderr
    assert "exists and is complete: nothing is left to resume" in error
    assert contents(parts) == contents(whole)


@pytest.mark.slow
def test_parts_of_another_run_are_refused(command, run, tmp_path, monkeypatch, example):
    words, _ = command["bed"]
    out = tmp_path / "o.bed"
    monkeypatch.setattr(unfinished, "SECONDS", 0)
    monkeypatch.setattr(Unfinished, "discard", lambda self: None)
    run(*words, "-o", out, "--resume")
    out.unlink()
    found = run(*words, "-o", out, "--resume", "-s", code=1).stderr
    assert "options stranded (False, not True)" in found
    assert "--force" in found
    bed = tmp_path / "b.bed"
    bed.write_bytes((example / "regions.bed").read_bytes().replace(b"promoter", b"Promoter"))
    changed = [word if word != example / "regions.bed" else bed for word in words]
    assert "rows sha256" in run(*changed, "-o", out, "--resume", code=1).stderr
    fasta = tmp_path / "g.fa"
    text = (example / "genome.fa").read_text()
    fasta.write_text(text[:3000] + ("A" if text[3000] != "A" else "C") + text[3001:])
    changed = [word if word != example / "genome.fa" else fasta for word in words]
    assert "genome chrA" in run(*changed, "-o", out, "--resume", code=1).stderr
    assert not out.exists()
    # and the first run goes on: nothing is left to do
    monkeypatch.undo()


def test_force_throws_them_away(command, run, tmp_path, monkeypatch):
    words, _ = command["bed"]
    out = tmp_path / "o.bed"
    with open_unfinished(Destination(out), {"command": "another"}) as other:
        for stretch in other.stretches([1, 2], 2):
            with other.part({"rows": 2}) as path:
                path.write_text("".join(f"{x}\n" for x in stretch))
    assert (tmp_path / "o.bed.unfinished").is_dir()
    said = run(*words, "-o", out).stderr
    assert f"{out}.unfinished holds rows of an interrupted run; this one begins anew" in said
    out.unlink()
    assert "parts of another run" in run(*words, "-o", out, "--resume", code=1).stderr
    run(*words, "-o", out, "--resume", "-f")
    run(*words, "-o", tmp_path / "whole.bed")
    assert contents(out) == contents(tmp_path / "whole.bed")
    assert not (tmp_path / "o.bed.unfinished").exists()


@pytest.mark.slow
def test_two_runs_do_not_write_the_same_parts(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from findna.outputs.destination import Destination\n"
        "from findna.outputs.unfinished import open_unfinished\n"
        "try:\n  open_unfinished(Destination(Path(sys.argv[1])), {}).__enter__()\n"
        "except Exception as error: print(error)"
    )
    with open_unfinished(Destination(tmp_path / "o.bed"), {}):
        words = [sys.executable, "-c", code, str(tmp_path / "o.bed")]
        found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    assert "another run is at work in it" in found


@pytest.fixture
def interrupt(monkeypatch, run, example, tmp_path_factory):
    """Start a run on a few rows that dies with two complete parts; return its words."""
    few = tmp_path_factory.mktemp("few") / "few.bed"
    few.write_text("".join((example / "regions.bed").read_text().splitlines(True)[:6]))

    def start(words, out):
        words = [few if word == example / "regions.bed" else word for word in words]
        words += ["-o", out, "--resume"]
        ordinary, journals = unfinished.write_journal, []

        def die(path, values):
            journals.append(path)
            if len(journals) == 4:
                raise Stopped
            ordinary(path, values)

        with monkeypatch.context() as patch:
            patch.setattr(unfinished, "SECONDS", 0)
            patch.setattr(unfinished, "write_journal", die)
            with pytest.raises(AssertionError):
                run(*words)
        return words

    return start


def test_a_folder_of_somebody_else_is_left_alone(command, run, tmp_path):
    words = [*command["bed"][0], "-o", tmp_path / "o.bed", "--resume"]
    folder, target = tmp_path / "o.bed.unfinished", tmp_path / "target"

    def refused():
        for more in ([], ["--force"]):
            found = run(*words, *more, code=1).stderr
            assert "o.bed.unfinished: " in found
            assert len(found.splitlines()) == 1
        assert not (tmp_path / "o.bed").exists()

    for name in ("notes/a.txt", "00000000/output", "20260101/photo.jpg", "a.txt"):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_text("mine")
        refused()
        assert path.read_text() == "mine"
        folder.rename(target)
        folder.symlink_to(target)
        refused()
        assert (target / name).read_text() == "mine"
        assert [path.name for path in target.iterdir()] == [name.split("/")[0]]
        folder.unlink()
        shutil.rmtree(target)


def test_links_among_the_parts_are_refused(command, run, tmp_path, interrupt):
    out, mine = tmp_path / "o.bed", tmp_path / "mine"
    words = interrupt(command["bed"][0], out)
    mine.mkdir()
    (mine / "output").write_text("mine")
    for name in ("00000007", ".lock", "journal.json", "whole"):
        path = tmp_path / "o.bed.unfinished" / name
        before = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
        path.symlink_to(mine if name == "00000007" else mine / "output")
        assert f"holds {name}" in run(*words, "-f", code=1).stderr
        assert (mine / "output").read_text() == "mine"
        path.unlink()
        if before is not None:
            path.write_bytes(before)
    run(*words)
    assert sorted(os.listdir(tmp_path)) == ["mine", "o.bed"]


def change(key, value):
    """Return a function that puts a value into the last part of a journal, or into the journal."""

    def edit(values):
        (values if key in values else values["parts"][-1])[key] = value

    return edit


JOURNALS = {
    "empty": None,
    "doubled": lambda values: values["parts"].append(values["parts"][0]),
    "reversed": lambda values: values["parts"].reverse(),
    "first lost": lambda values: values["parts"].pop(0),
    "more rows": lambda values: values["parts"][0]["counts"].update(rows=3),
    "negative": change("counts", {"rows": -1, "header_lines": 0}),
    "text": change("counts", {"rows": "1", "header_lines": 0}),
    "no counts": change("counts", None),
    "no parts": change("parts", None),
    "other parts": change("parts", [1, "x"]),
    "no facts": change("facts", 3),
    "digest": change("sha256", 3),
}


@pytest.mark.parametrize("sealed", [False, True])
def test_a_changed_journal_is_refused(command, run, tmp_path, interrupt, sealed):
    """``sealed``: by somebody who knows how its digest is made."""
    out = tmp_path / "o.bed"
    words = interrupt(command["bed"][0], out)
    run(*words[:-3], "-o", tmp_path / "whole.bed")
    journal = tmp_path / "o.bed.unfinished" / "journal.json"
    before = journal.read_text()
    for name, edit in JOURNALS.items():
        values = json.loads(before)
        if edit is not None:
            edit(values)
        if not sealed:
            journal.write_text(json.dumps(values) if edit is not None else "")
        elif edit is None or name in ("first lost", "more rows"):
            continue
        else:
            del values["journal_sha256"]
            write_journal(journal, values)
        found = run(*words, code=1).stderr
        assert "--force throws the parts away" in found, name
        assert len(found.splitlines()) == 1
        assert not out.exists()
    run(*words, "-f")
    assert contents(out) == contents(tmp_path / "whole.bed")
    assert sorted(os.listdir(tmp_path)) == ["o.bed", "whole.bed"]


@pytest.mark.parametrize("kind", ["h5", "bed"])
def test_a_changed_part_is_refused(command, run, tmp_path, interrupt, kind):
    words, _ = command[kind]
    out = tmp_path / f"o.{kind}"
    words = interrupt(words, out)
    first, second = (tmp_path / f"o.{kind}.unfinished" / f"0000000{i}" / "output" for i in (0, 1))
    kept, other = first.read_bytes(), second.read_bytes()
    for data in (kept[:-1], other, kept + kept, b"", None):
        if data is None:
            first.unlink()
        else:
            first.write_bytes(data)
        found = run(*words, code=1).stderr
        assert "part 00000000 is not what the run wrote; --force" in found
        assert len(found.splitlines()) == 1
        assert not out.exists()
    first.write_bytes(kept)
    run(*words)
    run(*words[:-3], "-o", tmp_path / f"whole.{kind}")
    assert contents(out) == contents(tmp_path / f"whole.{kind}")


@pytest.mark.parametrize("moment", ["write_note", "discard", "index"])
def test_the_same_command_goes_on_after_its_output_is_there(
    command, run, tmp_path, monkeypatch, moment, write
):
    words, suffix = command["vcf"]
    out = tmp_path / f"o.{suffix}"
    words = [*words, "-o", out, "--resume", "--shard", "1/1", "--write-index"]

    def die(*_):
        raise Stopped

    place = {"write_note": rows, "discard": Unfinished, "index": Destination}[moment]
    for more in ([], ["-f"]):
        with monkeypatch.context() as patch:
            patch.setattr(place, moment, die)
            with pytest.raises(AssertionError):
                run(*words, *more)
        made = contents(out)
        assert out.with_name(f"{out.name}.unfinished").is_dir()
        assert "holds parts of another run" in run(*words, "--window", 61, code=1).stderr
        run(*words)
        assert contents(out) == made
        names = [out.name, f"{out.name}.shard.json", f"{out.name}.tbi"]
        assert sorted(os.listdir(tmp_path)) == names
    with monkeypatch.context() as patch:
        patch.setattr(place, moment, die)
        with pytest.raises(AssertionError):
            run(*words, "-f")
    out.write_text("of somebody else")
    assert "exists; --force" in run(*words, code=1).stderr
    assert out.read_text() == "of somebody else"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_finished_shard_is_recognised(command, run, tmp_path, monkeypatch, kind):
    """As where another process of a torchrun job was killed: the job writes with --force."""
    words, suffix = command[kind]
    out = tmp_path / f"o.{suffix}"
    words = [*words, "-o", out, "--resume", "--shard", "1/2", "--force"]
    said = run(*words).stderr[:20]  # 49 of 49 regions
    made, note = contents(out), Path(f"{out}.shard.json").read_bytes()

    def die(*_):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(rows, "_fill", die)
        assert run(*words).stderr[:20] == said
        assert (contents(out), Path(f"{out}.shard.json").read_bytes()) == (made, note)
        with pytest.raises(AssertionError):
            run(*words, "--ref-mismatch" if "v" in kind else "--on-error", "null")
    assert sorted(os.listdir(tmp_path)) == [
        out.name, f"{out.name}.shard.json", f"{out.name}.unfinished",
    ]  # fmt: skip
    out.write_bytes(out.read_bytes()[:-1])  # and one that was changed is none
    run(*words)
    assert contents(out) == made


def test_a_shard_that_was_removed_is_made_again(command, run, tmp_path):
    words, suffix = command["bed"]
    out = tmp_path / f"o.{suffix}"
    words = [*words, "-o", out, "--resume", "--shard", "1/2"]
    run(*words)
    made = contents(out)
    out.unlink()  # and its note is left
    run(*words)
    assert contents(out) == made


@pytest.mark.slow
def test_a_kill_loses_nothing_that_is_done(example, model_folder, run, write, tmp_path):
    """docs/reliability/kill.py does this many times, to every command."""
    rows = "".join(f"chrA\t{i % 5000}\t{i % 5000 + 300}\tr{i}\n" for i in range(1_500))
    bed, out = write("many.bed", rows), tmp_path / "o.h5"
    words = ["embed", example / "genome.fa", bed, "-m", model_folder, "--max-tokens", 2000]
    code = (
        "import sys; import findna.outputs.unfinished as u; u.SECONDS = 0.1; "
        "from findna.cli import main; sys.argv[0] = 'findna'; main()"
    )
    command = [sys.executable, "-c", code, *map(str, words), "-o", str(out), "--resume"]
    for n_parts in (2, 4):
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            for _ in range(2000):
                time.sleep(0.02)
                if len(list((tmp_path / "o.h5.unfinished").glob("*/output"))) >= n_parts:
                    break
            process.kill()
        assert not out.exists()
    subprocess.run(command, check=True, capture_output=True)
    run(*words, "-o", tmp_path / "whole.h5")
    assert contents(out) == contents(tmp_path / "whole.h5")
    assert sorted(path.name for path in tmp_path.glob("*o*.h5*")) == ["o.h5", "whole.h5"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", [signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_keeps_what_is_done(example, model_folder, write, tmp_path, kind):
    rows = "".join(f"chrA\t{i % 5000}\t{i % 5000 + 400}\n" for i in range(20_000))
    bed, out = write("many.bed", rows), tmp_path / "o.tsv"
    words = [sys.executable, "-m", "findna", "embed", example / "genome.fa", bed, "-m",
             model_folder, "-o", out, "--resume", "--max-tokens", "2000"]  # fmt: skip
    before = signal.signal(kind, signal.SIG_DFL)  # tests under nohup ignore it, and so would this
    try:
        process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(kind, before)
    with process:
        folder = tmp_path / "o.tsv.unfinished"
        for _ in range(600):
            time.sleep(0.1)
            if any(path.stat().st_size for path in folder.glob("*/output")):
                break
        process.send_signal(kind)
        assert process.wait(60) == 130
        (line,) = process.stderr.read().splitlines()
    assert "of 20000 rows kept in" in line
    assert "the same command goes on from there" in line
    n = int(line.split("interrupted; ")[1].split()[0])
    journal = json.loads((folder / "journal.json").read_text())
    assert 0 < n == sum(part["counts"]["rows"] for part in journal["parts"]) < 20_000
    assert not out.exists()


@pytest.mark.slow
def test_nothing_is_left_of_an_ordinary_run(command, run, tmp_path):
    words, suffix = command["vcf"]
    run(*words, "-o", tmp_path / f"o.{suffix}", "--resume", "--write-index")
    assert sorted(os.listdir(tmp_path)) == ["o.vcf.gz", "o.vcf.gz.tbi"]
    assert (
        shutil.which("bcftools") is None
        or not subprocess.run(
            ["bcftools", "view", tmp_path / "o.vcf.gz"], capture_output=True, check=True
        ).stderr
    )


def test_an_option_that_one_part_lacks_is_said_to_be_missing(run, example, model_folder, tmp_path):
    words = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder]
    parts = [tmp_path / "1.h5", tmp_path / "2.h5"]
    run(*words, "-o", parts[0], "--shard", "1/2")
    run(*words, "-o", parts[1], "--shard", "2/2", "--window", 50)
    error = run("merge", *parts, "-o", tmp_path / "m.h5", code=1).stderr
    assert "options window (50, not given there)" in error
    run(*words, "-o", parts[0], "--shard", "1/2", "--window", 50, "-f")
    run(*words, "-o", parts[1], "--shard", "2/2", "-f")
    error = run("merge", *parts, "-o", tmp_path / "m.h5", code=1).stderr
    assert "options window (not given, but 50 there)" in error
    assert "None" not in error
