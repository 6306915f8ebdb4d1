#!/usr/bin/env python3
"""Digests of what every command writes, to show that a change of the code changes no output.

python bin/outputs.py record before.json --data DATA
python bin/outputs.py compare before.json --data DATA    # what differs; exit 1 if anything does

DATA is the folder that bin/train-tasks names; without it what needs real sequence is left out.
Figures of a model are those of one machine and its libraries: record and compare on the same one.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
_STREAMS = ("../out", "../err")
ENVIRONMENT = {
    "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", "PYTHONWARNINGS": "ignore", "COLUMNS": "100",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
}  # fmt: skip
"""Read when Python and its libraries start, so that the script starts itself anew with it."""

COMMANDS = """
pretrain genome.fa -o model $little --holdout chrB --log-every 2 --evaluate-every 6
finetune -t two --train two.csv -m model -o two --test more.csv
finetune -t three --train three.csv -m model -o three --no-kmers --balanced --seed 3
finetune -t values --train values.csv -m model -o values --label-column gc,cpg --note N
finetune -t labels --train labels.csv -m model -o labels --label-column rich,long --kind multilabel
finetune genome.fa -t bed --train labelled.bed -m model --label-column 5 -s --window 100
finetune -t full --train two.csv -m model --mode full --epochs 2 --class-names no,yes --licence MIT
predict genome.fa few.bed -t bed,full -s --window 100
tasks list
tasks info two
tasks info full --json
tasks info promoter --json
tasks report promoter -o task.html

embed genome.fa few.bed -m model -o o.h5 ...
    --pool mean --pool max --pool std --pool cls --pool center
    --bins 4 --per-base
    --both-strands --bins 3 --per-base --pool max
    --stranded --bins 2
    --window 150 --anchor start -s
    --window 50 --anchor end
    --flank 20
    --whole
    --dtype float16
    --precision bf16
    --max-tokens 500
embed genome.fa -m model -o o.h5 ...
    -r chrA:1,001-1,400 -r chrB:7-90
    odd.bed --on-error null
    odd.bed --on-error skip
    edge.bed --flank 60 --out-of-bounds pad
    blocks.bed --split -s
    headed.narrowPeak --window 90
    alias.bed --chrom-alias {alias.tsv,auto}
    - < few.bed
embed records.fa -m model -o records.h5
embed genome.fa few.bed -o shipped.h5 --pool std --bins 2
embed -m model ...
    genome.fa few.bed -O tsv
    genome.fa few.bed -o o.tsv.gz --pool mean --pool max --bins 2
    records.fa -O tsv
    genome.fa - -O tsv --on-error null < odd.bed

embed genome.fa regions.bed -m model --per-base -s -o whole.h5
embed genome.fa regions.bed -m model --per-base -s -o part{1,2,3}.h5 --shard {1,2,3}/3
merge part3.h5 part1.h5 part2.h5 -o merged.h5
merge part3.h5 part1.h5 -o fewer.h5
verify whole.h5 genome.fa -m model --all
verify whole.h5 genome.fa -m model --rows 7 --json
verify whole.h5 records.fa -m model --json
verify whole.h5 genome.fa -m three
search genome.fa --in whole.h5 -m model ...
    few.bed -k 5 --header
    few.bed -k 3 -o o.bed.gz --min-sim 0.3
    -r chrA:1,001-1,400 --window 300 -O tsv
    few.bed -k 3 --own --overlapping
    odd.bed -k 1 --on-error null
    - -k 1 --on-error skip < odd.bed
    few.bed -m three
search whole.h5 --in part1.h5 --in part2.h5 --in part3.h5 -k 2
search part2.h5 --in whole.h5 -k 2
predict genome.fa regions.bed -t two,three --header -o part{1,2,3}.bed.gz --shard {1,2,3}/3
merge part3.bed.gz part1.bed.gz part2.bed.gz -o merged.bed.gz
merge part3.bed.gz part1.bed.gz part2.bed.gz
variants genome.fa variants.vcf -m model -o p{1,2,3}.vcf --shard {1,2,3}/3 --embeddings p{1,2,3}.h5
merge p3.vcf p1.vcf p2.vcf -o merged.bcf
merge p1.h5 p2.h5 p3.h5 -o vectors.h5

