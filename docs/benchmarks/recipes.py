"""Which pretraining recipe? Equal tokens, data and encoder; a linear probe of the frozen teacher.

    python docs/benchmarks/recipes.py GENOME.fa.gz DATA -o recipes.jsonl
    python docs/benchmarks/recipes.py GENOME.fa.gz DATA -o recipes.jsonl --only InfoNCE paper
    python docs/benchmarks/recipes.py GENOME.fa.gz DATA -o recipes.jsonl --table
    python docs/benchmarks/recipes.py GENOME.fa.gz DATA -o recipes.jsonl --test \
        --seeds 11 12 13 14 15 --only k-mers "random weights" "masked only" "InfoNCE, KoLeo"

    python docs/benchmarks/recipes.py GENOME.fa.gz DATA -o starts.jsonl --finetune --test \
        --only "random weights" "masked only" "paper, masked only" paper "InfoNCE, KoLeo"

The table of recipes in docs/benchmarks/recipes.md was made by the code at the tag
recipes-2026-11, which has further options. Each recipe of RECIPES is trained with each seed by
`findna.pretraining.loop.pretrain`.

The probe is a logistic regression on the standardised mean of the teacher's hidden states over
bases and strands, its regularisation chosen on validation sequences. What is reported is AUROC on
those validation sequences, so that recipes are chosen without a look at test data; `--test` trains
the recipes that are named, with seeds of its own, and reports AUROC on test sequences. Sequences
without a train split are trained on dev, of which a part validates.

With `--finetune` the encoder is trained along with a head, as `findna finetune --mode full` does:
the head is chosen and the epoch kept by validation sequences.

Results are appended to a file, one JSON object per line, and are not computed again: the script
goes on where it was interrupted, and several processes may share a file. Layers and
probes compute in bfloat16: a recipe takes about two minutes of one core that has units for it.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import tempfile
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from findna.evaluation.baselines import KmerTable, kmer_regression, random_model
from findna.genome.batching import Sequences
from findna.genome.encoding import Tokens
from findna.genome.fasta import Genome
from findna.labelled.files import find_splits
from findna.labelled.metrics import measure
from findna.labelled.sets import CLASSES, LabelledSet, read_labelled
from findna.labelled.splits import hold_out
from findna.model.checkpoint import Model, load_checkpoint
from findna.model.devices import Compute, describe
from findna.model.encoder import Encoder
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.pretraining.corpus import Corpus
from findna.pretraining.loop import pretrain
from findna.pretraining.recipe import PretrainConfig, from_preset
from findna.settings import to_dict
from findna.tasks.features import FeatureTable
from findna.tasks.full import fine_tune
from findna.tasks.probe import Problem, fit_probe, search_space
from findna.tasks.recipe import FineTuneConfig
from findna.tasks.task import to_probabilities

# A short run needs a faster teacher than the presets give it: with a momentum of 0.99 rising to 1,
# three tenths of a teacher are still initial weights after 240 steps (product of all momenta).
PAPER = {"lengths": [512], "ema_start": 0.9}
ALONE = {"lengths": [64, 128, 256, 512], "ema_start": 0.9, "koleo_weight": 0.0}
MASKED = ALONE | {"contrast": "none"}
PROTOTYPES = ALONE | {"contrast": "prototypes", "centring": "sinkhorn", "prototypes": 128}
KOLEO = {"koleo_weight": 0.1}

UNTRAINED = "random weights"

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    UNTRAINED: ("findna", MASKED),
    "paper": ("paper", PAPER),
    "paper, masked only": ("paper", PAPER | {"contrast": "none"}),
    "paper, LayerNorm, lr 2e-3": (
        "paper",
        PAPER | {"encoder": {"norm": "layer"}, "lr": 2e-3, "warmup": 0.05, "clip": 1.0},
    ),
    # one change each, to masked modelling alone
    "masked only": ("findna", MASKED),
    "masked, AdamW": ("findna", MASKED | {"optimizer": "adamw"}),
    "masked 30 %": ("findna", MASKED | {"views": {"mask_fraction": 0.3}}),
    "masked, repeats 0.1": ("findna", MASKED | {"repeat_weight": 0.1}),
    "masked, KoLeo": ("findna", MASKED | KOLEO),
    # with a cross-sequence loss, and one change each to it
    "prototypes": ("findna", PROTOTYPES),
    "prototypes, weight 1": ("findna", PROTOTYPES | {"contrast_weight": 1.0}),
    "InfoNCE": ("findna", ALONE),
    # changes that helped, together; the second is the preset `findna`
    "prototypes, KoLeo": ("findna", PROTOTYPES | KOLEO),
    "InfoNCE, KoLeo": ("findna", ALONE | KOLEO),
}
"""Recipes by name: a preset, and the differences from it."""

KMERS, REFERENCE = "k-mers", "masked only"
CROSSING = {"paper": "paper, masked only"} | {
    name: "masked, KoLeo" if "KoLeo" in name else REFERENCE
    for name in RECIPES
    if name.startswith(("prototypes", "InfoNCE"))
}
"""Recipes with a loss across sequences, and what is the same but for that loss."""

SETS = (
    "gue/prom/prom_core_notata",
    "gue/prom/prom_core_tata",
    "gue/prom/prom_300_tata",
    "gue/prom/prom_300_notata",
    "gue/tf/0",
    "gue/tf/3",
    "gue/mouse/4",
    "gue/EMP/H3",
    "gue/splice/reconstructed",
    "genomic_benchmarks/human_nontata_promoters",
)
STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1)
CPU = torch.device("cpu")
PRECISION = "bf16"


def config_of(recipe: str, seed: int, options: argparse.Namespace) -> PretrainConfig:
    """Settings of a run: those of the recipe, and the encoder and budget that all share."""
    encoder = {name: getattr(options, name) for name in _ENCODER}
    steps = max(options.tokens // options.batch_tokens, 1)
    budget = {
        "batch_tokens": options.batch_tokens,
        "seed": seed,
        "log_every": 50,
        "precision": PRECISION,
        "steps": steps,
        "evaluate_every": steps,
        "checkpoint_every": steps,
    }
    preset, differences = RECIPES[recipe]
    return from_preset(preset, differences, {"encoder": encoder}, budget)


_ENCODER = {
    "dim": 96,
    "track_size": 8,
    "hidden": 192,
    "n_blocks": 1,
    "layers_per_block": 9,
    "max_length": 512,
}


def key_of(recipe: str, seed: int, options: argparse.Namespace) -> str:
    """What a result depends on, apart from the content of the files."""
    settings = None if recipe == KMERS else to_dict(config_of(recipe, seed, options))
    parts = [recipe, seed, settings, options.genome.name, options.most, options.sets, options.test]
    parts += ["finetune"] * options.finetune
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


@functools.cache
def read(path: Path) -> LabelledSet:
    return read_labelled(path)


def some(data: LabelledSet, most: int) -> LabelledSet:
    return data.take(np.sort(np.random.default_rng(0).permutation(len(data))[:most]))


def splits_of(name: str, options: argparse.Namespace) -> list[LabelledSet]:
    """Train, validation and, in the final stage only, test sequences of a set."""
    found = find_splits(options.data / name)
    if not {"train", "dev"} <= found.keys():
        # a set with one split is divided three ways, the part for testing first
        data = read(found.get("dev") or found.get("train") or found["test"])
        test = read(found["test"]) if len(found) > 1 else None
        if test is None:
            rest, held = hold_out(data, 0.34)
            data, test = data.take(rest), data.take(held)
        rows, held = hold_out(data, 0.5)
        parts = [data.take(rows), data.take(held), test]
    else:
        parts = [read(found[split]) for split in ("train", "dev", "test")]
    return [some(part, options.most) for part in parts[: 3 if options.test else 2]]


def embed(encoder: Encoder, sequences: list[Tokens]) -> np.ndarray:
    """Mean hidden states over bases and both strands; (n, dim)."""
    source = Sequences(sequences)
    pooling = Pooling(("mean",), both_strands=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=PRECISION == "bf16"):
        rows = region_vectors(source.rows(), source, encoder, pooling, Compute(CPU))
        return np.stack([vectors.pooled["mean"] for _, vectors in rows])


def auroc(labels: np.ndarray, probabilities: np.ndarray) -> float:
    return measure(labels, probabilities, CLASSES)["auroc"]


def probe(encoder: Encoder, parts: list[LabelledSet]) -> list[float]:
    """AUROC on validation sequences and, where there are any, on test sequences."""
    train, *judges = [embed(encoder, part.sequences) for part in parts]
    best = [-np.inf]
    for strength in STRENGTHS:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=200))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # validation decides
            model.fit(train, parts[0].labels)
        scores = [
            auroc(part.labels, model.predict_proba(vectors))
            for part, vectors in zip(parts[1:], judges, strict=True)
        ]
        best = max(best, scores, key=lambda found: found[0])
    return best


def tuned(model: Model, parts: list[LabelledSet], seed: int) -> list[float]:
    """AUROC of the model after training on a set; as `probe`."""
    sequences = [sequence for part in parts for sequence in part.sequences]
    labels = np.concatenate([part.labels for part in parts])
    edges = np.cumsum([0, *map(len, parts)])
    train, *judges = [np.arange(*edges[i : i + 2]) for i in range(len(parts))]
    problem = Problem(CLASSES, len(parts[0].classes), labels, train, judges[0])
    compute = Compute(CPU, precision=PRECISION)
    table = FeatureTable(model.encoder, sequences, compute)
    start = fit_probe(table, problem, search_space("full", kmers=False), seed=seed)
    found = fine_tune(model, start, sequences, problem, FineTuneConfig(), compute, seed=seed)
    table = FeatureTable(found.model.encoder, sequences, compute)
    fitted = replace(start, head=found.head)
    logits = [fitted.logits(table, rows) for rows in judges]
    return [
        auroc(labels[rows], to_probabilities(each, CLASSES, 1.0))
        for rows, each in zip(judges, logits, strict=True)
    ]


def kmers(parts: list[LabelledSet]) -> list[float]:
    table = KmerTable([sequence for part in parts for sequence in part.sequences])
    labels = np.concatenate([part.labels for part in parts])
    rows = np.split(np.arange(len(labels)), np.cumsum([len(part) for part in parts[:-1]]))
    problem = Problem(CLASSES, len(parts[0].classes), labels, rows[0], rows[1])
    predictions, _ = kmer_regression(table, problem, np.arange(len(labels)), seed=0)
    return [auroc(labels[judged], predictions[judged]) for judged in rows[1:]]


def teacher(config: PretrainConfig, corpora: tuple[Corpus, Corpus]) -> tuple[Model, dict]:
    with tempfile.TemporaryDirectory() as folder:
        pretrain(config, *corpora, Path(folder))
        trained = load_checkpoint(folder)
        figures = ("accuracy", "perplexity", "spread", "rank")
        return trained.model, {name: trained.training[name] for name in figures}


def run(
    recipe: str, seed: int, options: argparse.Namespace, corpora: tuple[Corpus, Corpus] | None
) -> dict[str, Any]:
    """Train and probe; the record of the run."""
    record: dict[str, Any] = {"recipe": recipe, "seed": seed, "key": key_of(recipe, seed, options)}
    started = time.process_time()
    if recipe == KMERS:
        found = {name: kmers(splits_of(name, options)) for name in options.sets}
    else:
        config = config_of(recipe, seed, options)
        if recipe == UNTRAINED:
            model = random_model(config.encoder, seed)
        else:
            assert corpora is not None
            model, figures = teacher(config, corpora)
            record |= figures
        model.requires_grad_(False).eval()
        record["train_cpu_seconds"] = round(time.process_time() - started, 1)
        found = {}
        for name in options.sets:
            parts = splits_of(name, options)
            judged = tuned(model, parts, seed) if options.finetune else probe(model.encoder, parts)
            found[name] = judged
        record["recipe_settings"] = to_dict(config)
    record["cpu_seconds"] = round(time.process_time() - started, 1)
    for i, split in enumerate(("valid", "test")[: 2 if options.test else 1]):
        record[split] = {name: round(scores[i], 5) for name, scores in found.items()}
    return record


def records(options: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Records of the file, by key."""
    lines = options.output.read_text().splitlines() if options.output.exists() else []
    return {record["key"]: record for record in map(json.loads, lines)}


