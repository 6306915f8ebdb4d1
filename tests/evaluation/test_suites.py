from pathlib import Path

import pytest

from findna.errors import ConfigError
from findna.evaluation import suites
from findna.evaluation.published import tables
from findna.evaluation.suites import SETS, find_sets
from findna.labelled.metrics import METRICS

DEV, TRAIN, TEST = "dev.csv", "train.csv.gz", "test.csv"


def make(folder: Path, *files: str) -> Path:
    for file in files:
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    return folder


def test_sizes_of_the_suites() -> None:
    assert {suite: len(names) for suite, names in SETS.items()} == {
        "gue": 28,
        "genomic-benchmarks": 8,
        "mtcdna": 4,
    }
    assert all(len(set(names)) == len(names) for names in SETS.values())


@pytest.mark.parametrize("parent", ["", "GUE", "gue"])
def test_gue(tmp_path: Path, parent: str) -> None:
    root = tmp_path / parent
    make(root / "tf/0", TRAIN, DEV, TEST)
    make(root / "EMP/H3", DEV, TEST)
    make(root / "prom/prom_core_all", TRAIN, TEST)
    make(root / "virus/covid", TEST)
    make(root / "splice/reconstructed", TRAIN)
    make(root / "mouse/0", "notes.txt")
    make(root / "unknown/set", TRAIN, TEST)
    sets, missing = find_sets("gue", tmp_path)
    assert [(s.name, list(s.splits), s.starred) for s in sets] == [
        ("gue/EMP/H3", ["dev", "test"], True),
        ("gue/prom/prom_core_all", ["train", "test"], False),
        ("gue/tf/0", ["train", "dev", "test"], False),
    ]
    assert sets[2].splits["train"] == root / "tf/0" / TRAIN
    assert len(missing) == 25
    assert "gue/virus/covid (only a test split)" in missing
    assert "gue/splice/reconstructed (no test split)" in missing
    assert {"gue/mouse/0", "gue/tf/4"} <= set(missing)


def test_genomic_benchmarks(tmp_path: Path) -> None:
    """Folders of sequences, files of intervals by class, and tables."""
    make(tmp_path / "human_ocr_ensembl", "train/positive/1.txt", "test/positive/1.txt")
    make(tmp_path / "human_enhancers_cohn", "train/negative.csv.gz", "test/negative.csv.gz")
    make(tmp_path / "demo_human_or_worm", "train.csv", "test.csv")
    make(tmp_path / "human_nontata_promoters", "test.csv.gz")
    sets, missing = find_sets("genomic-benchmarks", tmp_path)
    assert [s.name for s in sets] == [
        "genomic-benchmarks/demo_human_or_worm",
        "genomic-benchmarks/human_enhancers_cohn",
        "genomic-benchmarks/human_ocr_ensembl",
    ]
    assert sets[1].splits == {
        split: tmp_path / "human_enhancers_cohn" / split for split in ("train", "test")
    }
    assert not any(s.starred for s in sets)
    assert len(missing) == 5
    assert "genomic-benchmarks/human_nontata_promoters (only a test split)" in missing


def test_mtcdna(tmp_path: Path) -> None:
    make(tmp_path / "MTcDNA/1024", "train.csv", "dev.csv", "test.csv")
    sets, missing = find_sets("mtcdna", tmp_path)
    assert [s.name for s in sets] == ["mtcdna/1024"]
    assert missing == ["mtcdna/4096", "mtcdna/8192", "mtcdna/16384"]


def test_any_folder(tmp_path: Path) -> None:
    make(tmp_path / "b/deep", TRAIN, TEST)
    make(tmp_path / "b/deep/inner", TRAIN, TEST)  # belongs to the set that holds it
    make(tmp_path / "a", "train/positive/1.txt", "train/negative/1.txt", "test/positive/1.txt")
    make(tmp_path / "c", DEV, TEST)
    make(tmp_path / "d", TEST)
    make(tmp_path / "e", TRAIN, DEV)
    make(tmp_path / ".cache/x", TRAIN, TEST)
    make(tmp_path / "docs", "readme.md")
    (tmp_path / "b/back").symlink_to(tmp_path, target_is_directory=True)
    sets, missing = find_sets("folder", tmp_path)
    assert [(s.name, s.starred) for s in sets] == [("a", False), ("b/deep", False), ("c", True)]
    assert missing == ["d (only a test split)", "e (no test split)"]


def test_a_set_itself(tmp_path: Path) -> None:
    make(tmp_path / "mine", TRAIN, DEV, TEST)
    assert [s.name for s in find_sets("folder", tmp_path / "mine")[0]] == ["mine"]


def test_nothing_there(tmp_path: Path) -> None:
    assert find_sets("folder", tmp_path) == ([], [])
    sets, missing = find_sets("gue", tmp_path)
    assert not sets
    assert missing == [f"gue/{name}" for name in SETS["gue"]]


def test_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="suite must be one of gue, genomic-benchmarks, mtcdna"):
        find_sets("glue", tmp_path)
    with pytest.raises(ConfigError, match="no such folder"):
        find_sets("gue", tmp_path / "nowhere")
    file = make(tmp_path, TEST) / TEST
    with pytest.raises(ConfigError, match="no such folder"):
        find_sets("folder", file)


def test_published_results_are_of_known_sets() -> None:
    known = {f"{suite}/{name}" for suite, names in SETS.items() for name in names}
    for table in tables():
        assert set(table.rows) <= known
        assert table.metric in METRICS["classes"]
        for values in table.rows.values():
            assert len(values) == len(table.models)
            assert all(-1 < value < 1 for value in values)
    found = [table for table in tables() if "gue/prom/prom_300_tata" in table.rows]
    assert [table.metric for table in found] == ["auroc", "mcc", "mcc"]
    assert found[0].rows["gue/prom/prom_300_tata"][found[0].models.index("NT-v2")] == 0.7791
    geneb = found[2].rows
    assert geneb["gue/mouse/2"][:2] == [0.4399, 0.6667]  # Caduceus-PH, HyenaDNA-medium
    assert geneb["gue/tf/3"][1] == 0.3652
    assert set(suites.SUITES) == {*SETS, "folder"}
