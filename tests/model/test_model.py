import dataclasses

import pytest
import torch
from torch import nn

from findna.genome.encoding import encode
from findna.model import linear
from findna.model.chordmixer import Rotation
from findna.model.config import EncoderConfig
from findna.model.encoder import Encoder, n_parameters
from findna.model.linear import mlp
from tests import reference
from tests.conftest import TINY, make_model, random_sequence


def pack(sequences, n_cls=0):
    texts = [sequence + "." * n_cls for sequence in sequences]
    tokens = torch.cat([torch.from_numpy(encode(t.replace(".", "N")).copy()) for t in texts])
    blank = torch.tensor([letter == "." for text in texts for letter in text])
    tokens[blank] = 5
    offsets = torch.tensor([0, *map(len, texts)]).cumsum(0)
    return tokens, offsets


def test_published_size():
    with torch.device("meta"):
        model = Encoder(EncoderConfig())
        head = nn.Linear(308, 5)
    assert n_parameters(model) + n_parameters(head) == 12_651_873


@pytest.mark.parametrize("length", [1, 2, 3, 16, 37])
def test_rotation_is_split_roll_concatenate(length, device):
    x = torch.randn(3, length, 12)
    offsets = (torch.arange(4) * length).to(device)
    rotation = Rotation(offsets, 3 * length, 4, 3)
    rotated = rotation(x.flatten(0, 1).to(device)).cpu()
    assert torch.equal(rotated.view_as(x), reference.rotate(x, 3))


def test_rotation_keeps_to_each_window():
    x = torch.randn(9, 6)
    mixed = Rotation(torch.tensor([0, 4, 9]), 9, 3, 2)(x)
    for start, end in ((0, 4), (4, 9)):
        expected = reference.rotate(x[None, start:end], 2)[0]
        assert torch.equal(mixed[start:end], expected)


def test_gradient_of_the_rotation():
    x = torch.randn(9, 6, dtype=torch.float64, requires_grad=True)
    rotation = Rotation(torch.tensor([0, 4, 9]), 9, 3, 2)
    assert torch.autograd.gradcheck(rotation, x)


def plain_mlp(x, w1, b1, w2, b2):
    return reference.gelu(x @ w1.t() + b1) @ w2.t() + b2


@pytest.mark.parametrize("rows", [1, 7, 300])
@pytest.mark.parametrize("fast", [True, False])
def test_mlp_and_its_gradients(rows, fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(linear, "_onednn", None)
    torch.manual_seed(0)
    shapes = [(rows, 24), (40, 24), (40,), (24, 40), (24,)]
    ours = [torch.randn(shape, requires_grad=True) for shape in shapes]
    theirs = [t.detach().clone().requires_grad_() for t in ours]
    a, b = mlp(*ours), plain_mlp(*theirs)
    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)
    a.square().sum().backward()
    b.square().sum().backward()
    for x, y in zip(ours, theirs, strict=True):
        torch.testing.assert_close(x.grad, y.grad, rtol=1e-4, atol=1e-2)
    with torch.no_grad():
        torch.testing.assert_close(mlp(*ours), b.detach(), rtol=1e-5, atol=1e-4)


def test_mlp_in_bf16_and_its_gradients():
    torch.manual_seed(0)
    shapes = [(300, 24), (40, 24), (40,), (24, 40), (24,)]
    ours = [torch.randn(shape, requires_grad=True) for shape in shapes]
    theirs = [t.detach().clone().requires_grad_() for t in ours]
    with torch.autocast("cpu", torch.bfloat16):
        a = mlp(*ours)
        with torch.no_grad():
            torch.testing.assert_close(a, mlp(*ours), rtol=2e-2, atol=0.2)
    b = plain_mlp(*theirs)
    assert a.dtype == torch.bfloat16
    assert 0 < relative(a.float(), b) < 0.01
    a.float().square().sum().backward()
    b.square().sum().backward()
    for x, y in zip(ours, theirs, strict=True):
        assert x.grad.dtype == torch.float32
        assert relative(x.grad, y.grad) < 0.02


def relative(a, b):
    return ((a - b).norm() / b.norm()).item()


def test_a_window_does_not_depend_on_its_neighbours(device):
    encoder = make_model(TINY).encoder.to(device)
    sequences = [random_sequence(n, seed=n) for n in (1, 5, 64, 31, 100)]

    def hidden(chosen):
        tokens, offsets = pack(chosen, TINY.n_cls)
        out = encoder(tokens.to(device), offsets.to(device)).cpu()
        return [out[a:b] for a, b in zip(offsets[:-1], offsets[1:], strict=True)]

    together = hidden(sequences)
    backwards = hidden(sequences[::-1])[::-1]
    for i, sequence in enumerate(sequences):
        (alone,) = hidden([sequence])
        assert relative(together[i], alone) <= 1e-5
        assert relative(backwards[i], alone) <= 1e-5


def test_one_hot_rows_are_the_token_ids(device):
    encoder = make_model(TINY).encoder.to(device)
    text = random_sequence(50, letters="ACGTN.")
    tokens, offsets = pack([text])
    rows = reference.one_hot(text).to(device)
    offsets = offsets.to(device)
    assert relative(encoder(rows, offsets), encoder(tokens.to(device), offsets)) <= 1e-6


def test_reading_after_some_layers():
    model = make_model(TINY)
    tokens, offsets = pack([random_sequence(30)])
    hidden = []
    for layer in model.encoder.mixer.blocks[0]:
        layer.register_forward_hook(lambda *args: hidden.append(args[2]))
    config = dataclasses.replace(TINY, readout=3)
    early = make_model(config).encoder
    full = model.encoder(tokens, offsets)
    assert torch.equal(early.embed(tokens, offsets), hidden[2])
    assert torch.equal(early(tokens, offsets), full)
    assert torch.equal(model.encoder.embed(tokens, offsets), full)


def test_bf16(device):
    encoder = make_model(TINY).encoder.to(device)
    tokens, offsets = (t.to(device) for t in pack([random_sequence(80)]))
    exact = encoder(tokens, offsets)
    with torch.autocast(device.type, torch.bfloat16):
        rough = encoder(tokens, offsets)
    assert relative(rough.float(), exact) < 0.05
