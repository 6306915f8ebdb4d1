"""``findna variants --report``: a page of the largest scores, by igv-reports."""

import json
import re
from importlib.util import find_spec

import pytest

from findna.errors import ConfigError
from findna.variants import report
from findna.variants.report import leading


@pytest.fixture
def words(example, model_folder):
    return ["variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder]


def scores(text, field):
    """Place and largest size of a field, of each record that has one."""
    found = []
    for line in text.splitlines():
        match = re.search(rf"{field}=([^;]*)", line)
        if match and not line.startswith("#"):
            sizes = [abs(float(value)) for value in match[1].split(",") if value != "."]
            if sizes:
                found.append((max(sizes), *line.split("\t")[:2]))
    return sorted(found, key=lambda row: -row[0])


@pytest.mark.parametrize("field", ["FINDNA_LLR", "FINDNA_DIST"])
def test_the_page_has_the_largest_scores(words, run, tmp_path, field):
    if not (find_spec("igv_reports") and find_spec("igv_notebook")):
        pytest.skip("needs findna[reports]")
    kind = field.removeprefix("FINDNA_").lower()
    page = tmp_path / "page.html"
    words += ["--scores", kind, "--no-version"]
    text = run(*words, "--report", page, "--report-top", 3).stdout
    assert text == run(*words).stdout  # not a word of igv-reports
    html = page.read_text()
    table = json.loads(re.search(r"const tableJson = (.*)", html)[1])
    assert field.removeprefix("FINDNA_") in table["headers"]
    shown = [(row[1], str(row[2])) for row in table["rows"]]
    assert shown == [row[1:] for row in scores(text, field)[:3]]
    assert not re.search(r"<(script|link)[^>]*(src|href)=", html)  # nothing of the web
    assert f"largest {field}" in html
    assert "sha256" in html


def test_records_without_scores_make_no_page(words, run, write, tmp_path, monkeypatch):
    monkeypatch.setattr("findna.commands.variants.need_reports", lambda: None)
    head = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
    words[2] = write("none.vcf", head + "chrA\t101\t.\tN\t<DEL>\t.\t.\tEND=120\n")
    words += ["--report", tmp_path / "page.html"]
    assert "no record has a score" in run(*words, code=1).stderr
    assert not (tmp_path / "page.html").exists()


def test_fields_by_which_variants_are_chosen():
    both = ["FINDNA_DIST", "FINDNA_LLR", "FINDNA_LLR_REF"]
    assert leading(both) == ["FINDNA_LLR"]
    assert leading(both[:1]) == ["FINDNA_DIST"]
    assert leading([*both, "FINDNA_A_DELTA", "FINDNA_B_DELTA"]) == ["FINDNA_A_DELTA"]
    sites = ["FINDNA_S_GAIN", "FINDNA_S_GAIN_POS", "FINDNA_S_LOSS"]
    assert leading(both + sites) == ["FINDNA_S_GAIN", "FINDNA_S_LOSS"]
    with pytest.raises(ConfigError, match="largest scores"):
        leading([])


def test_without_the_libraries_nothing_is_loaded(words, run, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    words[words.index("-m") + 1] = tmp_path / "no model"
    done = run(*words, "--report", tmp_path / "page.html", code=1)
    assert "pip install 'findna[reports]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not done.stdout


def test_what_cannot_be_written_is_refused(words, run, tmp_path, monkeypatch):
    monkeypatch.setattr("findna.commands.variants.need_reports", lambda: None)
    page = tmp_path / "page.html"
    assert ".html" in run(*words, "--report", tmp_path / "x.txt", code=2).stderr
    out = tmp_path / "o.vcf"
    for option in (["--resume"], ["--shard", "1/2"]):
        assert "one run" in run(*words, *option, "-o", out, "--report", page, code=2).stderr
    assert "another output" in run(*words, "-o", page, "-O", "vcf", "--report", page, code=2).stderr
    page.touch()
    assert "--force" in run(*words, "--report", page, code=1).stderr
