import contextlib
import csv
import gzip
import io
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pysam
import pytest
from hypothesis import given
from hypothesis import strategies as st

from findna.errors import FindnaError, LabelError
from findna.genome.encoding import decode, encode, reverse_complement
from findna.genome.fasta import Genome
from findna.labelled.files import find_splits
from findna.labelled.sets import (
    CLASSES,
    MULTILABEL,
    REGRESSION,
    LabelledSet,
    check_trainable,
    read_labelled,
)
from findna.labelled.splits import hold_out, overlap
from tests.conftest import random_sequence

TABLE = "sequence,label\nACGT,1\nGGNA,0\nTTTT,1\n"


def bgzf(data):
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/a.gz"
        with pysam.BGZFile(path, "wb") as file:
            file.write(data)
        return Path(path).read_bytes()


def texts(data):
    return [decode(sequence) for sequence in data.sequences]


def named(data):
    """Labels of a set of classes, by name."""
    return [data.classes[label] for label in data.labels]


def make(labels, contigs=None, classes=None, kind=CLASSES):
    labels = np.array(labels, np.int64 if kind == CLASSES else np.float32)
    if classes is None:
        n = labels.max(initial=0) + 1 if kind == CLASSES else labels.shape[1]
        classes = tuple(map(str, range(int(n))))
    sequences = [encode(random_sequence(10, seed)) for seed in range(len(labels))]
    return LabelledSet("made", kind, classes, sequences, labels, contigs)


# Tables


@pytest.mark.parametrize("wrap", [lambda b: b, gzip.compress, bgzf], ids=["plain", "gzip", "bgzf"])
@pytest.mark.parametrize("name", ["a.csv", "a.unknown"])
def test_a_table(write, wrap, name):
    data = read_labelled(write(name, wrap(TABLE.encode())))
    assert texts(data) == ["ACGT", "GGNA", "TTTT"]
    assert (data.kind, data.classes, data.contigs) == (CLASSES, ("0", "1"), None)
    assert data.labels.tolist() == [1, 0, 1]
    assert data.labels.dtype == np.int64
    assert len(data) == 3
    assert data.name.endswith(name)


@pytest.mark.parametrize(
    "text",
    [
        "Label\tid\tSEQUENCE\n1\tx\tACGT\n0\ty\tGGNA\n1\tz\tTTTT",
        "seq\tclass\nacgt\t1\r\nggra\t0\r\n\r\nuuuu\t1\r\n",
        '\ufeffsequence,target\n"ACGT",1\n" GGNA ", 0\nTTTT,"1"\n',
        "sequence,label,target,class\nACGT,1,9,9\nGGNA,0,9,9\nTTTT,1,9,9\n",
    ],
)
def test_other_ways_to_write_the_same_table(write, text):
    data = read_labelled(write("a.tsv", text))
    assert data.digest == read_labelled(write("b.csv", TABLE)).digest


def test_quoted_fields_may_hold_commas_and_lines(write):
    text = 'note,sequence,label\n"a, ""b""\nc",ACGT,"x, y"\nd,ACGT,z\ne,AC-T,z\n'
    with pytest.raises(LabelError, match=r"a.csv:5: '-' in sequence 'AC-T'"):
        read_labelled(write("a.csv", text))
    data = read_labelled(write("a.csv", text.replace("-", "")))
    assert data.classes == ("x, y", "z")


def test_a_sequence_longer_than_the_limit_of_the_csv_module(write):
    before = csv.field_size_limit()
    data = read_labelled(write("a.csv", f"sequence,label\n{'ACGT' * 100_000},a\nC,b\n"))
    assert len(data.sequences[0]) == 400_000
    assert csv.field_size_limit() == before


def test_standard_input(monkeypatch):
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(TABLE.encode())))
    monkeypatch.setattr("sys.stdin", stream)
    data = read_labelled(Path("-"))
    assert (data.name, len(data)) == ("<stdin>", 3)


def test_classes_are_sorted_naturally(write):
    labels = ["10", "9", "b", "-1", "a", "9.0"]
    text = "sequence,label\n" + "".join(f"A,{label}\n" for label in labels)
    data = read_labelled(write("a.csv", text))
    assert data.classes == ("-1", "9", "9.0", "10", "a", "b")
    assert named(data) == labels


def test_known_classes_decide_order_and_refuse_others(write):
    path = write("a.csv", TABLE)
    data = read_labelled(path, classes=["1", "x", "0"])
    assert data.classes == ("1", "x", "0")
    assert data.labels.tolist() == [0, 2, 0]
    message = r"a.csv:3: label '0' is not one of the known ones \(1, 2\); correct it, or remove"
    with pytest.raises(LabelError, match=message):
        read_labelled(path, classes=["1", "2"])


