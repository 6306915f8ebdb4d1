"""Files of another format than the one that is needed, and files in the wrong place."""

import gzip

import pytest

VCF = b"##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
VCF += b"chrA\t9\t12\tA\tC\t.\t.\t.\n"
FILES = {
    "VCF": VCF,
    "BCF": gzip.compress(b"BCF\2\2"),
    "BED": b"track name=x\nchrA\t1\t9\n",
    "FASTA": b">chrA\nACGT\n",
    "FASTQ": b"@r\nACGT\n+\nIIII\n",
    "BAM": gzip.compress(b"BAM\1\0\0"),
    "CRAM": b"CRAM\3\0",
    "SAM": b"@HD\tVN:1.6\n",
    "GFF": b'#!genome-build x\nchrA\ta b\texon\t10\t90\t.\t+\t.\tgene_id "a";\n',
    "HDF5": b"\x89HDF\r\n\x1a\n\0",
    "bigWig": b"\x26\xfc\x8f\x88\4\0",
    "bigBed": b"\xeb\xf2\x89\x87\4\0",
    "2bit": b"\x43\x27\x41\x1a\0",
    "bzip2": b"BZh91AY&SY",
    "gzip within gzip": gzip.compress(gzip.compress(b"chrA\t1\t9\n")),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("found", FILES)
@pytest.mark.parametrize("wanted", ["BED", "VCF", "FASTA"])
def test_another_format_is_named(wanted, found, packed, run, write, example, tmp_path):
    content = FILES[found]
    if packed:
        content = content if content.startswith(b"\x1f\x8b") else gzip.compress(content)
    name, genome = write("file", content), example / "genome.fa"
    words = {
        "BED": ["embed", genome, name, "-o", tmp_path / "o.h5"],
        "VCF": ["variants", genome, name],
        "FASTA": ["embed", name, genome, "-o", tmp_path / "o.h5"],
    }
    if (wanted, found) in (("VCF", "BCF"), ("BED", "BED"), ("VCF", "VCF"), ("FASTA", "FASTA")):
        return
    error = run(*words[wanted], code=1).stderr
    assert error.startswith(f"findna: {name}: {found}, not {wanted}"), error
    if found in ("BED", "VCF", "FASTA"):
        assert "findna " in error.split(";")[1] or "GENOME is the first file" in error
    assert not (tmp_path / "o.h5").exists()


def test_a_vcf_whose_ids_are_numbers_is_no_bed(run, example):
    """As in ClinVar: position and ID could pass for start and end."""
    words = ["predict", example / "genome.fa", "-", "-t", "promoter"]
    error = run(*words, input=VCF, code=1).stderr
    assert error == "findna: <stdin>: VCF, not BED; findna variants reads VCF\n"


def test_gff_becomes_bed_as_the_message_says(run, write, example, tmp_path):
    import subprocess

    gff = write("a.gff", FILES["GFF"])
    error = run("embed", example / "genome.fa", gff, "-o", tmp_path / "o.h5", code=1).stderr
    command = error.split("; ")[1].removesuffix(" makes BED of it\n")
    found = subprocess.run(f"{command} {gff}", shell=True, capture_output=True, check=True).stdout
    assert found == b"chrA\t9\t90\texon\t0\t+\n"
