"""`findna plot`: pictures by their names, what they say, and what cannot be drawn."""

import json
import re
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from findna.genome.annotation import read_genes
from findna.genome.intervals import Interval
from findna.outputs.pictures.embedding import projected
from findna.outputs.pictures.figure import MOST_POINTS, PALETTE, thinned
from findna.outputs.pictures.locus import MOST_BINS, binned
from findna.outputs.tracks import Segment, write_bigwig

pytest.importorskip("matplotlib")

STARTS = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF", "html": b"<!DOCTYPE html>"}

REGIONS = [("chrA", 100 * i, 100 * i + 80) for i in range(40)]

VCF = """##fileformat=VCFv4.2
##contig=<ID=chr1,length=5000>
##contig=<ID=chr2,length=5000>
##INFO=<ID=FINDNA_LLR,Number=A,Type=Float,Description="Log-likelihood ratio, natural logarithm; m">
##INFO=<ID=FINDNA_LLR_Q,Number=A,Type=Float,Description="Share">
##INFO=<ID=FINDNA_T_DELTA,Number=A,Type=Float,Description="Log-odds">
##INFO=<ID=AF,Number=A,Type=Float,Description="Frequency">
##INFO=<ID=GENE,Number=1,Type=String,Description="Gene">
#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO
chr1\t1001\t.\tA\tG,T\t.\t.\tFINDNA_LLR=-2.5,1.5;FINDNA_LLR_Q=0.9,.;FINDNA_T_DELTA=0.1,0.2
chr1\t2001\t.\tC\tG\t.\t.\tAF=0.5;FINDNA_LLR=0.5;FINDNA_LLR_Q=0.2
chr1\t3001\t.\tC\tG\t.\t.\tGENE=x
chr2\t1001\t.\tC\t<DEL>\t.\t.\tFINDNA_LLR=.;FINDNA_T_DELTA=0.4
"""

GTF = (
    'c\tx\tgene\t101\t900\t.\t+\t.\tgene_id "g1"; gene_name "ABC1";\n'
    'c\tx\texon\t101\t200\t.\t+\t.\tgene_id "g1"; gene_name "ABC1"; transcript_id "t1";\n'
    'c\tx\tCDS\t151\t200\t.\t+\t0\tgene_id "g1"; gene_name "ABC1"; transcript_id "t1";\n'
    'c\tx\texon\t801\t900\t.\t+\t.\tgene_id "g1"; gene_name "ABC1"; transcript_id "t2";\n'
    'd\tx\texon\t101\t200\t.\t-\t.\tgene_id "g2"; gene_name "OTHER"; transcript_id "t3";\n'
)

GFF = (
    "##gff-version 3\n"
    "c\tx\tregion\t1\t5000\t.\t.\t.\tID=c\n"
    "c\tx\texon\t101\t200\t.\t+\t.\tParent=t1\n"
    "c\tx\tgene\t101\t900\t.\t+\t.\tID=g1;Name=ABC1;gene_id=G1\n"
    "c\tx\tmRNA\t101\t900\t.\t+\t.\tID=t1;Parent=g1\n"
    "c\tx\texon\t801\t900\t.\t+\t.\tID=e2;Parent=t1\n"
    "c\tx\tCDS\t151\t200\t.\t+\t0\tID=p1;Parent=t1\n"
)


@pytest.fixture
def embeddings(run, example, model_folder, write, tmp_path):
    """A file of embeddings of forty regions, one of them of an unknown contig."""
    rows = [*REGIONS[:-1], ("nowhere", 0, 80)]
    bed = write("r.bed", "".join(f"{c}\t{s}\t{e}\tr{i}\n" for i, (c, s, e) in enumerate(rows)))
    path = tmp_path / "r.h5"
    run("embed", example / "genome.fa", bed, "-m", model_folder, "-o", path, "--on-error", "null")
    return path


