"""Which sequence to pretrain on? Equal tokens, recipe and encoder; a linear probe of the teacher.

    python docs/benchmarks/corpora.py DATA WORK -o corpora.jsonl
    python docs/benchmarks/corpora.py DATA WORK -o corpora.jsonl --only today "all, capped"
    python docs/benchmarks/corpora.py DATA WORK -o corpora.jsonl --table
    python docs/benchmarks/corpora.py DATA WORK --build "all, capped"    # only write the FASTA

Each corpus of CORPORA is made by rule (`training_sequence.py`) and written to WORK as one
FASTA file; `findna pretrain` trains on it with the preset findna and each seed. What is reported
is AUROC of a logistic regression on the frozen teacher's mean vectors, on **validation** sequences
(as in recipes.py), and masked accuracy on a megabase of hg38 chr21, of which no corpus has a copy,
in repeats and elsewhere. Results are appended, one JSON object per line, and not computed again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import recipes
import torch
from training_sequence import ALL, HELD, HUMAN, TODAY, Mix, write_corpora

from findna.genome.encoding import BLANK, NUCLEOTIDES, N
from findna.genome.fasta import Genome
from findna.model.checkpoint import Model, load_checkpoint

UNTRAINED = "one step"
CORPORA: dict[str, Mix] = {
    "today": Mix((*TODAY, "yeast"), unique=False),
    "more human": Mix((*HUMAN, "yeast")),
    "and vertebrates": Mix((*HUMAN, "yeast", "vertebrates")),
    "and worm, plants": Mix(ALL),
    "all, capped": Mix(ALL, loci=0.1),
    "human, weighted": Mix((*HUMAN, "yeast"), loci=0.1, functional=0.5),
    "all, weighted": Mix(ALL, loci=0.1, functional=0.5),
}
"""Corpora by name. Each of the first four adds to the one before, files simply joined."""

REFERENCE = "today"
SETS = (*recipes.SETS, "gue/mouse/0", "gue/mouse/2")
LENGTHS = (64, 128, 256, 512)
SETTINGS: dict[str, Any] = {
    "lengths": list(LENGTHS), "ema_start": 0.9, "batch_tokens": 6144,
    "encoder": {"dim": 64, "track_size": 4, "hidden": 128, "n_blocks": 1, "layers_per_block": 9,
                "max_length": 512},
}  # fmt: skip
"""What differs from the preset findna: a small encoder, and what a short run needs."""
FIGURES = ("accuracy", "perplexity", "repeats", "elsewhere")


def key_of(corpus: str, seed: int, options: argparse.Namespace) -> str:
    """What a result depends on, apart from the content of the files."""
    mix = None if corpus == UNTRAINED else list(CORPORA[corpus])
    parts = [corpus, seed, mix, SETTINGS, options.tokens, options.most, SETS]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def train(corpus: str, seed: int, options: argparse.Namespace) -> Model:
    """Run `findna pretrain`; the trained model. Its folder is removed."""
    folder = options.work / f"model-{key_of(corpus, seed, options)}"
    settings = options.work / "small.yaml"
    settings.write_text(json.dumps(SETTINGS))  # JSON is YAML
    batch = SETTINGS["batch_tokens"]
    steps = 1 if corpus == UNTRAINED else options.tokens // batch
    fasta = options.work / f"{file_of(REFERENCE if corpus == UNTRAINED else corpus)}"
    subprocess.run(
        [sys.executable, "-m", "findna", "pretrain", fasta, "-o", folder, "--config", settings,
         "--holdout", HELD, "--seed", str(seed), "--steps", str(steps),
         "--evaluate-every", str(steps), "--checkpoint-every", str(steps), "-@", "1", "-q", "-f"],
        check=True,
    )  # fmt: skip
    model = load_checkpoint(str(folder)).model.requires_grad_(False).eval()
    shutil.copy(folder / "metrics.jsonl", options.work / f"{folder.name}.metrics.jsonl")
    shutil.rmtree(folder)
    return model


def restore(model: Model, fasta: Path, most: int = 600, length: int = 512) -> dict[str, float]:
    """Accuracy and perplexity at 15 % blanked positions of windows of the held-out piece."""
    with Genome(fasta) as genome:
        tokens = torch.from_numpy(np.concatenate(list(genome.chunks(HELD))).copy())
    generator = torch.Generator().manual_seed(1)
    first = torch.randperm(len(tokens) // length, generator=generator)[:most, None] * length
    drawn = tokens[first + torch.arange(length)]
    windows, repeats = drawn & 7, drawn >= 8  # bit 3 is the soft mask
    chosen = (torch.rand(windows.shape, generator=generator) < 0.15) & (windows != N)
    inputs = windows.masked_fill(chosen, BLANK)
    blanks = torch.full((most, model.encoder.config.n_cls), BLANK, dtype=torch.uint8)
    hits, nats, wanted = [], [], torch.tensor(NUCLEOTIDES)
    for rows in torch.arange(len(first)).split(16):
        batch = torch.cat((inputs[rows], blanks[rows]), 1)
        offsets = torch.arange(len(rows) + 1) * batch.shape[1]
        hidden = model.encoder(batch.flatten(), offsets).view(*batch.shape, -1)[:, :length]
        logits = model.masked_nucleotide(hidden[chosen[rows]])[:, wanted].log_softmax(-1)
        truth = (windows[rows][chosen[rows]][:, None] == wanted).int().argmax(-1)
        hits.append(logits.argmax(-1) == truth)
        nats.append(-logits.gather(-1, truth[:, None])[:, 0])
    right, repeat = torch.cat(hits).double(), repeats[chosen]
    figures = (right.mean(), torch.cat(nats).mean().exp(), right[repeat].mean(),
               right[~repeat].mean())  # fmt: skip
    return {n: round(float(v), 5) for n, v in zip(FIGURES, figures, strict=True)}


def run(corpus: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train and measure; the record of the run."""
    started = time.monotonic()
    model = train(corpus, seed, options)
    trained = time.monotonic() - started
    found = {
        name: recipes.probe(model.encoder, recipes.splits_of(name, options))[0] for name in SETS
    }
    return {
        "corpus": corpus, "seed": seed, "key": key_of(corpus, seed, options),
        "tokens": options.tokens, "seconds_training": round(trained, 1),
        "seconds": round(time.monotonic() - started, 1),
        "valid": {name: round(score, 5) for name, score in found.items()},
        "chr21": restore(model, options.work / file_of(REFERENCE)), "settings": SETTINGS,
    }  # fmt: skip


