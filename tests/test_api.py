"""findna from Python, as in a notebook: the same results as the commands, as plain objects."""

import ast
import doctest
import inspect
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest

import findna
from findna.commands.embed import embed as embed_command
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.regions import RegionOptions
from findna.model.pooling import Pooling
from findna.model.precision import compute_on
from findna.outputs.destination import Destination
from tests.conftest import random_sequence

CPU = compute_on("cpu")

THREE = [("chrA", 100, 220), ("chrA", 1000, 1040, "-"), ("chrB", 5, 90, "+")]


@pytest.fixture
def here(example, monkeypatch):
    """Work in the folder of the example's genome, regions and variants."""
    monkeypatch.chdir(example)
    return example


def rows_of(text):
    return [line.split("\t") for line in text.splitlines() if not line.startswith("#")]


def test_import_loads_nothing_heavy():
    code = """
import sys, findna
dir(findna), findna.__all__, findna.__version__
print([n for n in ("torch", "numpy", "h5py", "pysam", "pandas", "findna.api") if n in sys.modules])
findna.FindnaError
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]


def test_every_public_name_is_there_and_listed():
    assert all(getattr(findna, name) for name in findna.__all__)
    assert set(findna.__all__) <= set(dir(findna))
    assert findna.__all__ == sorted(findna.__all__)
    with pytest.raises(AttributeError, match="no attribute 'embedd'"):
        _ = findna.embedd
    # what type checkers see is what is loaded
    tree = ast.parse(Path(findna.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {(n.module, a.name) for n in block.body for a in n.names}
    assert sorted(name for _, name in imported) == sorted(findna.__all__)
    assert all(
        getattr(findna, name) is getattr(sys.modules[module], name) for module, name in imported
    )


def public_functions():
    for name in findna.__all__:
        value = getattr(findna, name)
        if inspect.isfunction(value):
            yield name, value
        elif inspect.isclass(value) and value.__module__.startswith("findna.api"):
            for key, member in vars(value).items():
                if inspect.isfunction(member) and not key.startswith("_"):
                    yield f"{name}.{key}", member


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, _ in public_functions()])
def test_the_example_of_each_function(here, site_task, name, tmp_path, monkeypatch):
    for file in ("genome.fa", "regions.bed", "variants.vcf"):
        (tmp_path / file).symlink_to(here / file)
    (tmp_path / "sites").symlink_to(site_task)
    monkeypatch.chdir(tmp_path)
    function = dict(public_functions())[name]
    finder = doctest.DocTestFinder(recurse=False)
    (test,) = finder.find(function, name, globs={"findna": findna, "np": np})
    assert test.examples, f"{name} has no example"
    result = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test)
    assert result.failed == 0


@pytest.mark.parametrize(
    "name", [n for n, f in public_functions() if f.__module__.startswith("findna.api")]
)
def test_each_function_says_what_it_takes_gives_and_raises(name):
    function = dict(public_functions())[name]
    text = inspect.getdoc(function)
    assert text.startswith(("Return ", "Yield ", "Write ")), name
    assert "Raises\n---" in text
    parameters = [p for p in inspect.signature(function).parameters if p != "self"]
    assert all(p in text for p in parameters)
    assert len(parameters) <= 10


def test_embeddings_are_those_of_the_command(here, run, model_folder, tmp_path):
    out = tmp_path / "o.h5"
    words = ["--pool", "max", "--pool", "mean", "--bins", "3", "--per-base", "--window", "120"]
    run("embed", "genome.fa", "regions.bed", "-m", model_folder, "-o", out, *words)
    e = findna.embed(
        "genome.fa", here / "regions.bed", model=model_folder, window=120, pool=["max", "mean"],
        bins=3, per_base=True,
    )  # fmt: skip
    with h5py.File(out) as file:
        np.testing.assert_array_equal(e.X, file["X"][:])
        np.testing.assert_array_equal(e.obsm["mean"], file["obsm/mean"][:])
        np.testing.assert_array_equal(e.obsm["bins"], file["obsm/bins"][:])
        np.testing.assert_array_equal(e.uns["per_base"]["values"], file["uns/per_base/values"][:])
        assert list(e.obs) == list(file["obs"].attrs["column-order"])
        assert e.obs["name"].tolist() == file["obs/name"].asstr()[:].tolist()
    assert len(e) == 96
    assert "96 rows x 24" in repr(e)


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_written_file_has_the_bytes_of_the_command(here, model_folder, tmp_path, dtype):
    bed = tmp_path / "r.bed"
    bed.write_text("chrA\t100\t220\ta\nchrZ\t0\t9\tb\nchrB\t5\t90\tc\n")
    pooling, options = Pooling(("mean", "std"), 2, True), RegionOptions(on_error="null", flank=3)
    with findna.Genome("genome.fa") as genome:
        embed_command(
            genome, findna.Regions.bed(bed), Destination(tmp_path / "a.h5", "h5"),
            model=str(model_folder), options=options, pooling=pooling, dtype=dtype, compute=CPU,
        )  # fmt: skip
        e = findna.embed(
            genome, bed, model=model_folder, pool=("mean", "std"), bins=2, per_base=True,
            dtype=dtype, on_error="null", flank=3, device="cpu",
        )  # fmt: skip
    e.write(tmp_path / "b.h5")
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with pytest.raises(findna.FindnaError, match="exists"):
        e.write(tmp_path / "b.h5")
    e.write(str(tmp_path / "b.h5"), force=True)
    assert np.isnan(e.X[1]).all()
    assert e.obs["status"].tolist() == ["ok", "unknown_contig", "ok"]


def test_anndata_and_pandas(here, model_folder, tmp_path, monkeypatch):
    import anndata

    e = findna.embed("genome.fa", THREE, model=model_folder, pool=["mean", "max"], per_base=True)
    e.write(tmp_path / "e.h5")
    read, made = anndata.read_h5ad(tmp_path / "e.h5"), e.to_anndata()
    np.testing.assert_array_equal(made.X, read.X)
    np.testing.assert_array_equal(made.obsm["max"], read.obsm["max"])
    assert made.obs["chrom"].cat.categories.tolist() == ["chrA", "chrB"]
    pd.testing.assert_frame_equal(made.obs, read.obs)
    assert made.var_names.tolist() == read.var_names.tolist()
    assert made.uns["findna"]["model"] == read.uns["findna"]["model"]
    frame = e.to_pandas()
    assert frame.columns[:3].tolist() == ["chrom", "start", "end"]
    assert frame.shape == (3, len(e.obs) + 24)
    np.testing.assert_array_equal(frame["e5"], e.X[:, 5])
    monkeypatch.setitem(sys.modules, "anndata", None)
    monkeypatch.setitem(sys.modules, "pandas", None)
    for make in (e.to_anndata, e.to_pandas):
        with pytest.raises(findna.FindnaError, match=r"^to_\w+ needs (anndata|pandas): pip inst"):
            make()


def test_regions_in_every_form_are_the_same_rows(here, model_folder, tmp_path):
    frame = pd.DataFrame(THREE, columns=["chrom", "start", "end", "strand"]).fillna(".")
    bed = tmp_path / "r.bed"
    bed.write_text("chrA\t100\t220\t.\t0\t.\nchrA\t1000\t1040\t.\t0\t-\nchrB\t5\t90\t.\t0\t+\n")
    forms = [bed, str(bed), THREE, frame, frame[["strand", "end", "chrom", "start"]]]
    first, *others = [
        findna.embed("genome.fa", form, model=model_folder, stranded=True) for form in forms
    ]
    for other in others:
        np.testing.assert_array_equal(other.X, first.X)
        assert other.obs["strand"].tolist() == [".", "-", "+"]
    strings = ["chrA:101-220", "chrA:1,001-1,040", "chrB:6-90"]
    plain = findna.embed("genome.fa", [region[:3] for region in THREE], model=model_folder)
    of_strings = findna.embed("genome.fa", strings, model=model_folder)
    np.testing.assert_array_equal(of_strings.X, plain.X)
    single = findna.embed("genome.fa", strings[1], model=model_folder)
    np.testing.assert_array_equal(single.X[0], plain.X[1])
    records = findna.embed("genome.fa", model=model_folder, window=50)
    assert records.obs["chrom"].tolist() == ["chrA", "chrB"]
    none = findna.embed("genome.fa", [], model=model_folder)
    assert none.X.shape == (0, 24)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        ([("chrA", 5)], "regions:1: 2 values; give"),
        ([("chrA", 5, 9), ("chrA", 1.5, 9)], "regions:2: start is '1.5'; expected a number"),
        ([("chr\tA", 5, 9)], "regions:1: a value is not printable text"),
        ([("chrZ", 5, 9)], "regions: 1 of 1 region cannot be read"),
        (pd.DataFrame({"chr": ["chrA"]}), "regions: no column chrom, .*it has chr$"),
        (("chrA", 5, 9), r"regions:1: 'chrA' is no \(chrom, start, end\); give a list of such"),
        (["chrA:5-9", ("chrA", 5, 9)], "regions:1: 'chrA:5-9' is no"),
        ("chrZ:5-9", "--region: 1 of 1 region cannot be read"),
        ("nothing.bed", "nothing.bed"),
    ],
)
def test_regions_that_are_none(here, model_folder, regions, message):
    with pytest.raises((findna.FindnaError, FileNotFoundError), match=message):
        findna.embed("genome.fa", regions, model=model_folder)


def test_streams_and_rows_in_memory_agree(here, model_folder):
    regions = [*THREE, ("chrA", 70_000, 70_100)]
    options = {"model": model_folder, "pool": "center", "flank": 2}
    e = findna.embed("genome.fa", regions, **options, on_error="null")
    rows = list(findna.embed_rows("genome.fa", regions, **options, on_error="null"))
    assert [row.interval.start for row, _ in rows] == [100, 1000, 5, 70_000]
    assert rows[3][1] is None
    assert (rows[3][0].status, rows[3][0].region) == (e.obs["status"][3], None)
    for i in range(3):
        np.testing.assert_array_equal(rows[i][1].pooled["center"], e.X[i])
    assert len(findna.embed("genome.fa", regions, **options, on_error="skip")) == 3
    assert len(list(findna.embed_rows("genome.fa", regions, **options, on_error="skip"))) == 3


def test_streams_check_at_the_call_and_compute_as_they_are_asked(here, model_folder, monkeypatch):
    with pytest.raises(findna.FindnaError, match="no contig chrZ"):
        findna.embed_rows("genome.fa", [("chrZ", 0, 9)], model=model_folder)
    fetched = []
    fetch = findna.Genome.fetch
    monkeypatch.setattr(
        findna.Genome, "fetch", lambda self, *at: fetched.append(at) or fetch(self, *at)
    )
    rows = findna.embed_rows("genome.fa", "regions.bed", model=model_folder, max_tokens=500)
    assert not fetched
    next(rows)
    assert 0 < len(fetched) < 10
    rows.close()


def test_unknown_and_impossible_options_are_refused(here, model_folder):
    with pytest.raises(TypeError, match=r"embed\(\) has no option 'windw'; it has window, flank"):
        findna.embed("genome.fa", THREE, windw=5)
    with pytest.raises(TypeError, match=r"load_model\(\) has no option 'x'; it has device"):
        findna.load_model("tiny", x=1)
    for options, message in [
        ({"pool": "men"}, "pool: no 'men'; use one of mean, max"),
        ({"pool": []}, "pool: an empty list; give at least one"),
        ({"window": np.float64(5)}, r"window: np.float64\(5.0\) is not a whole number"),
        ({"max_n": None}, "max_n: None is not a share from 0 to 1"),
        ({"window": 0}, "window: 0 is not a whole number of at least 1"),
        ({"on_error": "null ", "window": 5}, "on_error: no 'null '; use one of stop"),
        ({"precision": "fp8"}, "precision: no 'fp8'"),
        ({"dtype": "int8"}, "dtype: no 'int8'"),
        ({"device": "tpu"}, "tpu"),
        ({"split": True, "window": 9}, "--split cannot be combined"),
    ]:
        with pytest.raises(findna.FindnaError, match=message):
            findna.embed("genome.fa", THREE, model=model_folder, **options)


def test_whole_numbers_of_numpy_are_numbers(here, model_folder, tasks, tmp_path):
    n, options = np.int64, {"window": 60, "bins": 2, "max_tokens": 5000}
    given = [options, {name: n(value) for name, value in options.items()}]
    plain, other = (findna.embed("genome.fa", THREE, model=model_folder, **each) for each in given)
    np.testing.assert_array_equal(other.X, plain.X)
    for name, e in (("plain", plain), ("other", other)):
        e.write(tmp_path / name)
    assert (tmp_path / "other").read_bytes() == (tmp_path / "plain").read_bytes()
    index = tmp_path / "plain"
    given = {"model": model_folder, "k": n(1), "window": n(60)}
    found = findna.search("genome.fa", "chrB:6-90", index=index, **given)
    ((_, hits),) = found
    assert len(hits) == 1
    task = tasks["binary"]
    scans = [list(findna.scan("genome.fa", "chrB", task=task, window=w)) for w in (90, n(90))]
    assert scans[0] == scans[1]
    scored = findna.score_variants("genome.fa", "variants.vcf", model=model_folder, window=n(60))
    assert next(scored).scores
    assert findna.explain("genome.fa", "chrB:6-10", model=model_folder, context=n(40)).value


@pytest.mark.parametrize(
    "options", [{"max_n": 1}, {"max_n": np.float32(0.5)}, {"stranded": np.True_, "both_strands": 1}]
)
def test_a_file_of_any_kind_of_number_is_read_again(here, model_folder, tmp_path, options):
    findna.embed("genome.fa", THREE, model=model_folder, **options).write(tmp_path / "e.h5")
    ((_, hits), *_) = findna.search(tmp_path / "e.h5", index=tmp_path / "e.h5", k=1, own=True)
    assert hits[0].interval.start == THREE[0][1]


def test_empty_lists_of_what_is_needed_are_refused(here, model_folder):
    with pytest.raises(findna.FindnaError, match="task: an empty list; give at least one"):
        findna.predict("genome.fa", THREE, task=[])
    with pytest.raises(findna.FindnaError, match="index: an empty list"):
        findna.search("genome.fa", THREE, index=[])
    with pytest.raises(findna.FindnaError, match=r"pool: no \['mean'\]; use one of"):
        findna.load_model(model_folder).embed("ACGT", pool=["mean"])


def test_errors_are_the_lines_of_the_command(here, run, model_folder, tmp_path):
    bed = tmp_path / "r.bed"
    bed.write_text("chrA\t5\t70000\n")
    result = run("embed", "genome.fa", bed, "-m", model_folder, "-O", "tsv", code=1)
    with pytest.raises(findna.FindnaError) as raised:
        findna.embed("genome.fa", bed, model=model_folder)
    assert str(raised.value) in result.stderr


def test_a_model_reads_plain_sequences(here, model_folder):
    model = findna.load_model(model_folder, device="cpu", max_tokens=300)
    assert (model.name, model.dim, model.max_length) == ("little", 24, 100)
    sequences = [random_sequence(80, 1), random_sequence(250, 2), "acgu"]
    x = model.embed(sequences)
    assert x.shape == (3, 24)
    assert x.dtype == np.float32
    np.testing.assert_allclose(model.embed(sequences[1])[0], x[1], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(model.embed(["ACGT"])[0], x[2], rtol=1e-5, atol=1e-6)
    assert model.embed([]).shape == (0, 24)
    turned = [decode(reverse_complement(encode(s))) for s in sequences]
    both = model.embed(sequences, both_strands=True)
    np.testing.assert_allclose(both, model.embed(turned, both_strands=True), atol=1e-5)
    hidden = model.hidden(sequences[0])
    assert hidden.shape == (80, 24)
    np.testing.assert_allclose(hidden.astype(np.float32).mean(0), x[0], atol=2e-3)
    e = findna.embed("genome.fa", ["chrA:11-90"], model=model)
    with findna.Genome("genome.fa") as genome:
        letters = decode(genome.fetch("chrA", 10, 90))
    np.testing.assert_allclose(model.embed(letters), e.X, rtol=1e-5, atol=1e-6)


def test_likelihood_is_that_of_the_explanation(here, model_folder):
    model = findna.load_model(model_folder)
    found = findna.explain("genome.fa", "chrA:51-80", model=model)
    logp = model.likelihood(found.sequence)
    there = logp[np.arange(30), ["ACGT".index(letter) for letter in found.sequence]]
    np.testing.assert_allclose(logp - there[:, None], found.effects, atol=1e-5)
    assert there.mean() == pytest.approx(found.value, abs=1e-6)
    np.testing.assert_allclose(found.importance, -found.effects.sum(1) / 3, atol=1e-6)
    assert found.positions.tolist() == list(range(50, 80))
    assert np.isnan(model.likelihood("ANC")[1]).all()


@pytest.mark.parametrize(
    ("sequence", "message"),
    [("", "sequence 2: the sequence is empty"), ("AC-G", "sequence 2: '-' in sequence 'AC-G'")],
)
def test_what_is_no_sequence_is_refused(model_folder, sequence, message):
    with pytest.raises(findna.FindnaError, match=message):
        findna.load_model(model_folder).embed(["ACGT", sequence])


def test_what_a_model_cannot_do_is_refused(model_folder):
    model = findna.load_model(model_folder)
    with pytest.raises(findna.FindnaError, match="101 bp, and at most 100"):
        model.likelihood("A" * 101)
    with pytest.raises(findna.FindnaError, match="no model nothing"):
        findna.load_model("nothing")
    with pytest.raises(findna.FindnaError, match="no task nothing"):
        findna.load_task("nothing")


def test_predictions_are_the_lines_of_the_command(here, run, tasks):
    named = [tasks["binary"], tasks["three"]]
    words = ["-t", ",".join(map(str, named)), "--window", "90", "-s", "--all-classes"]
    lines = rows_of(run("predict", "genome.fa", "regions.bed", *words).stdout)
    rows = findna.predict("genome.fa", "regions.bed", task=named, window=90, stranded=True)
    assert len(rows) == len(lines) == 96
    for (row, calls), line in zip(rows, lines, strict=True):
        new = []
        for call in calls.values():
            numbers = [call.probability, *call.values.tolist()]
            new += [call.label, *(f"{number:.6f}" for number in numbers)]
        assert line == [*row.columns, *new]
    assert list(rows[0][1]) == ["binary", "three"]


def test_predict_takes_loaded_tasks_and_reads_plain_sequences(here, tasks):
    task = findna.load_task(tasks["three"])
    assert (task.name, task.classes) == ("three", ("donor", "acceptor", "neither"))
    ((row, calls),) = findna.predict("genome.fa", "chrB:101-180", task=task)
    assert row.interval.label() == "chrB:100-180"
    with findna.Genome("genome.fa") as genome:
        letters = decode(genome.fetch("chrB", 100, 180))
    labels, probabilities = task.predict([letters, "ACGT" * 20])
    assert labels[0] == calls["three"].label
    assert probabilities.shape == (2, 3)
    np.testing.assert_allclose(probabilities[0], calls["three"].values, atol=1e-6)
    assert task.predict([]).probabilities.shape == (0, 3)
    rows = findna.predict_rows(
        "genome.fa", [("chrZ", 0, 9), ("chrA", 0, 60)], task=task, on_error="null"
    )
    assert [calls is None for _, calls in rows] == [True, False]
    with pytest.raises(findna.FindnaError, match="three is there twice"):
        findna.predict("genome.fa", THREE, task=[task, tasks["three"]])


@pytest.mark.parametrize("words", [[], ["--strand", "-"]])
def test_scan_gives_the_track_of_the_command(here, run, tasks, words):
    regions = [("chrA", 1000, 1500)]
    strand = words[1] if words else "+"
    bedgraph = run(
        "scan", "genome.fa", "--task", tasks["three"], "--class", "donor", "--window", 90,
        "-r", "chrA:1,001-1,500", *words,
    ).stdout  # fmt: skip
    segments = findna.scan(
        "genome.fa", regions, task=tasks["three"], class_name="donor", window=90, strand=strand
    )
    written = [
        (chrom, int(start), int(end), float(value))
        for chrom, start, end, value in rows_of(bedgraph)
    ]
    assert [tuple(segment) for segment in segments] == written


def test_calls_of_single_bases_are_the_lines_of_the_command(here, run, site_task, tasks):
    named = [tasks["three"], findna.load_task(site_task)]
    words = ["-t", f"{tasks['three']},{site_task}", "-s", "--all-classes"]
    lines = rows_of(run("predict", "genome.fa", "regions.bed", *words).stdout)
    rows = findna.predict("genome.fa", "regions.bed", task=named, stranded=True)
    for (row, calls), line in zip(rows, lines, strict=True):
        call, new = calls["sites"], line[-6:]
        assert new[:1] + new[2:4] == [call.label, str(call.place.start), call.place.strand]
        numbers = [call.probability, *call.values.tolist()]
        assert [float(new[1]), *map(float, new[4:])] == pytest.approx(numbers, abs=1e-6)
        assert row.interval.start <= call.place.start < row.interval.end
        assert calls["three"].place is None


def test_a_task_of_single_bases_reads_plain_sequences(here, site_task):
    task = findna.load_task(site_task)
    assert (task.name, task.classes, task.window) == ("sites", ("donor", "acceptor"), 0)
    with findna.Genome("genome.fa") as genome:
        letters = decode(genome.fetch("chrB", 0, genome.contigs["chrB"]))
    (_, calls), *_ = findna.predict("genome.fa", [("chrB", 100, 40_000, "-")], task=task)
    plus, minus = (task.probabilities(letters, strand=strand) for strand in "+-")
    assert plus.shape == minus.shape == (40_000, 2)
    assert plus.dtype == np.float32
    best = np.maximum(plus, minus)[100:].max(0)
    np.testing.assert_allclose(best, calls["sites"].values, atol=1e-5)
    place = calls["sites"].place
    there = {"+": plus, "-": minus}[place.strand][place.start]
    assert there.max() == pytest.approx(calls["sites"].probability, abs=1e-5)
    short = letters[:50]
    turned = decode(reverse_complement(encode(short)))
    np.testing.assert_allclose(
        task.probabilities(short, strand="-"), task.probabilities(turned)[::-1], atol=1e-5
    )
    unknown = np.isnan(task.probabilities("ACNNT"))
    assert unknown.all(1).tolist() == unknown.any(1).tolist() == [False, False, True, True, False]


def test_tracks_and_sites_are_those_of_the_command(here, run, site_task):
    where, loci = "chrA:1,001-4,000", [("chrA", 1000, 4000)]
    words = ["scan", "genome.fa", "--task", site_task, "-r", where]
    for options, strand in (([], "+"), (["--strand", "-"], "-")):
        track = rows_of(run(*words, "--class", "acceptor", *options).stdout)
        segments = findna.scan(
            "genome.fa", loci, task=site_task, class_name="acceptor", strand=strand
        )
        made = [[s.chrom, str(s.start), str(s.end), f"{s.value:.6f}"] for s in segments]
        assert [[*row[:3], f"{float(row[3]):.6f}"] for row in track] == made
    for options, given in [
        ([], {}),
        (["--strand", "-"], {"strand": "-"}),
        (["--class", "donor"], {"class_name": "donor"}),
    ]:
        listed = rows_of(run(*words, "--call", 0.2, *options).stdout)
        assert listed
        sites = findna.sites(
            "genome.fa", loci, task=findna.load_task(site_task), least=0.2, **given
        )
        assert listed == [
            [*map(str, site[:4]), str(round(1000 * site.probability)), site.strand]
            for site in sites
        ]


def test_tasks_of_the_other_kind_are_refused(here, site_task, tasks):
    sites, regions = findna.load_task(site_task), findna.load_task(tasks["binary"])
    for call, message in [
        (lambda: sites.predict("ACGT"), "tells single bases, not regions"),
        (lambda: findna.explain("genome.fa", "chrA:1-9", task=sites), "one class at a time"),
        (lambda: regions.probabilities("ACGT"), "task binary tells regions, not single bases"),
        (lambda: findna.sites("genome.fa", task=regions), "tells regions, not single bases"),
        (lambda: findna.sites("genome.fa", task=tasks["binary"]), "tells regions, not single"),
        (lambda: findna.sites("genome.fa", task=sites, least=2), "least: 2 is not a probability"),
        (lambda: findna.sites("genome.fa", task=sites, strand="."), "strand: no '.'"),
        (lambda: findna.sites("genome.fa", task=sites, class_name="x"), "classes are donor, acc"),
        (lambda: sites.probabilities("ACGT", strand="both"), "strand: no 'both'"),
        (lambda: findna.scan("genome.fa", task=sites), "a track has one class"),
        (lambda: findna.scan("genome.fa", task=sites, step=5), "step does nothing for a task of"),
    ]:
        with pytest.raises(findna.FindnaError, match=message):
            call()


def test_scored_records_are_those_of_the_command(here, run, model_folder, tasks):
    words = ["-m", model_folder, "-t", tasks["binary"], "--window", "80", "-O", "tsv"]
    header, *lines = [
        line.split("\t")
        for line in run("variants", "genome.fa", "variants.vcf", *words).stdout.splitlines()
    ]
    records = list(
        findna.score_variants(
            "genome.fa", here / "variants.vcf", model=findna.load_model(model_folder),
            task=tasks["binary"], window=80,
        )
    )  # fmt: skip
    assert len(records) == len(lines) == 48
    for record, line in zip(records, lines, strict=True):
        (scores,) = record.scores
        columns = dict(zip(header, line, strict=True))
        assert int(columns["pos"]) == record.start + 1
        assert columns["class"] == record.classes[0]
        for name, value in scores.items():
            assert float(columns[name]) == pytest.approx(value, rel=1e-4, abs=1e-6)


def test_alleles_without_scores_have_none(here, write, model_folder):
    header = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    with findna.Genome("genome.fa") as genome:
        ref = decode(genome.fetch("chrA", 99, 100))
        alt = "ACGT".replace(ref, "")[0]
        vcf = write(
            "v.vcf",
            f"{header}chrA\t100\ta\t{ref}\t{alt},<DEL>\t.\t.\t.\nchrA\t100\tb\t{ref}\t.\t.\t.\t.\n",
        )
        a, b = findna.score_variants(genome, vcf, model=model_folder, scores="llr")
    assert a.classes == ("snv", "symbolic")
    assert list(a.scores[0]) == ["FINDNA_LLR", "FINDNA_LLR_REF", "FINDNA_LLR_ALT"]
    assert a.scores[1] is None
    assert (b.alts, b.classes, b.scores) == ((), (), ())


def test_explanations_are_those_of_the_command(here, run, tasks, tmp_path):
    out, bed = tmp_path / "o.h5", tmp_path / "r.bed"
    bed.write_text("chrA\t100\t120\ta\t0\t-\nchrZ\t1\t9\tb\t0\t+\nchrB\t7\t15\tc\t0\t+\n")
    words = ["-t", tasks["binary"], "--context", "60", "-s", "--on-error", "null"]
    run("explain", "genome.fa", bed, "-o", out, *words)
    rows = list(
        findna.explain_rows(
            "genome.fa", bed, task=tasks["binary"], context=60, stranded=True, on_error="null"
        )
    )
    assert [found is None for _, found in rows] == [False, True, False]
    with h5py.File(out) as file:
        values, offsets = file["uns/effects/values"][:], file["uns/effects/offsets"][:]
        for i in (0, 2):
            found = rows[i][1]
            np.testing.assert_array_equal(found.effects, values[offsets[i] : offsets[i + 1]])
            assert found.sequence == file["obs/sequence"].asstr()[i]
            assert found.value == pytest.approx(file["X"][i, 0])
    single = findna.explain(
        "genome.fa", ("chrA", 100, 120, "-"), task=tasks["binary"], context=60, stranded=True
    )
    np.testing.assert_array_equal(single.effects, rows[0][1].effects)
    assert single.positions.tolist() == list(range(119, 99, -1))
    with pytest.raises(findna.FindnaError, match="explain reads one region"):
        findna.explain("genome.fa", [("chrA", 0, 4), ("chrA", 4, 8)], task=tasks["binary"])


@pytest.mark.realdata
def test_real_regions_variants_and_promoters(shared_data, model_folder):
    fasta = shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"
    tss = pd.read_csv(
        shared_data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz",
        sep="\t", header=None, names=["chrom", "start", "end", "name", "score", "strand"],
    )  # fmt: skip
    tss = tss[(tss["chrom"] == "chr20") & (tss["strand"] == "+")].head(18)
    tss = tss.assign(start=tss["start"] - 249, end=tss["start"] + 51)
    vcf = shared_data / "variants" / "tissue_variant_effect.chr2_chr20_chr21.hg38.vcf.gz"
    task = findna.load_task("promoter")
    with findna.Genome(fasta) as genome:
        e = findna.embed(genome, tss, model=model_folder)
        assert e.obs["name"].tolist() == tss["name"].tolist()
        assert np.isfinite(e.X).all()
        rows = findna.predict(genome, tss, task=task)
        n_promoters = sum(calls["promoter"].label == "promoter" for _, calls in rows)
        assert n_promoters > len(rows) / 2
        records = findna.score_variants(genome, vcf, model=model_folder)
        record = next(records)
        records.close()
    assert list(record.scores[0])[:2] == ["FINDNA_DIST", "FINDNA_LLR"]