@pytest.fixture
def history(write):
    rows = [{"step": i, "mnm": 1.4 - i / 100, "mnm_bound": 1.386} for i in range(1, 10)]
    rows += [{"step": 5, "accuracy": 0.3, "accuracy_repeat": 0.4, "accuracy_unique": 0.25}]
    return write("metrics.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def drawn(run, tmp_path):
    """``drawn("map", file)``: the texts of the picture as SVG, and the line about it."""

    def draw(*words):
        path = tmp_path / "x.svg"
        result = run("plot", *words, "-o", path, "--force")
        texts = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
        return texts, result.stderr

    return draw


def predicted(write, label, name="p.bed", header=""):
    rows = "".join(
        f"{chrom}\t{start}\t{end}\tr{i}\t{label(i)}\n"
        for i, (chrom, start, end) in enumerate(REGIONS)
    )
    return write(name, header + rows)


# the form of pictures


@pytest.mark.slow
@pytest.mark.parametrize("kind", STARTS)
def test_each_picture_in_each_form(run, embeddings, history, write, tmp_path, kind):
    if kind == "html":
        pytest.importorskip("plotly")
    track = write("t.bedgraph", "c\t100\t150\t0.5\nc\t150\t300\t0.9\n")
    sites = write("s.bed", "c\t120\t121\tdonor\t900\t+\n")
    words = {
        "map": [embeddings, "--color", predicted(write, lambda i: f"{'ab'[i % 2]}\t0.{i:06}")],
        "scan": ["c:1-1,000", track, "--sites", sites, "--genes", write("g.gtf", GTF)],
        "curves": [history],
        "variants": [write("v.vcf", VCF)],
    }
    for name, arguments in words.items():
        paths = [tmp_path / f"{name}{i}.{kind}" for i in (1, 2)]
        for path in paths:
            assert run("plot", name, *arguments, "-o", path).stderr.endswith(f" -> {path}\n")
        content = paths[0].read_bytes()
        assert content.startswith(STARTS[kind])
        assert content == paths[1].read_bytes()  # no date, no random ids
        if kind == "html":
            page = re.sub(r"<script>.*?</script>", "", content.decode(), flags=re.DOTALL)
            assert not re.search(r"<script|<link|src=|href=|https?:", page)  # nothing is fetched
            assert '"showSendToCloud": false' in content.decode()
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.mark.slow
def test_help_loads_nothing_that_draws():
    code = """
import sys
from findna.cli import main
for command in ("map", "scan", "curves", "variants"):
    try:
        main(["plot", command, "--help"])
    except SystemExit:
        pass
libraries = {"torch", "matplotlib", "plotly", "umap", "numpy", "h5py"}
print(sorted(libraries & set(sys.modules)))
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert done.stdout.count("Examples:") == 4


def test_title_and_size(run, drawn, history, tmp_path):
    texts, _ = drawn("curves", history, "--title", "$mine$ <1>", "--size", "9x4.5")
    assert "$mine$ &lt;1&gt;" in texts
    svg = (tmp_path / "x.svg").read_text()
    assert 'viewBox="0 0 648 324"' in svg  # points, 72 to the inch
    for size in ("4", "4x", "0x3", "99x3", "nanx3"):
        run("plot", "curves", history, "-o", tmp_path / "y.svg", "--size", size, code=2)
    error = run("plot", "curves", history, "-o", tmp_path / "y.svg", "--size", "4x3", code=2).stderr
    assert error == "findna: the picture does not fit into 4 x 3 inches: enlarge --size\n"


# maps


@pytest.mark.slow
def test_a_map_by_classes(drawn, embeddings, write):
    bed = predicted(write, lambda i: f"{'yes' if i < 5 else 'no'}\t0.900000")
    texts, said = drawn("map", embeddings, "--color", bed)
    assert said.startswith("findna: 39 regions, 1 without a vector left out -> ")
    assert {"yes (5)", "no (34)", "Map of embeddings, coloured by p"} <= set(texts)
    assert any(re.fullmatch(r"PC 1 \(\d+\.\d% of variance\)", text) for text in texts)
    (note,) = [text for text in texts if text.startswith("39 regions")]
    assert "PCA; model little " in note


@pytest.mark.parametrize(
    ("header", "label", "expected"),
    [
        ("", lambda i: f"{'ab'[i % 2]}\t0.500000", ["a (20)", "b (19)"]),
        ("", lambda i: f"{i % 2}\t0.500000", ["0 (20)", "1 (19)"]),  # classes, not a scale
        ("", lambda i: f"{'ab'[i % 2]}\t0.500000\t7\t+", ["a (20)", "b (19)"]),  # single bases
        ("", lambda i: f"{'ab'[i % 2]}\t0.500000\t0.500000\t0.500000", ["a (20)", "b (19)"]),
        ("", lambda i: f"{'ab'[i % 2]}\t0.500000" if i else ".\t.", ["no value (1)", "a (19)"]),
        ("", lambda i: f"dose\t{-i}.000000", ["dose"]),  # a regression
        (
            "#chrom\tstart\tend\tname\tone\tone_probability\ttwo\ttwo_probability\n",
            lambda i: f"c\t0.900000\t{'ab'[i % 2]}\t0.500000",
            ["a (20)", "b (19)", "Map of embeddings, coloured by two"],
        ),
        (
            "#chrom\tstart\tend\tname\tdose\tdose_value\n",
            lambda i: f"gc\t0.{i:06}",
            ["dose_value", "Map of embeddings, coloured by dose_value"],
        ),
    ],
)
def test_the_column_of_a_prediction(drawn, embeddings, write, header, label, expected):
    texts, _ = drawn("map", embeddings, "--color", predicted(write, label, header=header))
    assert set(expected) <= set(texts)


@pytest.mark.slow
def test_a_map_by_columns(run, drawn, embeddings, tmp_path):
    texts, _ = drawn("map", embeddings, "--color", "start")
    assert "start" in texts  # name of the scale
    texts, _ = drawn("map", embeddings, "--color", "chrom")
    assert "chrA (39)" in texts
    texts, _ = drawn("map", embeddings, "--color", "name")  # of many words few are told apart
    assert f"{39 - len(PALETTE) + 1} others ({39 - len(PALETTE) + 1})" in texts
    error = run("plot", "map", embeddings, "--color", "chorm", "-o", tmp_path / "y.svg", code=1)
    assert "obs has no column chorm; did you mean chrom?" in error.stderr


@pytest.mark.slow
def test_a_column_that_scanpy_added(drawn, embeddings):
    """Categories are words even where these are numbers, as of clusters; one may be missing."""
    with h5py.File(embeddings, "r+") as file:
        obs = file["obs"]
        obs.create_group("cluster")
        obs["cluster/categories"] = np.array(["_x", "$y$"], object)
        obs["cluster/codes"] = np.arange(40, dtype=np.int8) % 2
        obs.create_group("leiden")
        obs["leiden/categories"] = np.array(["0", "1"], object)
        obs["leiden/codes"] = np.arange(40, dtype=np.int8) % 3 - 1
        obs["flag"] = np.arange(40) < 10
        obs.attrs["column-order"] = [*obs.attrs["column-order"], "cluster", "leiden", "flag"]
    texts, _ = drawn("map", embeddings, "--color", "cluster")
    assert {" _x (20)", "$y$ (19)"} <= set(texts)
    texts, _ = drawn("map", embeddings, "--color", "leiden")
    assert {"no value (13)", "0 (13)", "1 (13)"} <= set(texts)
    texts, _ = drawn("map", embeddings, "--color", "flag")
    assert {"yes (10)", "no (29)"} <= set(texts)


def test_principal_components():
    rng = np.random.default_rng(0)
    vectors = (rng.normal(size=(200, 1)) * [3, 0, 0] + rng.normal(size=(200, 3))).astype("f4")
    places, (one, _) = projected(vectors, "pca")
    centred = vectors - vectors.mean(0)
    _, sizes, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:2].T
    assert np.allclose(np.abs(places), np.abs(expected), atol=1e-4)
    assert one == f"PC 1 ({sizes[0] ** 2 / (sizes**2).sum():.1%} of variance)"


def test_of_many_points_some_are_drawn():
    chosen = thinned(MOST_POINTS * 3)
    assert len(chosen) == len(set(chosen.tolist())) == MOST_POINTS
    assert (np.diff(chosen) > 0).all()
    assert thinned(5).tolist() == [0, 1, 2, 3, 4]


# loci


def test_a_locus(drawn, write):
    track = write("promoter.bedgraph", "track name=x\nc\t100\t150\t0.5\nb\t0\t9\t0.1\n")
    sites = write("s.bed", "c\t120\t121\tdonor\t900\t+\nc\t700\t701\tacceptor\t900\t-\n")
    texts, said = drawn(
        "scan", "c:101-900", track, "--sites", sites, "--genes", write("g.gtf", GTF)
    )
    assert said.startswith("findna: c:101-900: tracks 1, sites 2, genes 1 -> ")
    assert {"c:101-900", "promoter", "probability", "c, bp (1-based)"} <= set(texts)
    assert {"donor", "acceptor", "ABC1 →", "800 bp"} <= set(texts)
    assert "OTHER ←" not in texts
    texts, _ = drawn("scan", "c:101-900", f"mine={track}", "--quantity", "score (bits)")
    assert {"mine", "score (bits)"} <= set(texts)


def test_values_beyond_one_are_no_probabilities(drawn, write):
    texts, _ = drawn("scan", "c:1-900", write("t.bg", "c\t100\t150\t-2\nc\t200\t250\t3\n"))
    assert "value" in texts
    assert "probability" not in texts


def test_a_long_locus_keeps_its_peaks():
    locus = Interval("c", 1_000, 1_000 + 10 * MOST_BINS)
    segments = [
        Segment("c", 0, 2_000, 0.1),
        Segment("c", 2_003, 2_004, -0.9),
        Segment("c", 2_004, 2_005, 0.8),
        Segment("c", 40_995, 50_000, 0.2),
    ]
    track = binned("x", segments, locus)
    assert track.bin_size == 10
    assert len(track.values) == MOST_BINS
    assert track.edges[[0, -1]].tolist() == [locus.start, locus.end]
    assert track.values[:100].tolist() == [0.1] * 100
    assert track.values[100] == -0.9
    assert np.isnan(track.values[101:-1]).all()
    assert track.values[-1] == 0.2
    short = binned("x", segments, Interval("c", 2_000, 2_010))
    assert short.bin_size == 1
    assert np.isfinite(short.values).nonzero()[0].tolist() == [3, 4]


def test_bigwig_and_bedgraph_are_the_same_picture(run, write, tmp_path):
    pytest.importorskip("pybigtools")
    rows = [Segment("c", 100, 150, 0.5), Segment("c", 150, 300, 0.25)]
    write_bigwig(tmp_path / "a.bw", rows, {"c": 1000})
    text = "".join(f"{c}\t{s}\t{e}\t{v}\n" for c, s, e, v in rows)
    pictures = []
    for track in (tmp_path / "a.bw", write("a.bedgraph", text)):
        path = tmp_path / f"{track.suffix}.svg"
        run("plot", "scan", "c:1-2,000", f"a={track}", "-o", path)
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1]
    error = run("plot", "scan", "z:1-9", tmp_path / "a.bw", "-o", tmp_path / "z.svg", code=1).stderr
    assert "a.bw: has no value on z; it has c" in error
    whole = (tmp_path / "a.bw").read_bytes()
    error = run(
        "plot", "scan", "c:1-9", write("b.bw", whole[:90]), "-o", tmp_path / "z.svg", code=1
    )
    assert "b.bw: damaged bigWig" in error.stderr
    words = ["plot", "scan", "c:1-9", write("g.fa", ">c\nACGT\n"), "-o", tmp_path / "z.svg"]
    assert "FASTA, not bedGraph; findna scan makes" in run(*words, code=1).stderr


@pytest.mark.parametrize("form", ["gtf", "gff3", "bed"])
def test_genes_of_each_form(write, form):
    bed = "c\t100\t900\tABC1\t0\t+\t150\t200\t0\t2\t100,100\t0,700\n"
    path = write(f"g.{form}", {"gtf": GTF, "gff3": GFF, "bed": bed}[form])
    (gene,) = read_genes(path, Interval("c", 0, 1_000))
    assert gene.interval == Interval("c", 100, 900, "ABC1", "+")
    assert gene.exons == ((100, 200), (800, 900))
    assert gene.coding == ((150, 200),)
    assert read_genes(path, Interval("c", 900, 1_000)) == []


def test_genes_without_an_id_stay_apart(write):
    lines = [
        f"c\t.\t{kind}\t{start}\t{end}\t.\t+\t.\t{attributes}\n"
        for kind, start, end, attributes in (
            ("gene", 101, 200, "Name=A"),
            ("CDS", 101, 200, "Name=A"),
            ("gene", 801, 900, "."),
        )
    ]
    first, second = read_genes(write("g.gff", "".join(lines)), Interval("c", 0, 1_000))
    assert (first.interval, first.coding) == (Interval("c", 100, 200, "A", "+"), ((100, 200),))
    assert (second.interval, second.exons) == (
        Interval("c", 800, 900, "c:801-900", "+"),
        ((800, 900),),
    )


# curves and scores


def test_curves(run, drawn, history, tmp_path):
    texts, said = drawn("curves", history)
    assert {"Masked-nucleotide loss, nats", "nats", "step", "repeats", "bound"} <= set(texts)
    assert "healthy at step 5" in said
    report = tmp_path / "report.svg"
    run("models", "report", history, "-o", report)
    assert report.read_bytes() == (tmp_path / "x.svg").read_bytes()  # one drawing


def test_scores_of_variants(drawn, write):
    path = write("v.vcf", VCF)
    texts, said = drawn("variants", path)
    assert said.startswith("findna: 4 alleles -> ")
    assert {"FINDNA_LLR", "FINDNA_T_DELTA", "chr1", "chr2", "contig", "4 alleles"} <= set(texts)
    assert {"FINDNA_LLR_Q: rank", "among common SNPs", "without a rank (1)"} <= set(texts)
    assert "Log-likelihood ratio, natural logarithm" in texts
    texts, said = drawn("variants", path, "-r", "chr1:1,500-3,000", "--field", "AF")
    assert said.startswith("findna: 1 allele -> ")
    assert {"AF", "chr1, bp (1-based)", "Frequency"} <= set(texts)
    assert "FINDNA_LLR" not in texts


# what cannot be drawn


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        ("map r.h5 -o x.jpg", 2, "x.jpg: name a .html, .pdf, .png or .svg file"),
        ("map r.h5 -o -", 2, "-: name a .html, .pdf, .png or .svg file"),
        ("map r.h5", 2, "Missing option '-o'"),
        ("map r.h5 -o taken.svg", 1, "taken.svg: exists; --force overwrites it"),
        ("map r.h5 --color no.bed -o x.svg", 1, "no.bed: No such file"),
        ("map r.h5 --color other.bed -o x.svg", 1, "none of its rows with a result is a region"),
        ("map r.h5 --color few.bed -o x.svg", 1, "no label with a probability"),
        ("map taken.svg -o x.svg", 1, "taken.svg: "),
        ("scan c:1-9 -o x.svg", 2, "nothing to draw: give a track, --sites or --genes"),
        ("scan c t.bg -o x.svg", 1, "region c: give both ends: c:1,001-2,000"),
        ("scan c:9-1 t.bg -o x.svg", 1, "ends before it starts"),
        ("scan z:1-9 t.bg -o x.svg", 1, "t.bg: has no value on z; it has c"),
        ("scan chrA:1-9 few.bed -o x.svg", 1, "few.bed:1: not a line of bedGraph"),
        ("scan c:1-9 no.bg -o x.svg", 2, "no.bg: no such file"),
        ("scan c:1-9 t.bg t.bg -o x.svg", 2, "t: two tracks; name one: NAME=FILE"),
        ("scan c:1-9 --sites other.bed -o x.svg", 1, "nothing to draw in it"),
        ("curves nothing -o x.svg", 1, "no model nothing"),
        ("variants v.vcf --field GENE -o x.svg", 1, "INFO has no field of numbers GENE"),
        ("variants v.vcf -r chr2:1-9 -o x.svg", 1, "no allele in chr2:1-9 has FINDNA_LLR"),
        ("variants few.bed -o x.svg", 1, "few.bed: "),
    ],
)
def test_errors(run, embeddings, write, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    write("taken.svg", "mine")
    write("few.bed", "chrA\t0\t80\n")
    write("other.bed", "zz\t0\t80\tr\ta\t0.500000\n")
    write("t.bg", "c\t100\t150\t0.5\n")
    write("v.vcf", VCF)
    result = run("plot", *words.split(), code=code)
    assert message in result.stderr
    assert not (tmp_path / "x.svg").exists()
    assert (tmp_path / "taken.svg").read_text() == "mine"


@pytest.mark.parametrize(
    ("library", "words", "remedy"),
    [
        ("matplotlib", "-o x.png", "a picture needs matplotlib: pip install 'findna[plot]'"),
        ("plotly", "-o x.html", "an HTML picture needs plotly: pip install 'findna[plot]'"),
        ("umap", "-o x.png --method umap", "pip install 'findna[umap]'"),
    ],
)
def test_missing_libraries(run, embeddings, tmp_path, monkeypatch, library, words, remedy):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, library, None)
    error = run("plot", "map", embeddings, *words.split(), code=1).stderr
    assert remedy in error
    assert error.count("\n") == 1


def test_a_picture_with_warnings_of_no_values(run, write, tmp_path):
    track = write("t.bg", "c\t100\t150\t0.5\n")
    said = run("plot", "scan", "c:500-900", track, "-o", tmp_path / "x.svg").stderr
    assert "t.bg: no value in c:500-900" in said
    said = run("plot", "scan", "c:500-900", track, "-q", "-o", tmp_path / "y.svg").stderr
    assert said == ""


@pytest.mark.slow
def test_umap(run, drawn, embeddings):
    pytest.importorskip("umap")
    texts, _ = drawn("map", embeddings, "--method", "umap")
    assert "UMAP 1 (no unit)" in texts
