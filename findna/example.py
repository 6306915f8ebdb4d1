"""A piece of the human genome with its genes, promoters and common variants.

``python -m findna.example FOLDER`` copies it from the package; bin/example.py made it.
"""

from __future__ import annotations

import gzip
import sys
from collections.abc import Sequence
from pathlib import Path

from findna.errors import OutputError

FOLDER = Path(__file__).parent / "shipped" / "example"


def write_example(folder: Path) -> None:
    """Write genome.fa, tss.bed, regions.bed, genes.bed and variants.vcf to an existing folder.

    Raises
    ------
    OutputError
        A file of one of these names is there already and holds something else.
    """
    contents = {}
    for path in FOLDER.iterdir():
        packed = path.suffix == ".gz"
        target = folder / (path.stem if packed else path.name)
        contents[target] = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    for target, content in contents.items():
        if target.exists() and target.read_bytes() != content:
            raise OutputError(
                f"{target}: exists and holds something else; delete it or name another folder"
            )
    for target, content in contents.items():
        target.write_bytes(content)


def main(arguments: Sequence[str]) -> None:
    """Write the example to the folder that is the one argument, and say where it is."""
    if len(arguments) != 1 or arguments[0].startswith("-"):
        sys.exit("Usage: python -m findna.example FOLDER")
    folder = Path(arguments[0])
    if folder.exists() and not folder.is_dir():
        sys.exit(f"findna: {folder}: exists and is no folder; name another")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_example(folder)
    except OutputError as error:
        sys.exit(f"findna: {error}")
    except OSError as error:
        sys.exit(f"findna: {error.filename or folder}: {error.strerror}")
    sys.stderr.write(f"findna: example -> {folder}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