interrupt rest.h5.unfinished embed genome.fa many.bed -m model --window 150 -o rest.h5 --resume
embed genome.fa many.bed -m model --window 150 -o rest.h5 --resume
interrupt r.bed.unfinished predict genome.fa many.bed -t two --window 100 -o r.bed --resume
predict genome.fa many.bed -t two --window 100 -o r.bed --resume
interrupt again/training.safetensors pretrain genome.fa -o again $little $slow
pretrain genome.fa -o again $little $slow --resume

predict genome.fa few.bed -t two ...
    --header
    --bed6
    --bed9 --header
    -O tsv --all-classes
    -O jsonl
    -t three,values -t labels --all-classes --header
    -t three -O jsonl --all-classes
    --min-prob 0.5
    -s --window 100 --max-tokens 300
    --precision bf16
    -o o.bed.gz --write-index
    -o o.jsonl
predict -t two ...
    genome.fa headed.narrowPeak --header
    genome.fa odd.bed --on-error null -O tsv
    genome.fa odd.bed --on-error skip --bed6
    genome.fa odd.bed --on-error null --bed9
    genome.fa - --on-error null < odd.bed
    genome.fa -r chrA:1,001-1,400 -r chrB:7-90
    records.fa
    records.fa -O jsonl
    genome.fa blocks.bed --split -s -O tsv
predict genome.fa few.bed -t promoter,splice --window 300 -s --header

scan genome.fa -t two ...
    --step 100 --header -o o.bedgraph.gz --write-index
    --regions regions.bed -o o.bw
    --regions few.bed --strand -
    -r chrA:1,001-1,400 --window 60 --step 7
    --regions odd.bed --on-error skip
    -r chrA:1-300 -O bigwig
scan genome.fa -t three --class 1 -r chrB:1-900
scan records.fa -t two --max-n 0.05
scan genome.fa -t promoter -r chrA:1,001-1,900

variants genome.fa odd.vcf -m model --ref-mismatch null ...
    --scores llr
    -o o.vcf.gz --write-index --no-version
    -o o.bcf --write-index
    -o o.tsv -t two,three --class 1 --window 100
    --scores none -t two -t values --strand - --window 61
    --embeddings o.h5 --scores dist -O tsv --strand +
    --haplotype S1 -t two --embeddings o.h5
    --haplotype S2 -O tsv --window 200
    --precision bf16 --max-tokens 500 -O tsv
variants genome.fa - -m model -O tsv --window 500 --whole < variants.vcf
variants genome.fa variants.vcf -m model --haplotype S1
variants genome.fa common.vcf -m model --window 60 --background-out common.json -o common.tsv
variants genome.fa odd.vcf -m model --window 60 --background common.json --ref-mismatch null
variants genome.fa variants.vcf -t promoter --window 100 -O tsv

explain genome.fa short.bed -t two ...
    -o o.h5 --track o.bedgraph.gz --write-index --header
    --context 100 -s --both-strands -o o.h5
    --window 30 --track o.bw
    --context 90 --out-of-bounds pad --on-error null
    --plot o.pdf
explain genome.fa -r chrA:1,001-1,040 ...
    -t three --class 1 --context 90
    --target mnm -m model --both-strands -o o.h5
    --target mnm -m model
    -t values --class cpg --plot o.png
    -t labels --class rich --plot o.svg
    -t promoter --context 300

finetune genome.fa -t sites --dense --train sites.bed -m model -o sites --epochs 2
tasks info sites --json
scan genome.fa -t sites ...
    -r chrA:1,001-2,500 --class rich --header
    -r chrA:1,001-2,500 --class poor --strand - -o o.bw
    -r chrB:39,001- --call 0.01 --header
    -r chrB:39,001- --call 0.01 --hub hub --assembly hg38
predict genome.fa few.bed -t sites ...
    -s -O tsv --all-classes
    --bed6
    --bed9 --header
    -t two --window 100 -O jsonl
variants genome.fa variants.vcf -t sites --scores none --reach 20 -O tsv
explain genome.fa -t sites --class rich ...
    short.bed -o o.h5 --track o.bedgraph
    few.bed -s --window 9
    -r chrA:1,001-1,001 --window 5
    -r chrA:1,001-1,040 --plot o.svg
    odd.bed --context 100
