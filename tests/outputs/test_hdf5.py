"""What is written as HDF5 is what anndata and h5py read."""

import json
import os
import resource
import tempfile
from contextlib import contextmanager
from pathlib import Path

import anndata
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from findna.outputs.files import file_digest
from findna.outputs.hdf5 import BUFFER_ROWS, EffectWriter, EmbeddingWriter

COLUMNS = {"chrom": "category", "start": "int", "n_fraction": "float", "name": "str"}
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
rows = st.lists(
    st.fixed_dictionaries(
        {
            "chrom": text,
            "start": st.integers(-(2**40), 2**40),
            "n_fraction": st.floats(0, 1) | st.just(float("nan")),
            "name": text,
        }
    ),
    max_size=8,
)


def check_obs(data, rows):
    assert list(data.obs.columns) == list(COLUMNS)
    assert data.obs.index.tolist() == [str(i) for i in range(len(rows))]
    for name in ("chrom", "start", "name"):
        assert data.obs[name].tolist() == [row[name] for row in rows]
    expected = np.array([row["n_fraction"] for row in rows], np.float64)
    assert np.array_equal(data.obs["n_fraction"].to_numpy(), expected, equal_nan=True)


@settings(max_examples=40)
@pytest.mark.slow
@given(rows, st.integers(0, 2), st.sampled_from(["float32", "float16"]), st.data())
def test_embeddings_come_back(rows, bins, dtype, data):
    rng = np.random.default_rng(len(rows))
    lengths = [data.draw(st.none() | st.integers(0, 4)) for _ in rows]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        with EmbeddingWriter(
            path, dim=3, columns=COLUMNS, kinds=("mean", "max"), bins=bins, per_base=True,
            dtype=dtype, metadata={"a": {"b": 1, "c": ["x", "y"]}, "none": None},
        ) as writer:  # fmt: skip
            written = []
            for row, length in zip(rows, lengths, strict=True):
                if length is None:
                    writer.write(row)
                    written.append(None)
                    continue
                vectors = rng.normal(size=(2 + bins, 3)).astype(dtype).astype(np.float32)
                per_base = rng.normal(size=(length, 3)).astype(np.float16)
                pooled = {"mean": vectors[0], "max": vectors[1]}
                writer.write(row, pooled, vectors[2:], per_base)
                written.append((vectors, per_base))
        found = anndata.read_h5ad(path)
    check_obs(found, rows)
    assert found.X.dtype == dtype
    assert set(found.obsm) == {"max", *(["bins"] if bins else [])}
    packed = found.uns["per_base"]
    assert len(packed["offsets"]) == len(rows) + 1
    for i, item in enumerate(written):
        bases = packed["values"][packed["offsets"][i] : packed["offsets"][i + 1]]
        if item is None:
            assert np.isnan(found.X[i]).all()
            assert np.isnan(found.obsm["max"][i]).all()
            assert len(bases) == 0
            continue
        vectors, per_base = item
        assert np.array_equal(found.X[i], vectors[0].astype(dtype))
        assert np.array_equal(found.obsm["max"][i], vectors[1].astype(dtype))
        assert not bins or np.array_equal(found.obsm["bins"][i], vectors[2:].astype(dtype))
        assert np.array_equal(bases, per_base)
    assert found.uns["findna"]["a"]["c"].tolist() == ["x", "y"]


@settings(max_examples=30)
@pytest.mark.slow
@given(rows, st.data())
def test_effects_come_back(rows, data):
    rng = np.random.default_rng(len(rows))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        written = []
        with EffectWriter(path, columns=COLUMNS, value="log_odds") as writer:
            for row in rows:
                effects = rng.normal(size=(data.draw(st.integers(0, 5)), 4)).astype(np.float32)
                writer.write(row, float(len(written)), effects)
                written.append(effects)
        found = anndata.read_h5ad(path)
    check_obs(found, rows)
    assert found.X[:, 0].tolist() == [float(i) for i in range(len(rows))]
    packed = found.uns["effects"]
    for i, effects in enumerate(written):
        there = packed["values"][packed["offsets"][i] : packed["offsets"][i + 1]]
        assert np.array_equal(there, effects)


def test_more_rows_than_are_held(tmp_path):
    n = 2 * BUFFER_ROWS + 3
    with EmbeddingWriter(tmp_path / "x.h5", dim=2, columns={"i": "int"}, kinds=("mean",)) as writer:
        for i in range(n):
            writer.write({"i": i}, {"mean": np.array([i, -i], np.float32)})
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["obs/i"][:].tolist() == list(range(n))
        assert file["X"][:, 1].tolist() == [-i for i in range(n)]


