"""``--precision auto``: what it takes, keeps and records."""

import json
import time

import h5py
import numpy as np
import pytest
import torch

from findna.errors import ConfigError
from findna.model import precision
from findna.model.precision import AUTO, VARIABLE, Decision, compute_on, fastest

CPU = torch.device("cpu")


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "findna" / "precision.json"


@pytest.fixture
def encoders(monkeypatch):
    """Let an encoder take some seconds, and its bf16 vectors be some way off."""

    def make(seconds, difference=0.0, units=True):
        def vectors(encoder, sequences, compute):
            time.sleep(seconds[compute.precision])
            off = difference if compute.precision == "bf16" else 0.0
            return np.full((len(sequences), 4), 1 + off, np.float32)

        monkeypatch.setattr(precision, "mean_vectors", vectors)
        monkeypatch.setattr(precision, "multiplies_bf16", lambda: units)

    return make


@pytest.mark.parametrize(
    ("seconds", "difference", "units", "taken"),
    [
        ({"fp32": 0.02, "bf16": 0.005}, 0.001, True, "bf16"),
        ({"fp32": 0.02, "bf16": 0.04}, 0.001, True, "fp32"),
        ({"fp32": 0.02, "bf16": 0.005}, 0.1, True, "fp32"),
        ({"fp32": 0.02, "bf16": 0.005}, 0.001, False, "fp32"),
    ],
    ids=["faster", "slower", "not alike", "no units"],
)
def test_decision(cache, encoders, seconds, difference, units, taken):
    encoders(seconds, difference, units)
    decision = fastest(CPU)
    assert decision.precision == taken
    assert taken in str(decision)
    assert json.loads(cache.read_text()).popitem()[1]["precision"] == taken


def test_it_is_kept(cache, encoders, monkeypatch):
    encoders({"fp32": 0.02, "bf16": 0.005})
    first = fastest(CPU)
    monkeypatch.setattr(precision, "_decide", lambda device: Decision("fp32"))
    assert fastest(CPU) == first
    assert fastest(CPU, again=True) == fastest(CPU) == Decision("fp32")


@pytest.mark.parametrize("text", ["", "[]", "{", '{"a": 1}', '{"a": {"precision": "int3"}}'])
def test_a_damaged_file_is_made_anew(cache, text, monkeypatch):
    cache.parent.mkdir()
    cache.write_text(text)
    monkeypatch.setattr(precision, "_decide", lambda device: Decision("bf16", 2.0, 0.001))
    assert fastest(CPU).precision == "bf16"
    assert len(json.loads(cache.read_text())) == 1


def test_a_cache_that_cannot_be_written(monkeypatch, write):
    monkeypatch.setenv("XDG_CACHE_HOME", str(write("file", "")))
    monkeypatch.setattr(precision, "_decide", lambda device: Decision("bf16", 2.0, 0.001))
    assert fastest(CPU).precision == "bf16"


def test_the_variable(monkeypatch):
    for value in ("fp32", "bf16"):
        monkeypatch.setenv(VARIABLE, value)
        assert compute_on("cpu", AUTO).precision == value
        assert compute_on("cpu", "fp32").precision == "fp32"
    monkeypatch.setenv(VARIABLE, "fp64")
    with pytest.raises(ConfigError, match="FINDNA_PRECISION: no precision 'fp64'; use one of auto"):
        compute_on("cpu", AUTO)


def test_outputs_say_it(run, example, model_folder, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, "bf16")
    for given, said in (((), "bf16"), (("--precision", "fp32"), "fp32")):
        files = example / "genome.fa", example / "regions.bed"
        output = tmp_path / f"{said}.h5"
        ended = run("embed", *files, "-o", output, "-m", model_folder, *given)
        with h5py.File(output) as file:
            assert file["uns/findna/options/precision"].asstr()[()] == said
        assert ended.stderr.rstrip().endswith(f", bf16 -> {output}") is (said == "bf16")