validate genome.fa few.bed -t sites,two

validate genome.fa ...
    few.bed --no-estimate --window 300
    odd.bed --json -m model
    odd.vcf --json --no-estimate
    variants.vcf -m model
    labelled.bed --labelled --label-column 5 --no-estimate
    blocks.bed --split --no-estimate --json
    few.bed -t promoter,bed
validate two.csv --json
validate values.csv --label-column gc,cpg --kind regression
validate records.fa -m model
selftest
selftest --json

pretrain genome.fa $little --preset paper ...
    -o m --mask-span 3 --centring sinkhorn
    -o m --contrast prototypes --contrast-on both --queue 20 --centring sinkhorn
    -o m --contrast none --token-weight 0.5
    -o m --precision bf16
pretrain genome.fa $little ...
    -o m --regions regions.bed --exclude few.bed --accumulate 2
    -o m --probe two.csv --local-crops 2 --max-distance 50 --holdout chrB --evaluate-every 6
    -o m --tokens 24000 --optimizer adamw --mnm-loss binary --repeat-weight 0.5 --note N
models list
models info tiny
models info tiny --json
models info model
models report model -o o.html
models report model/metrics.jsonl -o o.pdf
plot curves model -o o.svg
models import published.pt -o imported
models import published.pt -o student --student
embed genome.fa short.bed -m imported -o imported.h5

evaluate --data sets -m model --seeds 1 --most 60 ...
    -o report
    --baseline k-mers --mode knn --remove-leaks
    --baseline none --mode full --epochs 1
    --baseline none --cache none
evaluate --data sets -m model --protocol geneb --draws 2 --most 60 --both-strands -o geneb
evaluate genome.fa --suite variants --data vcfs -m model --tss tss.bed -t two --draws 2 -o report

embed genome.fa few.bed -m model -o mapped.h5
plot map mapped.h5 --color chrom -o map.svg
plot map mapped.h5 --color nothing -o none.svg
plot scan chrA:1-2,000 --sites few.bed -o locus.svg
plot variants variants.vcf -o none.svg

embed genome.fa few.bed -m model -o there.h5
embed genome.fa few.bed -m model -o there.h5
embed genome.fa few.bed -m model -o there.h5 --force
embed genome.fa ...
    odd.bed -m model -o o.h5
    -r chrX:1-100 -m model -o o.h5
    -r chrB:39,990-40,100 -m model -o o.h5
    few.bed -m nothing -o o.h5
    few.bed --pool median -o o.h5
    few.bed -r chrA:1-10 -o o.h5
    few.bed --split --window 5 -o o.h5
    few.bed --shard 4/3 -o o.h5
    nothing.bed -o o.h5
predict genome.fa few.bed
predict genome.fa few.bed -t nothing
predict genome.fa odd.bed -t two
predict genome.fa few.bed -t two,three --bed6
variants genome.fa odd.vcf -m model
variants genome.fa variants.vcf -m model --report page.txt
variants genome.fa variants.vcf --scores best
variants genome.fa variants.vcf -m model --haplotype S9
variants genome.fa variants.vcf -m model --background common.json
variants genome.fa few.bed -m model
scan genome.fa -t two -r chrX:1-5
explain genome.fa short.bed
finetune -t two --train two.csv -m model -o two
finetune -t x --train few.bed -m model -o x
pretrain genome.fa -o m --dim 25
models info nothing
models import two.csv -o m
tasks info nothing
unknown
--version
--help
{embed,search,predict,scan,variants,explain,merge,validate} --help
{verify,selftest,finetune,evaluate,tasks,models,pretrain,completion} --help
models import --help

