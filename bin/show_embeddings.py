"""Say in a few lines what an embedding file holds; used by bin/demo."""

import sys

import h5py
from rich.console import Console
from rich.table import Table

path = sys.argv[1]
with h5py.File(path) as file:
    vectors = file["X"][:]
    names = file["obs/name"].asstr()[:]
    chroms, strands = (
        file[f"obs/{column}/categories"].asstr()[:][file[f"obs/{column}/codes"][:4]]
        for column in ("chrom", "strand")
    )
    starts, ends, lengths = (file[f"obs/{column}"][:4] for column in ("start", "end", "length"))

console = Console()
console.print(f"\n{path}: X is {vectors.shape[0]} regions x {vectors.shape[1]} values")
table = Table("chrom", "start", "end", "name", "strand", "length", "X[:, :2]", title="first rows")
for i in range(4):
    values = " ".join(f"{value:.2f}" for value in vectors[i, :2])
    row = (chroms[i], starts[i], ends[i], names[i], strands[i], lengths[i], values)
    table.add_row(*map(str, row))
console.print(table)
