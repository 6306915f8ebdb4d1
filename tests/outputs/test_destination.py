"""Outputs and their indexes."""

import gc
import io
from pathlib import Path

import pysam
import pytest

from findna.errors import OutputError
from findna.outputs.bgzf import bgzf
from findna.outputs.destination import Destination

FAR = 1_000_000_000  # bp, more than .tbi can hold

VCF = "##fileformat=VCFv4.2\n##contig=<ID=c>\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"


def text(form: str, start: int) -> str:
    """Two rows of a contig, the second one at ``start``."""
    if form == "vcf":
        return VCF + "".join(f"c\t{at}\t.\tA\tC\t.\t.\t.\n" for at in (5, start + 1))
    return "track name=x\n" + "".join(f"c\t{at}\t{at + 9}\t0.5\n" for at in (5, start))


def written(path: Path, form: str, start: int) -> Destination:
    output = Destination(path, form, write_index=True)
    with output.open_text() as file:
        file.write(text(form, start).encode())
    return output


@pytest.mark.parametrize("form", ["bed", "bedgraph", "vcf"])
def test_long_contigs_get_a_csi_index(tmp_path, form):
    output = written(tmp_path / f"x.{form}.gz", form, FAR)
    output.index(FAR + 100)
    assert [path.suffix for path in tmp_path.iterdir() if path != output.file] == [".csi"]
    with pysam.TabixFile(str(output.file), index=f"{output.file}.csi") as file:
        [row] = file.fetch("c", FAR, FAR + 1)
    assert row in text(form, FAR)


@pytest.mark.parametrize("form", ["bed", "bedgraph", "vcf"])
def test_short_contigs_get_a_tbi_index(tmp_path, form):
    output = written(tmp_path / f"x.{form}.gz", form, 900)
    output.index(1 << 29)
    assert [path.suffix for path in tmp_path.iterdir() if path != output.file] == [".tbi"]


def test_an_index_that_cannot_be_made_says_why(tmp_path):
    """As of a record beyond the contigs of the FASTA, which is not out of order."""
    output = written(tmp_path / "x.vcf.gz", "vcf", FAR)
    with pytest.raises(OutputError, match=r"written, but not indexed: .*csi") as error:
        output.index(1_000)
    assert "sorted" not in str(error.value)


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_met_once():
    """What cannot be written is not tried again as the file goes away: pytest would see that."""
    with pytest.raises(OSError, match="No space left"), bgzf(FullDisk()) as file:
        file.write(bytes(100_000))
    del file
    gc.collect()
