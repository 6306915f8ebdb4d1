"""A piece of the human genome with its genes, promoters and common variants.

``python -m findna.example FOLDER`` copies it from the package; bin/example.py made it.
"""

from __future__ import annotations

import gzip
import shutil
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "shipped" / "example"


def write_example(folder: Path) -> None:
    """Write genome.fa, tss.bed, regions.bed, genes.bed and variants.vcf to an existing folder."""
    for path in FOLDER.iterdir():
        if path.suffix == ".gz":
            (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        else:
            shutil.copy(path, folder)


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else ".")
    target.mkdir(parents=True, exist_ok=True)
    write_example(target)
