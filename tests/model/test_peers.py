"""The encoders beside which findna is measured have the sizes that they claim."""

import importlib
import sys
from pathlib import Path

import pytest
import torch

from findna.model.encoder import n_parameters

SCRIPTS = Path(__file__).parents[2] / "docs" / "benchmarks"
PARAMETERS = {
    "findna tiny": 1_732_096,
    "published sizes, packed": 12_650_328,
    "published sizes, plain": 12_650_328,
    "HyenaDNA-like 0.4 M": 436_096,
    "HyenaDNA-like 1.6 M": 1_641_088,
    "HyenaDNA-like 6.6 M": 6_550_528,
    "BPNet-like": 104_256,
}


@pytest.fixture
def peers(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    yield importlib.import_module("peers")
    for name in ("peers", "encoder_speed"):
        sys.modules.pop(name, None)


def test_encoders_have_the_sizes_that_they_claim(peers):
    assert {*PARAMETERS, *peers.NEED_TRANSFORMERS, "4-mers"} == set(peers.ENCODERS)
    for name, count in PARAMETERS.items():
        assert n_parameters(peers.ENCODERS[name].make()) == count, name


def test_a_kilobase_is_as_many_tokens_as_the_papers_say(peers):
    names = ("HyenaDNA-like 0.4 M", "NT-v2-50M", "DNABERT-2", "GENA-LM")
    assert [peers.ENCODERS[name].tokens(1_000) for name in names] == [1_000, 171, 202, 115]


def test_the_long_convolution_reads_backwards_only(peers):
    torch.manual_seed(0)
    model = peers.HyenaLike(8, 2, 64).eval()
    ids = torch.randint(0, 12, (1, 50))
    changed = ids.clone()
    changed[0, 30] = (ids[0, 30] + 1) % 12
    with torch.inference_mode():
        moved = (model(ids, ids >= 0) - model(changed, ids >= 0)).abs().amax(-1)[0]
    assert moved[:30].max() < 1e-6 < moved[30:].min()


def test_accuracies_are_those_of_the_tables(peers):
    means = peers.accuracies()
    assert {name: round(mean, 3) for name, mean in means.items()} == {
        "findna tiny": 0.529, "4-mers": 0.527, "HyenaDNA-like 6.6 M": 0.513, "SpliceBERT": 0.593,
        "NT-v2-50M": 0.515, "DNABERT-2": 0.529, "GENA-LM": 0.550,
    }  # fmt: skip
