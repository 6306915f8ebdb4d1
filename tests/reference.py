"""Plain implementations to hold findna's against: slow, obvious, and written apart from it."""

import math

import torch
from torch import Tensor


def one_hot(sequence: str) -> Tensor:
    """Rows over A, C, G, N, T; a dot (blank) is all zero. Shape (length, 5)."""
    rows = torch.zeros(len(sequence), 5)
    for i, letter in enumerate(sequence):
        if letter != ".":
            rows[i, "ACGNT".index(letter)] = 1
    return rows


def gelu(x: Tensor) -> Tensor:
    return x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))


def rotate(x: Tensor, track_size: int) -> Tensor:
    """Split the channels of (batch, length, dim), roll each track, concatenate."""
    tracks = x.split(track_size, dim=-1)
    rolled = [tracks[0]]
    rolled += [torch.roll(t, -(2 ** (i - 1)), dims=1) for i, t in enumerate(tracks[1:], 1)]
    return torch.cat(rolled, dim=-1)


def published_forward(state: dict[str, Tensor], rows: Tensor, track_size: int) -> Tensor:
    """Hidden states of the published model from its own state dict; (batch, length, 5) in."""
    hidden = rows @ state["embedding.weight"].t() + state["embedding.bias"]
    block = 0
    while f"encoder.SwanDNA_blocks.{block}.SwanDNA_blocks.0.column_transform.fc1.weight" in state:
        layer = 0
        while True:
            key = f"encoder.SwanDNA_blocks.{block}.SwanDNA_blocks.{layer}.column_transform."
            if key + "fc1.weight" not in state:
                break
            x = gelu(hidden @ state[key + "fc1.weight"].t() + state[key + "fc1.bias"])
            x = x @ state[key + "fc2.weight"].t() + state[key + "fc2.bias"]
            hidden = hidden + rotate(x, track_size)
            layer += 1
        block += 1
    return hidden


def published_state(
    dim: int, hidden: int, blocks: int, layers: int, seed: int
) -> dict[str, Tensor]:
    """Random weights in the published layout."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / math.sqrt(shape[-1])

    state = {"embedding.weight": normal(dim, 5), "embedding.bias": normal(dim)}
    for block in range(blocks):
        for layer in range(layers):
            key = f"encoder.SwanDNA_blocks.{block}.SwanDNA_blocks.{layer}.column_transform."
            state[key + "fc1.weight"] = normal(hidden, dim)
            state[key + "fc1.bias"] = normal(hidden)
            state[key + "fc2.weight"] = normal(dim, hidden)
            state[key + "fc2.bias"] = normal(dim)
    state["linear.weight"] = normal(5, dim)
    state["linear.bias"] = normal(5)
    return state
