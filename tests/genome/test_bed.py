import contextlib
import gzip
import io
import tempfile

import pytest
from Bio import bgzf
from hypothesis import given
from hypothesis import strategies as st

from findna.errors import FindnaError, RegionError
from findna.genome import bed, text
from findna.genome.bed import BedBlock, BedRow, column_names, parse_row, problem, read_bed
from findna.genome.intervals import Interval


def rows(path):
    return [(r.interval.chrom, r.interval.start, r.interval.end) for r in read_bed(path)]


TEXT = "track name=x\n#c\nbrowser position\nchrA\t1\t5\tn\t0\t-\r\n\nchrB\t2\t9\t.\t0\t+"


@pytest.mark.parametrize("wrap", [lambda b: b, gzip.compress], ids=["plain", "gzip"])
def test_headers_blank_lines_crlf_and_a_last_line_without_newline(write, wrap):
    path = write("a.bed", wrap(TEXT.encode()))
    assert rows(path) == [("chrA", 1, 5), ("chrB", 2, 9)]
    first, second = read_bed(path)
    assert (first.number, first.interval.name, first.interval.strand) == (4, "n", "-")
    assert second.columns == ("chrB", "2", "9", ".", "0", "+")
    assert second.interval.name == ""


@pytest.mark.parametrize(
    ("column", "summit"),
    [("0", 100), ("49", 149), (" 7", 107), ("50", None), ("-1", None), (".", None), ("1.5", None)],
)
def test_the_summit_of_a_peak(column, summit):
    row = parse_row(f"c\t100\t150\tp\t0\t.\t9.1\t3\t2\t{column}", 1, "p.narrowPeak")
    assert row.summit == summit


def test_other_bed_has_no_summit():
    longer = "c\t100\t150\tp\t0\t.\t100\t150\t0\t1\t50\t0"
    for line in (longer, longer.rpartition("\t")[0], "c\t100\t150"):
        assert parse_row(line, 1, "a.bed").summit is None


def test_two_gzip_members_are_one_file(write):
    path = write("a.bed.gz", gzip.compress(b"c\t1\t2\n") + gzip.compress(b"c\t3\t4\n"))
    assert rows(path) == [("c", 1, 2), ("c", 3, 4)]


def test_empty_file(write):
    assert rows(write("a.bed", "")) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c\t1\n", "a.bed:1: expected at least 3 columns"),
        ("c 1 2\n", "separated by tabs"),
        ("c\t1\t200 x\n", "a.bed:1: column 3 holds '200 x'; separate columns by tabs"),
        ("c 1\t200\tx\n", "a.bed:1: column 1 holds 'c 1'; separate columns by tabs"),
        ("c\t1\t2\nc\tx\t2\n", "a.bed:2: start is 'x'"),
        ("chrom\tstart\tend\n", "is this a header\\? begin it with #"),
        ("c\t1\t2.5\n", "end is '2.5'"),
        ("c\t1\t99999999999999999999\n", "larger than any contig"),
        ("c\t1\t²\n", "expected a number"),
        ("\t1\t2\n", "at least 3 columns"),
        ("c\0\t1\t2\n", "NUL byte"),
        ("c\t1\t2\tx\rc\t3\t4\ty\r", "a.bed:1: a carriage return within the line"),
        ("#old\rc\t1\t2\r", "carriage return"),
        ("c\t1\t2\r\r\n", "carriage return"),
    ],
)
def test_malformed_lines_are_named(write, text, message):
    with pytest.raises(RegionError, match=message):
        rows(write("a.bed", text))


