"""Hidden states of windows that have much in common: what is equal is computed once.

The windows of a variant differ at one place; so do those of a region with one base replaced. What
a layer makes of a position depends on the states of that position and of those that its tracks come
from: where all of these are equal, in one window or in two, so is the result. So a layer has one
row for each different state, and every position has the number of a row. There are six rows of
embeddings, one per token. Each layer spreads a difference to the positions that read it: two
windows of 512 bp that differ at one base differ at 12 positions after one layer of the model
`tiny`, at 177 after three, and at all after seven. A base that is masked differs in the same way.

Rows on which nothing depends that is read are left out. Of a masked window only the states of the
masked bases are read; for one base that is one row of the last layer, made of 12 rows of the layer
before, and of 177 two layers further back.

Nothing is approximated: every state that is read is the sum that it would be without this.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import torch
from torch import Tensor, nn

from findna.genome.encoding import BLANK
from findna.model.chordmixer import Gather, Rotation
from findna.model.encoder import Encoder

Read = tuple[int, Tensor | None]
"""After how many layers (0: all, and the last normalisation), and which positions; None for all."""

_MOST = 0.95  # share of rows above which no time is spent on leaving out the others

_ODD = 0x2545F4914F6CDD1D  # a product with it can be undone: no two become equal


class _Rows(NamedTuple):
    """Different states after a layer: the row of each position, and a position of each row."""

    of_positions: Tensor  # (total,), int64
    positions: Tensor  # (n_rows,), int64
    all_differ: bool = False

    def of(self, positions: Tensor | None) -> Tensor:
        """Return the rows of some positions, or of all."""
        return _select(self.of_positions, positions)


class _Step(NamedTuple):
    """Rows that a layer computes, and who takes them."""

    rotation: Rotation | Gather
    reads: list[tuple[int, Tensor | None]]  # number of the read, and its rows; None for all
    passed_on: Tensor | None  # rows that the next layer takes; None for all


def shared_states(
    encoder: Encoder, tokens: Tensor, offsets: Tensor, reads: Sequence[Read]
) -> list[Tensor]:
    """Return the hidden states of each read of a packed batch; (n_positions, dim), float.

    Parameters
    ----------
    tokens, offsets : Tensor, shapes (total,), uint8, and (n + 1,), int64
        As for `Encoder.forward`.
    reads : sequence of Read
        Nothing else is returned, nor computed unless these depend on it.
    """
    config, norm = encoder.config, encoder.mixer.norm
    hidden = encoder.letters()  # (6, dim)
    found = [hidden[:0]] * len(reads)
    depths = {
        i: n_layers or config.n_layers
        for i, (n_layers, positions) in enumerate(reads)
        if len(tokens if positions is None else positions)
    }
    if not depths:
        return found
    rotation = Rotation(offsets, len(tokens), config.n_tracks, config.track_size)
    steps = _plan(tokens, rotation, depths, [positions for _, positions in reads])
    for layer, step in zip(encoder.mixer.layers(), steps, strict=False):
        hidden = layer(hidden, step.rotation)  # (n_rows, dim)
        for i, rows in step.reads:
            states = _select(hidden, rows)  # (n_positions, dim)
            found[i] = states if norm is None or reads[i][0] else norm(states)
        hidden = _select(hidden, step.passed_on)
    return found


def all_states(
    encoder: Encoder, tokens: Tensor, offsets: Tensor, reads: Sequence[Read]
) -> list[Tensor]:
    """Return what `shared_states` does, computing every state and asking the device for nothing."""
    config, norm = encoder.config, encoder.mixer.norm
    hidden = nn.functional.embedding(tokens.int(), encoder.letters())  # (total, dim)
    found = [hidden[:0]] * len(reads)
    if not len(tokens):  # rows without a sequence
        return found
    rotation = Rotation(offsets, len(tokens), config.n_tracks, config.track_size)
    last = max(n_layers or config.n_layers for n_layers, _ in reads)
    for depth, layer in enumerate(islice(encoder.mixer.layers(), last), 1):
        hidden = layer(hidden, rotation)  # (total, dim)
        for i, (n_layers, positions) in enumerate(reads):
            if depth == (n_layers or config.n_layers):
                states = _select(hidden, positions)  # (n_positions, dim)
                found[i] = states if norm is None or n_layers else norm(states)
    return found


def _plan(
    tokens: Tensor, rotation: Rotation, depths: dict[int, int], positions: list[Tensor | None]
) -> list[_Step]:
    """Return the steps of the layers; what is needed is found from the last one back.

    Parameters
    ----------
    depths : dict of int to int
        Number of layers after which a read takes place, by the number of the read.
    positions : list of Tensor or None
        Those of each read.
    """
    last, sources = max(depths.values()), rotation.sources
    layers = list(_different(tokens, sources, last))
    steps: list[_Step] = []
    needed = layers[last].positions[:0]  # rows that the layer above takes
    for depth in range(last, 0, -1):
        here, below = layers[depth], layers[depth - 1]
        reads = {i: here.of(positions[i]) for i in depths if depths[i] == depth}
        rows = torch.cat([needed, *reads.values()])
        used, numbers = _numbered(rows, len(here.positions))
        everything = here.all_differ and len(used) > _MOST * len(tokens)
        if everything:
            used, numbers = here.positions, rows
        passed_on, *of_reads = torch.split(numbers, [len(needed), *map(len, reads.values())])
        step: Rotation | Gather = rotation
        if everything and below.all_differ:
            needed = below.positions
        else:
            gathered = below.of(_select(sources, _select(here.positions, used)))
            if depth > 1:  # every letter keeps its row
                needed, gathered = _numbered(gathered, len(below.positions))
            step = Gather(gathered, rotation.track_size)
        wanted = [
            (i, None if everything and positions[i] is None else of_read)
            for i, of_read in zip(reads, of_reads, strict=True)
        ]
        steps.append(_Step(step, wanted, None if len(passed_on) == len(used) else passed_on))
    return steps[::-1]


def _different(tokens: Tensor, sources: Tensor, n_layers: int) -> Iterator[_Rows]:
    """Yield the rows of the embeddings, and those after each layer.

    Equal states have equal keys: numbers of 64 bits that are made of the keys of what the states
    come from. Two that differ have equal ones with a chance of 2^-64.
    """
    all_positions = torch.arange(len(tokens), device=tokens.device)
    keys = tokens.long()
    yield _Rows(keys, torch.arange(BLANK + 1, device=tokens.device))
    random = torch.Generator().manual_seed(1)
    factors = torch.randint(-(2**62), 2**62, sources.shape[1:], generator=random)
    factors = (2 * factors + 1).to(tokens.device)
    found = _Rows(keys, keys)
    for _ in range(n_layers):
        if not found.all_differ:
            keys = (_select(keys, sources) * factors).sum(1)
            keys = (keys ^ (keys >> 32)) * _ODD
            different, rows = torch.unique(keys, return_inverse=True)
            found = _Rows(rows, torch.empty_like(different).scatter_(0, rows, all_positions))
        if len(found.positions) > _MOST * len(tokens):
            found = _Rows(all_positions, all_positions, all_differ=True)
        yield found


def _numbered(rows: Tensor, n: int) -> tuple[Tensor, Tensor]:
    """Return which of n rows there are, in order, and each one's number among these."""
    there = torch.zeros(n, dtype=torch.bool, device=rows.device)
    there[rows.flatten()] = True
    return there.nonzero()[:, 0], _select(there.cumsum(0) - 1, rows)


def _select(values: Tensor, rows: Tensor | None) -> Tensor:
    """Return ``values[rows]``, or all; on a CPU several times as fast as that."""
    if rows is None:
        return values
    return values.index_select(0, rows.flatten()).view(*rows.shape, *values.shape[1:])
