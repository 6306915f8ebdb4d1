"""Mutated inputs through the readers of the real commands: rows, or one line that says why not.

Small valid inputs of every kind are damaged (bytes, lines, columns, numbers, encodings,
compression) and read as the commands read them. Each must end in success, with exactly the rows
that a deliberately simple count finds in the raw bytes and every column as it was, or in one of
findna's own errors with a message of one line. Anything else is a finding, saved and printed:
another exception, a message of several lines, a row too few, too many or changed, a refusal of
what was only packed differently, a file left half-written, more time or memory than allowed.

    python docs/reliability/fuzz.py --inputs 100000 --seed 1
    python docs/reliability/fuzz.py --seed 1 --only 4711       # one of them again

The same seed gives the same inputs.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import io
import json
import logging
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from unittest.mock import patch

import h5py
import numpy as np
import torch
from click.testing import CliRunner
from damage import (
    BYTES,
    LONG,
    MAGIC,
    PACKED,
    TEXT,
    bgzf,
    damaged,
    damaged_json,
    damaged_tensors,
    delete_bytes,
    drop_line,
    mutated,
    odd_number,
    odd_text,
    repeat_line,
    shuffle_lines,
)
from valid import (
    CONTIGS,
    bcf_records,
    bed_lines,
    beds,
    fai,
    fasta,
    fasta_records,
    is_blank,
    letters,
    lines_of,
    named_records,
    published_layout,
    table_records,
    tables,
    unpacked,
    vcf,
)

from findna.cli import main as findna
from findna.commands.rows import place_all
from findna.errors import FindnaError
from findna.evaluation.variant_sets import read_starts
from findna.genome.batching import read_window
from findna.genome.bed import column_names, read_intervals
from findna.genome.encoding import encode
from findna.genome.fasta import Genome, read_aliases
from findna.genome.regions import RegionOptions
from findna.genome.sources import RegionSource
from findna.genome.survey import survey
from findna.genome.windows import Window
from findna.labelled.sets import read_labelled
from findna.model.checkpoint import Model, load_checkpoint, save_checkpoint
from findna.model.config import EncoderConfig
from findna.model.heads import TaskHead
from findna.model.published import import_published
from findna.outputs.hdf5 import EmbeddingWriter
from findna.outputs.provenance import obs_columns, obs_row
from findna.outputs.tables import EmbeddingTable
from findna.pretraining.history import Metrics
from findna.pretraining.recipe import PretrainConfig
from findna.pretraining.state import TrainingState
from findna.settings import from_dict, read_yaml
from findna.tasks.task import TaskConfig, load_task, save_task
from findna.variants.alleles import Examiner, examine_all, survey_alleles
from findna.variants.annotate import InfoField, VariantTable, VcfWriter, annotated_header
from findna.variants.vcf import VcfSource

LONGEST_MESSAGE = 5_000
SIZES = EncoderConfig(
    dim=24, track_size=4, hidden=32, n_blocks=2, layers_per_block=5, norm="layer", n_cls=2,
    max_length=100,
)  # fmt: skip


class FoundError(Exception):
    """What must not happen, happened."""


class SlowError(BaseException):
    """The time limit; not an Exception, so that nothing on the way takes it for its own."""


def demand(condition: bool, message: str) -> None:
    if not condition:
        raise FoundError(message)


@dataclass
class Workplace:
    """Valid inputs on disk, and what the real commands need."""

    folder: Path
    genome: Genome = field(init=False)
    model: Path = field(init=False)
    task: Path = field(init=False)
    bcf: bytes = b""

    def __post_init__(self) -> None:
        path = self.folder / "genome.fa"
        path.write_bytes(fasta())
        self.genome = Genome(path)
        self.model, self.task = self.folder / "little", self.folder / "task"
        torch.manual_seed(1)
        model = Model(SIZES).requires_grad_(False).eval()
        digest = save_checkpoint(self.model, model, {"tokens_seen": 5}, "# little\n")
        config = TaskConfig("probe", "classes", ("no", "yes"), 0, str(self.model), digest)
        head = TaskHead(24, 2).requires_grad_(False)
        save_task(self.task, config, head, {"metrics": {"test": {"auroc": 0.7}}}, "# task\n")
        self.recipe = from_dict(
            PretrainConfig,
            {"encoder": {"dim": 24, "track_size": 4, "hidden": 32, "n_blocks": 1,
                         "layers_per_block": 2, "n_cls": 2, "max_length": 100},
             "lengths": [50], "batch_tokens": 200},
        )  # fmt: skip
        cpu = torch.device("cpu")
        TrainingState.start(self.recipe, {"fasta": "x"}, cpu).save(self.folder / "state")
        torch.save({"Teacher": published_layout(), "EPOCHS_RUN": 1}, self.folder / "published.pt")
        with contextlib.suppress(ImportError):
            from pysam import bcftools

            (self.folder / "v.vcf").write_bytes(vcf())
            target = str(self.folder / "v.bcf")
            bcftools.view("-Ob", "-o", target, str(self.folder / "v.vcf"), catch_stdout=False)
            self.bcf = Path(target).read_bytes()


# The readers. Each damages an input of its kind, reads it, and holds the result against the bytes.

Reader = Callable[[Workplace, Path, Random], None]


@contextlib.contextmanager
def from_pipe(data: bytes) -> Iterator[str]:
    with patch("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(data)))):
        yield "-"


def agreed(content: bytes | None) -> bytes:
    demand(content is not None, "damaged compressed data was read without an error")
    assert content is not None
    return content


@contextlib.contextmanager
def harmless(is_harmless: bool) -> Iterator[None]:
    """What is only packed otherwise must be read."""
    try:
        yield
    except FindnaError as error:
        demand(not is_harmless, f"refused, but it is only packed otherwise: {error}")
        raise


def some_options(rng: Random) -> RegionOptions:
    kind = rng.randrange(4)
    return RegionOptions(
        stranded=rng.random() < 0.3,
        split=kind == 1,
        flank=rng.choice([0, 5]) if kind == 2 else 0,
        window=rng.choice([1, 64, 5_000]) if kind == 3 else None,
        anchor=rng.choice(["center", "start", "end"]),
        pad=rng.random() < 0.3,
        on_error=rng.choice(["stop", "null", "null", "skip"]),
        longest=rng.choice([None, None, 200]),
    )


def read_bed_file(place: Workplace, folder: Path, rng: Random) -> None:
    """As embed, predict and explain read regions; the rows that come out are those of the bytes."""
    data, is_harmless = damaged(rng.choice(list(beds().values())), rng)
    options = RegionOptions() if is_harmless else some_options(rng)
    path: Path | str = folder / "in.bed"
    Path(path).write_bytes(data)
    how = rng.choice(["file", "file", "pipe", "stream", "intervals", "starts"])
    with contextlib.ExitStack() as stack:
        stack.enter_context(harmless(is_harmless))
        if how == "intervals":
            list(read_intervals(path, place.genome))
            agreed(unpacked(data))
            return
        if how == "starts":
            starts = read_starts(Path(path), place.genome)
            content = agreed(unpacked(data))
            known = [line for line in bed_lines(content)
                     if line.split(b"\t")[0].decode(errors="replace") in CONTIGS]  # fmt: skip
            demand(sum(map(len, starts.values())) == len(known), "number of starts")
            return
        if how != "file":
            path = stack.enter_context(from_pipe(data))
        source = RegionSource.stream(path) if how == "stream" else RegionSource.bed(path)
        stack.enter_context(source)
        with_hdf5 = how != "stream" and rng.random() < 0.03
        found = None
        if how != "stream":
            found = survey(source, place.genome, options, utf8=with_hdf5)
        placed = list(place_all(source, place.genome, options))
    lines = bed_lines(agreed(unpacked(data)))
    demand(len(placed) == len(lines), f"{len(lines)} rows in, {len(placed)} out")
    demand(found is None or found.rows == len(lines), "the survey counts other rows")
    out = io.BytesIO()
    n_columns = lines[0].count(b"\t") + 1 if lines else 3
    table = EmbeddingTable(out, 1, ("mean",), 0)
    table.begin(placed[0] if placed else None)
    for item in placed:
        table.write(item, None)
    written = out.getvalue().split(b"\n")[1:-1]
    for line, item, result in zip(lines, placed, written, strict=True):
        demand(result == line + f"\t{item.status}\t.".encode(), f"changed: {line[:80]!r}")
        if item.region is not None:
            check_sequence(place, line, item.region, options)
    if with_hdf5 and n_columns < 1_000:
        check_hdf5(folder, placed, lines, n_columns)


def check_sequence(place: Workplace, line: bytes, region: object, options: RegionOptions) -> None:
    """Bases of a row that is read as it stands, from the letters of the contig."""
    simple = not (options.window or options.flank or options.split)
    assert hasattr(region, "__len__")
    if not simple or len(region) > 100_000:
        return
    chrom, start, end = line.split(b"\t")[:3]
    first, last = int(start), int(end)
    contig = CONTIGS[chrom.decode()]
    inside = contig[max(first, 0) : max(last, 0)]
    text = "N" * -min(first, 0) + inside
    text += "N" * (last - first - len(text))
    found = read_window(place.genome, Window(region, 0, len(region)))  # type: ignore[arg-type]
    if not region.reverse:  # type: ignore[attr-defined]
        demand(np.array_equal(found, encode(text)), f"other bases: {line[:80]!r}")
    demand(len(found) == last - first, "another length")


def check_hdf5(folder: Path, placed: list, lines: list[bytes], n_columns: int) -> None:
    """Rows through the HDF5 writer and back."""
    path = folder / "out.h5"
    names = column_names(n_columns)
    columns = obs_columns(n_columns, numeric_score=False)
    with EmbeddingWriter(
        path, dim=2, columns=columns, kinds=("mean", "max"), metadata={"a": "b"}
    ) as writer:
        for i, item in enumerate(placed):
            vectors = {"mean": np.full(2, i, np.float32), "max": np.full(2, -i, np.float32)}
            writer.write(obs_row(item, False, 0, 0), vectors if item.region else None)
    with h5py.File(path) as file:
        demand(file["X"].shape == (len(lines), 2), "rows of X")
        for i, name in enumerate(names):
            column = file[f"obs/{name}"]
            if isinstance(column, h5py.Group):
                values = column["categories"][:][column["codes"][:]].tolist()
            else:
                values = column[:].tolist()
            for value, line in zip(values, lines, strict=True):
                expected: object = line.split(b"\t")[i]
                if name in ("start", "end"):
                    expected = int(line.split(b"\t")[i])
                demand(value == expected, f"obs/{name} is {value!r}, not {expected!r}")


def read_vcf_file(place: Workplace, folder: Path, rng: Random) -> None:
    """As variants reads and writes records; nothing but INFO changes."""
    data, is_harmless = damaged(vcf(), rng)
    path: Path | str = folder / "in.vcf"
    Path(path).write_bytes(data)
    mismatch = "stop" if is_harmless else rng.choice(["stop", "null", "null"])
    examiner = Examiner(place.genome, 64, mismatch)
    fields = [InfoField("FINDNA_X", "x"), InfoField("DP2", "y")]
    out, tsv = io.BytesIO(), io.BytesIO()
    writer, table = VcfWriter(out, fields), VariantTable(tsv, fields)
    with contextlib.ExitStack() as stack:
        stack.enter_context(harmless(is_harmless))
        is_pipe = rng.random() < 0.3
        if is_pipe:
            path = stack.enter_context(from_pipe(data))
        source = stack.enter_context(VcfSource(path))
        contigs = () if not is_harmless and rng.random() < 0.2 else None  # of BCF
        n = None if is_pipe else survey_alleles(source, examiner, bcf_contigs=contigs)
        reader = stack.enter_context(source.open(contigs))
        header = list(reader.header)
        new = annotated_header(header, [one.header for one in fields])
        writer.begin(new)
        for item in examine_all(reader, examiner):
            scored = [[0.25, None] if windows else [None, None] for windows in item.windows]
            writer.write(item.record, item.classes, scored)
            table.write(item.record, item.classes, scored)
    content = agreed(unpacked(data))
    lines = [line for line in lines_of(content) if line]
    head = next(i for i, line in enumerate(lines) if not line.startswith(b"##")) + 1
    rows, written = lines[head:], out.getvalue().split(b"\n")[len(new) : -1]
    demand(n in (None, len(rows)), f"the survey counts {n} of {len(rows)} records")
    demand(len(written) == len(rows), f"{len(rows)} records in, {len(written)} out")
    kept = out.getvalue().split(b"\n")[: len(new)]
    ours = (b"##INFO=<ID=FINDNA_X", b"##INFO=<ID=DP2")
    for line in lines[:head]:
        demand(line in kept or line.startswith(ours), f"header line lost: {line[:80]!r}")
    alleles = 0
    for line, result in zip(rows, written, strict=True):
        before, after = line.split(b"\t"), result.split(b"\t")
        n_alts = 0 if before[4] == b"." else before[4].count(b",") + 1
        alleles += max(n_alts, 1)
        demand(before[:7] + before[8:] == after[:7] + after[8:], f"changed: {line[:80]!r}")
        info = [x for x in before[7].split(b";") if not x.startswith((b"FINDNA_X=", b"DP2="))]
        added = after[7].split(b";")
        if not n_alts:
            demand(before[7] == after[7], "INFO of a record without alleles")
            continue
        demand(added[-2].count(b",") == n_alts - 1, "number of values")
        demand(added[-2].startswith(b"FINDNA_X=") and added[-1].startswith(b"DP2="), "fields")
        old = [x for x in added[:-2] if x]
        demand(old == [x for x in info if x not in (b"", b".")] or old == [x for x in info if x],
               f"INFO was {before[7][:80]!r}")  # fmt: skip
    demand(tsv.getvalue().count(b"\n") == alleles, "rows of the table")


def read_bcf_file(place: Workplace, folder: Path, rng: Random) -> None:
    """htslib reads these, so a child process does: it may crash, and then nobody gets a line."""
    if not place.bcf:
        return
    content = unpacked(place.bcf)
    assert content is not None
    data = place.bcf
    if rng.random() < 0.7:
        data = bgzf(mutated(content, rng, BYTES), rng)
    if data == place.bcf or rng.random() < 0.3:
        data = mutated(data, rng, PACKED)
    path = folder / "in.bcf"
    path.write_bytes(data)
    child = os.fork()
    if child == 0:
        code = 3
        try:
            signal.alarm(10)
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            with VcfSource(path) as source, source.open() as reader:
                n = sum(1 for _ in reader.records)
            raw = unpacked(data)
            expected = bcf_records(raw) if raw is not None and raw[:3] == b"BCF" else n
            code = 0 if n == expected else 4
        except FindnaError as error:
            code = 1 if "\n" not in str(error) else 5
        except BaseException:
            code = 3
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        raise FoundError(f"htslib ended with signal {os.WTERMSIG(status)}")
    code = os.WEXITSTATUS(status)
    reasons = {3: "another exception", 4: "records lost", 5: "several lines"}
    demand(code in (0, 1), reasons.get(code, f"exit {code}"))
    if code == 1:
        raise RefusedError


class RefusedError(FindnaError):
    """Refused by a child process."""


def check_genome(path: Path, records: list[tuple[str, bytes]], rng: Random) -> None:
    """Contigs and bases of an opened FASTA against those of the bytes."""
    with Genome(path) as genome:
        contigs = genome.contigs
        expected = dict(records)
        refused = None
        for name in contigs:
            length = contigs[name]
            demand(0 <= length <= 2 * LONG, f"{name} of {length} bp")
            first = rng.randrange(length) if length else 0
            last = rng.randint(first, min(length, first + 50)) if length else 0
            for start, end in ((first, last), (0, length), (-3, length + 2)):
                try:
                    found = genome.fetch(name, start, end)
                except FindnaError as error:
                    refused = error
                    continue
                demand(name in expected, f"no contig {name[:80]!r} in the file")
                demand(len(expected[name]) == length, f"another length: {name!r}")
                truth = expected[name][max(start, 0) : max(end, 0)]
                inside = found[max(-start, 0) : max(-start, 0) + len(truth)]
                demand(np.array_equal(inside, encode(truth)), f"other bases in {name[:80]!r}")
        if refused is not None:
            raise refused
        demand(list(contigs) == [name for name, _ in records], "contigs lost or reordered")


def read_fasta_file(place: Workplace, folder: Path, rng: Random) -> None:
    data, is_harmless = damaged(fasta(rng.choice([60, 61, 5_000])), rng)
    if data.startswith(b"\xef\xbb\xbf"):
        is_harmless = False  # refused: pyfaidx has it for text before the first record
    packed = data.startswith(MAGIC)
    if packed and data[12:14] != b"BC":
        is_harmless = False  # plain gzip is refused, by name
    misnamed = not packed and rng.random() < 0.02
    is_harmless = is_harmless and not misnamed
    path = folder / ("in.fa.gz" if packed or misnamed else "in.fa")
    path.write_bytes(data)
    with harmless(is_harmless):
        content = unpacked(data)
        check_genome(path, named_records(content) if content is not None else [], rng)
        agreed(content)


def read_stale_index(place: Workplace, folder: Path, rng: Random) -> None:
    """An index that was damaged, or belongs to another file."""
    content = fasta()
    which = rng.randrange(4)
    path = folder / ("in.fa.gz" if which >= 2 else "in.fa")
    path.write_bytes(bgzf(content, rng) if which >= 2 else content)
    index = fai()
    if which == 0:  # of the same file before it was changed
        content = mutated(content, rng, [delete_bytes, drop_line, repeat_line, shuffle_lines])
        path.write_bytes(content)
    elif which == 1:
        index = mutated(index, rng, TEXT + BYTES)
    else:
        Genome(path).close()
        gzi = Path(f"{path}.gzi")
        if which == 2:
            index = mutated(index, rng, TEXT + BYTES)
        else:
            gzi.write_bytes(mutated(gzi.read_bytes(), rng, BYTES))
        os.utime(gzi)
    Path(f"{path}.fai").write_bytes(index)
    check_genome(path, named_records(content), rng)


def read_alias_file(place: Workplace, folder: Path, rng: Random) -> None:
    text = b"#other\tname\n1\tchrA\n2\tchrB\nMT\tHLA:1-9\n\n3\tnowhere\n"
    data, is_harmless = damaged(text, rng)
    path = folder / "aliases.tsv"
    path.write_bytes(data)
    with harmless(is_harmless):
        found = read_aliases(path)
    lines = [
        line for line in lines_of(agreed(unpacked(data)))
        if not is_blank(line) and not line.startswith(b"#")
    ]  # fmt: skip
    pairs = [line.decode("utf-8", "surrogateescape").split("\t") for line in lines]
    demand(all(len(pair) == 2 for pair in pairs), "a line without two names")
    expected = [(a.strip(), b.strip()) for a, b in pairs]
    demand(sorted(found.items()) == sorted(set(expected)), "other names")


def read_region_strings(place: Workplace, folder: Path, rng: Random) -> None:
    texts = [
        "chrA:1-100",
        "chrA:1,001-2,000",
        "chrB",
        "HLA:1-9",
        "HLA:1-9:5-10",
        "chrA:7",
        "chrB:-9",
    ]
    text = mutated(rng.choice(texts).encode(), rng, [*BYTES, odd_number, odd_text])[:100_000]
    words = tuple(text.decode("utf-8", "surrogateescape").split("\n"))
    options = some_options(rng)
    source = RegionSource.strings(words, place.genome)
    found = survey(source, place.genome, options)
    demand(found.rows == len(words), "rows")


def read_labelled_set(place: Workplace, folder: Path, rng: Random) -> None:
    """As finetune and evaluate read sets; rows and bases are those of the bytes."""
    forms = {**tables(), "bed": beds()["6"], "fa": b""}
    name = rng.choice(list(forms))
    seed = forms[name]
    if name == "fa":
        rows = [f">s{i} label={'ab'[i % 2]}\n{letters(30, i)}\n{letters(7, i)}" for i in range(8)]
        seed = ("\n".join(rows) + "\n").encode()
    data, is_harmless = damaged(seed, rng)
    path = folder / f"set.{name}"
    if rng.random() < 0.15:
        path = folder / "set"  # the content decides
    path.write_bytes(data)
    kind = "auto" if is_harmless else rng.choice(["auto", "classes", "multilabel", "regression"])
    with harmless(is_harmless):
        found = read_labelled(path, place.genome, kind=kind)
    content = agreed(unpacked(data))
    demand(len(found.labels) == len(found), "labels")
    lines = lines_of(content)
    counts = {
        "bed": len(bed_lines(content)),
        "fa": sum(line.startswith(b">") for line in lines),
        "table": table_records(content) - 1,
    }
    form = path.suffix[1:]
    asked = counts.values() if not form else [counts.get(form, counts["table"])]
    demand(len(found) in asked, f"{len(found)} rows, expected {list(asked)}")
    if form == "fa":
        for sequence, (_, text) in zip(found.sequences, fasta_records(content), strict=True):
            truth = [letter for letter in text.decode() if not letter.isspace()]
            demand(np.array_equal(sequence, encode("".join(truth))), "other bases")
    elif name in ("csv", "tsv") and form and b'"' not in content:
        split = b"\t" if b"\t" in lines[0] else b","
        names = [column.strip().lower() for column in lines[0].split(split)]
        column = next(i for i, n in enumerate(names) if n in (b"sequence", b"seq"))
        for sequence, line in zip(found.sequences, [x for x in lines[1:] if x], strict=True):
            text = line.split(split)[column].decode().strip()
            demand(np.array_equal(sequence, encode(text)), "other bases")


def read_labelled_folder(place: Workplace, folder: Path, rng: Random) -> None:
    """A file or a folder per class, one of them damaged."""
    root = folder / "set"
    kind = rng.randrange(3)
    files: dict[str, bytes] = {}
    for label in "ab":
        if kind == 0:
            for i in range(3):
                files[f"{label}/{i}.txt"] = f"{letters(30, i)}\n".encode()
        elif kind == 1:
            files[f"{label}.fa"] = b">x\nACGTACG\n>y\nACGAAACC\nAC\n"
        else:
            files[f"{label}.csv"] = (
                b"id,region,start,end,strand\n0,chrA,10,60,+\n1,chrA,100,150,-\n2,chrB,1,9,.\n"
            )
    chosen = rng.choice(list(files))
    files[chosen], is_harmless = damaged(files[chosen], rng)
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    with harmless(is_harmless):
        found = read_labelled(root, place.genome)
    expected = 0
    for data in files.values():
        content = agreed(unpacked(data))
        expected += [
            1, len(fasta_records(content)), table_records(content) - 1
        ][kind]  # fmt: skip
    demand(len(found) == expected, f"{expected} rows in, {len(found)} out")


def _copy_damaged(source: Path, target: Path, rng: Random) -> None:
    shutil.copytree(source, target)
    name = rng.choice([path.name for path in source.iterdir() if path.is_file()])
    path = target / name
    change = {".json": damaged_json, ".safetensors": damaged_tensors}.get(path.suffix)
    path.write_bytes((change or (lambda d, r: mutated(d, r, BYTES)))(path.read_bytes(), rng))
    if rng.random() < 0.02:
        path.unlink()
        rng.choice([path.mkdir, lambda: path.symlink_to("/dev/zero"), lambda: None])()


def read_model_folder(place: Workplace, folder: Path, rng: Random) -> None:
    _copy_damaged(place.model, folder / "m", rng)
    checkpoint = load_checkpoint(str(folder / "m"))
    demand(all(bool(t.isfinite().all()) for t in checkpoint.model.state_dict().values()), "NaN")


def read_task_folder(place: Workplace, folder: Path, rng: Random) -> None:
    _copy_damaged(place.task, folder / "t", rng)
    task = load_task(str(folder / "t"))
    size = task.checkpoint.config.dim * len(task.config.features.pools)
    if not task.config.features.k and not task.config.features.bins:
        values = task.probabilities(np.zeros((1, size), np.float32))
        demand(values.shape == (1, len(task.config.classes)), "shape of the probabilities")


def read_published(place: Workplace, folder: Path, rng: Random) -> None:
    path = folder / "in.pt"
    path.write_bytes(mutated((place.folder / "published.pt").read_bytes(), rng, BYTES))
    import_published(path)


def read_training_files(place: Workplace, folder: Path, rng: Random) -> None:
    """What `pretrain --resume` and `--config` read."""
    kind = rng.randrange(3)
    path = folder / "file"
    if kind == 0:
        lines = [json.dumps({"step": i * 20, "loss": 1 / (i + 1)}) for i in range(6)]
        seed = ("\n".join(lines) + "\n").encode()
        path.write_bytes(
            damaged_json(lines[1].encode(), rng) + b"\n" + mutated(seed, rng, BYTES + TEXT)
        )
        with Metrics(path, 60):
            pass
        kept = path.read_bytes().splitlines()
        demand(
            all(float(json.loads(line.decode("utf-8", "replace"))["step"]) <= 60 for line in kept),
            "a later step was kept",
        )
    elif kind == 1:
        path.write_bytes(damaged_tensors((place.folder / "state").read_bytes(), rng))
        TrainingState.load(path, place.recipe, {"fasta": "x"}, torch.device("cpu"))
    else:
        seed = b"encoder:\n  dim: 24\n  track_size: 4\nlengths: [50, 60]\nlr: 3e-4\nsteps: 5\n"
        path.write_bytes(mutated(seed, rng, BYTES + TEXT))
        from_dict(PretrainConfig, read_yaml(path))


def run_command(place: Workplace, folder: Path, rng: Random) -> None:
    """A whole command: an exit code, one line, and an output that is complete or not there."""
    out = folder / "out"
    bed, is_harmless = damaged(rng.choice([beds()["3"], beds()["6"]]), rng)
    if len(bed) > 1_000_000:
        return
    (folder / "in.bed").write_bytes(bed)
    on_error = rng.choice(["stop", "null", "skip"])
    common = ["-q", "--on-error", on_error]
    genome, name = str(place.folder / "genome.fa"), rng.choice(
        ["embed", "table", "predict", "pipe", "variants", "records", "scan", "model", "task",
         "train"]
    )  # fmt: skip
    pipe = None
    if name == "embed":
        words = ["embed", genome, str(folder / "in.bed"), "-m", str(place.model), *common]
    elif name == "table":
        words = [
            "embed",
            genome,
            str(folder / "in.bed"),
            "-m",
            str(place.model),
            *common,
            "-O",
            "tsv",
        ]
    elif name == "predict":
        words = ["predict", genome, str(folder / "in.bed"), "-t", str(place.task), *common]
    elif name == "pipe":
        words, pipe = ["predict", genome, "-", "-t", str(place.task), *common], bed
    elif name == "variants":
        data, is_harmless = damaged(vcf(), rng)
        (folder / "in.vcf").write_bytes(data[:1_000_000])
        words = ["variants", "-q", genome, str(folder / "in.vcf"), "-m", str(place.model),
                 "--ref-mismatch", rng.choice(["stop", "null"]), "-O", "vcf"]  # fmt: skip
    elif name == "records":
        data, is_harmless = damaged(fasta(), rng)
        (folder / "in.fa").write_bytes(data[:1_000_000])
        words, is_harmless = (
            ["embed", str(folder / "in.fa"), "-m", str(place.model), *common],
            False,
        )
    elif name == "scan":
        words = ["scan", genome, "-t", str(place.task), "--window", "60", "--step", "30",
                 "--regions", str(folder / "in.bed"), *common, "-O", "bedgraph"]  # fmt: skip
    elif name == "train":
        data, _ = damaged(tables()["csv"], rng)
        (folder / "set.csv").write_bytes(data[:1_000_000])
        words = ["finetune", "-q", "--task", "mine", "--train", str(folder / "set.csv"),
                 "-m", str(place.model)]  # fmt: skip
    else:
        kind = {"model": place.model, "task": place.task}[name]
        os.environ["FINDNA_HOME"] = str(folder / "home")
        copy = folder / "home" / "tasks" / "t"
        _copy_damaged(kind, copy, rng)
        words = rng.choice(
            [[f"{name}s", "info", str(copy)], [f"{name}s", "info", "--json", str(copy)],
             [f"{name}s", "list"]]
        )  # fmt: skip
    if name not in ("model", "task"):
        words += ["-o", str(out)]
    with patch("sys.argv", ["findna", *words]):
        result = CliRunner().invoke(findna, words, input=pipe)
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    left = sorted(path.name for path in folder.iterdir() if path.name.startswith(".out"))
    demand(not left, f"left behind: {left}")
    demand("Traceback" not in result.output, "a traceback")
    if result.exit_code:
        demand(result.exit_code in (1, 2), f"exit code {result.exit_code}")
        demand(not out.exists(), "failed, but there is an output")
        lines = result.stderr.splitlines()
        if result.exit_code == 1:
            demand(len(lines) == 1 and lines[0].startswith("findna: "), f"said {lines[:4]}")
        demand(not is_harmless or name in ("scan", "model", "task", "train"), f"refused: {lines}")
        raise RefusedError
    content = unpacked(bed)
    if name in ("table", "predict", "pipe") and on_error != "skip":
        rows = out.read_bytes().split(b"\n")[1 if name == "table" else 0 : -1]
        expected = bed_lines(agreed(content))
        demand(len(rows) == len(expected), f"{len(expected)} rows in, {len(rows)} out")
        same = all(row.startswith(line + b"\t") for row, line in zip(rows, expected, strict=True))
        demand(same, "a column was changed")
    elif name == "embed":
        with h5py.File(out) as file:
            n = len(file["X"])
            demand(
                n == len(file["obs/chrom/codes"]) == len(file["obs/status"]),
                "columns of other length",
            )
            demand(n == len(bed_lines(agreed(content))) or on_error == "skip", "rows lost")


READERS: dict[str, tuple[Reader, int]] = {
    "bed": (read_bed_file, 24),
    "vcf": (read_vcf_file, 18),
    "bcf": (read_bcf_file, 3),
    "fasta": (read_fasta_file, 12),
    "index": (read_stale_index, 9),
    "aliases": (read_alias_file, 3),
    "regions": (read_region_strings, 3),
    "labelled": (read_labelled_set, 12),
    "folder": (read_labelled_folder, 3),
    "model": (read_model_folder, 4),
    "task": (read_task_folder, 4),
    "published": (read_published, 1),
    "training": (read_training_files, 2),
    "command": (run_command, 2),
}
"""Each reader and its share of the inputs."""


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise SlowError

    before = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def outcome(reader: Reader, place: Workplace, folder: Path, rng: Random, limit: float) -> str:
    """``read``, ``refused``, or what was found."""
    try:
        with time_limit(limit):
            reader(place, folder, rng)
    except RefusedError:
        return "refused"
    except FindnaError as error:
        text = str(error)
        if not text or "\n" in text or "\r" in text:
            return f"a message of several lines: {text[:200]!r}"
        if len(text) > LONGEST_MESSAGE:
            return f"a message of {len(text)} letters: {text[:200]!r}"
        return "refused"
    except FoundError as error:
        return str(error) or "found"
    except SlowError:
        return f"took more than {limit} s"
    except Exception:
        return traceback.format_exc()
    return "read"


def main(arguments: list[str] | None = None) -> int:
    """Run; returns the number of findings."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end earlier")
    parser.add_argument("--limit", type=float, default=20, help="seconds per input")
    parser.add_argument("--memory", type=float, default=0, help="GiB of address space; 0: any")
    parser.add_argument("--readers", default=",".join(READERS))
    parser.add_argument("--only", type=int, help="number of one input")
    parser.add_argument("--findings", type=Path, help="folder for the inputs of findings")
    asked = parser.parse_args(arguments)
    if asked.memory:
        limit = int(asked.memory * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    names = asked.readers.split(",")
    weights = [READERS[name][1] for name in names]
    numbers = range(asked.inputs) if asked.only is None else [asked.only]
    logging.disable(logging.WARNING)
    counts: dict[str, Counter[str]] = {name: Counter() for name in names}
    slowest, n_found = (0.0, -1, ""), 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as name, patch.dict(os.environ):
        top = Path(name)
        os.environ |= {"XDG_CACHE_HOME": str(top / "cache"), "FINDNA_HOME": str(top / "home")}
        place = Workplace(top)
        for number in numbers:
            if time.monotonic() - started > asked.seconds:
                break
            rng = Random(f"{asked.seed}-{number}")
            reader = rng.choices(names, weights)[0]
            folder = top / f"input{number}"
            folder.mkdir()
            faulthandler.dump_traceback_later(10 * asked.limit, exit=True)  # hangs within C
            began = time.monotonic()
            result = outcome(READERS[reader][0], place, folder, rng, asked.limit)
            slowest = max(slowest, (time.monotonic() - began, number, reader))
            faulthandler.cancel_dump_traceback_later()
            known = result in ("read", "refused")
            counts[reader][result if known else "found"] += 1
            if not known:
                n_found += 1
                print(f"{reader} {number}: {result}", flush=True)
                if asked.findings:
                    shutil.copytree(
                        folder, asked.findings / f"{reader}-{number}", dirs_exist_ok=True,
                        symlinks=True,
                    )  # fmt: skip
            shutil.rmtree(folder)
        place.genome.close()
    seconds = time.monotonic() - started
    print("| reader | inputs | read | refused | findings |\n|---|---|---|---|---|")
    total = sum(counts.values(), Counter())
    for name, count in [*counts.items(), ("all", total)]:
        columns = (count.total(), count["read"], count["refused"], count["found"])
        print(f"| {name} | " + " | ".join(f"{n:,}" for n in columns) + " |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{total.total():,} inputs in {seconds:.0f} s ({total.total() / seconds:.0f}/s), "
        f"peak memory {peak:.0f} MiB, slowest {slowest[0]:.1f} s ({slowest[2]} {slowest[1]})"
    )
    logging.disable(logging.NOTSET)
    return n_found


if __name__ == "__main__":
    sys.exit(1 if main() else 0)
