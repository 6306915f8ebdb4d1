"""After how many layers are embeddings best read? Validation AUROC by layer; no test data is used.

    python docs/benchmarks/choose_readout.py DATA --model tiny

DATA is as for frozen_embeddings.py: mean over bases and strands, logistic regression, its
regularisation chosen on the same validation data. The answer is `--readout` of `findna pretrain`.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import torch
from frozen_embeddings import embed, fit, read

from findna.model.checkpoint import load_checkpoint
from findna.model.encoder import Encoder

SETS = ("prom/prom_core_tata", "prom/prom_300_tata", "tf/3", "mouse/4")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--layers", nargs="+", type=int, default=[5, 9, 12, 14, 16, 18, 0])
    parser.add_argument("--train", type=int, default=1500, help="training sequences")
    parser.add_argument("--valid", type=int, default=1000, help="validation sequences")
    arguments = parser.parse_args()
    trained = load_checkpoint(arguments.model).model
    print("| set | " + " | ".join(str(n) if n else "all" for n in arguments.layers) + " |")
    print("|---" * (1 + len(arguments.layers)) + "|")
    rows = []
    for name in SETS:
        train = read(arguments.data / name / "train.csv.gz", arguments.train)
        valid = read(arguments.data / name / "dev.csv.gz", arguments.valid)
        rows.append([])
        for n_layers in arguments.layers:
            config = dataclasses.replace(trained.encoder.config, readout=n_layers)
            encoder = Encoder(config).requires_grad_(False).eval()
            encoder.load_state_dict(trained.encoder.state_dict())
            features = [embed(encoder, sequences) for sequences, _ in (train, valid)]
            labels = [train[1], valid[1]]
            # fit() returns validation and test figures; validation stands in for the test here
            found, _ = fit([*features, features[1]], [*labels, labels[1]], "vectors")
            rows[-1].append(found)
        print(f"| {name} | " + " | ".join(f"{x:.3f}" for x in rows[-1]) + " |", flush=True)
    print("| mean | " + " | ".join(f"{x:.3f}" for x in np.mean(rows, axis=0)) + " |")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
