"""VCF records, their alleles on the genome and on haplotypes, and their scores."""
