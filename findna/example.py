"""A small made-up genome with regions and variants, the same at every call.

Two contigs of AT-rich background hold CpG-rich, promoter-like stretches. Used by bin/demo and by
the tests; ``python -m findna.example FOLDER`` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

CONTIGS = {"chrA": 60_000, "chrB": 40_000}
_LINE = 60  # letters per line of FASTA
_SPACING = 2_000  # bp from one promoter-like stretch to the next
_PROMOTER = 600  # bp


def _sequence(length: int, rng: np.random.Generator) -> tuple[str, list[int]]:
    """Return the letters of a contig, and the starts of its promoter-like stretches."""
    letters = rng.choice(list("ACGT"), size=length, p=[0.31, 0.19, 0.19, 0.31])
    starts = list(range(1_000, length - _SPACING, _SPACING))
    for start in starts:
        rich = rng.choice(list("ACGT"), size=_PROMOTER, p=[0.16, 0.34, 0.34, 0.16])
        rich[rng.integers(0, _PROMOTER - 1, 60)[:, None] + [0, 1]] = ["C", "G"]
        letters[start : start + _PROMOTER] = rich
    return "".join(letters), starts


def write_example(folder: Path, seed: int = 1) -> None:
    """Write genome.fa, regions.bed (BED6) and variants.vcf to an existing folder.

    Every second region is promoter-like (``promoter_chrA_1``), the others lie between
    (``background_chrA_1``); lengths differ.
    """
    rng = np.random.default_rng(seed)
    fasta, bed, records = [], [], []
    for contig, length in CONTIGS.items():
        sequence, starts = _sequence(length, rng)
        fasta.append(f">{contig} made up")
        fasta += [sequence[i : i + _LINE] for i in range(0, length, _LINE)]
        for i, start in enumerate(starts):
            shift, size = int(rng.integers(0, 100)), int(rng.integers(300, 501))
            strand = "+-"[i % 2]
            for kind, first in (("promoter", start), ("background", start + 900)):
                first += shift
                name = f"{kind}_{contig}_{i + 1}"
                bed.append(f"{contig}\t{first}\t{first + size}\t{name}\t0\t{strand}")
            position = start + int(rng.integers(50, _PROMOTER - 50))
            ref = sequence[position]
            alt = "ACGT"["ACGT".index(ref) - int(rng.integers(1, 4))]
            records.append(f"{contig}\t{position + 1}\tv{contig}_{i + 1}\t{ref}\t{alt}\t.\tPASS\t.")
    header = ["##fileformat=VCFv4.2", '##FILTER=<ID=PASS,Description="All filters passed">']
    header += [f"##contig=<ID={contig},length={length}>" for contig, length in CONTIGS.items()]
    header.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    files = {"genome.fa": fasta, "regions.bed": bed, "variants.vcf": header + records}
    for name, lines in files.items():
        (folder / name).write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    target.mkdir(parents=True, exist_ok=True)
    write_example(target)
