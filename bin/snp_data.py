"""Common human SNPs and the sequence about them: OUT/genome.fa and OUT/common.vcf.

python bin/snp_data.py DATA OUT

DATA is the folder that bin/variant-background names. A SNP that both assemblies have is there once.
"""

from __future__ import annotations

import sys
from pathlib import Path

from site_data import pieces, rows_of, write_genome


def main() -> None:
    """Run the command."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    data, out = map(Path, sys.argv[1:])
    snps = {
        assembly: list(
            rows_of(
                data
                / f"annotation-{assembly}"
                / f"common_snps.in_our_sequence.{assembly}.no_chr19.tsv.gz"
            )
        )
        for assembly in ("hg38", "hg19")
    }
    contigs: dict[str, str] = {}
    records: list[str] = []
    seen: set[str] = set()
    for piece in pieces(data):
        for row in snps[piece.assembly]:
            at = int(row["pos"]) - 1 - piece.first
            if row["chrom"] != piece.chrom or row["id"] in seen:
                continue
            if not 0 <= at < len(piece.letters) or piece.letters[at] != row["ref"]:
                continue
            seen.add(row["id"])
            contigs[piece.contig] = piece.letters
            columns = (piece.contig, at + 1, row["id"], row["ref"], row["alt"], ".", ".", ".")
            records.append("\t".join(map(str, columns)))
    out.mkdir(parents=True, exist_ok=True)
    write_genome(out / "genome.fa", contigs)
    head = ["##fileformat=VCFv4.2"]
    head += [f"##contig=<ID={name},length={len(letters)}>" for name, letters in contigs.items()]
    head.append("#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO")
    (out / "common.vcf").write_text("\n".join(head + records) + "\n")
    known = {row["id"] for rows in snps.values() for row in rows}
    print(f"{len(records)} of {len(known)} SNPs", file=sys.stderr)


if __name__ == "__main__":
    main()
