"""Guesses of how long training takes, and when they are told."""

import pytest
import torch

from findna import console
from findna.genome.encoding import encode
from findna.model.devices import Compute
from findna.tasks.duration import Rates, Size, in_total, in_words, tell_duration
from findna.tasks.probe import search_space
from findna.tasks.recipe import FineTuneConfig
from tests.conftest import TINY, make_model, random_sequence

CPU = Compute(torch.device("cpu"))
SETS = [Size(800, 100, 100, 300.0), Size(2_800, 100, 100, 100.0)]


@pytest.fixture(scope="module")
def rates():
    sequences = [encode(random_sequence(100, i)) for i in range(40)]
    return Rates(make_model(TINY), sequences, CPU)


def test_in_words():
    told = [in_words(seconds) for seconds in (61, 100, 1_500, 5_900, 6_000, 86_400)]
    assert told == ["1 minute", "2 minutes", "25 minutes", "98 minutes", "1.7 hours", "24.0 hours"]


@pytest.mark.parametrize(
    ("sets", "seconds", "epochs", "told"),
    [
        (SETS, 1500, None, "2 sets, 4,000 sequences of 150 bp: about 25 minutes on this machine"),
        (SETS[:1], 90, None, "1,000 sequences of 300 bp: about 2 minutes on this machine"),
        (
            SETS[:1],
            90,
            10,
            "1,000 sequences of 300 bp: about 2 minutes on this machine, if training goes on for "
            "10 epochs",
        ),
        (SETS, 59, None, ""),
    ],
)
def test_what_is_told(sets, seconds, epochs, told, capsys):
    console.set_up()
    tell_duration(in_total(sets), seconds, epochs)
    assert capsys.readouterr() == ("", told and f"findna: {told}\n")
    console.set_up(quiet=True)
    tell_duration(in_total(sets), seconds, epochs)
    assert capsys.readouterr() == ("", "")


def test_more_work_takes_longer(rates):
    few, many = Size(100, 50, 50, 100.0), Size(2_000, 50, 50, 100.0)
    space = search_space("probe", True)
    assert 0 < rates.searching(few, space) < rates.searching(many, space)
    assert rates.searching(few, search_space("full", True)) < rates.searching(few, space)
    assert 0 < rates.encoding(strands=1) == rates.encoding() / 2
    assert rates.full([few], FineTuneConfig()) > 10 * 5_000 * rates.encoding()
