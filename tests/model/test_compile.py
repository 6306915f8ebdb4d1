"""`torch.compile` of a layer: one graph, whatever the length."""

import copy

import pytest
import torch

from findna.model.chordmixer import MixerLayer, equal_windows
from findna.model.config import EncoderConfig

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),  # torch
]

CONFIG = EncoderConfig(
    dim=24, track_size=4, hidden=32, n_blocks=1, layers_per_block=5, norm="layer"
)


@pytest.fixture
def layer():
    torch.manual_seed(0)
    yield MixerLayer(CONFIG)
    torch._dynamo.reset()


def run(layer, n, length, gradients):
    """A layer's output, and the gradients of its input and weights, on made-up states."""
    torch.manual_seed(1)
    hidden = torch.randn(n * length, CONFIG.dim, requires_grad=gradients)
    rotation = equal_windows(n, length, CONFIG.n_tracks, CONFIG.track_size, hidden.device)
    with torch.set_grad_enabled(gradients):
        output = layer(hidden, rotation)
    if not gradients:
        return [output]
    layer.zero_grad()
    output.square().sum().backward()
    return [output.detach(), hidden.grad, *(weight.grad.clone() for weight in layer.parameters())]


@pytest.mark.parametrize("amp", [False, True])
@pytest.mark.parametrize("gradients", [False, True])
def test_a_layer_is_one_graph(layer, gradients, amp):
    compiled = copy.deepcopy(layer)
    # as compile_layers does; a break would be an error, and no compiler is needed
    compiled.compile(dynamic=True, fullgraph=True, backend="aot_eager")
    for n, length in ((2, 16), (3, 21), (4, 40)):
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            found, expected = (run(x, n, length, gradients) for x in (compiled, layer))
        for a, b in zip(found, expected, strict=True):
            torch.testing.assert_close(a, b, rtol=0.05 if amp else 1e-4, atol=0.2 if amp else 1e-5)


def test_nothing_breaks_the_graph(layer):
    rotation = equal_windows(2, 16, CONFIG.n_tracks, CONFIG.track_size, torch.device("cpu"))
    explained = torch._dynamo.explain(layer)(torch.randn(32, CONFIG.dim), rotation)
    assert explained.graph_break_count == 0
    assert explained.graph_count == 1
