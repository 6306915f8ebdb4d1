#!/usr/bin/env bash
# A SLURM array: eight jobs, each a shard; then one that joins them.
#
#   jobid=$(sbatch --parsable --array=1-8 --requeue array.sh genome.fa regions.bed out.h5)
#   sbatch --dependency=afterok:$jobid --wrap "findna merge out.?.h5 -o out.h5"
#
# A job that is preempted, killed or out of time is queued again and goes on from where it was;
# one that was done before stays as it is. Elsewhere: SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_COUNT=8.
#SBATCH --cpus-per-task=4
#SBATCH --signal=TERM@60
set -euo pipefail
genome=$1 regions=$2 output=$3
i=$SLURM_ARRAY_TASK_ID n=$SLURM_ARRAY_TASK_COUNT
part=${output%.h5}.$i.h5
[ -e "$part.shard.json" ] && exit 0
exec findna embed "$genome" "$regions" --shard "$i/$n" --resume -o "$part" \
    --threads "${SLURM_CPUS_PER_TASK:-1}"
