"""`bin/start_data.py`, which makes data for starts of transcription."""

import sys
from importlib import import_module
from pathlib import Path

import pytest

from tests.conftest import random_sequence

MODULES = "start_data", "site_data", "task_data", "splice_pieces"


@pytest.fixture
def made(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "bin")
    yield import_module("start_data")
    for name in MODULES:
        sys.modules.pop(name, None)


def changed(letters, every):
    """Put another letter at every so many bases."""
    other = dict(zip("ACGT", "CGTA", strict=True))
    return "".join(other[x] if i % every == every - 1 else x for i, x in enumerate(letters))


@pytest.mark.parametrize("strand", "+-")
@pytest.mark.parametrize("at", [0, 700, -100])
def test_promoters_are_known_again_by_their_letters(made, strand, at):
    """Wherever they lie, also in part, with one letter of 80 that differs, not with one of 20."""
    promoter = random_sequence(300, 1)
    seeds = {promoter[i : i + 32]: [(promoter, i)] for i in (160, 230)}
    for every, found in ((80, 1), (20, 0)):
        here = changed(promoter, every)[max(-at, 0) :]
        text = random_sequence(max(at, 0), 2) + here + random_sequence(400, 3)
        if strand == "-":
            text = made.turned(text)
        where = set(made.matches(made.turned(text) if strand == "-" else text, seeds))
        assert where == ({(at + 249, promoter)} if found else set())


def test_what_is_shared_is_about_that(made):
    sequence = random_sequence(4_000, 1)
    known = made.Known([sequence])
    assert known.share(sequence[1_003:2_003]) > 0.9
    assert known.share(made.turned(sequence[1_003:2_003])) > 0.9
    assert 0.2 < known.share(sequence[:300] + random_sequence(700, 2)) < 0.4
    assert known.share(random_sequence(1_000, 3)) == 0


def test_short_sequences_are_joined(made):
    """Starts and spans keep their letters."""
    joined, first, second = made.Joined("x"), random_sequence(50, 1), random_sequence(70, 2)
    joined.add(first, [(5, "+")], [(0, 50)])
    joined.add(second, [(60, "-")], [(10, 20), (30, 70)])
    letters = joined.letters
    assert [letters[at] for at, _ in joined.starts] == [first[5], second[60]]
    pieces = [letters[start:end] for _, start, end in joined.spans]
    assert pieces == [first, second[10:20], second[30:]]
    assert letters.count("N") == len(letters) - 120


def test_a_promoter_follows_the_strand_of_its_start(made):
    assert made.about((300, "+")) == (51, 351)
    assert made.about((300, "-")) == (250, 550)


def test_promoters_are_those_of_starts_or_as_given_and_end_with_the_sequence(made):
    joined = made.Joined("c")
    joined.add(random_sequence(300, 3), [(100, "+"), (280, "-")], [])
    joined.add(random_sequence(200, 4), [(100, "+")], [], [(-20, 30), (150, 260)])
    assert joined.promoters == [(0, 151), (230, 300), (400, 430), (550, 600)]