def test_truncated_gzip(write):
    data = gzip.compress(b"c\t1\t2\n" * 10_000)
    with pytest.raises(RegionError, match="ends early or is damaged"):
        rows(write("a.bed.gz", data[: len(data) // 2]))


def test_bytes_that_are_not_utf8_pass_through(write):
    (row,) = read_bed(write("a.bed", b"c\t1\t2\t\xff\xfe\n"))
    assert row.columns[3].encode("utf-8", "surrogateescape") == b"\xff\xfe"


def test_blocks(write):
    line = "c\t100\t200\tn\t0\t+\t100\t200\t0\t2\t10,20,\t0,80,\n"
    (row,) = read_bed(write("a.bed", line))
    assert row.blocks() == [(100, 110), (180, 200)]
    for bad in ("3\t10,20,\t0,80,", "2\t10,x\t0,80", "2\t10,30\t0,80", "2\t90,20\t0,80", "0\t\t"):
        (row,) = read_bed(write("a.bed", f"c\t100\t200\tn\t0\t+\t100\t200\t0\t{bad}\n"))
        assert row.blocks() is None


@pytest.mark.parametrize(
    ("interval", "status", "padded"),
    [
        (("chrA", 0, 60_000), None, None),
        (("chrA", 10, 10), "empty", "empty"),
        (("chrA", 11, 10), "reversed", "reversed"),
        (("chrA", -1, 10), "out_of_bounds", None),
        (("chrA", 59_999, 60_001), "out_of_bounds", None),
        (("chrA", 60_000, 60_001), "out_of_bounds", "out_of_bounds"),
        (("A", 0, 1), "unknown_contig", "unknown_contig"),
    ],
)
def test_problems(genome, interval, status, padded):
    for pad, expected in ((False, status), (True, padded)):
        found = problem(Interval(*interval), genome, pad)
        assert (found and found[0]) == expected


def test_the_likely_fix_of_a_contig_name_is_shown(genome):
    _, reason = problem(Interval("A", 0, 1), genome)
    assert reason == (
        "no contig A in genome.fa, which has chrA, chrB; did you mean chrA? "
        "(--chrom-alias auto maps such names)"
    )
    _, reason = problem(Interval("CHRa", 0, 1), genome)
    assert reason.endswith("did you mean chrA? (--chrom-alias FILE maps names)")


def test_column_names():
    assert column_names(4) == ("chrom", "start", "end", "name")
    assert column_names(14)[-3:] == ("blockStarts", "col13", "col14")
    assert column_names(9)[-3:] == ("thickStart", "thickEnd", "itemRgb")
    assert column_names(10)[5:] == ("strand", "signalValue", "pValue", "qValue", "peak")


@given(st.binary(max_size=200))
def test_any_bytes_give_rows_or_one_clear_error(data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        with contextlib.suppress(FindnaError):
            for row in read_bed(file.name):
                assert len(row.columns) >= 3


def test_stdin(monkeypatch):
    stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(gzip.compress(b"c\t1\t2\n"))))
    monkeypatch.setattr("sys.stdin", stream)
    assert rows("-") == [("c", 1, 2)]


def blocks(path, text, size=200):
    """BGZF of a text, and where its blocks begin."""
    with bgzf.BgzfWriter(str(path)) as file:
        for start in range(0, len(text), size):
            file.write(text[start : start + size])
            file.flush()
    with path.open("rb") as file:
        return path.read_bytes(), [start for start, *_ in bgzf.BgzfBlocks(file)]


@pytest.mark.parametrize("pipe", [False, True])
def test_bgzf_that_was_cut_between_two_blocks(tmp_path, monkeypatch, pipe):
    text = "".join(f"c\t{i}\t{i + 1}\n" for i in range(100))
    data, starts = blocks(tmp_path / "a.bed.gz", text)
    assert len(rows(tmp_path / "a.bed.gz")) == 100
    for cut in (starts[-1], starts[2]):
        path = tmp_path / "cut.bed.gz"
        path.write_bytes(data[:cut])
        if pipe:
            stream = io.TextIOWrapper(io.BufferedReader(io.BytesIO(data[:cut])))
            monkeypatch.setattr("sys.stdin", stream)
        with pytest.raises(RegionError, match="ends early or is damaged"):
            rows("-" if pipe else path)


def test_padding_has_an_end(genome):
    """A row of the right contig, but of a thousand billion bases, would fill the memory."""
    status, _ = problem(Interval("chrA", -(2**40), 10), genome, pad=True)
    assert status == "out_of_bounds"
    assert problem(Interval("chrA", -(10**9), 10**9), genome, pad=True) is None


@pytest.mark.parametrize("count", ["1_0", "+2", "x", "9" * 5000, "\u0662", ""])
def test_blocks_are_plain_numbers(count):
    columns = ("c", "0", "10", "n", "0", "+", "0", "10", "0", count, "1,1", "0,9")
    row = BedRow(1, Interval("c", 0, 10), columns)
    assert row.blocks() is None
    good = BedRow(1, Interval("c", 0, 10), (*columns[:9], "2", "1,1,", "0,9,"))
    assert good.blocks() == [(0, 1), (9, 10)]


words = st.text(st.characters(exclude_characters="\t\n\r\0", exclude_categories=["Cs"]))
names = words.filter(lambda text: text.strip() and text[0] not in "#\ufeff")


@pytest.mark.slow
@given(
    st.lists(st.tuples(names, st.integers(0, 2**40), st.integers(0, 2**40), words, words)),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_every_column_of_every_row_comes_back(table, end, compressed):
    table = [row for row in table if row[0] not in ("track", "browser")]
    table = [row for row in table if not row[0].startswith(("track ", "browser "))]
    data = "".join("\t".join(map(str, row)) + end for row in table).encode()
    with tempfile.NamedTemporaryFile() as file:
        file.write(gzip.compress(data) if compressed else data)
        file.flush()
        found = [row.columns for row in read_bed(file.name)]
    assert found == [tuple(map(str, row)) for row in table]


ODD = [
    b"#c", b"track", b"track x\t1\t2", b"browser\t1\t2", b"", b"  ", b"\t\t", b"c\t1", b"c\t-1\t5",
    b"c\t1\t2\xff", b"c\t1\t2\t\xff", b"\xff\t1\t2", b"c\t1_0\t20", b"c\t+1\t2", b"c\t 1\t2",
    "c\t1\t\u0662".encode(), b"c\t1\t2\r\r", b"c\t1\t2\0", b"c\t1\t00000000000000002", b"\t1\t2",
    b"c\t1\t9999999999999", b"\xef\xbb\xbfc\t1\t2", b"c\t1\t2\t.\t0\t -", b"c\t\t2",
]  # fmt: skip
plain = st.integers(0, 99).map(lambda i: f"c{i % 3}\t{i}\t{i * 2 % 90}\tn{i}\t{i}\t+".encode())
lines_of_bed = st.lists(st.one_of(plain, plain, plain, st.sampled_from(ODD)), max_size=12)


def rows_and_message(path, on_malformed=None):
    """Rows, headers, messages of malformed lines, and the message at which reading ends."""
    found, headers, message = [], [], ""
    malformed = None if on_malformed is None else lambda error: on_malformed.append(str(error))
    try:
        found.extend(read_bed(path, "x", headers.append, malformed))
    except RegionError as error:
        message = str(error)
    return found, headers, message


@given(lines_of_bed, st.sampled_from([b"\n", b"\r\n"]), st.booleans(), st.sampled_from([1, 7, 99]))
def test_a_block_of_lines_gives_what_its_lines_give(table, end, ended, size):
    """With blocks of any size, and with none that is read at once."""
    data = end.join(table) + end * ended
    with tempfile.NamedTemporaryFile() as file, pytest.MonkeyPatch.context() as patch:
        file.write(data)
        file.flush()
        at_once = []
        expected = rows_and_message(file.name), rows_and_message(file.name, at_once)
        patch.setattr(text, "_BLOCK", size)
        in_pieces = []
        assert (rows_and_message(file.name), rows_and_message(file.name, in_pieces)) == expected
        patch.setattr(bed, "parse_block", lambda lines, first: None)
        one_by_one = []
        assert (rows_and_message(file.name), rows_and_message(file.name, one_by_one)) == expected
    assert at_once == in_pieces == one_by_one


def test_plain_lines_are_read_at_once(write):
    lines = [f"c\t{i}\t{i + 5}\tn{i}\t0\t+" for i in range(1000)]
    blocks = list(bed.bed_blocks(write("a.bed", "\n".join([*lines, ""]))))
    assert all(isinstance(block, BedBlock) for block in blocks)
    expected = [parse_row(line, i, "x") for i, line in enumerate(lines, 1)]
    assert [row for block in blocks for row in block] == expected
    assert [strand for block in blocks for strand in block.strands] == ["+"] * 1000
    assert bed.parse_block([lines[0], "c\t1\t2\t\udcff\t0\t+"], 1) is None


@pytest.mark.parametrize(("n", "fits"), [(15, True), (16, False)])
@pytest.mark.parametrize("size", [1, 5, 64])
def test_the_longest_line(n, fits, size, monkeypatch):
    monkeypatch.setattr(text, "_BLOCK", size)
    for end in (b"", b"\n", b"\nshort\n"):
        lines = text.numbered_lines(io.BytesIO(b"first\n" + b"x" * n + end), "f", longest=16)
        assert next(lines) == (1, "first")
        if fits:
            assert next(lines) == (2, "x" * n)
        else:
            with pytest.raises(RegionError, match="f:2: line longer than"):
                next(lines)
