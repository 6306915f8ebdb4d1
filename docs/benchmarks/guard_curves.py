"""Three miniature trainings, one of each fate, and their curves side by side.

    python docs/benchmarks/guard_curves.py genome.fa -o docs/pretraining_curves.png

The first follows the preset ``findna`` but for prototypes in place of InfoNCE, which has no targets
to show. In the second the contrastive loss outweighs all else and
nothing balances the teacher (its centre stays 0); in the third the learning rate is absurd.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill

import torch
from matplotlib import style
from matplotlib.figure import Figure

from findna.commands.pretrain import TrainingData, TrainingRun, pretrain_genome
from findna.errors import CollapseError
from findna.outputs.pictures.image import STYLE, draw_panel
from findna.pretraining.curves import drawing
from findna.pretraining.history import PANELS, read_history
from findna.pretraining.recipe import from_preset

COMMON = {
    "encoder": {
        "dim": 24,
        "track_size": 4,
        "hidden": 32,
        "n_blocks": 1,
        "layers_per_block": 7,
        "max_length": 128,
    },
    "lengths": [128],
    "batch_tokens": 4096,
    "steps": 150,
    "ema_start": 0.9,
    "log_every": 2,
    "evaluate_every": 10,
    "checkpoint_every": 50,
}
PROTOTYPES = {"contrast": "prototypes", "centring": "sinkhorn", "prototypes": 128}
RUNS = {
    "healthy": PROTOTYPES,
    "collapsed": {"contrast": "cls", "center_momentum": 1.0, "contrast_weight": 20.0},
    "diverged": {**PROTOTYPES, "lr": 1.0, "clip": 1000.0, "warmup": 0.0},
}
SHOWN = (
    "Masked-nucleotide loss, nats",
    "Entropy of the teacher's target, nats",
    "Agreement of student and teacher",
    "Spread of the teacher's vectors",
    "Effective rank",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    panels = [panel for panel in PANELS if panel.title in SHOWN]
    with TemporaryDirectory() as folder, style.context(STYLE):
        figure = Figure((12.5, 2.1 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), len(RUNS), sharey="row")
        for column, (name, changes) in enumerate(RUNS.items()):
            output = Path(folder, name)
            config = from_preset("findna", COMMON, changes)
            try:
                pretrain_genome(TrainingData(arguments.genome), TrainingRun(output), config, "cpu")
            except CollapseError as error:
                print(error)
            history = read_history(output)
            for axes, panel in zip(grid[:, column], panels, strict=True):
                draw_panel(axes, drawing(panel, history))
                axes.set(xlabel="", ylabel="")
                if column == 0:
                    axes.set_ylabel(fill(panel.title, 24), fontsize=8.5)
            grid[0, column].set_yscale("log")
            title = history.verdict.split(":")[0]
            grid[0, column].set_title(title, fontsize=12, loc="left", fontweight="bold", pad=18)
            grid[-1, column].set_xlabel("step")
        for axes in grid.flat:
            axes.set_xlim(0, COMMON["steps"])
        figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
