# A rule for each command of findna, to use with files and options of your own:
#
#     module findna:
#         snakefile: "PATH/docs/cluster/snakemake/findna.smk"
#
#     use rule predict from findna as starts with:
#         input: genome="genome.fa", rows="tss.bed"
#         output: "tss.promoter.bed.gz"
#         params: options="--task promoter --bed6"
#         log: "logs/tss.log"
#
# options go to findna as they are. A job that was interrupted goes on from where it was.


rule embed:
    input:
        genome="genome.fa",
        rows="regions.bed",
    output:
        "regions.h5",
    log:
        "regions.h5.log",
    threads: 1
    params:
        options="",
    shell:
        "findna embed {input.genome:q} {input.rows:q} {params.options} "
        "--resume --force --threads {threads} -o {output[0]:q} 2> {log:q}"


rule predict:
    input:
        genome="genome.fa",
        rows="regions.bed",
    output:
        "regions.promoter.bed",
    log:
        "regions.promoter.bed.log",
    threads: 1
    params:
        options="--task promoter",
    shell:
        "findna predict {input.genome:q} {input.rows:q} {params.options} "
        "--resume --force --threads {threads} -o {output[0]:q} 2> {log:q}"


rule scan:
    input:
        genome="genome.fa",
    output:
        "promoter.bedgraph.gz",
    log:
        "promoter.bedgraph.gz.log",
    threads: 1
    params:
        options="--task promoter",
    shell:
        "findna scan {input.genome:q} {params.options} "
        "--force --threads {threads} -o {output[0]:q} 2> {log:q}"


rule variants:
    input:
        genome="genome.fa",
        rows="variants.vcf",
    output:
        "scored.vcf.gz",
    log:
        "scored.vcf.gz.log",
    threads: 1
    params:
        options="",
    shell:
        "findna variants {input.genome:q} {input.rows:q} {params.options} "
        "--resume --force --threads {threads} -o {output[0]:q} 2> {log:q}"


rule merge:
    input:
        parts=["regions.1.h5", "regions.2.h5"],
        notes=["regions.1.h5.shard.json", "regions.2.h5.shard.json"],
    output:
        "regions.merged.h5",
    log:
        "regions.merged.h5.log",
    shell:
        "findna merge {input.parts:q} --force -o {output[0]:q} 2> {log:q}"