embed data/$hg38 tss.hg38.bed -m model --window 300 -s --both-strands -o tss.h5
embed data/$hg38 -o o.h5 -m model data/$enhancers
predict data/$hg38 tss.hg38.bed -t promoter --window 300 -s
predict data/$hg38 tss.hg38.bed -t two,three --header
variants data/$hg38 indels.vcf -m model -o o.vcf -t two --window 100
variants data/$hg19 phased.vcf -m model -o o.vcf.gz --haplotype HG001
variants data/$hg19 phased.vcf -m model -O tsv
explain data/$hg38 tss.hg38.bed -t two --window 20 --context 100
scan data/$worm -t splice-worm --call 0.5 -r chrIII:10,003,001-10,006,000
explain data/$worm -t splice-worm --class donor -r chrIII:10,003,314-10,003,333
validate data/$hg38 data/$starts --no-estimate --json
evaluate --suite gue --data data/gue --set prom/prom_300_tata --most 200 --seeds 1 -m model -o gue
"""
"""One a line; below one that ends in dots, what stands in their place, and leaves no files.

Paragraphs are run whole; the first makes what others use. Braces stand for several lines.
"""

NAMES = {
    "little": "--dim 24 --track-size 4 --hidden 32 --n-blocks 1 --layers-per-block 6 "
    "--max-length 400 --lengths 100 --lengths 200 --batch-tokens 2000 --steps 12",
    "slow": "--batch-tokens 16000 --checkpoint-every 6 --log-every 1",
    "hg38": "human-hg38/hg38.chr2_chr20_chr21.fa.gz",
    "hg19": "human-hg19/hg19.chr1_chr17_chr20_chr22.fa.gz",
    "worm": "worm-ce10/ce10.chrIII_chrM.fa.gz",
    "starts": "regions/epdnew_human_tss.no_chr19.hg38.bed.gz",
    "enhancers": "genomic_benchmarks/intervals/human_enhancers_cohn.chr2_chr20_chr21.hg38.bed.gz",
}
"""What stands for words that recur in the commands."""

VOLATILE = {
    "findna_version", "findna version", "versions", "command", "settings", "seconds",
    "tokens_per_second", "hardware", "torch", "estimate", "measured",
}  # fmt: skip
"""Names of metadata that say when, where and by what version something was made."""

_SCRUBBED = (
    (re.compile(r"^##findnaCommand=.*\n", re.M), ""),
    (re.compile(r"\bfindna \d+\.\d+\.\d+\S*"), "findna VERSION"),
    (re.compile(r"^findna: .* left(,.*)?\n", re.M), ""),  # progress of a long run
    (re.compile(r" \(\d+/s\)"), ""),  # of a slow run it is not there
    (re.compile(r"\d+(\.\d+)?(?= (s|min|h)\b)|\d+(?=/s\b)"), "T"),
    (re.compile(r"^tokens_per_second\t.*", re.M), ""),
    (re.compile(r"^(estimate\t\w+)\t[^\t\n]*", re.M), r"\1"),
    (re.compile(r"\d\.\de[+-]\d\d(?= \(at most)"), "MEASURED"),
    (re.compile(r", \d+ of them before"), ""),
)
_ONLY_THERE = (".png", ".pdf", ".svg", ".html", ".tbi", ".csi")
_LONGEST_TEXT = 1500  # letters of a stream that are kept as they are, to be read in a comparison


def fasta(path: Path) -> dict[str, str]:
    """Sequence by contig."""
    found: dict[str, list[str]] = {}
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        for line in file:
            if line[0] == ">":
                letters = found.setdefault(line[1:].split()[0], [])
            else:
                letters.append(line.strip())
    return {name: "".join(letters) for name, letters in found.items()}


def make_inputs(folder: Path, data: Path | None) -> None:
    """Write what the commands read: the demo data, and what is made of it."""
    subprocess.run([sys.executable, "-m", "tests.made_up", folder], cwd=ROOT, check=True)
    genome, rng = fasta(folder / "genome.fa"), random.Random(1)
    rows = [line.split("\t") for line in (folder / "regions.bed").read_text().splitlines()]
    few = rows[::9]

    def write(name: str, lines: Iterable[Iterable[object]], head: str = "") -> None:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(head + "".join("\t".join(map(str, line)) + "\n" for line in lines))

    write("few.bed", few)
    places = [(row, int(row[1]) + shift) for row in rows for shift in (3, 40, 70)]
    write("sites.bed", [[row[0], at, at + 1, "rich" if row[3][0] == "p" else "poor", 0, row[5]]
                        for row, at in places])  # fmt: skip
    write("many.bed", [row for row in rows for _ in range(60)])
    write("short.bed", [["chrA", 1100, 1120, "x"], ["chrB", 3050, 3075, "y"]])
    odd = [["chrX", 5, 9], ["chrB", 39_900, 40_001], ["chrA", 7, 7], ["chrA", 9, 3]]
    write("odd.bed", [row for one in odd for row in (few[0][:3], one)])
    write("edge.bed", [["chrA", 0, 40], ["chrB", 39_930, 40_000], ["chrA", 59_990, 60_000]])
    blocks = ["chrA", 100, 400, "gene", 7, "-", 150, 300, "255,0,0", 3, "50,20,60,", "0,90,240,"]
    write("blocks.bed", [blocks, [*blocks[:5], "+", *blocks[6:]]])
    peaks = [[*row, 3.5, -1, "1e-05", len(row[3])] for row in few]
    write("headed.narrowPeak", peaks, "track name=x\n#chrom\tstart\n")
    write("alias.bed", [["A", *row[1:4]] for row in few if row[0] == "chrA"])
    write("alias.tsv", [["A", "chrA"], ["B", "chrB"]])
    write("tss.bed", few)
    records = {"one": genome["chrA"][1000:1060], "two": genome["chrB"][:900].lower()}
    records |= {"three": "ACGTRYN" * 30, "four": genome["chrA"][5000:5130] + "N" * 40}
    write("records.fa", [[f">{name} made up\n{text}"] for name, text in records.items()])

    rich = [int(row[3][0] == "p") for row in rows]
    texts = [genome[row[0]][int(row[1]) :][:100] for row in rows]
    labels = {
        "two.csv": ("label", [str(x) for x in rich[:72]]),
        "three.csv": ("label", [str(x + i % 3 // 2) for i, x in enumerate(rich)]),
        "values.csv": ("gc,cpg", [f"{x.count('G') / 7:.3f},{x.count('CG') + 0.5}" for x in texts]),
        "labels.csv": (
            "rich,long",
            [f"{x},{int('AAA' in y)}" for x, y in zip(rich, texts, strict=True)],
        ),
        "sets/little/train.csv": ("label", [str(x) for x in rich[:64]]),
    }
    for name, (columns, values) in labels.items():
        write(
            name,
            [[f"{x},{y}"] for x, y in zip(texts, values, strict=False)],
            f"sequence,{columns}\n",
        )
    for name, first in (("more.csv", 72), ("sets/little/test.csv", 60)):
        some = zip(texts[first:], rich[first:], strict=True)
        write(name, [[f"{x},{y}"] for x, y in some], "sequence,label\n")
    write("labelled.bed", [[*row[:4], x, row[5]] for row, x in zip(rows, rich, strict=True)])

    head = "##fileformat=VCFv4.2\n##contig=<ID=chrA>\n##contig=<ID=chrB>\n##contig=<ID=chrX>\n"
    head += (
        '##INFO=<ID=LABEL,Number=1,Type=Integer,Description="x">\n##ALT=<ID=DEL,Description="x">\n'
    )
    head += '##FORMAT=<ID=GT,Number=1,Type=String,Description="x">\n'
    head += "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO"
    other = dict(zip("ACGT", "GTAC", strict=True))
    kinds: list[tuple[int, Callable[[str], str], str]] = [
        (1, lambda ref: other[ref], "0|1\t1/1"),
        (1, lambda ref: f"{ref}TTG", "1|0\t0/1"),
        (4, lambda ref: ref[0], "0|1\t0|1"),
        (3, lambda ref: "".join(other[x] for x in ref), "1|1\t./."),
        (2, lambda ref: f"{ref[0]},{ref}A,*", "1|2\t1|0"),
        (1, lambda ref: "<DEL>", "0|1\t0|0"),
        (1, lambda ref: ".", "0|0\t0|0"),
    ]
    variants = []
    for i, at in enumerate(range(1_200, 3_000, 45)):
        size, alt, genotypes = kinds[i % len(kinds)]
        ref = genome["chrA"][at : at + size]
        variants.append(
            ["chrA", at + 1, f"v{i}", ref, alt(ref), "30.00", ".", ".", "GT", genotypes]
        )
    wrong = [["chrA", 5_000, ".", "ACGTACGT", "A"], ["chrX", 7, ".", "A", "C"]]
    variants += [[*row, ".", ".", ".", "GT", "0|1\t0|1"] for row in wrong]
    write("odd.vcf", variants, head + "\tFORMAT\tS1\tS2\n")
    common = [(at, genome["chrA"][at], "ACGT"[at % 4]) for at in range(400, 59_000, 41)]
    write("common.vcf", [["chrA", at + 1, ".", ref, alt, ".", ".", "."]
                         for at, ref, alt in common if ref != alt], head + "\n")  # fmt: skip
    places = [(at, genome["chrA"][at]) for at in sorted(rng.sample(range(500, 59_000), 60))]
    effects = [f"LABEL={int(rng.random() < 0.5)}" for _ in places]
    write("vcfs/little.vcf", [["chrA", at + 1, ".", ref, other[ref], ".", ".", effect]
                              for (at, ref), effect in zip(places, effects, strict=True)],
          head + "\n")  # fmt: skip
    _published(folder / "published.pt")
    if data is not None:
        (folder / "data").symlink_to(data)
        _real_inputs(folder, data, write)


def _published(path: Path) -> None:
    """A checkpoint in the layout of the paper's code, of random weights."""
    import torch

    rng = torch.Generator().manual_seed(1)

    def state() -> dict[str, Any]:
        shapes: dict[str, tuple[int, ...]] = {"embedding.weight": (48, 5), "embedding.bias": (48,)}
        for layer in range(7):
            key = f"encoder.SwanDNA_blocks.0.SwanDNA_blocks.{layer}.column_transform."
            shapes |= {key + "fc1.weight": (32, 48), key + "fc1.bias": (32,)}
            shapes |= {key + "fc2.weight": (48, 32), key + "fc2.bias": (48,)}
        shapes |= {"linear.weight": (5, 48), "linear.bias": (5,)}
        return {name: torch.randn(*x, generator=rng) / x[-1] ** 0.5 for name, x in shapes.items()}

    torch.save({"Teacher": state(), "Student": state(), "EPOCHS_RUN": 29}, path)


