"""``findna variants -r/-R`` and ``-O z``: as in bcftools."""

import gzip
import os
import subprocess
import sys

import pysam
import pytest

from tests.commands.test_variants import BCFTOOLS, bcftools, needs_bcftools

FAR = "chrB:1-5000"


@pytest.fixture
def indexed(example, tmp_path):
    """The example's variants, with a deletion that spans two regions, in BGZF with an index."""
    text = (example / "variants.vcf").read_text()
    sequence = pysam.FastaFile(str(example / "genome.fa")).fetch("chrA", 1_999, 2_100)
    deletion = f"chrA\t2000\tdel\xe9\t{sequence}\t{sequence[0]}\t30.00\tPASS\t."
    lines = text.splitlines()
    after = next(i for i, line in enumerate(lines) if line.startswith("chrA\t3"))
    path = tmp_path / "v.vcf.gz"
    lines.insert(after, deletion)
    with pysam.BGZFile(str(path), "wb") as file:
        file.write(("\n".join(lines) + "\n").encode())
    pysam.tabix_index(str(path), preset="vcf", keep_original=True)
    return path


@pytest.fixture
def score(run, example, model_folder):
    def invoke(vcf, *options, **more):
        words = ["-m", model_folder, "--window", 60, "--ref-mismatch", "null", "--no-version"]
        return run("variants", example / "genome.fa", vcf, *words, *options, **more)

    return invoke


def rows(text):
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_records_of_regions_by_the_index(score, indexed, tmp_path):
    whole = rows(score(indexed).stdout)
    bed = tmp_path / "b.bed"
    bed.write_text("chrB\t0\t5000\nchrA\t2050\t2060\nchrA\t1990\t2010\n")
    expected = [
        line
        for line in whole
        if line.startswith("chrA\t2000\t")
        or (line.startswith("chrB") and int(line.split("\t")[1]) <= 5000)
    ]
    assert len(expected) > 2
    assert rows(score(indexed, "-R", bed).stdout) == expected
    words = ["-r", FAR, "-r", "chrA:1,991-2,010", "-r", "chrA:2051-2060"]
    assert rows(score(indexed, *words).stdout) == expected
    assert rows(score(indexed, "-r", "chrA", "-r", "chrB").stdout) == whole
    assert rows(score(indexed, "-r", "chrA:59999-").stdout) == []
    found = score(indexed, "-r", "chrB", "-r", "chrC:1-5")
    assert "has no contig chrC; regions left out: 1" in found.stderr
    parts = [tmp_path / f"{i}.vcf" for i in (1, 2)]
    for i, part in enumerate(parts, 1):
        score(indexed, "-R", bed, "--shard", f"{i}/2", "-o", part)
    assert [row for part in parts for row in rows(part.read_text())] == expected
    other = score(indexed, "-r", FAR, "--shard", "2/2", "-o", parts[1], "-f")
    assert " scored (" in other.stderr


@needs_bcftools
def test_records_of_regions_of_bcf(score, indexed, tmp_path):
    bcf = tmp_path / "v.bcf"
    subprocess.run([BCFTOOLS, "view", "-Ob", "-o", bcf, indexed], check=True)
    words = ["-r", FAR, "-r", "chrA:1991-2010", "-r", "chrA:2051-2060"]
    assert "no index" not in score(bcf, *words, code=1).stderr
    subprocess.run([BCFTOOLS, "index", bcf], check=True)
    expected = [line.replace("\t30.00\t", "\t30\t") for line in rows(score(indexed, *words).stdout)]
    assert rows(score(bcf, *words).stdout) == expected


def test_regions_that_are_refused(score, indexed, example, tmp_path):
    def refused(*options, vcf=indexed, code=1, **more):
        [line] = score(vcf, *options, code=code, **more).stderr.splitlines()
        return line

    plain = example / "variants.vcf"
    assert f"need an index beside BGZF or BCF: bcftools index -f {plain}" in refused(
        "-r", "chrA", vcf=plain
    )
    text = plain.read_bytes()
    assert "bcftools view -t" in refused("-r", "chrA", vcf="-", input=text, code=2)
    assert "has no contig 1; it has chrA, chrB" in refused("-r", "1")
    assert "write which" in refused("-r", "chrA:100", code=2)
    assert "ends before it starts" in refused("-r", "chrA:9-3")
    assert "begins past base 2,147,483,647" in refused("-r", "chrA:3,000,000,000-3,000,000,010")
    assert "if this is BED, name it .bed" in refused("-R", plain, code=2)
    assert "leave out -r/-R" in refused("-r", "chrA", "--haplotype", "x", code=2)
    index = indexed.with_name("v.vcf.gz.tbi")
    os.utime(index, (1, 1))
    assert "v.vcf.gz.tbi: older than the file; make it again" in refused("-r", "chrA")
    index.write_bytes(b"no index")
    assert "its index cannot be read" in refused("-r", "chrA")
    indexed.write_bytes(gzip.compress(text))
    os.utime(index)
    assert "v.vcf.gz: -r/-R need BGZF or BCF, which this file is not" in refused("-r", "chrA")


@pytest.mark.parametrize(("letter", "form"), [("v", "vcf"), ("b", "bcf"), ("u", "bcf")])
def test_letters_of_bcftools(score, example, tmp_path, letter, form):
    one, two = tmp_path / "one", tmp_path / "two"
    score(example / "variants.vcf", "-O", letter, "-o", one)
    score(example / "variants.vcf", "-O", form, "-o", two)
    assert one.read_bytes() == two.read_bytes()


@pytest.mark.slow
def test_compressed_whatever_the_name(score, example, tmp_path, model_folder):
    plain = score(example / "variants.vcf").stdout
    out = tmp_path / "x.vcf"
    score(example / "variants.vcf", "-O", "z", "-o", out, "--write-index")
    assert gzip.decompress(out.read_bytes()).decode() == plain
    assert out.with_name("x.vcf.tbi").exists()
    words = ["variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder]
    words += ["--window", "60", "--no-version", "-O", "z"]
    done = subprocess.run(
        [sys.executable, "-m", "findna", *map(str, words)], capture_output=True, check=True
    )
    assert gzip.decompress(done.stdout).decode() == plain
    stream = tmp_path / "s.vcf.gz"
    stream.write_bytes(done.stdout)
    pysam.tabix_index(str(stream), preset="vcf")
    if BCFTOOLS is not None:
        assert bcftools("view", "-H", "-", input=done.stdout).decode().splitlines() == rows(plain)
