"""Three miniature trainings, one of each fate, and their curves side by side.

    python docs/benchmarks/guard_curves.py genome.fa -o docs/pretraining_curves.png

The first follows the preset ``findna``. In the second the contrastive loss outweighs all else and
nothing balances the teacher (its centre stays 0); in the third the learning rate is absurd.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib import rc_context
from matplotlib.figure import Figure

from findna.io.curves import STYLE, draw_panel
from findna.training.history import PANELS, read_history

ENCODER = (
    "--dim 40 --track-size 4 --hidden 64 --n-blocks 2 --layers-per-block 8 --max-length 256 "
    "--lengths 256 --batch-tokens 4096 --steps 150 --log-every 2 --evaluate-every 10 "
    "--checkpoint-every 50 --quiet --threads 1"
)
RUNS = {
    "healthy": "",
    "collapsed": "--contrast cls --n-cls 4 --centring mean --center-momentum 1 "
    "--contrast-weight 20 --ema-start 0.9",
    "diverged": "--lr 1 --clip 1000 --warmup 0 --ema-start 0.9",
}
SHOWN = (
    "Masked-nucleotide loss, nats", "Entropy of the teacher's target, nats",
    "Agreement of student and teacher", "Spread of the teacher's vectors", "Effective rank",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("genome", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    arguments = parser.parse_args()
    panels = [panel for panel in PANELS if panel.title in SHOWN]
    with TemporaryDirectory() as folder, rc_context(STYLE):
        figure = Figure((12.5, 2.1 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), len(RUNS), sharey="row")
        for column, (name, options) in enumerate(RUNS.items()):
            output = Path(folder, name)
            command = ["-m", "findna", "pretrain", str(arguments.genome), "-o", str(output)]
            subprocess.run([sys.executable, *command, *f"{ENCODER} {options}".split()], check=False)
            history = read_history(output)
            print(history.verdict)
            for axes, panel in zip(grid[:, column], panels, strict=True):
                draw_panel(axes, panel, history)
                if column == 0:
                    axes.set_ylabel(panel.title.replace(", nats", "\n(nats)"), fontsize=8.5)
            grid[0, column].set_yscale("log")
            title = history.verdict.split(":")[0]
            grid[0, column].set_title(title, fontsize=12, loc="left", fontweight="bold")
            grid[-1, column].set_xlabel("step")
        for axes in grid.flat:
            axes.set_xlim(0, 150)
        figure.savefig(arguments.output, dpi=110)


if __name__ == "__main__":
    main()
