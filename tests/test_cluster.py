"""Jobs side by side: torchrun and a SLURM array."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.outputs.test_parts import contents
from tests.together import together

CLUSTER = Path(__file__).parents[1] / "docs" / "cluster"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


def torchrun(*words, **more):
    words = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node",
             "2", "-m", "findna", *map(str, words)]  # fmt: skip
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False, **more
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["h5", "vcf"])
def test_a_job_writes_one_file(example, model_folder, run, tmp_path, kind):
    if kind == "h5":
        words = ["embed", example / "genome.fa", example / "regions.bed", "-m", model_folder]
    else:
        words = ["variants", example / "genome.fa", example / "variants.vcf", "-m", model_folder,
                 "--window", 60, "--no-version", "--embeddings"]  # fmt: skip
        words.append(tmp_path / "whole.h5")
    run(*words, "-o", tmp_path / f"whole.{kind}")
    if kind == "vcf":
        words[-1] = tmp_path / "job.h5"
    if kind == "h5":
        mine = tmp_path / "job.h5.shards" / "mine"
        mine.parent.mkdir()
        mine.write_text("mine")
        done = torchrun(*words, "-o", tmp_path / f"job.{kind}")
        assert done.returncode == 0, done.stderr
        assert [path.name for path in mine.parent.iterdir()] == ["mine"]
        shutil.rmtree(mine.parent)
    else:
        done = together(tmp_path, *words, "-o", tmp_path / f"job.{kind}")
        assert done.codes == [0, 0], done.stderr
    assert "rows of 2 processes" in done.stderr
    assert contents(tmp_path / f"job.{kind}") == contents(tmp_path / f"whole.{kind}")
    assert contents(tmp_path / "job.h5") == contents(tmp_path / "whole.h5")
    assert not list(tmp_path.glob("*.shards"))


@pytest.mark.slow
def test_a_job_goes_on_from_finished_shards(example, tasks, run, tmp_path):
    """As one whose second process was killed leaves them: the first shard was finished."""
    words = ["predict", example / "genome.fa", example / "regions.bed", "-t", tasks["binary"]]
    out, whole = tmp_path / "job.bed", tmp_path / "whole.bed"
    run(*words, "-o", whole)
    shards = tmp_path / "job.bed.shards"
    shards.mkdir()
    run(*words, "-o", shards / "1.job.bed", "--shard", "1/2")
    done = together(tmp_path, *words, "-o", out, "--resume", "-v")
    assert done.codes == [0, 0], done.stderr
    assert "1.job.bed is finished" in done.stderr
    assert "2.job.bed is finished" not in done.stderr
    assert contents(out) == contents(whole)
    assert not shards.exists()


def test_a_job_refuses_what_cannot_be_shared(example, model_folder, run, monkeypatch, tmp_path):
    for name, value in (("RANK", 0), ("WORLD_SIZE", 2), ("LOCAL_RANK", 0), ("MASTER_ADDR", "x")):
        monkeypatch.setenv(name, str(value))
    genome, out = example / "genome.fa", tmp_path / "o.h5"
    words = ["embed", genome, example / "regions.bed", "-m", model_folder]
    assert "needs a file" in run(*words, "-O", "tsv", code=2).stderr
    (tmp_path / "o.h5.shards").symlink_to(tmp_path)
    assert "is a symbolic link" in run(*words, "-o", out, code=1).stderr
    (tmp_path / "o.h5.shards").unlink()
    assert "a shard of its own" in run(*words, "-o", out, "--shard", "1/2", code=2).stderr
    words[2] = "-"
    assert "standard input" in run(*words, "-o", out, input=b"chrA\t1\t9\n", code=2).stderr
    words = ["variants", genome, example / "variants.vcf", "-m", model_folder]
    words += ["-o", tmp_path / "o.vcf.gz", "--write-index"]
    assert "index the merged file" in run(*words, code=2).stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_slurm_array(example, run, write, tmp_path):
    rows = (example / "regions.bed").read_text().splitlines(keepends=True)
    words = [example / "genome.fa", write("few.bed", "".join(rows[:9]))]
    run("embed", *words, "-o", tmp_path / "whole.h5")
    out = tmp_path / "out.h5"
    for task in (1, 2, 2):  # one is queued again when it was done
        environment = os.environ | {
            "PATH": PATH, "SLURM_ARRAY_TASK_ID": str(task), "SLURM_ARRAY_TASK_COUNT": "2",
        }  # fmt: skip
        subprocess.run(
            ["bash", CLUSTER / "array.sh", *words, out], env=environment, check=True,
            capture_output=True,
        )  # fmt: skip
    run("merge", tmp_path / "out.1.h5", tmp_path / "out.2.h5", "-o", out)
    assert contents(out) == contents(tmp_path / "whole.h5")