def chosen(options: argparse.Namespace) -> Iterator[tuple[str, int]]:
    """Every recipe and seed asked for, seed by seed, so that a table can be had early."""
    names = options.only or [KMERS, *RECIPES]
    for seed in options.seeds:
        yield from ((name, seed) for name in names if name != KMERS or seed == options.seeds[0])


def table(options: argparse.Namespace) -> None:
    """Markdown: mean and standard deviation over seeds, differences with their standard error."""
    done, split = records(options), "test" if options.test else "valid"
    rows: dict[str, dict[int, np.ndarray]] = {}
    for recipe, seed in chosen(options):
        record = done.get(key_of(recipe, seed, options))
        if record is not None:
            rows.setdefault(recipe, {})[seed] = np.array([record[split][n] for n in options.sets])
    heads = ["/".join(name.split("/")[-2:]) for name in options.sets]
    print(f"AUROC on {split} sequences, {options.tokens:,} tokens\n")
    print(f"| recipe | seeds | mean | less {REFERENCE} | " + " | ".join(heads) + " |")
    print("|---" * (4 + len(heads)) + "|")
    for recipe, by_seed in rows.items():
        columns = np.stack([[scores.mean(), *scores] for scores in by_seed.values()]).T
        cells = [spread(column) for column in columns]
        less = "" if recipe in (KMERS, REFERENCE) else paired(by_seed, rows.get(REFERENCE, {}))
        print(f"| {recipe} | {len(by_seed)} | {cells[0]} | {less} | {' | '.join(cells[1:])} |")
    for recipe, alone in CROSSING.items():
        if less := paired(rows.get(recipe, {}), rows.get(alone, {})):
            print(
                f"\nThe cross-sequence loss of `{recipe}` adds {less} to the AUROC of "
                f"`{alone}` ({split}; mean over {len(heads)} sets, standard error over seeds)."
            )


