"""Letters about strong sites and in strong windows, on sequence with a planted motif."""

import json
import sys

import numpy as np
import pytest

from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.labelled.sets import LabelledSet
from findna.outputs.pictures.figure import Letters
from findna.outputs.pictures.motifs import motif_figure
from findna.outputs.pictures.page import page
from findna.tasks.detail import region_detail
from findna.tasks.motifs import MOST_BASES, REACH, STRONGEST, site_motifs
from findna.tasks.report import task_report
from findna.tasks.site_training import Measured
from findna.tasks.sites import SiteConfig
from findna.tasks.task import TaskConfig
from tests.conftest import random_sequence


def consensus(letters, first, start, n):
    """The most frequent letters from a position on."""
    table = np.array([letters[x] for x in "ACGT"])
    columns = table[:, start - first : start - first + n].argmax(0)
    return "".join("ACGT"[i] for i in columns)


@pytest.fixture
def sites(write):
    """What `site_motifs` takes: GATTC from each site on, on both strands; N between them."""
    texts, spans, places = [], [("a", 3, 700), ("b", 0, 400)], set()
    for chrom, length, starts in (("a", 800, (50, 250, 600)), ("b", 400, (0, 30, 390))):
        letters = list(random_sequence(length, length))
        letters[100:180] = "N" * 80
        for i, at in enumerate(starts):
            reverse = i % 2 == 1
            word = decode(reverse_complement(encode("GATTC"))) if reverse else "GATTC"
            letters[at : at + 5] = word
            places.add((chrom, at + 4 if reverse else at, reverse))
        texts.append(f">{chrom}\n{''.join(letters)}\n")
    genome = Genome(write("g.fa", "".join(texts)))
    present, scores, runs = [], [], []
    for reverse in (False, True):
        for chrom, start, end in spans:
            known = start + np.flatnonzero(genome.fetch(chrom, start, end) != encode("N"))
            own = np.array([(chrom, at, reverse) in places for at in known.tolist()])
            near = np.convolve(own, [2, 3, 4, 3, 2], "same")  # neighbours are strong, too
            present.append(own[:, None])
            scores.append(near[:, None].astype(np.float32))
            runs.append((chrom, len(known)))
    yield Measured(np.concatenate(present), np.concatenate(scores), runs), genome, spans
    genome.close()


def test_letters_about_strong_sites_are_those_of_the_planted_ones(sites):
    seen, genome, spans = sites
    found = site_motifs(seen, ("start",), genome, spans)
    assert found["first"] == -REACH
    motif = found["classes"]["start"]
    strongest, members = motif["strongest"], motif["members"]
    assert (strongest["n"], strongest["right"], members["n"]) == (6, 6, 6)
    assert {key: strongest[key] for key in "ACGT"} == {key: members[key] for key in "ACGT"}
    assert consensus(strongest, -REACH, 0, 5) == "GATTC"
    assert strongest["G"][REACH] == strongest["A"][REACH + 1] == strongest["C"][REACH + 4] == 6
    for end in (0, -1):  # past the ends of b there are no letters
        assert sum(members[key][end] for key in "ACGT") == 5
    assert sum(found["background"].values()) == 2 * (697 + 400 - 160)
    assert found["background"]["A"] == found["background"]["T"]  # both strands


def test_of_neighbours_the_strongest_counts(sites):
    seen, genome, spans = sites
    scores = np.arange(len(seen.logits), dtype=np.float32)[:, None]  # each beside a stronger one
    found = site_motifs(seen._replace(logits=scores), ("start",), genome, spans)
    strongest = found["classes"]["start"]["strongest"]
    assert strongest["n"] == 6
    step = REACH + 1  # from the last base of b, on the minus strand, backwards
    last = reverse_complement(genome.fetch("b", 400 - 1 - 5 * step, 400))
    at = [int(last[i * step]) for i in range(6)]
    assert [strongest[x][REACH] for x in "ACGT"] == [at.count(encode(x)[0]) for x in "ACGT"]


def windows(lengths, point=20):
    """Every second sequence has CCATGG about a point; the probability of the others is lower."""
    rows, labels = [], np.arange(len(lengths)) % 2
    for i, length in enumerate(lengths):
        text = random_sequence(length, i)
        rows.append(encode(text[: point - 2] + "CCATGG" + text[point + 4 :] if i % 2 else text))
    likely = labels * 0.5 + np.linspace(0.4, 0.1, len(lengths))
    data = LabelledSet("a", "classes", ("0", "1"), rows, labels)
    return data, ("no", "yes"), np.stack([1 - likely, likely], 1)