def test_numbers_that_are_not_whole_are_regression(write):
    path = write("a.csv", "sequence,label\nA,1\nC,-.5\nG,2e-1\n")
    data = read_labelled(path)
    assert (data.kind, data.classes) == (REGRESSION, ("label",))
    assert data.labels.dtype == np.float32
    np.testing.assert_allclose(data.labels, [[1], [-0.5], [0.2]])
    assert read_labelled(path, kind="classes").classes == ("-.5", "2e-1", "1")
    whole = write("b.csv", TABLE)
    assert read_labelled(whole, kind="regression").labels.tolist() == [[1], [0], [1]]
    other = read_labelled(path, kind="regression", classes=["expression"])
    assert other.classes == ("expression",)


def test_several_columns(write):
    text = "sequence,a,b,c\nA,1,0,.5\nC,0,1,2\n"
    path = write("a.csv", text)
    binary = read_labelled(path, label_column="b, A")
    assert (binary.kind, binary.classes) == (MULTILABEL, ("b", "a"))
    assert binary.labels.tolist() == [[0, 1], [1, 0]]
    assert binary.labels.dtype == np.float32
    targets = read_labelled(path, label_column="a,b,c")
    assert (targets.kind, targets.labels.tolist()) == (REGRESSION, [[1, 0, 0.5], [0, 1, 2]])
    ordered = read_labelled(path, label_column="a,b", classes=["b", "a"])
    assert ordered.digest == binary.digest
    found = read_labelled(path, kind="multilabel", classes=["b", "a"])
    assert found.digest == binary.digest
    one = read_labelled(path, kind="multilabel", label_column="a")
    assert (one.classes, one.labels.tolist()) == (("a",), [[1], [0]])


@pytest.mark.parametrize("separator", [";", "|"])
def test_a_list_of_labels(write, separator):
    text = "sequence,label\nA,b;a;\nC,\nG,b\n".replace(";", separator)
    path = write("a.csv", text)
    data = read_labelled(path, kind="multilabel")
    assert (data.kind, data.classes) == (MULTILABEL, ("a", "b"))
    assert data.labels.tolist() == [[1, 1], [0, 0], [0, 1]]
    with pytest.raises(LabelError, match=r"a.csv:2: label 'b' is not one of .* correct it"):
        read_labelled(path, kind="multilabel", classes=["a", "c"])


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, r"a.csv: is empty; expected a table"),
        ("sequence,label\n", {}, r"a.csv: holds no rows; give"),
        ("ACGTACGTAC,1\n", {}, r"a.csv:1: no column sequence; .* put the line sequence,label"),
        ("dna,label\nA,1\n", {}, r"a.csv:1: no column sequence; the header is dna, label; expec"),
        ("sequence;label\nA;1\n", {}, r"a.csv:1: .*separated by commas or tabs"),
        ("region,start,end\nc,1,2\n", {}, r"a.csv:1: no column sequence.*, and GENOME"),
        ("sequence,sequence,label\n", {}, r"a.csv:1: 2 columns sequence.*expected one"),
        ("sequence,x\nA,1\n", {}, r"a.csv:1: no column label; the header is sequence, x; name"),
        ("seq,target,class\nA,1,1\n", {}, r"a.csv:1: several columns could be.*--label-column"),
        (TABLE, {"label_column": "y"}, r"a.csv:1: no column 'y'; the header is .*name one"),
        (TABLE, {"label_column": "label,label"}, r"a.csv:1: .*twice; name it once"),
        ("sequence,a,A\nG,1,1\n", {"label_column": "á"}, r"a.csv:1: no column 'á'"),
        ("sequence,a,a\nG,1,1\n", {"label_column": "a"}, r"a.csv:1: 2 columns are called 'a'"),
        ("sequence,label\nA,1,2\n", {}, r"a.csv:2: 3 columns, but the header has 2; every row"),
        ("sequence,label\nA\n", {}, r"a.csv:2: 1 column, but the header has 2"),
        ("sequence,label\n\n,1\n", {}, r"a.csv:3: the sequence is empty; correct or remove"),
        ("sequence,label\nACGE,1\n", {}, r"a.csv:2: 'E' in sequence 'ACGE' is not a nucleotide"),
        ("sequence,label\nAC GT,1\n", {}, r"a.csv:2: ' ' in sequence .*without gaps or spaces"),
        ("sequence,label\nACĀ,1\n", {}, r"a.csv:2: 'Ā' in sequence"),
        (b"sequence,label\nAC\xff,1\n", {}, r"a.csv:2: .*in sequence 'AC\\udcff'"),
        (b"sequence,label\nAC,\xff\n", {}, r"a.csv:2: label '\\udcff' .*not UTF-8.*iconv"),
        (b"sequence,label\nAC,a\x1bb\n", {}, r"a.csv:2: label 'a\\x1bb' .*not printable"),
        (b"sequence,\xff\nAC,b\n", {"label_column": "\udcff"}, r"a.csv:1: label '\\udcff'"),
        ("sequence,label\nA,\n", {}, r"a.csv:2: label is empty; write a label, or remove"),
        ("sequence,label\nA,.5\nA,x\n", {}, r"a.csv:3: label 'x' is no number.*--kind classes"),
        ("sequence,label\nA,x\n", {"kind": "regression"}, r"a.csv:2: label is 'x'; write a fin"),
        ("sequence,label\nA,nan\n", {"kind": "regression"}, r"a.csv:2: label is 'nan'; write"),
        ("sequence,label\nA,1e39\n", {"kind": "regression"}, r"a.csv:2: label is '1e39'"),
        (
            "sequence,label\nA,-1e30\n",
            {"kind": "regression"},
            r"a.csv:2: label is '-1e30'; write a finite number up to 1e\+15, or remove",
        ),
        ("sequence,a,b\nA,1,x\n", {"label_column": "a,b"}, r"a.csv:2: b is 'x'; write a finite"),
        ("sequence,a,b\nA,1,\n", {"label_column": "a,b"}, r"a.csv:2: b is empty; write a label"),
        (
            "sequence,a,b\nA,1,2\n",
            {"label_column": "a,b", "kind": "multilabel"},
            r"a.csv:2: b is '2'; write 0 or 1, or remove the row",
        ),
        (
            "sequence,a,b\nA,1,2\n",
            {"label_column": "a,b", "kind": "classes"},
            r"a.csv: 2 label columns, but classes have one; name one",
        ),
        (
            "sequence,a,b\nA,1,2\n",
            {"label_column": "a,b", "classes": ["a", "c"]},
            r"a.csv: label columns a, b, but a, c were expected; choose them",
        ),
        ('sequence,label\nA,"1\nC,2\n', {}, r"a.csv:2: unexpected end of data; close every quote"),
        ("sequence,label\nA\0,1\n", {}, r"a.csv:2: holds a NUL byte; not a text file"),
        (
            gzip.compress(TABLE.encode(), mtime=0)[:-9],
            {},
            r"a.csv: compressed data ends early.*copy",
        ),
    ],
)
def test_tables_that_cannot_be_read(write, text, options, message):
    with pytest.raises(FindnaError, match=message) as caught:
        read_labelled(write("a.csv", text), **options)
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(LabelError, match="no such file or folder; give a table"):
        read_labelled(tmp_path / "a.csv")
    with pytest.raises(ValueError, match="kind 'labels'"):
        read_labelled(tmp_path / "a.csv", kind="labels")