def spread(values: np.ndarray) -> str:
    deviation = f" ± {values.std(ddof=1):.3f}" if len(values) > 1 else ""
    return f"{values.mean():.3f}{deviation}"


def paired(ours: dict[int, np.ndarray], theirs: dict[int, np.ndarray]) -> str:
    """Mean difference over the seeds that both have, and its standard error."""
    difference = np.array([(ours[s] - theirs[s]).mean() for s in ours if s in theirs])
    if not len(difference):
        return ""
    n = len(difference)
    error = f" ± {difference.std(ddof=1) / n**0.5:.4f}" if n > 1 else ""
    return f"{difference.mean():+.4f}{error}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("genome", type=Path, help="FASTA to train on (bin/training-sequence)")
    parser.add_argument("data", type=Path, help="folder of labelled sets")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON lines of results")
    parser.add_argument("--only", nargs="+", choices=[KMERS, *RECIPES], metavar="NAME")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--most", type=int, default=1000, help="sequences of a split")
    parser.add_argument("--tokens", type=int, default=3_000_000, help="nucleotides of a run")
    parser.add_argument("--batch-tokens", type=int, default=6_144)
    parser.add_argument(
        "--holdout",
        default="hg16.ENm001_ENm002.human.ENm002",
        help="contig on which masked accuracy is measured",
    )
    parser.add_argument("--test", action="store_true", help="final stage: report test sequences")
    parser.add_argument("--finetune", action="store_true", help="train the encoder with the head")
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    for name, default in _ENCODER.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)
    options = parser.parse_args()
    if options.test and not options.only:
        parser.error("--test is for recipes already chosen: name them with --only")
    waiting = [c for c in chosen(options) if key_of(*c, options) not in records(options)]
    if options.table or not waiting:
        table(options)
        return
    torch.set_num_threads(1)
    print(f"{len(waiting)} runs on {describe(CPU)}, one thread", flush=True)
    corpora, spent, done = None, 0.0, 0
    with tempfile.TemporaryDirectory() as folder, Genome(options.genome) as genome:
        if any(recipe in RECIPES for recipe, _ in waiting):
            corpus = Corpus.build(genome, Path(folder) / "tokens")
            held = [options.holdout]
            corpora = corpus.only(held, keep=False), corpus.only(held)
        for i, (recipe, seed) in enumerate(waiting):
            if key_of(recipe, seed, options) in records(options):  # another process did it
                continue
            record = run(recipe, seed, options, corpora)
            with options.output.open("a") as file:
                file.write(json.dumps(record) + "\n")
            mean = np.mean(list(record["valid"].values()))
            if recipe not in (KMERS, UNTRAINED):
                spent, done = spent + record["cpu_seconds"], done + 1
            left = (
                f"; about {spent / done * (len(waiting) - i - 1) / 60:.0f} min left" if done else ""
            )
            print(
                f"{recipe}, seed {seed}: validation AUROC {mean:.4f}, {record['cpu_seconds']:.0f} "
                f"s of CPU{left}",
                flush=True,
            )
    table(options)


if __name__ == "__main__":
    main()
