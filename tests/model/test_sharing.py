"""Hidden states of windows that have much in common are those of each window alone."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import findna.model.chordmixer
from findna.genome.encoding import BLANK, NUCLEOTIDES, N
from findna.model.config import EncoderConfig
from findna.model.encoder import Encoder
from findna.model.sharing import shared_states

CONFIGS = [
    {"n_cls": 0, "norm": "none"},
    {"n_cls": 1, "norm": "layer", "readout": 2},
    {"n_cls": 10, "norm": "none", "n_blocks": 2},
    {"n_cls": 2, "norm": "layer", "dim": 6, "track_size": 6},
]


def encoder_of(**sizes):
    torch.manual_seed(3)
    defaults = {"dim": 24, "track_size": 4, "hidden": 16, "n_blocks": 1, "layers_per_block": 3}
    return Encoder(EncoderConfig(**{**defaults, **sizes})).eval()


def pack(windows, n_cls):
    full = [np.append(window, np.full(n_cls, BLANK)).astype(np.uint8) for window in windows]
    offsets = np.cumsum([0, *map(len, full)])
    return torch.from_numpy(np.concatenate(full)), torch.from_numpy(offsets)


def alone(encoder, tokens, offsets, n_layers):
    """States of windows that are computed one by one; (total, dim)."""
    windows = torch.tensor_split(tokens, offsets[1:-1].cpu())
    return torch.cat([encoder(x, x.new_tensor([0, len(x)], dtype=int), n_layers) for x in windows])


letters = st.sampled_from([*NUCLEOTIDES, N])


@st.composite
def related(draw):
    """Windows made of one by replacing, masking, inserting and deleting bases; and strangers."""
    window = draw(st.lists(letters, min_size=1, max_size=40))
    windows = [window]
    for _ in range(draw(st.integers(0, 5))):
        start = draw(st.integers(0, len(window)))
        end = draw(st.integers(start, len(window)))
        new = draw(st.lists(letters, max_size=6) | st.just([BLANK] * (end - start)))
        windows.append([*window[:start], *new, *window[end:]] or [N])
    return draw(st.permutations([*windows, *draw(st.lists(st.lists(letters, min_size=1)))]))


@pytest.mark.slow
@pytest.mark.parametrize("sizes", CONFIGS)
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(windows=related(), data=st.data())
def test_states_are_those_of_each_window_alone(device, sizes, windows, data):
    encoder = encoder_of(**sizes).to(device)
    tokens, offsets = (x.to(device) for x in pack(windows, encoder.config.n_cls))
    places = st.lists(st.integers(0, len(tokens) - 1)) | st.none()
    depths = st.integers(0, encoder.config.n_layers)
    reads = [
        (depth, None if at is None else torch.tensor(at, dtype=torch.int64, device=device))
        for depth, at in data.draw(st.lists(st.tuples(depths, places), max_size=3))
    ]
    with torch.inference_mode():
        found = shared_states(encoder, tokens, offsets, reads)
        for (depth, at), states in zip(reads, found, strict=True):
            expected = alone(encoder, tokens, offsets, depth)
            expected = expected if at is None else expected[at]
            torch.testing.assert_close(states, expected, rtol=1e-5, atol=1e-5)


def test_in_bf16_too():
    encoder = encoder_of(n_cls=1, norm="layer")
    window = np.random.default_rng(1).choice(NUCLEOTIDES, 64)
    other = window.copy()
    other[30] = BLANK
    tokens, offsets = pack([window, other], 1)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        (shared,) = shared_states(encoder, tokens, offsets, [(0, None)])
        expected = alone(encoder, tokens, offsets, 0)
    torch.testing.assert_close(shared.float(), expected.float(), rtol=0.02, atol=0.02)


@pytest.fixture
def computed(monkeypatch):
    """Numbers of rows that the layers computed."""
    rows, mlp = [], findna.model.chordmixer.mlp
    monkeypatch.setattr(
        findna.model.chordmixer, "mlp", lambda x, *weights: rows.append(len(x)) or mlp(x, *weights)
    )
    return rows


SPREAD = [1, 12, 61, 177]
"""Positions that differ after so many layers, in windows of 512 bp and a CLS position."""


def test_only_what_differs_is_computed_and_only_what_is_read(computed):
    encoder = encoder_of(dim=24, track_size=2, n_cls=1, layers_per_block=4)
    window = np.random.default_rng(2).choice(NUCLEOTIDES, 512)
    other, masked = window.copy(), window.copy()
    other[256] = NUCLEOTIDES[int(window[256] == NUCLEOTIDES[0])]
    masked[256] = BLANK
    tokens, offsets = pack([window, other, masked], 1)
    with torch.inference_mode():
        shared_states(encoder, tokens[:1026], offsets[:3], [(0, None)])
        assert computed == [6, *(513 + n for n in SPREAD[1:])]
        computed.clear()
        shared_states(encoder, tokens, offsets, [(3, torch.arange(1026))])
        shared_states(encoder, tokens, offsets, [(0, torch.tensor([1026 + 256]))])
        assert computed == [6, 513 + 12, 513 + 61, 6, 177, 61, 12]
        computed.clear()
        shared_states(encoder, tokens, offsets, [(0, torch.arange(0)), (4, torch.arange(0))])
    assert computed == []