WORDS = st.text("abc019.;,\"' é", min_size=1, max_size=5).map(str.strip).filter(bool)


@given(
    rows=st.lists(st.tuples(st.text("ACGTN", min_size=1), WORDS), min_size=1),
    delimiter=st.sampled_from(",\t"),
)
def test_what_the_csv_module_writes_is_read_back(rows, delimiter):
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([("sequence", "label"), *rows])
    with tempfile.NamedTemporaryFile(suffix=".csv") as file:
        file.write(text.getvalue().encode())
        file.flush()
        data = read_labelled(Path(file.name), kind="classes")
    assert list(zip(texts(data), named(data), strict=True)) == rows


@given(st.binary(max_size=200), st.sampled_from(["", ".csv", ".bed", ".fa"]))
def test_any_bytes_give_rows_or_one_clear_error(data, extension):
    with tempfile.NamedTemporaryFile(suffix=extension) as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(FindnaError):
            assert len(read_labelled(Path(file.name)))


@pytest.mark.slow
def test_fifty_thousand_rows_take_seconds(write):
    sequence = random_sequence(1_000)
    rows = [f"{sequence[i % 700 :][:300]},{i % 2}" for i in range(50_000)]
    path = write("a.csv", "\n".join(["sequence,label", *rows]))
    start = time.process_time()
    assert len(read_labelled(path)) == 50_000
    assert time.process_time() - start < 10  # a fraction of a second on an idle machine


# BED

BED = (
    "#chrom\n"
    "chrA\t10\t20\tpos\t3\t+\t.5\n"
    "chrB\t0\t5\tneg\t1\t-\t1\n"
    "chrA\t59990\t60000\tpos\t2\t.\t2\n"
)


@pytest.mark.parametrize("name", ["a.bed", "a.bed.gz", "a.txt"])
def test_bed(write, genome, name):
    content = gzip.compress(BED.encode()) if name.endswith("gz") else BED
    path = write(name, content)
    data = read_labelled(path, genome)
    minus = genome.fetch("chrB", 0, 5)
    expected = [genome.fetch("chrA", 10, 20), reverse_complement(minus)]
    for sequence, same in zip(data.sequences, expected, strict=False):
        assert sequence.tolist() == same.tolist()
    assert (data.classes, named(data)) == (("neg", "pos"), ["pos", "neg", "pos"])
    assert data.contigs == ["chrA", "chrB", "chrA"]
    plus = read_labelled(path, genome, stranded=False)
    assert plus.sequences[1].tolist() == minus.tolist()


def test_label_columns_of_bed(write, genome):
    path = write("a.bed", BED)
    for column in ("5", "score", "Score"):
        assert read_labelled(path, genome, label_column=column).classes == ("1", "2", "3")
    targets = read_labelled(path, genome, label_column="score,7", kind="regression")
    assert targets.classes == ("score", "thickStart")
    assert targets.labels.tolist() == [[3, 0.5], [1, 1], [2, 2]]
    listed = write("b.bed", "chrA\t0\t5\ta;b\nchrA\t0\t5\t.\nchrA\t0\t5\tb|c\n")
    data = read_labelled(listed, genome, kind="multilabel")
    assert data.labels.tolist() == [[1, 1, 0], [0, 0, 0], [0, 1, 1]]