def _real_inputs(folder: Path, data: Path, write: Callable[..., None]) -> None:
    """Starts of transcription within the known sequence, and the first records of VCF files."""
    genome, starts = fasta(data / NAMES["hg38"]), []
    with gzip.open(data / NAMES["starts"], "rt") as file:
        for line in file:
            row = line.split()
            around = genome.get(row[0], "")[max(int(row[1]) - 200, 0) : int(row[2]) + 200]
            if len(around) > 400 and not re.search("[^ACGTacgt]", around):
                starts.append(row)
    write("tss.hg38.bed", starts[:60])
    for name, source in (
        ("indels.vcf", "mills_1000G_indels.chr21.hg38"),
        ("phased.vcf", "giab_HG001.chr20.hg19"),
    ):
        with gzip.open(data / "variants" / f"{source}.vcf.gz", "rt") as file:
            lines = file.read().splitlines()
        n = sum(line[0] == "#" for line in lines)
        write(name, [[line] for line in lines[: n + 60]])


class Content:
    """What files and streams hold, without what may differ between versions and folders.

    Parameters
    ----------
    folder : Path
        Where commands run.
    """

    def __init__(self, folder: Path) -> None:
        self._names = {str(folder): "FOLDER"}

    def learn(self, task: Path) -> None:
        """Call a task by its name: its digest depends on where its encoder lies."""
        digest = json.loads(task.read_text())["digest"]
        self._names |= {digest: task.parent.name, digest[:12]: task.parent.name}

    def text(self, data: bytes) -> str:
        """Text, JSON and lines of JSON without names, times and versions."""
        text = data.decode("utf-8", "surrogateescape")
        try:
            text = json.dumps(_pruned(json.loads(text)), indent=1, sort_keys=True)
        except ValueError:
            text = "".join(map(_line, text.splitlines(keepends=True)))
        for pattern, replacement in _SCRUBBED:
            text = pattern.sub(replacement, text)
        for name, replacement in self._names.items():
            text = text.replace(name, replacement)
        return text

    def stream(self, data: bytes) -> str:
        """A short text as it is, of a long one the digest."""
        text = self.text(data)
        return text if len(text) <= _LONGEST_TEXT else _sha256(text)

    def file(self, path: Path) -> str:
        """Digest of the content of a file, whatever its form."""
        if path.suffix in _ONLY_THERE:
            return "there" if path.stat().st_size else "empty"
        if path.suffix == ".safetensors":
            data = path.read_bytes()
            start = 8 + int.from_bytes(data[:8], "little")
            return _sha256(self.text(data[8:start]), data[start:])
        readers: dict[str, Callable[[Path], Iterator[str | bytes]]] = {
            ".h5": self._hdf5, ".bcf": self._bcf, ".bw": _bigwig,
        }  # fmt: skip
        if path.suffix in readers:
            return _sha256(*readers[path.suffix](path))
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _sha256(self.text(file.read()))

    def _hdf5(self, path: Path) -> Iterator[str | bytes]:
        import h5py

        found: list[str | bytes] = []

        def add(name: str, item: Any) -> None:
            if name.rpartition("/")[2] not in VOLATILE:
                found.extend([name, *self._values(dict(sorted(item.attrs.items())))])
                if isinstance(item, h5py.Dataset):
                    found.extend(self._values({"": item[()]}))

        with h5py.File(path) as file:
            add("", file)
            file.visititems(add)
        yield from found

    def _values(self, values: Mapping[str, Any]) -> Iterator[str | bytes]:
        for name, value in values.items():
            array = np.asarray(value)
            yield f"{name} {array.dtype} {array.shape}"
            plain = array.dtype.kind in "OSU"
            yield self.text(str(array.tolist()).encode()) if plain else array.tobytes()

    def _bcf(self, path: Path) -> Iterator[str | bytes]:
        import pysam

        pysam.set_verbosity(0)  # it would say that there is no index
        with pysam.VariantFile(str(path)) as file:
            yield self.text((str(file.header) + "".join(map(str, file))).encode())


