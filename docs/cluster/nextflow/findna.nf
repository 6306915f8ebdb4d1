// A process for each command of findna, for a workflow of your own; main.nf divides and joins by them.
//
//     include { FINDNA_PREDICT; FINDNA_MERGE } from 'PATH/docs/cluster/nextflow/findna.nf'
//
// meta is a map with an id, which names the output. Options of the command are ext.args in the
// configuration. genome is the FASTA and its index (samtools faidx), so that no job makes it anew.
// Shard i of n: all parts of an id go to FINDNA_MERGE, with their notes. With n = 1 there is one.

process FINDNA_EMBED {
    tag "${meta.id} ${i}/${n}"

    input:
    tuple val(meta), path(rows), val(i), val(n)
    tuple path(genome), path(index)

    output:
    tuple val(meta), path("${meta.id}.${i}.h5"), path("${meta.id}.${i}.h5.shard.json")

    script:
    def options = task.ext.args ?: ''
    """
    findna embed '${genome}' '${rows}' ${options} \\
        --shard ${i}/${n} --threads ${task.cpus} -o '${meta.id}.${i}.h5'
    """
}

process FINDNA_PREDICT {
    tag "${meta.id} ${i}/${n}"

    input:
    tuple val(meta), path(rows), val(i), val(n)
    tuple path(genome), path(index)

    output:
    tuple val(meta), path("${meta.id}.${i}.bed"), path("${meta.id}.${i}.bed.shard.json")

    script:
    def options = task.ext.args ?: ''
    """
    findna predict '${genome}' '${rows}' ${options} \\
        --shard ${i}/${n} --threads ${task.cpus} -o '${meta.id}.${i}.bed'
    """
}

process FINDNA_VARIANTS {
    tag "${meta.id} ${i}/${n}"

    input:
    tuple val(meta), path(rows), val(i), val(n)
    tuple path(genome), path(index)

    output:
    tuple val(meta), path("${meta.id}.${i}.vcf"), path("${meta.id}.${i}.vcf.shard.json")

    script:
    def options = task.ext.args ?: ''
    """
    findna variants '${genome}' '${rows}' ${options} \\
        --shard ${i}/${n} --threads ${task.cpus} -o '${meta.id}.${i}.vcf'
    """
}

process FINDNA_MERGE {
    tag "${meta.id}"

    input:
    tuple val(meta), path(parts), path(notes)
    val ending // h5, bed.gz, vcf.gz, ...

    output:
    tuple val(meta), path("${meta.id}.${ending}"), emit: merged
    tuple val(meta), path("${meta.id}.${ending}.{tbi,csi}"), optional: true, emit: index

    script:
    def options = task.ext.args ?: ''
    """
    findna merge ${parts} ${options} -o '${meta.id}.${ending}'
    """
}

// contig: one of the genome, or '' for all; parts of several are joined by cat, in their order
process FINDNA_SCAN {
    tag "${meta.id} ${contig}"

    input:
    tuple val(meta), val(contig)
    tuple path(genome), path(index)

    output:
    tuple val(meta), val(contig), path("${meta.id}.*bedgraph.gz")

    script:
    def options = task.ext.args ?: ''
    def where = contig ? "-r '${contig}'" : ''
    def name = contig ? "${meta.id}.${contig}" : meta.id
    """
    findna scan '${genome}' ${where} ${options} \\
        --threads ${task.cpus} -o '${name}.bedgraph.gz'
    """
}
