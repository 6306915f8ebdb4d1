#!/usr/bin/env bash
# Peak memory of `findna embed` for 1,000 and for 100,000 regions of 100 bp of a made-up genome.
#     docs/benchmarks/embed_memory.sh [MODEL]
set -euo pipefail
model=${1:-tiny}
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
python -m findna.example "$folder"
for n in 1000 100000; do
    awk -v n="$n" 'BEGIN { for (i = 0; i < n; i++) { s = (i * 37) % 199000; print "chr20part\t" s "\t" s + 100 } }' \
        > "$folder/$n.bed"
    python - "$folder" "$n" "$model" <<'PY'
import resource, subprocess, sys, time
folder, n, model = sys.argv[1:]
started = time.time()
subprocess.run(["findna", "embed", "-q", f"{folder}/genome.fa", f"{folder}/{n}.bed", "-m", model,
                "-o", f"{folder}/{n}.h5"], check=True)
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
print(f"{n} regions: peak {peak:.0f} MiB, {time.time() - started:.1f} s")
PY
done