def test_names_of_class_split_and_id(write, genome):
    rows = ["pos|train|1", "neg|test|2"]
    text = "".join(f"chrA\t0\t5\t{row}\n" for row in rows)
    path = write("a.bed", text)
    assert read_labelled(path, genome).classes == ("neg", "pos")
    assert read_labelled(path, genome, label_column="4").classes == tuple(sorted(rows))
    mixed = write("b.bed", text + "chrA\t0\t5\tx|y\n")
    assert read_labelled(mixed, genome).classes == (*sorted(rows), "x|y")


def test_a_window_is_read_about_the_middle(write, genome):
    whole = genome.fetch("chrA", 0, 1000)
    bed = write("w.bed", "chrA\t100\t300\tx\t0\t+\nchrA\t505\t510\ty\t0\t-\n")
    data = read_labelled(bed, genome, window=40)
    np.testing.assert_array_equal(data.sequences[0], whole[180:220])
    np.testing.assert_array_equal(data.sequences[1], reverse_complement(whole[487:527]))
    with pytest.raises(LabelError, match=r"w.bed:1: start -300 is negative;.* smaller --window"):
        read_labelled(bed, genome, window=1000)
    table = write("w.csv", "sequence,label\nAACCGGTT,1\nACCCG,0\nACGT,1\n")
    assert texts(read_labelled(table, window=4)) == ["CCGG", "ACCC", "ACGT"]
    message = "2 of 3 sequences shorter than --window 6, the first at .*w.csv:3: 5 bp; remove"
    with pytest.raises(LabelError, match=message):
        read_labelled(table, window=6)


def test_contigs_go_through_aliases(write, example):
    path = write("a.bed", "A\t10\t20\tx\n")
    with Genome(example / "genome.fa", {"A": "chrA"}) as genome:
        data = read_labelled(path, genome)
        assert data.contigs == ["chrA"]
        assert data.sequences[0].tolist() == genome.fetch("chrA", 10, 20).tolist()


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("chrA\t1\t2\n", {}, r"a.bed:1: 3 columns, so no name.*add the label as column 4"),
        ("chrA\t1\t2\ta\nchrA\t1\t2\n", {}, r"a.bed:2: 3 columns, but the first row has 4; every"),
        ("chrA\t1\t2\t.\n", {}, r"a.bed:1: name is empty; write a label"),
        ("chrA\t1\tx\ta\n", {}, r"a.bed:1: end is 'x'; expected a number"),
        ("chrom\tstart\tend\tlabel\n", {}, r"a.bed:1: .*is this a header\? begin it with #"),
        ("chrA\t1\t2\ta\n", {"label_column": "5"}, r"a.bed:1: no column '5'; the header is chrom"),
        ("chrA\t1\t2\ta\n", {"label_column": "x"}, r"a.bed:1: no column 'x'.*name one of these"),
        ("#\n", {}, r"a.bed: holds no rows; give a set"),
        (
            "A\t1\t2\ta\nchrA\t1\t2\ta\n",
            {},
            r"a.bed: 1 of 2 rows cannot be read: from a.bed:1 on: no contig A in genome.fa, "
            r".*did you mean chrA\?",
        ),
        (
            "chrA\t1\t2\ta\nchrA\t5\t60001\ta\nX\t1\t2\ta\nchrA\t1\t1\ta\nchrB\t2\t1\ta\n",
            {},
            r"a.bed: 4 of 5 rows cannot be read: a.bed:2: end 60001 is past .*; a.bed:3: no contig"
            r" X.*; a.bed:4: length 0 at chrA:1; ...; give the GENOME they are from, or remove",
        ),
        (
            "chrA\t100\t200\ta\nchrA\t600\t300\ta\nchrA\t500\t500\ta\nchrA\t59700\t60100\ta\n",
            {"window": 50},
            r"a.bed: 3 of 4 rows cannot be read: a.bed:2: start 600 is greater than end 300; "
            r"a.bed:3: length 0 at chrA:500; a.bed:4: end 60100 is past the end of chrA",
        ),
    ],
)
def test_bed_that_cannot_be_read(write, genome, text, options, message):
    with pytest.raises(FindnaError, match=message) as caught:
        read_labelled(write("a.bed", text), genome, **options)
    assert "\n" not in str(caught.value)


def test_bed_needs_a_genome(write):
    with pytest.raises(LabelError, match=r"a.bed: BED holds no sequence; give GENOME"):
        read_labelled(write("a.bed", BED))


# FASTA


