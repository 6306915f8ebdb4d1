"""docs/reliability/suites.py on a made-up folder that is laid out as the suites of others are."""

import importlib
import sys
from pathlib import Path

import pytest

from findna.outputs.tables import EmbeddingTable

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "docs" / "reliability"
VCF = (
    "##fileformat=VCFv4.3\n"
    '##INFO=<ID=DP,Number=1,Type=Integer,Description="Depth">\n'
    "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
)
FILES = {
    "acidbio/bed/BED03/good/03-standard.bed": "#c\nchr1\t1\t90\nchr2\t5\t9\nchr1\t1\t9999999\n",
    "acidbio/bed/BED03/good/other-space_delimited.bed": "chr1 1 90\n",
    "acidbio/bed/BED03/bad/02-string_start.bed": "chr1\tx\t90\n",
    "hts-specs/test/vcf/4.3/passed/passed_body.vcf": f"{VCF}1\t5\t.\tA\tC,<DEL>\t.\t.\tDP=3\n",
    "hts-specs/test/vcf/4.3/failed/failed_body_pos.vcf": f"{VCF}1\tx\t.\tA\tC\t.\t.\tDP=3\n",
    "hts-specs/test/vcf/4.3/failed/failed_body_info.vcf": f"{VCF}1\t5\t.\tA\tC\t.\t.\tDP=a\n",
    "htslib/test/x.fa": ">a\nACGT\n>b x\nAC\n",
    "htslib/test/truncated.fa": "ACGT\n",
    "htslib/test/x.sam": "",
}


@pytest.fixture
def suites(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    for name, text in FILES.items():
        path = tmp_path / "suites" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield importlib.import_module("suites")
    for name in ("suites", "fuzz", "damage", "valid"):
        sys.modules.pop(name, None)


def test_each_file_is_read_or_refused_as_its_path_says(suites, tmp_path, capsys):
    folder = tmp_path / "suites"
    assert suites.main([str(folder), "-v"]) == 0
    found = capsys.readouterr().out
    for row in (
        "| acidbio | bed | 3 | 2 | 1 | 0 | 0 | 0 |",
        "| hts-specs | vcf | 3 | 2 | 0 | 1 | 0 | 0 |",
        "| htslib | fasta | 2 | 2 | 0 | 0 | 0 | 0 |",
        "other-space_delimited.bed: refused, wrong: findna: ",
        "failed_body_info.vcf: read, wrong: findna: ",
    ):
        assert row in found, found
    files = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    assert files == sorted(FILES)  # no index beside any


def test_crashes_and_lost_rows_are_found(suites, tmp_path, capsys, monkeypatch):
    write = EmbeddingTable.write

    def faulty(self, row, result):
        if row.interval.chrom == "a":
            raise AssertionError
        if row.interval.chrom != "chr2":
            write(self, row, result)

    monkeypatch.setattr(EmbeddingTable, "write", faulty)
    assert suites.main([str(tmp_path / "suites")]) == 2
    found = capsys.readouterr().out
    assert "03-standard.bed: lost: findna: " in found
    assert "x.fa: crash: AssertionError" in found
