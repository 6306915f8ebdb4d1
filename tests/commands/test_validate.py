"""``findna validate`` through the command line."""

import gzip
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from findna.cli.validate import print_report
from findna.commands import validate as module
from findna.commands.estimate import estimate_embed
from findna.commands.rows import place_all
from findna.commands.validate import Lengths, kind_of_input
from findna.commands.validate.rows import Sample
from findna.errors import RegionError
from findna.genome import bed
from findna.genome.fasta import Genome
from findna.genome.regions import RegionOptions
from findna.genome.sources import RegionSource
from findna.genome.survey import RowRecord, survey
from findna.genome.windows import Region
from findna.model.precision import compute_on
from tests.conftest import make_task, random_sequence


@pytest.fixture
def validate(run, example):
    """The report as JSON; ``code`` is 1 where a run would stop."""

    def invoke(*words, code=0, input=None, genome=example / "genome.fa"):
        files = [] if genome is None else [genome]
        done = run("validate", *files, *words, "--no-estimate", "--json", code=code, input=input)
        report = json.loads(done.stdout)
        assert report["stops"] is (code == 1)
        return report

    return invoke


BAD = (
    "# made up\nchrA\t0\t100\nchrA 5 9\nchrA\t0\t100\nA\t0\t10\nchrX\t1\t3\nchrA\t59990\t60010\n"
    "chrB\t5\t5\nchrA\t9\t3\nchrB\t0\t50\tmore\nchrB\tx\t3\nchrB\t0\t50\n"
)


def test_good_regions(validate, example):
    report = validate(example / "regions.bed")
    assert report["kind"] == "regions"
    assert report["statuses"] == {"ok": 96}
    assert report["examples"] == {}
    assert report["contigs"] == 2
    assert report["lengths"]["bins"] == [{"from": 200, "to": 499, "rows": 96}]
    assert report["duplicates"] == {"rows": 0, "compared": 96, "examples": []}
    assert report["sorted"] is True
    assert report["verdict"] == "a run would read all 96 regions"


def test_all_that_is_wrong_with_regions(validate, write):
    bed = write("bad.bed", BAD)
    report = validate(bed, code=1)
    assert report["rows"] == 11
    assert report["statuses"] == {
        "ok": 3,
        "malformed": 2,
        "unknown_contig": 2,
        "out_of_bounds": 1,
        "empty": 1,
        "reversed": 1,
        "ragged": 1,
    }
    examples = report["examples"]
    assert [said.split(": ")[0] for said in examples["malformed"]] == [f"{bed}:3", f"{bed}:11"]
    assert examples["unknown_contig"] == [f"{bed}:5: A", f"{bed}:6: chrX"]
    assert examples["ragged"][0].startswith(f"{bed}:10: 4 columns")
    assert report["unknown_contigs"]["names"] == ["A", "chrX"]
    assert "did you mean chrA?" in report["unknown_contigs"]["message"]
    assert report["duplicates"]["rows"] == 2
    assert report["duplicates"]["examples"][0] == f"{bed}:4 is the same as {bed}:2"
    assert report["sorted"] is False
    assert report["verdict"].startswith("a run would stop: 8 of 11 regions cannot be read (")
    assert report["verdict"].endswith("correct or remove them")


def test_it_agrees_with_a_run(run, validate, example, model_folder, write, tmp_path):
    for number, line in enumerate(BAD.splitlines()[1:]):
        bed = write("one.bed", f"chrA\t0\t9\n{line}\n")
        fasta, out = example / "genome.fa", tmp_path / f"{number}.h5"
        good = number in (0, 2, 10)
        validate(bed, code=0 if good else 1)
        run("embed", fasta, bed, "-m", model_folder, "-o", out, code=0 if good else 1)


