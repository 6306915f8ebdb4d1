"""The labelled sets of a benchmark suite, found in its folder.

A set is a folder with splits as ``findna.labelled.files.find_splits`` knows them. What validates is
decided by the splits there are: dev, or a part held out of train without it; a set with dev but
no train is trained on dev, and starred wherever it is reported.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from findna.errors import ConfigError
from findna.labelled.files import find_splits

GUE, GENOMIC_BENCHMARKS, MTCDNA, FOLDER = "gue", "genomic-benchmarks", "mtcdna", "folder"

_NAMES = {
    GUE: "EMP/H3 EMP/H3K14ac EMP/H3K36me3 EMP/H3K4me1 EMP/H3K4me2 EMP/H3K4me3 EMP/H3K79me3 "
    "EMP/H3K9ac EMP/H4 EMP/H4ac prom/prom_300_all prom/prom_300_notata prom/prom_300_tata "
    "prom/prom_core_all prom/prom_core_notata prom/prom_core_tata splice/reconstructed "
    "tf/0 tf/1 tf/2 tf/3 tf/4 mouse/0 mouse/1 mouse/2 mouse/3 mouse/4 virus/covid",
    GENOMIC_BENCHMARKS: "demo_coding_vs_intergenomic_seqs demo_human_or_worm "
    "dummy_mouse_enhancers_ensembl human_enhancers_cohn human_enhancers_ensembl "
    "human_ensembl_regulatory human_nontata_promoters human_ocr_ensembl",
    MTCDNA: "1024 4096 8192 16384",
}

SETS = {suite: tuple(names.split()) for suite, names in _NAMES.items()}
"""Sets of the suites that are known by name, as folders within that of the suite: GUE as
DNABERT-2 lays it out, GenomicBenchmarks as its package does, MTcDNA (turtle or mouse cDNA, cut to
so many bp) as the scripts of the FinDNA paper write it."""

SUITES = (*SETS, FOLDER)
"""``folder``: every set in a folder, under the name of its sub-folder."""

# names that the folder of a suite goes by, where its parent is given
_FOLDERS = {
    GUE: "GUE gue",
    GENOMIC_BENCHMARKS: ".genomic_benchmarks genomic_benchmarks genomic-benchmarks datasets",
    MTCDNA: "MTcDNA mtcdna",
}


@dataclass(frozen=True)
class SuiteSet:
    """A labelled set with a test split."""

    name: str  # suite and folder within it, as gue/prom/prom_300_tata; for folder the latter
    splits: dict[str, Path]  # of train, dev and test
    starred: bool  # trained on dev for want of train


def find_sets(suite: str, data: Path) -> tuple[list[SuiteSet], list[str]]:
    """Return the sets of a suite in its folder or that one's parent, and the unusable ones.

    Returns
    -------
    sets : list of SuiteSet
        In the order of SETS; for ``folder`` in that of their names.
    missing : list of str
        Names of the others; with the reason in brackets for a set that is there in part.

    Raises
    ------
    ConfigError
        There is no such suite or folder.
    LabelError
        Two files stand for the same split.
    """
    if suite not in SUITES:
        raise ConfigError(f"suite must be one of {', '.join(SUITES)}, not {suite!r}")
    if not data.is_dir():
        raise ConfigError(f"{data}: no such folder; give the one that holds the data of {suite}")
    if suite == FOLDER:
        named = list(_walk(data))
    else:
        root = _root(suite, data)
        named = [(f"{suite}/{name}", find_splits(root / name)) for name in SETS[suite]]
    sets, missing = [], []
    for name, splits in named:
        if not splits:
            missing.append(name)
        elif "test" not in splits:
            missing.append(f"{name} (no test split)")
        elif len(splits) == 1:
            missing.append(f"{name} (only a test split)")
        else:
            sets.append(SuiteSet(name, splits, starred="train" not in splits))
    return sets, missing


def _root(suite: str, data: Path) -> Path:
    """Return the folder of a suite: of those it may be, the one with the most sets."""
    folders = [data, *(data / name for name in _FOLDERS[suite].split())]
    return max(folders, key=lambda folder: sum((folder / n).is_dir() for n in SETS[suite]))


def _walk(data: Path) -> Iterator[tuple[str, dict[str, Path]]]:
    """Yield folders with splits, by path; what lies within one belongs to it."""
    seen = set()
    for folder, names, _ in os.walk(data, followlinks=True):
        path = Path(folder)
        real = path.resolve()
        splits = {} if real in seen else find_splits(path)
        if splits:
            relative = path.relative_to(data).as_posix()
            yield path.resolve().name if relative == "." else relative, splits
        # a link may lead back to a folder above
        names[:] = [] if splits or real in seen else sorted(n for n in names if n[0] != ".")
        seen.add(real)