@pytest.mark.parametrize(
    ("headers", "options"),
    [
        (["r1|x", "r2|y"], {}),
        (["r 1|a b|x ", "r2|c|y"], {}),
        (["r1 x", "r2\ty"], {}),
        (["r1 label=x", "len=3 LABEL=y z"], {}),
        (["r1 class=x|z", "r2|class=y|a b"], {}),
        (["r1|x|train", "r2|y|test z"], {"label_column": "2"}),
        (["x|r1|train", "y"], {"label_column": "1"}),
        (["r1 label=1 type=x", "r2 type=y label=1"], {"label_column": "type"}),
    ],
)
@pytest.mark.parametrize("name", ["a.fa", "a.fasta.gz", "a.txt"])
def test_labels_of_fasta_headers(write, headers, options, name):
    text = f"\n>{headers[0]}\r\nACG\r\nT\r\n\r\n>{headers[1]}\nnn"
    content = gzip.compress(text.encode()) if name.endswith("gz") else text
    data = read_labelled(write(name, content), **options)
    assert (texts(data), named(data)) == (["ACGT", "NN"], ["x", "y"])
    assert data.contigs is None


def test_fasta_with_numbers_and_lists(write):
    numbers = read_labelled(write("a.fa", ">a|0.5\nA\n>b|1\nC\n"))
    assert (numbers.kind, numbers.labels.tolist()) == (REGRESSION, [[0.5], [1]])
    listed = read_labelled(write("b.fa", ">a label=x;y\nA\n>b label=\nC\n"), kind="multilabel")
    assert listed.labels.tolist() == [[1, 1], [0, 0]]


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, r"a.fa: holds no rows; give"),
        ("ACGT\n", {}, r"a.fa:1: not FASTA: expected a header that begins with >, found 'ACGT'"),
        (">a|x\n>b|y\nA\n", {}, r"a.fa:1: the sequence is empty; correct or remove"),
        (">a|x\nA\n>b|y\n", {}, r"a.fa:3: the sequence is empty"),
        (">a|x\nA\nM-L\n", {}, r"a.fa:1: '-' in sequence 'AM-L' is not a nucleotide; write"),
        (">a\nA\n", {}, r"a.fa:1: no label in header 'a'; expected two words.*write label=NAME"),
        (">a b c\nA\n", {}, r"a.fa:1: no label in header 'a b c'; expected two words"),
        (">a|x\nA\n>b\nA\n", {}, r"a.fa:3: no label in header 'b'; expected 2 \|-separated"),
        (">a|x\nA\n>b|c|x\nA\n", {}, r"a.fa:3: no label in header 'b\|c\|x'; expected 2"),
        (">a|x y\nA\n", {}, r"a.fa:1: no label in header 'a\|x y'; .*the last one word; write"),
        (">a|\nA\n", {}, r"a.fa:1: label is empty; write a label"),
        (">a x\nA\n>b|x\nA\n", {}, r"a.fa:3: no label in header"),
        (">a label=x\nA\n>b x\nA\n", {}, r"a.fa:3: no label in header 'b x'; expected label="),
        (">a label=x class=y\nA\n", {}, r"a.fa:1: no label in header .*expected label=... once"),
        (">a|x\nA\n", {"label_column": "3"}, r"a.fa:1: no label in header.*field 3; write"),
        (">a|x\nA\n", {"label_column": "0"}, r"a.fa:1: no label in header"),
        (">a|x\nA\n", {"label_column": "type"}, r"a.fa:1: .*expected type=... once; write"),
    ],
)
def test_fasta_that_cannot_be_read(write, text, options, message):
    with pytest.raises(LabelError, match=message):
        read_labelled(write("a.fa", text), **options)


# Folders


def fill(folder, files):
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return folder


INTERVALS = "id,region,start,end,strand\n"


def test_a_folder_per_class(tmp_path):
    folder = fill(
        tmp_path / "train",
        {
            "pos/10.txt": "ACGT\n",
            "pos/9.txt": "AAC\nCC\n",
            "pos/.hidden": "x",
            "neg/a.txt.gz": "GG",
            "README.md": "x",
        },
    )
    data = read_labelled(folder)
    assert (texts(data), named(data)) == (["GG", "AACCC", "ACGT"], ["neg", "pos", "pos"])
    assert data.classes == ("neg", "pos")


def test_a_fasta_file_per_class(tmp_path):
    folder = fill(
        tmp_path, {"b.fa.gz": ">x\nAC\n>y\nGT\n", "a.fasta": ">z|1\nC\n", "b.fa.fai": "x"}
    )
    data = read_labelled(folder)
    assert (texts(data), named(data)) == (["C", "AC", "GT"], ["a", "b", "b"])
    known = read_labelled(folder, classes=["b", "a"])
    assert known.labels.tolist() == [1, 0, 0]
    with pytest.raises(LabelError, match=r"b.fa.gz:1: label 'b' is not one of the known ones"):
        read_labelled(folder, classes=["a", "c"])


