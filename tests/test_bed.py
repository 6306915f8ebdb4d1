import contextlib
import gzip
import io
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from findna.errors import FindnaError, RegionError
from findna.intervals import Interval
from findna.io.bed import column_names, problem, read_bed


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
        ("c\t1\t2\nc\tx\t2\n", "a.bed:2: start is 'x'"),
        ("chrom\tstart\tend\n", "is this a header\\? begin it with #"),
        ("c\t1\t2.5\n", "end is '2.5'"),
        ("c\t1\t99999999999999999999\n", "larger than any contig"),
        ("c\t1\t²\n", "expected a number"),
        ("\t1\t2\n", "at least 3 columns"),
        ("c\0\t1\t2\n", "NUL byte"),
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
        "(--chrom-alias FILE maps names)"
    )


def test_column_names():
    assert column_names(4) == ("chrom", "start", "end", "name")
    assert column_names(14)[-3:] == ("blockStarts", "col13", "col14")


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
