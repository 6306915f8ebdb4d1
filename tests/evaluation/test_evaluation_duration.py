"""The work of an evaluation, at rates that are given."""

import pytest

from findna.evaluation.duration import Work
from findna.evaluation.protocol import EvaluateOptions
from findna.tasks.duration import Size


class Given:
    """A second to encode a base, 100 to fit, 10 for a head, 1,000 to train the encoder."""

    def encoding(self, readout=0, strands=2):
        return strands

    def searching(self, size, space):
        return 100

    def head(self, size):
        return 10

    def full(self, sizes, config):
        return 1_000


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"baselines": ()}, 2 * 7 + 3 * 200),
        ({"baselines": ("random",)}, 2 * 7 + 3 * 2 * 200),
        ({"baselines": ("k-mers",)}, 2 * 7 + 3 * (200 + 5)),
        ({"baselines": (), "mode": "knn"}, 2 * 7),
        ({"baselines": (), "mode": "full"}, 2 * 7 + 3 * (200 + 1_000 + 2 * (4 * 3 + 5 * 3))),
        ({"baselines": ("random", "k-mers"), "protocol": "geneb"}, 7 + (1 + 2 + 1) * 20),
        ({"baselines": (), "protocol": "geneb", "both_strands": True}, 2 * 7 + 20),
    ],
)
def test_work(options, seconds):
    sizes = [Size(9, 9, 4, 3.0), Size(9, 9, 5, 3.0)]
    work = Work(sizes, {0: 5, 1: 2})
    baselines = {"k-mers": 5} if "k-mers" in options["baselines"] else {}
    assert work.seconds(EvaluateOptions(seeds=3, draws=2, **options), Given(), baselines) == seconds