def test_a_table_of_intervals_per_class(tmp_path, genome):
    folder = fill(
        tmp_path,
        {
            "pos.csv.gz": INTERVALS + "1,chrA,10,20,+\n2,chrB,0,5,-\n",
            "neg.csv": "region,start,end\nchrA,0,3\n",
            "metadata.yaml": "x",
        },
    )
    data = read_labelled(folder, genome)
    expected = [genome.fetch("chrA", 0, 3), genome.fetch("chrA", 10, 20)]
    expected.append(reverse_complement(genome.fetch("chrB", 0, 5)))
    assert texts(data) == [decode(tokens) for tokens in expected]
    assert (named(data), data.contigs) == (["neg", "pos", "pos"], ["chrA", "chrA", "chrB"])
    plus = read_labelled(folder, genome, stranded=False)
    assert texts(plus)[2] == decode(genome.fetch("chrB", 0, 5))
    with pytest.raises(LabelError, match="hold intervals, not sequence; give GENOME"):
        read_labelled(folder)


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ({"README": "x"}, {}, "holds no labelled sequences; expected one of"),
        ({"a.fa": ">x\nA\n", "b/1.txt": "A"}, {}, "holds sub-folders and FASTA files; expected"),
        ({"a.fa": ">x\nA\n", "a.fa.gz": ">x\nA\n"}, {}, "two files of class 'a'; keep one"),
        ({"a.fa": ">x\nA\n", "b.fa": ""}, {}, r"b.fa: holds no sequence of class 'b'; remove"),
        ({"a.fa": ">x\nA\n>y\n"}, {}, r"a.fa:3: the sequence is empty"),
        ({"a/1.txt": "A", "b/.x": ""}, {}, r"b: holds no sequence of class 'b'; remove"),
        ({"a/1.txt": " \n"}, {}, r"a/1.txt: the sequence is empty; correct or remove"),
        ({"a/1.txt": "AC\nXX"}, {}, r"a/1.txt: 'X' in sequence 'ACXX' is not a nucleotide"),
        ({"a/1.txt": "A", "a/b.fa": ">"}, {}, r"a/b.fa: not a .txt file.*remove this one"),
        ({"a/b/1.txt": "A"}, {}, r"a/b: not a .txt file"),
        ({"a.csv": TABLE}, {}, r"a.csv:1: no column region; .*given as a file"),
        ({"a.csv": ""}, {}, r"a.csv:1: no column region"),
        ({"a.csv": INTERVALS}, {}, r"a.csv: holds no sequence of class 'a'"),
        ({"a.csv": INTERVALS + "1,chrA,1,2\n"}, {}, r"a.csv:2: 4 columns, but the header has 5"),
        ({"a.csv": INTERVALS + "1,chrA,1,x,+\n"}, {}, r"a.csv:2: end is 'x'; expected a number"),
        ({"a.csv": INTERVALS + "1,chrA,1,2,1\n"}, {}, r"a.csv:2: strand is '1'; write \+, - or"),
        ({"a.csv": INTERVALS + "1,c\tA,1,2,+\n"}, {}, r"a.csv:2: a tab within a column; remove"),
        ({"a.csv": INTERVALS + "1,X,1,2,+\n"}, {}, r"1 of 1 row .* from a.csv:2 on: no contig X"),
        ({"train.csv": TABLE, "test.csv": TABLE}, {}, "give one of them: train.csv, test.csv"),
        ({"a/1.txt": "A"}, {"kind": "regression"}, "names its classes by files.*leave out"),
        ({"a/1.txt": "A"}, {"label_column": "x"}, "leave out --label-column"),
    ],
)
def test_folders_that_cannot_be_read(tmp_path, genome, files, options, message):
    with pytest.raises(FindnaError, match=message):
        read_labelled(fill(tmp_path / "set", files), genome, **options)


def test_splits(tmp_path):
    def names(*files):
        folder = fill(tmp_path / "-".join(files).replace("/", "_"), dict.fromkeys(files, ""))
        return {split: path.name for split, path in find_splits(folder).items()}

    assert names("test.csv.gz", "dev.csv", "train.tsv", "notes.md", "other.csv") == {
        "train": "train.tsv",
        "dev": "dev.csv",
        "test": "test.csv.gz",
    }
    assert list(names("test.csv", "dev.csv", "train.csv")) == ["train", "dev", "test"]
    assert names("train/a/1.txt", "test/a/1.txt") == {"train": "train", "test": "test"}
    for dev in ("valid", "val", "validation", "Valid"):
        assert names(f"{dev}.bed.gz") == {"dev": f"{dev}.bed.gz"}
    assert names("train.md", "a.fa") == {}
    assert find_splits(tmp_path / "absent") == {}
    assert find_splits(fill(tmp_path, {"train.csv": TABLE}) / "train.csv") == {}
    with pytest.raises(LabelError, match=r"both dev.csv and valid.csv are its dev split; keep one"):
        names("dev.csv", "valid.csv")


# Sets


def test_the_digest_changes_with_every_part(write):
    path = write("a.csv", TABLE)
    data = read_labelled(path)
    others = [
        read_labelled(path, kind="regression"),
        read_labelled(path, classes=["1", "0"]),
        data.take(np.array([1, 0, 2])),
        data.take(np.array([0, 1])),
        read_labelled(write("b.csv", TABLE.replace("TTTT", "TTTN"))),
        read_labelled(write("b.csv", TABLE.replace("GGNA,0", "GGNA,1"))),
        read_labelled(write("b.csv", "sequence,label\nACGTG,1\nGNA,0\nTTTT,1\n")),
    ]
    assert len({one.digest for one in [data, *others]}) == len(others) + 1
    assert data.digest == read_labelled(write("c.csv", TABLE.lower())).digest
    assert len(data.digest) == 64