def file_of(corpus: str) -> str:
    """Name of a corpus' FASTA file."""
    return corpus.replace(", ", "-").replace(" ", "-") + ".fa"


def chosen(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Every corpus and seed asked for, seed by seed, so that a table can be had early."""
    for seed in options.seeds:
        names = options.only or [*CORPORA, UNTRAINED]
        yield from ((name, seed) for name in names if name != UNTRAINED or seed == options.seeds[0])


def records(path: Path) -> dict[str, dict[str, Any]]:
    """Records of the file, by key."""
    lines = path.read_text().splitlines() if path.exists() else []
    return {record["key"]: record for record in map(json.loads, lines)}


def table(options: argparse.Namespace) -> None:
    """Markdown: mean and standard deviation over seeds, differences paired by seed."""
    done = records(options.output)
    rows: dict[str, dict[int, np.ndarray]] = {}
    held: dict[str, list[list[float]]] = {}
    for corpus, seed in chosen(options):
        if (record := done.get(key_of(corpus, seed, options))) is not None:
            rows.setdefault(corpus, {})[seed] = np.array([record["valid"][n] for n in SETS])
            held.setdefault(corpus, []).append([record["chr21"][n] for n in FIGURES])
    heads = ["/".join(name.split("/")[-2:]) for name in SETS]
    print(f"Validation AUROC and masked accuracy on chr21, {options.tokens:,} tokens\n")
    print(f"| corpus | seeds | mean of {len(SETS)} | less {REFERENCE} | chr21: accuracy | "
          f"perplexity | in repeats | elsewhere | {' | '.join(heads)} |")  # fmt: skip
    print("|---" * (8 + len(heads)) + "|")
    for corpus, by_seed in rows.items():
        scores = np.stack([[row.mean(), *row] for row in by_seed.values()]).T
        less = "" if corpus == REFERENCE else recipes.paired(by_seed, rows.get(REFERENCE, {}))
        mean, *sets = (recipes.spread(column) for column in scores)
        chr21 = [recipes.spread(column) for column in np.array(held[corpus]).T]
        print(f"| {corpus} | {len(by_seed)} | {mean} | {less} | {' | '.join(chr21 + sets)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of sequence and labelled sets")
    parser.add_argument("work", type=Path, help="folder for corpora and models")
    parser.add_argument("-o", "--output", type=Path, help="JSON lines of results")
    parser.add_argument("--only", nargs="+", choices=[UNTRAINED, *CORPORA], metavar="NAME")
    parser.add_argument("--build", nargs="+", choices=list(CORPORA), metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--most", type=int, default=500, help="sequences of a split")
    parser.add_argument("--tokens", type=int, default=3_000_000, help="nucleotides of a run")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    options.test = False  # recipes.splits_of: train and validation sequences alone
    recipes.PRECISION = "fp32"
    torch.set_num_threads(1)
    if options.build is None and options.output is None:
        parser.error("give -o, or --build")
    names = options.build or [n for n in options.only or CORPORA if n in CORPORA] + [REFERENCE]
    if not options.table:
        options.work.mkdir(parents=True, exist_ok=True)
        missing = {options.work / file_of(n): CORPORA[n] for n in dict.fromkeys(names)}
        missing = {path: mix for path, mix in missing.items() if not path.exists()}
        if missing:
            write_corpora(options.data, missing)
    if options.build:
        return
    for corpus, seed in chosen(options) if not options.table else ():
        if key_of(corpus, seed, options) in records(options.output):
            continue
        record = run(corpus, seed, options)
        with options.output.open("a") as file:
            file.write(json.dumps(record) + "\n")
        mean = np.mean(list(record["valid"].values()))
        print(f"{corpus}, seed {seed}: {mean:.4f}, {record['chr21']}, {record['seconds']:.0f} s",
              flush=True)  # fmt: skip
    table(options)


if __name__ == "__main__":
    main()
