// Rows of a BED file with label and probability, in shards:
//
//     samtools faidx genome.fa
//     nextflow run PATH/docs/cluster/nextflow --genome genome.fa --rows peaks.bed --task promoter
include { FINDNA_PREDICT; FINDNA_MERGE } from './findna.nf'

workflow {
    genome = channel.value([params.genome, "${params.genome}.fai"].collect { name -> file(name, checkIfExists: true) })
    rows = file(params.rows, checkIfExists: true)
    shards = channel.of(1..params.shards).map { i -> [[id: rows.simpleName], rows, i, params.shards] }
    FINDNA_PREDICT(shards, genome)
    FINDNA_MERGE(FINDNA_PREDICT.out.groupTuple(size: params.shards), 'bed.gz')
}