def test_letters_of_strong_windows():
    detail = region_detail(*windows([70] * 600), 20)
    found = json.loads(json.dumps(detail["motifs"]))
    assert list(found["classes"]) == ["yes"]
    strongest, members = found["classes"]["yes"]["strongest"], found["classes"]["yes"]["members"]
    assert (strongest["n"], strongest["right"], members["n"]) == (STRONGEST, STRONGEST, 300)
    assert consensus(strongest, found["first"], -2, 6) == "CCATGG"
    assert strongest["A"][20] == STRONGEST
    assert found["first"] == -20
    assert found["background"]["n"] == sum(found["background"][x][0] for x in "ACGT") == 600
    assert region_detail(*windows([70] * 40))["motifs"]["first"] == -35  # the middle


def test_of_long_windows_what_lies_about_the_point():
    found = region_detail(*windows([400] * 40, 300), 300)["motifs"]
    assert found["first"] == -200
    assert len(found["background"]["A"]) == MOST_BASES
    assert consensus(found["classes"]["yes"]["members"], -200, -2, 6) == "CCATGG"


def test_windows_of_several_lengths_have_no_motif():
    assert "motifs" not in region_detail(*windows([70, 71] * 20), 20)


def test_a_letter_is_as_high_as_it_differs_from_the_background():
    counts = {"A": [5, 2, 0], "C": [0, 2, 0], "G": [0, 2, 0], "T": [0, 2, 0]}
    background = dict.fromkeys("ACGT", 7)
    figure = motif_figure({"some": counts, "all": counts}, background, -1, "bp")
    assert [panel.title for panel in figure.panels] == ["some", "all"]
    for panel in figure.panels:
        (mark,) = panel.marks
        assert isinstance(mark, Letters)
        assert (mark.letter, *mark.x, *mark.bottom, *mark.top) == ("A", -1, 0, 2)
    by_position = {"A": [9, 1, 1], "C": [0, 3, 1], "G": [0, 0, 1], "T": [0, 0, 1]}
    (mark, other) = motif_figure({"one": by_position}, counts, -1, "bp").panels[0].marks
    assert (mark.letter, *mark.x, *other.x) == ("A", 0, 0)  # what all have does not show
    assert mark.top - mark.bottom == pytest.approx(other.top / 4)
    assert "plotly" in page(figure)


def test_long_logos_have_lines():
    letters = dict.fromkeys("ACGT", [1] * 250)
    figure = motif_figure({"some": letters, "all": letters}, letters, -50, "bp")
    assert [panel.x.low for panel in figure.panels] == [-50.5, -50.5, 49.5, 49.5, 149.5, 149.5]
    assert [panel.x.label for panel in figure.panels] == [""] * 5 + ["bp"]


def pages(motifs):
    """The reports of a task of windows and one of sites."""
    metrics = {"auprc": 0.5, "auroc": 0.5, "baselines": {"GC content": {"auprc": 0.1}}}
    detail = {"measured_on": "valid", **({"motifs": motifs} if motifs else {})}
    of_windows = TaskConfig("probe", "classes", ("no", "yes"), 70, "tiny", "0" * 64)
    of_sites = SiteConfig("probe", ("yes",), 100, 10, 2, "tiny", "0" * 64, (1.0,), (0.0,))
    for config, values in ((of_windows, {"auroc": 0.5}), (of_sites, {"yes": metrics})):
        record = {"metrics": {"valid": values}, "detail": detail}
        yield task_report("t", "# t\n\n## Figures\n", config, record)


def test_the_report_draws_what_the_record_has(monkeypatch):
    found = region_detail(*windows([70] * 40))["motifs"]
    of_windows, of_sites = pages(json.loads(json.dumps(found)))
    assert "Letters of the strongest windows, validation set" in of_windows
    assert "bp from the middle of the window, in reading direction" in of_windows
    assert "Letters about the strongest sites, validation set" in of_sites
    for text in (of_windows, of_sites):
        assert 'aria-label="Letters, yes"' in text
        assert "Of the 20 strongest, 20 are yes." in text
    for text in pages(None):
        assert "Letters" not in text
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    for text in pages(found):
        assert "Letters" not in text
        assert "pip install" in text