def _bigwig(path: Path) -> Iterator[str | bytes]:
    import pybigtools

    with pybigtools.open(str(path)) as file:
        for contig, length in sorted(file.chroms().items()):
            yield f"{contig} {length} {list(file.records(contig))}"


def _pruned(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _pruned(inner) for name, inner in value.items() if name not in VOLATILE}
    return [_pruned(inner) for inner in value] if isinstance(value, list) else value


def _line(line: str) -> str:
    try:
        return json.dumps(_pruned(json.loads(line))) + "\n" if line[0] == "{" else line
    except ValueError:
        return line


def _sha256(*parts: str | bytes) -> str:
    found = hashlib.sha256()
    for part in parts:
        data = part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "little") + data)
    return found.hexdigest()


@contextmanager
def redirected(source: str) -> Iterator[None]:
    """Standard streams from a file and to the files ``out`` and ``err``, as a shell has them."""
    saved, stdin = [os.dup(number) for number in range(3)], sys.stdin
    files = [os.open(source, os.O_RDONLY), *(os.open(name, 0o1102, 0o600) for name in _STREAMS)]
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    with open(0, closefd=False) as sys.stdin:
        try:
            yield
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            for number, copy in enumerate(saved):
                os.dup2(copy, number)
                os.close(copy)
    sys.stdin = stdin