def test_options_that_decide_what_is_read(validate, write):
    bed = write("r.bed", "chrA\t10\t20\tx\t0\t-\nchrA\t10\t20\tx\t0\t+\n")
    assert validate(bed)["duplicates"]["rows"] == 1
    assert validate(bed, "-s")["duplicates"]["rows"] == 0
    assert validate(bed, "--flank", 5)["lengths"]["total"] == 40
    report = validate(bed, "--window", 100, code=1)
    assert report["statuses"] == {"ok": 0, "out_of_bounds": 2}
    assert "--on-error null" in report["verdict"]
    padded = validate(bed, "--window", 100, "--out-of-bounds", "pad")
    assert padded["lengths"]["longest"] == 100
    assert padded["n"] == {"bases": 70, "rows": 2, "rows_above_half": 0, "rows_nothing_else": 0}
    line = "chrA\t100\t200\tn\t0\t+\t100\t200\t0\t2\t10,20,\t0,80,\n"
    assert validate(write("12.bed", line), "--split")["lengths"]["total"] == 30
    wrong = write("12.bed", line.replace("10,20", "10,200"))
    assert validate(wrong, "--split", code=1)["statuses"] == {"ok": 0, "bad_blocks": 1}
    alias = write("a.tsv", "A\tchrA\n")
    assert validate(write("a.bed", "A\t0\t9\n"), "--chrom-alias", alias)["rows"] == 1


def test_n(validate, write):
    fasta = write("n.fa", ">c\nACGTNNNNRY\n")
    bed = write("r.bed", "c\t0\t10\nc\t0\t4\nc\t4\t8\n")
    counted = validate(bed, genome=fasta)["n"]
    assert counted == {"bases": 10, "rows": 2, "rows_above_half": 2, "rows_nothing_else": 1}


def test_no_regions(validate, write, example):
    assert validate(write("empty.bed", ""))["verdict"] == "a run would read all 0 regions"
    one = write("one.bed", "chrA\t0\t10\n")
    assert validate(one)["verdict"] == "a run would read 1 region"
    report = validate()
    assert (report["kind"], report["rows"]) == ("regions", 2)
    assert report["lengths"]["bins"][-1] == {"from": 50_000, "to": 99_999, "rows": 1}


def test_where_the_reader_cannot_go_on(validate, write):
    whole = gzip.compress(("chrA\t0\t9\n" * 5000).encode())
    report = validate(write("cut.bed.gz", whole[:-20]), code=1)
    assert "compressed data ends early" in report["incomplete"]
    assert "compressed data ends early" in report["verdict"]
    report = validate(write("nul.bed", b"chrA\t0\t9\n\0\nchrA\t0\t9\n"), code=1)
    assert report["rows"] == 1
    assert "holds a NUL byte" in report["verdict"]
    assert "#CHROM" in validate(write("v.vcf", "##fileformat=VCFv4.2\n"), code=1)["verdict"]


def test_other_bytes(validate, write):
    report = validate(write("r.bed", b"chrA\t0\t9\t\xff\n"), code=1)
    assert report["statuses"] == {"ok": 0, "not_text": 1}


def test_a_pipe_is_told_by_its_content(validate, example, write):
    bed = (example / "regions.bed").read_bytes()
    report = validate("-", input=gzip.compress(bed))
    assert (report["kind"], report["file"], report["rows"]) == ("regions", "<stdin>", 96)
    assert "<stdin>:3: " in validate("-", input=BAD.encode(), code=1)["examples"]["malformed"][0]
    assert validate("-", input=(example / "variants.vcf").read_bytes())["kind"] == "variants"
    table = b"sequence\tlabel\nACGT\t0\nAC-T\t0\nAAAA\t1\nA\t1\nC\t0\n"
    report = validate("-", input=table, code=1)
    assert report["kind"] == "labelled"
    assert report["examples"]["malformed"][0].startswith("<stdin>:3: ")


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.bed", "sequence\tlabel\n", "regions"),
        ("a.txt", "chr1\t5\t9\n", "regions"),
        ("a.txt", "#sequence\nsequence,label\nA,1\n", "labelled"),
        ("a.txt", "chr1 5 9\n", "regions"),
        ("a.tsv", "track x\nchr1\t5\t9\n", "regions"),
        ("a.tsv", "seqs\tlabel\n", "labelled"),
        ("a.csv.gz", "", "labelled"),
        ("a", ">x\nACGT\n", "labelled"),
        ("a", "##fileformat=VCFv4.2\n", "variants"),
        ("a.vcf.gz", "chr1\t5\n", "variants"),
        ("a", "", "regions"),
    ],
)
def test_what_a_file_is(write, name, content, kind):
    data = content.encode()
    assert kind_of_input(write(name, gzip.compress(data) if name.endswith(".gz") else data)) == kind


HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def test_variants(validate, genome, write):
    letters = "ACGT"[genome.fetch("chrA", 999, 1000)[0] * 3 // 4]  # A, C, G, T are 0, 1, 2, 4
    other = "ACGT".replace(letters, "")
    rows = [
        f"chrA\t1000\t.\t{letters}\t{other[0]},{letters}AC",
        f"chrA\t1000\t.\t{letters}\t{other[0]},{letters}AC",
        f"chrA\t1000\t.\t{other[0]}\t{letters}",
        "chrA\t1000\t.\tA",
        f"chrA\tx\t.\t{letters}\t{other[0]}",
        f"A\t1000\t.\t{letters}\t{other[0]}",
        f"chrB\t40001\t.\t{letters}\t{other[0]}",
        f"chrA\t1000\t.\t{letters}\t<DEL>",
    ]
    text = HEADER + "".join(row + ("\t.\t.\t.\n" if row.count("\t") == 4 else "\n") for row in rows)
    vcf = write("v.vcf", text)
    report = validate(vcf, code=1)
    assert report["statuses"] == {
        "ok": 3,
        "malformed": 2,
        "unknown_contig": 1,
        "ref_mismatch": 1,
        "out_of_bounds": 1,
    }
    assert report["alleles"] == {
        "snv": 2,
        "insertion": 2,
        "ref_mismatch": 1,
        "unknown_contig": 1,
        "out_of_bounds": 1,
        "symbolic": 1,
    }
    assert report["examples"]["ref_mismatch"][0].startswith(f"{vcf}:5 (chrA:1000): REF is ")
    assert [said.split(": ")[0] for said in report["examples"]["malformed"]] == [
        f"{vcf}:6",
        f"{vcf}:7",
    ]
    assert "did you mean chrA?" in report["unknown_contigs"]["message"]
    assert report["duplicates"]["rows"] == 1
    assert report["lengths"]["bins"] == [{"from": 500, "to": 999, "rows": 4}]
    assert validate(vcf, "--window", 1, code=1)["alleles"]["too_long"] == 2


def test_good_variants(validate, example):
    report = validate(example / "variants.vcf")
    assert report["alleles"] == {"snv": 48}
    assert report["verdict"] == "findna variants would read all 48 records"


def test_options_that_do_not_apply(run, example):
    fasta = example / "genome.fa"
    said = run("validate", fasta, example / "variants.vcf", "-s", code=2).stderr
    assert said == f"findna: -s is for regions; {example / 'variants.vcf'} holds variants\n"
    said = run("validate", fasta, example / "regions.bed", "--labelled", "--flank", 1, code=2)
    assert "--flank is for regions" in said.stderr
    assert "--split" in run("validate", fasta, "--split", "--flank", 1, code=2).stderr


def test_a_window_of_labelled_sequences(run, write):
    table = write("w.csv", "sequence,label\nAACCGGTT,1\nACGT,0\nACGTAC,0\nACGTACG,1\n")
    said = run("validate", table, "--window", 6, "--no-estimate", code=1).stdout
    assert "too_short" in said
    assert "line 3: 4 bp, shorter than --window 6" in said
    assert "too_short" not in run("validate", table, "--window", 4, "--no-estimate").stdout


def test_labelled_table(validate, write):
    table = write(
        "l.csv", "sequence,label\nACGT,0\nACGT,1\nAC-GT,1\nACGTN,\nACGG,1,2\nACGG,1\nACGA,0\n"
    )
    report = validate(table, genome=None, code=1)
    assert report["statuses"] == {"ok": 4, "malformed": 2, "no_label": 1}
    assert report["labels"] == {
        "kind": "classes",
        "classes": {"0": 2, "1": 2},
        "conflicts": 1,
        "conflict_examples": [f"{table}:2 is 0, {table}:3 is 1"],
    }
    assert report["duplicates"]["examples"] == [f"{table}:3 is the same as {table}:2"]
    assert report["n"]["bases"] == 0  # the row with N has no label


def test_other_labelled_forms(validate, write, tmp_path, example):
    fasta = write("l.fa", ">a|0\nACGT\n>b\nACGT\n>c|1\nAC*T\n>d|1\nAAAA\n>e|1\nACCC\n>f|0\nA\n")
    report = validate(fasta, code=1)
    assert report["statuses"] == {"ok": 4, "malformed": 1, "no_label": 1}
    bed = write(
        "l.bed",
        "chrA\t0\t9\tx\nA\t0\t9\tx\nchrA\t0\t9\nchrA\t5\tp\ty\nchrB\t0\t9\ty\nchrA\t4\t9\t.\n",
    )
    report = validate(bed, "--labelled", code=1)
    assert report["statuses"] == {
        "ok": 2,
        "ragged": 1,
        "malformed": 1,
        "unknown_contig": 1,
        "no_label": 1,
    }
    folder = tmp_path / "classes"
    for label in "ab":
        (folder / label).mkdir(parents=True)
        for number in range(3):
            text = random_sequence(20, number) if number else "A-"
            (folder / label / f"{number}.txt").write_text(text)
    report = validate(folder, genome=None, code=1)
    assert report["statuses"] == {"ok": 4, "malformed": 2}
    assert report["duplicates"]["rows"] == 2
    assert report["labels"]["conflicts"] == 2
    tables = tmp_path / "tables"
    tables.mkdir()
    for label in "ab":
        (tables / f"{label}.csv").write_text(
            "id,region,start,end,strand\n1,chrA,5,9,+\n2,chrA,5\n3,chrC,5,9,+\n4,chrA,0,9,-\n"
        )
    report = validate(tables, code=1)
    assert report["statuses"] == {"ok": 4, "malformed": 2, "unknown_contig": 2}


def test_labels_that_cannot_be_used(validate, write):
    report = validate(write("one.csv", "sequence,label\nAC,1\nAG,1\n"), genome=None, code=1)
    assert "training needs at least two classes" in report["verdict"]
    report = validate(write("no.csv", "sequence,x\nAC,1\n"), genome=None, code=1)
    assert "no column label" in report["incomplete"]
    assert validate(
        write("no.csv", "sequence,x\nAC,1\nAG,1\nA,0\nC,0\n"), "--label-column", "x", genome=None
    )["labels"]["classes"] == {"0": 2, "1": 2}
    report = validate(write("r.csv", "sequence,label\nAC,0.5\nAG,1\n"), genome=None)
    assert report["labels"]["kind"] == "regression"
    report = validate(write("none.csv", "sequence,label\nAC,\n"), genome=None, code=1)
    assert "no row has a label" in report["verdict"]


def test_a_genome_is_needed_for_regions(run, example, write):
    bed = write("r.tsv", "chrA\t0\t9\n")
    said = run("validate", bed, "--no-estimate", code=1).stderr
    assert said == f"findna: {bed}: holds regions; give GENOME before it, the FASTA they are of\n"
    missing = run("validate", example / "genome.fa", bed.with_name("none.bed"), code=1).stderr
    assert "No such file" in missing


def test_text_has_no_empty_columns(run, example, write):
    fasta = example / "genome.fa"
    bed = write("bad.bed", BAD)
    lines = run("validate", fasta, bed, "--no-estimate", code=1).stdout.splitlines()
    assert all(line.count("\t") in (2, 3) for line in lines)
    assert not any(field in ("", ".") for line in lines for field in line.split("\t"))
    assert f"file\tregions\t{bed}" in lines
    (rows,) = (line for line in lines if line.startswith("rows\tunknown_contig\t2\t"))
    assert "line 5: A; " in rows  # all that is said of a status is one row
    assert "rows\tok\t3\t27.3%" in lines
    assert lines[-1].startswith("verdict\tstop\ta run would stop")
    many = write("m.csv", "sequence,label\n" + "".join(f"ACGT,k{i}\n" for i in range(25)))
    lines = run("validate", many, "--no-estimate", code=1).stdout.splitlines()
    assert "labels\tk0\t1\t4%" in lines
    assert "labels\t5 more\t5\t20%" in lines


def test_a_terminal_gets_a_table(example, write, capsys):
    with Genome(example / "genome.fa") as genome:
        print_report(module.validate(genome, write("bad.bed", BAD)))
    text = capsys.readouterr().out
    assert "\u2588" in text
    assert "line 5: A" in text
    assert "a run would stop" in text


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the parent's peak is not inherited")
def test_peak_memory_is_not_that_of_the_process_that_starts_it():
    child = "from findna.commands.estimate import peak_memory; print(peak_memory())"
    parent = (
        "import subprocess, sys; kept = b'1' * (1 << 30); "
        f"subprocess.run([sys.executable, '-c', {child!r}])"
    )
    words = [sys.executable, "-c", parent]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert 1 << 20 < int(done.stdout) < 1 << 30


@pytest.mark.slow
def test_estimates(run, example, model_folder):
    fasta = example / "genome.fa"
    for name, command in (("regions.bed", "embed"), ("variants.vcf", "variants")):
        text = run("validate", fasta, example / name, "-m", model_folder, "--json").stdout
        guess = json.loads(text)["estimate"]
        assert guess["command"] == command
        assert guess["model"] == "little"
        assert guess["seconds"] > 0
        assert guess["memory"] > 1 << 20
    lines = run("validate", fasta, example / "regions.bed", "-m", model_folder).stdout
    assert "an estimate" in lines
    with Genome(fasta) as genome:
        regions = [Region("chrA", ((0, 50_000),))]
        some = [
            estimate_embed(regions, genome, n, str(model_folder), compute_on("cpu"))
            for n in (1, 10**9)
        ]
    assert some[1].seconds > 1000 * some[0].seconds


@pytest.mark.slow
def test_an_estimate_of_labelled_sequences(run, write, model_folder):
    rows = "".join(f"{random_sequence(50, i)},{i % 2}\n" for i in range(20))
    table = write("l.csv", f"sequence,label\n{rows}")
    report = json.loads(run("validate", table, "-m", model_folder, "--json").stdout)
    assert report["estimate"]["command"] == "embed"


@pytest.mark.slow
def test_no_estimate_does_not_load_torch(example):
    for name in ("regions.bed", "variants.vcf"):
        code = f"""
import sys
from findna.cli import main
try:
    main(['validate', r'{example / "genome.fa"}', r'{example / name}', '--no-estimate', '-q'])
except SystemExit as end:
    print(end.code, 'torch' in sys.modules)
"""
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout.splitlines()[-1] == "0 False", done.stderr


def test_memory_is_bounded(validate, write, monkeypatch):
    monkeypatch.setattr("findna.commands.validate.rows.MOST_COMPARED", 10)
    monkeypatch.setattr("findna.commands.validate.rows.MOST_SAMPLED", 3)
    bed = write("r.bed", "".join(f"chrA\t{i % 12}\t100\n" for i in range(24)))
    found = validate(bed)["duplicates"]
    assert found == {"rows": 0, "compared": 10, "examples": []}
    sample = Sample[int]()
    for number in range(100):
        sample.add(number)
    assert len(sample.items) == 3
    assert sample.items == sorted(sample.items)


def test_bins_of_lengths():
    lengths = Lengths()
    for n in (1, 2, 4, 5, 9, 10, 19, 20, 99, 100, 1234):
        lengths.add(n)
    found = {(b.first, b.last): b.rows for b in lengths.bins()}
    assert found == {
        (1, 1): 1,
        (2, 4): 2,
        (5, 9): 2,
        (10, 19): 2,
        (20, 49): 1,
        (50, 99): 1,
        (100, 199): 1,
        (200, 499): 0,
        (500, 999): 0,
        (1000, 1999): 1,
    }
    assert Lengths().bins() == []


@pytest.mark.realdata
def test_real_files(validate, shared_data):
    hg38 = shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"
    tss = shared_data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"
    report = validate(tss, "--window", 300, genome=hg38, code=1)
    assert report["statuses"] == {
        "ok": 179,
        "unknown_contig": 24505,
        "out_of_bounds": 2881,
        "no_sequence": 21,
    }
    vcf = shared_data / "variants" / "giab_HG001.chr20.hg19.vcf.gz"
    report = validate(vcf, genome=hg38, code=1)
    assert report["statuses"]["ref_mismatch"] > 1000
    report = validate(shared_data / "uci_splice" / "splice.csv.gz", genome=None)
    assert report["labels"]["classes"] == {"EI": 767, "IE": 768, "N": 1655}
    assert report["labels"]["conflicts"] == 1


def test_regions_of_nothing_but_n(validate, write):
    fasta = write("n.fa", f">g\n{'N' * 200}{random_sequence(200)}\n")
    bed = write("n.bed", "g\t0\t100\ng\t150\t250\ng\t250\t350\n")
    report = validate(bed, genome=fasta)
    assert report["statuses"] == {"ok": 2, "no_sequence": 1}
    assert report["examples"]["no_sequence"] == [f"{bed}:1: 100 of its 100 bp are N"]
    assert report["n"]["rows_nothing_else"] == 1
    assert report["verdict"] == ("a run would read all 3 regions, 1 without a result (no_sequence)")
    assert validate(bed, "--max-n", 0.4, genome=fasta)["statuses"]["no_sequence"] == 2


def told(stderr):
    """Numbers of the last line of a run."""
    return [int(number) for number in re.findall(r"[0-9]+", stderr.splitlines()[-1])]


STRANDS = (
    "chrA\t900\t901\ta\t0\t-\nchrA\t5000\t5001\tb\t0\t.\nchrA\t800\t1000\tc\t0\t+\n"
    "chrA\t990\t1020\td\t0\t.\nchrB\t100\t4000\te\t0\t-\nchrA\t5\t6\tf\t0\t+\n"
)


@pytest.fixture
def strand_task(model_folder, tmp_path):
    return make_task(tmp_path / "strand", model_folder, window=60, upstream=40, stranded=True)


def test_a_task_takes_what_validate_says(run, validate, write, example, strand_task):
    bed = write("a.bed", STRANDS)
    report = validate(bed, "--task", strand_task, code=1)
    assert report["statuses"] == {"ok": 5, "out_of_bounds": 1}
    (task,) = report["tasks"]
    said = "windows of 60 bp, 40 upstream of each point"
    assert (task["name"], task["window"], task["geometry"]) == ("strand", 60, said)
    assert (task["windows"], task["as_given"], task["shorter"], task["longer"]) == (2, 3, 1, 2)
    assert task["without_strand"] == 1
    assert task["tiles"] == 5 + task["most_tiles"] == 44
    words = [example / "genome.fa", bed, "-t", strand_task, "--on-error", "skip"]
    found = run("predict", *words)
    assert said in found.stderr
    assert len(found.stdout.splitlines()) == 5
    scanned = run("scan", example / "genome.fa", "--regions", bed, "-t", strand_task).stderr
    bases, n_windows = told(scanned)[1:3]
    assert task["scan"] == {
        **{"windows": n_windows, "window": 60, "step": 10},
        **{"regions": 4, "bases": bases, "shorter": 2},  # two rows lie over a third
    }


@pytest.mark.parametrize(
    ("options", "windows", "shorter", "geometry"),
    [
        (["--anchor", "start"], 3, 0, "windows of 60 bp, 40 upstream of each start"),
        (["--upstream", 20, "--downstream", 29], 0, 3, "as the options say"),
        (["--window", 70, "--anchor", "end"], 0, 0, "as the options say"),
        ([], 0, 1, "as they are"),
    ],
)
def test_geometry_of_a_task(validate, write, strand_task, options, windows, shorter, geometry):
    bed = write("a.bed", "chrA\t900\t950\nchrA\t2000\t2100\nchrA\t3000\t3060\n")
    (task,) = validate(bed, "-t", strand_task, *options)["tasks"]
    assert (task["windows"], task["as_given"]) == (windows, 3 - windows)
    assert (task["shorter"], task["geometry"]) == (shorter, geometry)
    assert task["scan"]["window"] == {20: 50, 70: 70}.get(options[1] if options else 0, 60)


def test_tasks_that_cannot_be_read_together(run, validate, write, example, strand_task, tasks):
    bed, points = example / "regions.bed", write("p.bed", "chrA\t5\t6\n")
    both = validate(bed, "-t", f"promoter,{strand_task}")["tasks"]
    assert [task["name"] for task in both] == ["promoter", "strand"]
    report = validate(points, "-t", f"promoter,{strand_task}", "--out-of-bounds", "pad", code=1)
    assert "the tasks read different windows" in report["verdict"]
    three = validate(bed, "-t", tasks["three"])["tasks"][0]
    assert (three["window"], three["shorter"], three["without_strand"]) == (0, 0, None)
    assert (three["scan"], three["scan_message"][-8:]) == (None, "--window")
    three = validate(bed, "-t", tasks["three"], "--window", 90)["tasks"][0]
    assert "choose it with --class" in three["scan_message"]
    for words, code, message in (
        ([example / "variants.vcf", "-t", "promoter"], 2, "--task is for regions"),
        ([bed, "-t", "promotor"], 1, "did you mean promoter?"),
    ):
        assert message in run("validate", example / "genome.fa", *words, code=code).stderr


@pytest.mark.parametrize("options", [[], ["-s"], ["--flank", 30]])
def test_a_task_of_sites(run, validate, write, example, site_task, tmp_path, options):
    """Tiles of 100 bp, 76 of which are used."""
    rows = ["chrA\t75\t76\tx\t0\t+", "chrA\t70\t80\tx\t0\t.", "chrA\t300\t600\tx\t0\t-"]
    bed = write("a.bed", "".join(row + "\n" for row in rows))
    (task,) = validate(bed, "-t", site_task, *options)["tasks"]
    assert (task["window"], task["windows"], task["as_given"]) == (0, 0, 3)
    assert task["points"] == (0 if "--flank" in options else 1)
    assert task["without_strand"] == (1 if "-s" in options else None)
    pieces = [2, 2, 6] if "--flank" in options else [1, 2, 5]
    assert task["tiles"] == sum(pieces) * (1 if "-s" in options else 2)
    assert task["most_tiles"] == pieces[-1] * (1 if "-s" in options else 2)
    assert task["scan"] == {
        **{"windows": 7, "window": 100, "step": 76, "regions": 2, "bases": 310, "shorter": 0}
    }
    assert "choose it with --class" in task["scan_message"]
    words = ["validate", example / "genome.fa", bed, "-t", site_task, *options]
    text = run(*words).stdout
    strand = "its own strand" if "-s" in options else "either strand"
    n_others = 3 if "--flank" in options else 2
    assert f"task sites\tothers\t{n_others}\tthe most probable site of each, on {strand}" in text
    assert ("task sites\tpoints\t1\tone base each" in text) == ("--flank" not in options)
    assert "tiles of 100 bp every 76 bp, in 310 bp of 2 joined regions, for each strand" in text


def test_a_task_of_sites_beside_one_of_regions(validate, write, site_task, strand_task):
    bed = write("a.bed", "chrA\t900\t901\tx\t0\t+\nchrA\t2000\t2100\tx\t0\t+\n")
    sites, regions = validate(bed, "-t", f"{site_task},{strand_task}")["tasks"]
    assert (sites["points"], sites["tiles"]) == (0, 2 + 4)  # a window by strand; 100 bp on both
    assert (regions["windows"], regions["points"]) == (1, None)


def test_a_task_is_told_without_weights(run, example, strand_task, monkeypatch):
    def refuse(*_):
        raise AssertionError("weights were loaded")

    monkeypatch.setattr("findna.model.checkpoint.read_tensors", refuse)
    monkeypatch.setattr("findna.tasks.task.read_tensors", refuse)
    found = run("validate", example / "genome.fa", example / "regions.bed", "-t", strand_task)
    lines = [line.split("\t") for line in found.stdout.splitlines() if line.startswith("task")]
    assert {line[0] for line in lines} == {"task strand"}
    names = ["others", "shorter", "longer", "without strand", "tiles", "scan"]
    assert [line[1] for line in lines] == names
    assert "estimate" not in found.stdout


@pytest.mark.realdata
def test_starts_of_transcription_with_the_promoter_task(validate, write, shared_data):
    genome = shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"
    path = shared_data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"
    tss = [line.split("\t") for line in gzip.decompress(path.read_bytes()).decode().splitlines()]
    chosen = ["\t".join(row) for row in tss if row[0] == "chr20" and int(row[1]) < 9_900_000]
    report = validate(write("tss.bed", "\n".join(chosen)), "-t", "promoter", genome=genome)
    (task,) = report["tasks"]
    assert task["windows"] == task["tiles"] == report["statuses"]["ok"] > 50
    assert task["geometry"] == "windows of 300 bp, 249 upstream of each point"


GOOD = "".join(f"chrA\t{i * 20}\t{i * 20 + 90}\tn{i}\t{i}\t{'+-.'[i % 3]}\n" for i in range(300))


@pytest.mark.parametrize(
    "more",
    [
        "",
        GOOD,  # each is there twice
        "chrB\t0\t50\tx\t0\t+\n",
        "chrA\t0\t50\tx\t0\t+\n",  # not sorted
        "chrA\t59990\t60010\tx\t0\t+\nchrX\t1\t3\tx\t0\t+\n",
        "chrA\t5\t5\tx\t0\t+\nchrA\t9\t5\tx\t0\t+\n",
        "chrA\t5\t9\n",
        "chrA\t5\tx\tx\t0\t+\n#\n",
    ],
)
@pytest.mark.parametrize(
    "options",
    [
        RegionOptions(),
        RegionOptions(stranded=True, max_n=0.01),
        RegionOptions(window=60),
        RegionOptions(points=RegionOptions(window=9)),
        RegionOptions(longest=90),
    ],
)
def test_a_block_of_rows_counts_like_its_rows(write, monkeypatch, more, options):
    """In a report, in the check before a run, in what parts agree in, and in the run."""
    sequence = random_sequence(5_000) + "N" * 100 + random_sequence(54_900, seed=1)
    fasta = write("g.fa", f">chrA\n{sequence}\n>chrB\n{'N' * 60}ACGT\n")
    regions = write("r.bed", GOOD + more)

    def outcomes():
        with Genome(fasta) as genome, RegionSource.bed(regions) as source:
            yield module.validate(genome, regions, options=options).facts()
            for on_error in ("stop", "skip", "null"):
                chosen, record = replace(options, on_error=on_error), RowRecord()
                try:
                    yield survey(source, genome, chosen, True, record)
                    yield list(place_all(source, genome, chosen))
                except RegionError as error:
                    yield str(error)
                yield record.digest(["#"]), record.lengths

    at_once = list(outcomes())
    monkeypatch.setattr(bed, "parse_block", lambda lines, first: None)
    assert list(outcomes()) == at_once


def test_a_hint_that_examples_share_is_shown_once(run, write, example):
    bed = write("far.bed", "".join(f"chrB\t{i}\t90000\n" for i in range(5)))
    lines = run("validate", example / "genome.fa", bed, "--no-estimate", code=1).stdout
    (row,) = [line for line in lines.splitlines() if line.startswith("rows\tout_of_bounds")]
    assert row.count("is past the end of chrB") == 3
    assert row.count("are the same assembly") == 1


def test_an_anchor_that_changes_nothing(validate, write):
    bed = write("p.bed", "chrA\t100\t300\n")
    report = validate(bed, "--anchor", "end", code=1)
    assert "a run would stop: --anchor end changes nothing alone" in report["verdict"]
    assert "a run would read" in validate(bed, "--anchor", "end", "--window", 50)["verdict"]
