"""Makes a pretrained model one that ships: its weights, card and curves, and a known answer.

python bin/ship_model.py runs/tiny findna/shipped/models/tiny
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch

from findna.commands.selftest import KNOWN
from findna.genome.batching import Sequences
from findna.genome.encoding import encode
from findna.model.checkpoint import CARD, CONFIG, WEIGHTS, Checkpoint, load_checkpoint
from findna.model.devices import Compute
from findna.model.inference import region_vectors
from findna.model.pooling import Pooling
from findna.pretraining.history import METRICS


def known_answer(checkpoint: Checkpoint) -> dict[str, object]:
    """The mean vector of a made-up sequence of two tiles, with lower case and N."""
    bases = np.random.default_rng(0).choice(list("ACGT"), 1240)
    bases[350:450] = np.char.lower(bases[350:450])
    bases[700:730] = "N"
    sequence = "".join(bases)
    source = Sequences([encode(sequence)])
    compute = Compute(torch.device("cpu"))
    ((_, found),) = region_vectors(
        source.rows(), source, checkpoint.model.encoder, Pooling(("mean",)), compute
    )
    assert found is not None  # the row has a region
    mean = [float(f"{value:.8g}") for value in found.pooled["mean"]]
    return {"digest": checkpoint.digest, "sequence": sequence, "mean": mean}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="folder written by findna pretrain")
    parser.add_argument("out", type=Path, help="folder to replace")
    arguments = parser.parse_args()
    checkpoint = load_checkpoint(str(arguments.model))
    arguments.out.mkdir(exist_ok=True)
    for name in (CONFIG, CARD, WEIGHTS, METRICS):
        shutil.copyfile(arguments.model / name, arguments.out / name)
    known = json.dumps(known_answer(checkpoint), indent=1)
    (arguments.out / KNOWN).write_text(known + "\n")


if __name__ == "__main__":
    main()