def test_take():
    data = make([0, 1, 1], ["a", "b", "c"])
    part = data.take(np.array([2, 0]))
    assert (part.contigs, part.labels.tolist(), part.classes) == (["c", "a"], [1, 0], ("0", "1"))
    assert part.sequences[0] is data.sequences[2]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (make([]), "made: holds no rows; give a set"),
        (make([0, 0]), "made: every row has label '0'; training needs at least two classes: add"),
        (make([0, 0, 1]), "made: class '1' has 1 row, but training needs at least 2; add rows"),
        (make([0, 0, 2, 2]), "made: class '1' has 0 rows"),
        (make([[0, 1]] * 3, kind=MULTILABEL), "made: every row has the same labels; add rows"),
        (make([[0, 1], [1, 1]], kind=REGRESSION), "target '1' is the same in every row; correct"),
        (make([[0], [np.nan]], kind=REGRESSION), "target '0' is not finite in every row; correct"),
    ],
)
def test_sets_from_which_nothing_can_be_learned(data, message):
    with pytest.raises(LabelError, match=message):
        check_trainable(data)


def test_sets_from_which_something_can_be_learned():
    check_trainable(make([0, 1, 0, 1]))
    check_trainable(make([[0, 1], [0, 0]], kind=MULTILABEL))
    check_trainable(make([[0.0], [1]], kind=REGRESSION))


# Holding out


def test_rows_are_held_out_of_each_class_in_proportion():
    data = make([0] * 80 + [1] * 20 + [2] * 2 + [3])
    train, valid = hold_out(data, 0.25)
    assert sorted([*train, *valid]) == list(range(len(data)))
    assert np.bincount(data.labels[valid], minlength=4).tolist() == [20, 5, 1, 0]
    for again, same in zip(hold_out(data, 0.25), (train, valid), strict=True):
        np.testing.assert_array_equal(again, same)
    assert hold_out(data, 0.25, seed=1)[1].tolist() != valid.tolist()


def test_whole_contigs_are_held_out():
    sizes = {"a": 50, "b": 30, "c": 12, "d": 8}
    contigs = [name for name, size in sizes.items() for _ in range(size)]
    data = make([i % 2 for i in range(100)], contigs)
    for seed in range(3):
        train, valid = hold_out(data, 0.2, seed)
        assert {contigs[row] for row in valid} == {"c", "d"}
        assert {contigs[row] for row in train} == {"a", "b"}


def test_whole_contigs_must_leave_every_class_on_both_sides():
    contigs = ["a"] * 20 + ["b"] * 60 + ["c"] * 20
    labels = [0] * 20 + [0, 1] * 30 + [0, 1] * 10
    _, valid = hold_out(make(labels, contigs), 0.2)
    assert {contigs[row] for row in valid} == {"c"}
    labels = [0] * 20 + [1] * 60 + [2] * 20
    _, valid = hold_out(make(labels, contigs), 0.2)
    assert np.bincount(np.array(labels)[valid]).tolist() == [4, 12, 4]
    listed = make([[1, i % 2] for i in range(100)], contigs, kind=MULTILABEL)
    assert {contigs[row] for row in hold_out(listed, 0.6)[1]} == {"b"}


def test_contigs_with_too_few_rows_are_not_held_out_alone():
    data = make([i % 2 for i in range(100)], ["a"] * 98 + ["b"] * 2)
    assert len(hold_out(data, 0.2)[1]) == 20
    assert len(hold_out(make([0, 1] * 50, ["a"] * 100), 0.2)[1]) == 20


def test_many_contigs():
    rng = np.random.default_rng(0)
    contigs = [f"c{i}" for i in rng.integers(0, 40, 1_000)]
    data = make(rng.integers(0, 2, 1_000), contigs)
    train, valid = hold_out(data, 0.1)
    assert abs(len(valid) - 100) <= 5
    assert not {contigs[row] for row in train} & {contigs[row] for row in valid}


def test_holding_out_of_other_kinds():
    targets = make([[float(i)] for i in range(10)], kind=REGRESSION)
    assert [len(rows) for rows in hold_out(targets)] == [8, 2]
    listed = make([[0, 1]] * 10 + [[1, 0]] * 10 + [[1, 1], [0, 0]], kind=MULTILABEL)
    assert [len(rows) for rows in hold_out(listed, 0.1)] == [19, 3]
    assert [len(rows) for rows in hold_out(make([0, 1]))] == [1, 1]
    with pytest.raises(LabelError, match="made: 1 row cannot be divided; give at least 2"):
        hold_out(make([0]))
    with pytest.raises(ValueError, match="fraction 1"):
        hold_out(targets, 1)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5)), min_size=2, max_size=60),
    st.floats(0.01, 0.99),
    st.booleans(),
)
def test_held_out_rows_are_a_part_and_leave_classes_on_both_sides(rows, fraction, known):
    labels, contigs = [row[0] for row in rows], [str(row[1]) for row in rows]
    train, valid = hold_out(make(labels, contigs if known else None), fraction)
    assert len(train)
    assert len(valid)
    assert sorted([*train.tolist(), *valid.tolist()]) == list(range(len(rows)))
    for label, count in Counter(labels).items():
        sides = [any(labels[row] == label for row in part) for part in (train, valid)]
        assert all(sides) or count < 2


