"""Real human sequence and regions; skipped where they are absent."""

import gzip
import re
import shutil
import subprocess
import sys

import anndata
import h5py
import numpy as np
import pytest

pytestmark = pytest.mark.realdata


@pytest.fixture
def hg38(shared_data):
    return shared_data / "human-hg38" / "hg38.chr2_chr20_chr21.fa.gz"


@pytest.fixture
def regions(shared_data):
    return shared_data / "genomic_benchmarks" / "intervals"


@pytest.fixture
def tss(shared_data):
    return shared_data / "regions" / "epdnew_human_tss.no_chr19.hg38.bed.gz"


def lines(path):
    return gzip.open(path, "rt").read().splitlines()


def test_intervals_of_mixed_lengths(run, hg38, regions, model_folder, tmp_path):
    total = 0
    for path in sorted(regions.glob("*.bed.gz")):
        out = tmp_path / f"{path.name}.h5"
        run("embed", hg38, path, "-m", model_folder, "-o", out)
        data = anndata.read_h5ad(out)
        columns = ["chrom", "start", "end", "name"]
        written = ["\t".join(row) for row in data.obs[columns].astype(str).to_numpy()]
        assert written == ["\t".join(line.split("\t")[:4]) for line in lines(path)]
        assert np.isfinite(data.X).all()
        with h5py.File(out) as file:
            np.testing.assert_array_equal(file["X"][:], data.X)
        total += data.n_obs
    assert total == 3848


def test_sites_outside_the_sequence_at_hand(run, hg38, tss, model_folder, tmp_path):
    n = len(lines(tss))
    out = tmp_path / "o.h5"
    error = run("embed", hg38, tss, "-o", out, "-m", model_folder, code=1).stderr
    assert f"of {n} regions cannot be read" in error
    assert not out.exists()
    run("embed", hg38, tss, "-o", out, "-m", model_folder, "--on-error", "null")
    data = anndata.read_h5ad(out)
    assert data.n_obs == n
    inside = (data.obs["status"] == "ok").to_numpy()
    assert np.isnan(data.X[~inside]).all()
    assert np.isfinite(data.X[inside]).all()
    run("embed", hg38, tss, "-o", out, "-m", model_folder, "--on-error", "skip", "--force")
    assert anndata.read_h5ad(out).n_obs == inside.sum()


def test_a_pipe_into_head(hg38, regions, model_folder):
    bed = regions / "human_ocr_ensembl.chr2_chr20_chr21.hg38.bed.gz"
    command = (
        f"set -o pipefail; zcat {bed} | {sys.executable} -m findna embed {hg38} - "
        f"-m {model_folder} -O tsv | head -3"
    )
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3


def test_both_strands_on_real_sequence(run, hg38, regions, model_folder, tmp_path):
    bed = tmp_path / "r.bed"
    rows = lines(regions / "human_enhancers_cohn.chr2_chr20_chr21.hg38.bed.gz")[:20]
    outs = []
    for strand in "+-":
        bed.write_text("".join("\t".join([*r.split("\t")[:4], "0", strand]) + "\n" for r in rows))
        outs.append(tmp_path / f"{strand}.h5")
        run("embed", hg38, bed, "-s", "--both-strands", "-m", model_folder, "-o", outs[-1])
    a, b = (anndata.read_h5ad(out).X for out in outs)
    assert np.abs(a - b).max() <= 1e-5 * np.abs(a).max()


VCFS = {
    "tissue_variant_effect.chr2_chr20_chr21.hg38": "snv",
    "mills_1000G_indels.chr21.hg38": "deletion",
    "cohort.chr20_chr21.hg38": "insertion",
    "1000G_omni2.5.chr21.hg38": "snv",
    "hapmap_3.3.chr21.hg38": "no_alt",
    "giab_HG001.chr20.hg19": "deletion",
}
"""Files of variants, and what their first 60 records hold among other things."""


@pytest.mark.parametrize("name", VCFS)
def test_variants_of_every_file(run, shared_data, hg38, name, model_folder, tmp_path):
    """The records as they were, by text, and for bcftools; and once more through BCF."""
    hg19 = shared_data / "human-hg19" / "hg19.chr1_chr17_chr20_chr22.fa.gz"
    genome = hg19 if name.endswith("hg19") else hg38
    header = [x for x in lines(shared_data / "variants" / f"{name}.vcf.gz") if x.startswith("#")]
    rows = lines(shared_data / "variants" / f"{name}.vcf.gz")[len(header) :][:60]
    vcf, out = tmp_path / "head.vcf", tmp_path / "o.vcf.gz"
    vcf.write_text("\n".join([*header, *rows]) + "\n")
    result = run("variants", genome, vcf, "-m", model_folder, "-o", out, "--write-index")
    assert VCFS[name] in result.stderr
    written = lines(out)
    assert [x for x in written if x.startswith("#") and "findna" not in x.lower()] == header
    for before, after in zip(rows, written[-60:], strict=True):
        info = after.split("\t")[7]
        kept = ";".join(x for x in info.split(";") if not x.startswith("FINDNA_")) or "."
        assert after.replace(info, kept) == before
        n_alts = before.split("\t")[4].count(",") + 1
        if before.split("\t")[4] != ".":
            assert info.split("FINDNA_DIST=")[1].split(";")[0].count(",") == n_alts - 1
    bcftools = shutil.which("bcftools")
    if bcftools is None:
        return
    view = [bcftools, "view", "--no-version"]
    added = ",".join(f"INFO/FINDNA_{name}" for name in ("DIST", "LLR", "LLR_REF", "LLR_ALT"))
    drop = [bcftools, "annotate", "--no-version", "-x", added, out]
    expected = subprocess.run([*view, vcf], capture_output=True, check=True)
    found = subprocess.run(drop, capture_output=True, check=True)
    assert found.stderr == expected.stderr  # warnings about the input itself
    assert [x for x in found.stdout.splitlines() if not x.startswith(b"##findna")] == (
        expected.stdout.splitlines()
    )
    bcf = tmp_path / "o.bcf"
    run("variants", genome, vcf, "-m", model_folder, "-o", bcf, "--no-version")
    text = tmp_path / "o.vcf"
    run("variants", genome, vcf, "-m", model_folder, "-o", text, "--no-version")
    as_text = subprocess.run([*view, bcf], capture_output=True, check=True).stdout
    assert as_text == subprocess.run([*view, text], capture_output=True, check=True).stdout


def test_variants_on_the_haplotypes_of_a_sample(run, shared_data, model_folder, tmp_path):
    genome = shared_data / "human-hg19" / "hg19.chr1_chr17_chr20_chr22.fa.gz"
    rows = lines(shared_data / "variants" / "giab_HG001.chr20.hg19.vcf.gz")[:260]
    vcf, outs = tmp_path / "head.vcf", [tmp_path / "plain.vcf.gz", tmp_path / "personal.vcf.gz"]
    vcf.write_text("\n".join(rows) + "\n")
    run("variants", genome, vcf, "-m", model_folder, "-o", outs[0])
    result = run("variants", genome, vcf, "-m", model_folder, "-o", outs[1], "--haplotype", "HG001")
    assert re.search(r"scored alleles: \d+ on one, \d+ on both.*: \d+ applied", result.stderr)
    plain, personal = ([x for x in lines(out) if not x.startswith("#")] for out in outs)
    before = [row for row in rows if not row.startswith("#")]
    assert [re.sub(r";FINDNA_[^\t]*", "", row) for row in personal] == before
    changed = sum(a != b for a, b in zip(plain, personal, strict=True))
    assert 0.2 < changed / len(before) < 0.9