class Runner:
    """Runs commands in a folder and tells what they write.

    Parameters
    ----------
    folder : Path
        Holds their inputs, and soon their outputs.
    """

    def __init__(self, folder: Path) -> None:
        self._content = Content(folder)
        self._before = _files()

    def __call__(self, line: str, keep: bool) -> dict[str, str]:
        """Exit code, streams and files of one command."""
        words = shlex.split(Template(line).substitute(NAMES))
        if words[0] == "interrupt":
            return {"code": str(_interrupted(Path(words[1]), words[2:]))}
        source = words.pop() if words[-2:-1] == ["<"] else os.devnull
        with redirected(source):
            code = _run(words[:-1] if source != os.devnull else words)
        after = _files()
        written = [path for path in sorted(after) if after[path] != self._before.get(path)]
        for path in written:
            if path.name == "task.json":
                self._content.learn(path)
        streams = {name: Path("..", name).read_bytes() for name in ("out", "err")}
        found = {"code": str(code)} | {k: self._content.stream(v) for k, v in streams.items()}
        found |= {str(path): self._content.file(path) for path in written}
        if not keep:
            for path in written:
                path.unlink()
        self._before = _files()
        return found


def _files() -> dict[Path, tuple[int, int]]:
    paths = [Path(top, name) for top, _, names in os.walk(".") for name in names]
    return {
        path: (path.stat().st_mtime_ns, path.stat().st_ino)
        for path in paths
        if not path.name.endswith(".shard.json")
    }


