"""After how many layers are embeddings best read? Validation AUROC by layer; no test data is used.

    python docs/benchmarks/choose_readout.py DATA --model tiny
    python docs/benchmarks/choose_readout.py DATA --set prom/prom_core_tata --bins 16 --random

DATA is a folder of sets, DATA/<set>/{train,dev}.csv.gz: mean over bases, or over each of `--bins`
equal parts; logistic regression. Strands and regularisation are chosen on the same validation data.
The answer is given to a finished run by `findna pretrain ... --resume --readout N`.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch

from findna.labelled.sets import LabelledSet, read_labelled
from findna.model.checkpoint import load_checkpoint
from findna.model.devices import Compute
from findna.model.encoder import Encoder
from findna.tasks.features import FeatureTable
from findna.tasks.probe import Problem, SearchSpace, fit_probe

SETS = ("prom/prom_core_tata", "prom/prom_300_tata", "tf/3", "mouse/4")


def some(path: Path, most: int) -> LabelledSet:
    data = read_labelled(path)
    rows = np.random.default_rng(0).permutation(len(data))[:most]
    return data.take(np.sort(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--set", nargs="+", default=SETS, dest="sets")
    parser.add_argument("--bins", type=int, default=0, help="0: one mean over all bases")
    parser.add_argument("--random", action="store_true", help="random weights of the same sizes")
    parser.add_argument("--layers", nargs="+", type=int, help="0: all; default: from half on")
    parser.add_argument("--train", type=int, default=1500, help="training sequences")
    parser.add_argument("--valid", type=int, default=1000, help="validation sequences")
    arguments = parser.parse_args()
    trained = load_checkpoint(arguments.model).model
    sizes = dataclasses.replace(trained.encoder.config, readout=0)  # 0: all layers
    torch.manual_seed(0)
    encoder = Encoder(sizes).requires_grad_(False).eval()
    if not arguments.random:
        encoder.load_state_dict(trained.encoder.state_dict())
    pooling: tuple[tuple[str, ...], int] = (
        ((), arguments.bins) if arguments.bins else (("mean",), 0)
    )
    n_all = sizes.n_layers
    layers = arguments.layers or [*range(n_all // 2, n_all), 0]
    print("| set | " + " | ".join(str(n) if n else "all" for n in layers) + " |")
    print("|---" * (1 + len(layers)) + "|", flush=True)
    rows = []
    for name in arguments.sets:
        train = some(arguments.data / name / "train.csv.gz", arguments.train)
        valid = some(arguments.data / name / "dev.csv.gz", arguments.valid)
        labels = np.concatenate((train.labels, valid.labels))
        split = np.split(np.arange(len(labels)), [len(train)])
        rows.append([])
        sequences = train.sequences + valid.sequences
        table = FeatureTable(encoder, sequences, Compute(torch.device("cpu")))
        for n_layers in layers:
            space = SearchSpace((n_layers,), (pooling,), (0,))
            probe = fit_probe(table, Problem("classes", 2, labels, *split), space)
            rows[-1].append(probe.valid_score)
        print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in rows[-1]) + " |", flush=True)
    print("| mean | " + " | ".join(f"{x:.3f}" for x in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    main()