@contextmanager
def largest_file(size):
    """As ``ulimit -f`` does; a full disk fails in the same way."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
@pytest.mark.parametrize("size", [3_000, 40_000, 200_000])
def test_a_full_disk_is_one_line(run, example, model_folder, write, tmp_path, size):
    bed = write("b.bed", "".join(f"chrA\t{i}\t{i + 20}\n" for i in range(3_000)))
    words = ["embed", example / "genome.fa", bed, "-m", model_folder, "-o", tmp_path / "x.h5"]
    for more in ([], ["--resume"]):
        with largest_file(size):
            found = run(*words, *more, code=1)
        assert found.stderr == "findna: cannot write the output: File too large\n"
        assert sorted(os.listdir(tmp_path)) == ["b.bed", *(["x.h5.unfinished"] if more else [])]
    run(*words, "--resume")
    with h5py.File(tmp_path / "x.h5") as file:
        assert file["obs/start"][:].tolist() == list(range(3_000))
        assert np.isfinite(file["X"][:]).all()


def test_a_full_disk_while_parts_are_joined(run, example, model_folder, tmp_path):
    words = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder]
    parts = [tmp_path / f"{i}.h5" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        run(*words, "-o", part, "--shard", f"{i}/2")
    names = sorted(os.listdir(tmp_path))
    with largest_file(20_000):
        found = run("merge", *parts, "-o", tmp_path / "x.h5", code=1)
    assert found.stderr == "findna: cannot write the output: File too large\n"
    assert sorted(os.listdir(tmp_path)) == names


def test_a_full_disk_beside_the_output(run, example, model_folder, tasks, tmp_path):
    genome = example / "genome.fa"
    for words in (
        ["variants", genome, example / "variants.vcf", "-m", model_folder, "--embeddings"],
        ["explain", genome, "-r", "chrA:1-60", "-t", tasks["binary"], "-o"],
    ):
        with largest_file(3_000):
            assert "File too large" in run(*words, tmp_path / "x.h5", code=1).stderr
        assert not list(tmp_path.iterdir())


def longer(dataset, n):
    """Promise ``n`` rows more, without any content."""
    dataset.resize(len(dataset) + n, axis=0)


def replaced_by(name, make):
    """Return a function that puts something else in the place of an item of a file."""

    def craft(file):
        if name in file:
            del file[name]
        make(file, name)

    return craft


CRAFTED = {
    "external link": replaced_by("obs/name", lambda f, name: f.__setitem__(
        name, h5py.ExternalLink("secret.h5", "X"))),
    "soft link": replaced_by("obs/name", lambda f, name: f.__setitem__(name, h5py.SoftLink("/X"))),
    "two names": replaced_by("obs/more", lambda f, name: f.__setitem__(name, f["obs"])),
    "external storage": replaced_by("var/secret", lambda f, name: f.create_dataset(
        name, (4,), "i1", external=[("secret.txt", 0, 4)])),
    "virtual": replaced_by("obs/length", lambda f, name: f.create_virtual_dataset(
        name, h5py.VirtualLayout((3,), "i8"))),
    "type": replaced_by("obs/length", lambda f, name: f.create_dataset(
        name, (3,), h5py.vlen_dtype(int), maxshape=(None,))),
    "X longer": lambda f: longer(f["X"], 10**12),
    "obs longer": lambda f: longer(f["obs/start"], 1),
    "both longer": lambda f: [longer(f[name], 10**9) for name in ("X", "obs/start")],
    "obs shorter": lambda f: f["obs/end"].resize(1, axis=0),
    "no X": lambda f: f.__delitem__("X"),
    "a column less": lambda f: f.__delitem__("obs/end"),
    "a column more": lambda f: f.create_dataset("obs/more", (3,), "i8", maxshape=(None,)),
    "wider": replaced_by("X", lambda f, name: f.create_dataset(
        name, data=np.ones((3, 9), "f4"), maxshape=(None, 9))),
    "huge metadata": lambda f: f.create_dataset("uns/findna/huge", (10**12,), "i1"),
    "huge chunks": replaced_by("uns/per_base/values", lambda f, name: f.create_dataset(
        name, (10, 24), "f2", maxshape=(None, 24), chunks=(10**7, 24), compression="gzip")),
    "offsets": lambda f: f["uns/per_base/offsets"].__setitem__(-1, 10**12),
    "a group": replaced_by("X", lambda f, name: f.create_group(name)),
    "empty": lambda f: [f.__delitem__(name) for name in list(f)],
    "text": None,
}  # fmt: skip


@pytest.mark.slow
def test_merge_refuses_crafted_parts(run, example, model_folder, write, tmp_path, monkeypatch):
    """Their notes are right: somebody wants them to be merged."""
    monkeypatch.chdir(tmp_path)
    with h5py.File("secret.h5", "w") as file:
        file["X"] = np.arange(3)
    write("secret.txt", "s3cret")
    bed = write("b.bed", "".join(f"chrA\t{i}\t{i + 20}\tn\n" for i in range(6)))
    words = ["embed", example / "genome.fa", bed, "-m", model_folder, "--per-base"]
    for i in (1, 2):
        run(*words, "-o", f"{i}.h5", "--shard", f"{i}/2")
    for crafted in ("1.h5", "2.h5"):
        before = Path(crafted).read_bytes()
        note = Path(f"{crafted}.shard.json")
        values = json.loads(note.read_text())
        del values["journal_sha256"]
        for name, craft in CRAFTED.items():
            Path(crafted).write_bytes(before)
            if craft is None:
                Path(crafted).write_text("chrA\t1\t2\n")
            else:
                with h5py.File(crafted, "r+") as file:
                    craft(file)
            note.write_text(json.dumps({**values, "sha256": file_digest(Path(crafted))}))
            found = run("merge", "1.h5", "2.h5", "-o", "m.h5", code=1).stderr
            assert len(found.splitlines()) == 1, name
            assert ".h5: " in found, name
            assert not Path("m.h5").exists()
        Path(crafted).write_bytes(before)
        note.write_text(json.dumps({**values, "sha256": file_digest(Path(crafted))}))
    run("merge", "1.h5", "2.h5", "-o", "m.h5")