def _run(words: list[str]) -> int:
    """The exit code of one command in this process."""
    from findna.cli import main

    sys.argv = ["findna", *words]
    try:
        main(words, prog_name="findna")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except Exception:
        traceback.print_exc(limit=0)
    return 70


def _interrupted(sign: Path, words: list[str]) -> int:
    """The exit code of a command that is interrupted soon after it has made a file or folder."""
    command = [sys.executable, "-m", "findna", *words]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not sign.exists():
            time.sleep(0.01)
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)
        return process.wait()


def outputs(data: Path | None, pattern: str) -> dict[str, dict[str, str]]:
    """What the commands write whose paragraph has one that matches; those of the first always."""
    found: dict[str, dict[str, str]] = {}
    first, *others = COMMANDS.strip().split("\n\n")
    wanted = [x for x in others if re.search(pattern, x) and (data or "data/" not in x)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve() / "work"
        os.environ |= {"FINDNA_HOME": str(folder / "home"), "XDG_CACHE_HOME": f"{name}/cache"}
        make_inputs(folder, data)
        os.chdir(folder)
        runner = Runner(folder)
        for line in _expanded("\n".join([first, *wanted])):
            if line.endswith(" ..."):
                base = line.removesuffix("...")
                continue
            key = command = base + line.strip() if line[0] == " " else line
            while key in found:
                key += " (again)"
            started = time.monotonic()
            found[key] = runner(command, keep=line[0] != " ")
            took = time.monotonic() - started
            print(f"{took:5.1f} s  exit {found[key]['code']:>3}  {key}", file=sys.stderr)
        os.chdir(ROOT)
    return found


def _expanded(text: str) -> Iterator[str]:
    """Lines; one with braces as often as these have words, which are taken in step."""
    for line in text.splitlines():
        groups = [found.split(",") for found in re.findall(r"{(.*?)}", line)]
        for words in zip(*groups, strict=True) if groups else [()]:
            one = line
            for word in words:
                one = re.sub(r"{.*?}", word, one, count=1)
            yield one


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    """One text for each part of a command's output that is not as it was."""
    for key in [*before, *(key for key in after if key not in before)]:
        old, new = before.get(key, {}), after.get(key, {})
        for part in [*old, *(part for part in new if part not in old)]:
            if old.get(part) != new.get(part):
                yield f"{key}\n  {part} was {old.get(part)!r}\n  and is {new.get(part)!r}"


def main() -> int:
    """Record or compare."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", choices=["record", "compare"])
    parser.add_argument("record", type=Path, metavar="FILE.json")
    parser.add_argument("--data", type=Path, help="folder of real sequence")
    parser.add_argument("--only", default="", metavar="PATTERN", help="only paragraphs that match")
    given = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in ENVIRONMENT.items()):
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | ENVIRONMENT)
    import findna

    if ROOT not in Path(findna.__file__).parents:
        parser.error(f"findna is {findna.__file__}, not that of {ROOT}")
    if given.data and not given.data.is_dir():
        parser.error(f"--data {given.data}: no such folder")
    path, data = given.record.resolve(), given.data.resolve() if given.data else None
    before = json.loads(path.read_text()) if given.action == "compare" else {}
    after = outputs(data, given.only)
    if given.action == "record":
        path.write_text(json.dumps(after, indent=1) + "\n")
        print(f"{len(after)} commands -> {path}")
        return 0
    if given.only:
        before = {key: value for key, value in before.items() if key in after}
    found = list(differences(before, after))
    print(*found, f"{len(found)} differences in {len(after)} commands", sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