def test_overlap():
    train, test = (
        LabelledSet(name, CLASSES, ("0",), list(map(encode, sequences)), np.zeros(len(sequences)))
        for name, sequences in (
            ("a", ["ACGTT", "ACGT", "GGGG"]),
            ("b", ["AACGT", "ACGT", "GGG", "CCCC", "acgtt", "GGGG"]),
        )
    )
    identical, reverse = overlap(train, test)
    assert identical.tolist() == [1, 4, 5]  # a palindrome is identical
    assert reverse.tolist() == [0, 3]
    assert overlap(make([]), test)[0].dtype == np.int64


# Real data


def catalogue(shared_data):
    """Number of rows and labels of each file, by the catalogue."""
    found = {}
    for line in (shared_data / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.split(" | ")]
        if line.startswith("| `") and "labels " in line and cells[3].endswith("sequences"):
            listed = cells[1].split("labels ")[1].split(", ")
            labels = dict(item.split(":") for item in listed if item.count(":") == 1)
            found[cells[0].strip("| `")] = (
                int(cells[3].split()[0].replace(",", "")),
                {label: int(count) for label, count in labels.items()},
            )
    return found


@pytest.mark.realdata
@pytest.mark.parametrize(
    "pattern",
    [
        "gue/EMP/H3/*",
        "gue/mouse/0/*",
        "gue/prom/prom_core_notata/*",
        "gue/splice/*/*",
        "epdnew_promoters_300/fold_1*",
        "cdna_gene_family/*",
        "genomic_benchmarks/*/*.csv.gz",
    ],
)
def test_real_tables(shared_data, pattern):
    rows = catalogue(shared_data)
    paths = sorted(shared_data.glob(pattern))
    assert paths
    for path in paths:
        n, labels = rows[str(path.relative_to(shared_data))]
        data = read_labelled(path)
        assert (data.kind, len(data)) == (CLASSES, n)
        assert dict(Counter(named(data))) == labels
        check_trainable(data)


@pytest.mark.realdata
def test_real_iupac_codes_and_words(shared_data):
    data = read_labelled(shared_data / "uci_splice" / "splice.csv.gz")
    assert Counter(named(data)) == {"EI": 767, "IE": 768, "N": 1655}
    assert "".join(texts(data)).count("N") >= 4
    assert {len(sequence) for sequence in data.sequences} == {60}


@pytest.mark.realdata
def test_real_intervals(shared_data, tmp_path):
    fasta = shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"
    bed = (
        shared_data
        / "genomic_benchmarks"
        / "intervals"
        / "human_nontata_promoters.chr2_chr20_chr21.hg38.bed.gz"
    )
    with Genome(fasta) as genome:
        data = read_labelled(bed, genome)
        assert Counter(named(data)) == {"negative": 9, "positive": 106}
        assert {len(sequence) for sequence in data.sequences} == {251}
        assert set(data.contigs) == {"chr2", "chr20"}

        # the same rows as the tables of GenomicBenchmarks
        tables = {"positive": [INTERVALS], "negative": [INTERVALS]}
        rows = [line.split() for line in gzip.decompress(bed.read_bytes()).decode().splitlines()]
        for chrom, start, end, name, _, strand in rows:
            tables[name.split("|")[0]].append(f"{name},{chrom},{start},{end},{strand}\n")
        folder = fill(tmp_path / "set", {f"{k}.csv.gz": "".join(v) for k, v in tables.items()})
        again = read_labelled(folder, genome)
        assert sorted(zip(texts(again), named(again), strict=True)) == sorted(
            zip(texts(data), named(data), strict=True)
        )

        # as published: strands, ends and classes agree where a promoter is in the test split
        path = shared_data / "genomic_benchmarks" / "human_nontata_promoters" / "test.csv.gz"
        test = read_labelled(path)
        published = dict(zip(texts(test), named(test), strict=True))
        tests = [i for i, row in enumerate(rows) if "|test|" in row[3]]
        found = [published.get(texts(data)[i]) for i in tests]
        assert found == [{"negative": "0", "positive": "1"}[named(data)[i]] for i in tests]


@pytest.mark.realdata
def test_real_splits_and_overlap(shared_data):
    splits = find_splits(shared_data / "gue" / "mouse" / "0")
    assert list(splits) == ["train", "dev", "test"]
    train = read_labelled(splits["train"])
    test = read_labelled(splits["test"], classes=train.classes)
    identical, reverse = overlap(train, test)
    assert not set(identical) & set(reverse)
    known = set(texts(train))
    assert identical.tolist() == [row for row, text in enumerate(texts(test)) if text in known]
    kept, held = hold_out(train)
    assert len(held) / len(train) == pytest.approx(0.2, abs=0.001)
    assert len(kept) + len(held) == len(train)
