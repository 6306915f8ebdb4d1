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
@pytest.mark.parametrize(("start", "kind"), [(900, ".tbi"), (FAR, ".csi")])
def test_rows_decide_which_index_there_is(tmp_path, form, start, kind):
    """One that is left of a file before is removed, of either kind."""
    for ending in (".tbi", ".csi"):
        (tmp_path / f"x.{form}.gz{ending}").write_text("stale")
    output = written(tmp_path / f"x.{form}.gz", form, start)
    output.index()
    assert [path.suffix for path in tmp_path.iterdir() if path != output.file] == [kind]
    with pysam.TabixFile(str(output.file), index=f"{output.file}{kind}") as file:
        [row] = file.fetch("c", start, start + 1)
    assert row in text(form, start)


def test_an_index_that_cannot_be_made_says_why(tmp_path):
    """As of a record that no kind of index can hold, which is not out of order."""
    (tmp_path / "x.vcf.gz.tbi").write_text("stale")
    output = written(tmp_path / "x.vcf.gz", "vcf", 1 << 45)
    with pytest.raises(OutputError, match=r"written, but not indexed: .*csi") as error:
        output.index()
    assert "sorted" not in str(error.value)
    assert list(tmp_path.iterdir()) == [output.file]


class FullDisk(io.BytesIO):
    def write(self, data):
        raise OSError(28, "No space left on device")


@pytest.mark.slow
def test_a_full_disk_is_met_once():
    """What cannot be written is not tried again as the file goes away: pytest would see that."""
    with pytest.raises(OSError, match="No space left"), bgzf(FullDisk()) as file:
        file.write(bytes(100_000))
    del file
    gc.collect()
