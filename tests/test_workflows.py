"""Workflows that others take into theirs."""

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.outputs.test_parts import contents
from tests.test_docs import parse

CLUSTER = Path(__file__).parents[1] / "docs" / "cluster"
SNAKEMAKE = CLUSTER / "snakemake"
NEXTFLOW = CLUSTER / "nextflow"
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
VALUES = {
    "input.parts": "1.h5 2.h5",
    "params.options": "--precision fp32 --task promoter",
    "threads": "2",
}
"""Value for a placeholder of a command; a name of a file for all others."""


def start(words, folder):
    """Run a workflow with the findna of these tests."""
    environment = os.environ | {"PATH": PATH, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        list(map(str, words)), cwd=folder, env=environment, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def configuration(folder, tasks, model_folder, genome):
    """Write a small configuration of every command."""
    asked = {
        "genome": str(genome / "genome.fa"),
        "results": "made",
        "shards": 2,
        "embed": {"a": {"rows": str(genome / "few.bed"), "options": f"-m {model_folder}"}},
        "predict": {
            "a": {"rows": str(genome / "few.bed"), "task": str(tasks["binary"]), "index": True},
        },
        "scan": {
            "all": {"task": str(tasks["binary"]), "contigs": ["chrA", "chrB"],
                    "options": "--window 200 --step 100"},
            "few": {"task": str(tasks["binary"]), "regions": str(genome / "few.bed"),
                    "options": "--window 200", "index": True},
        },
        "variants": {
            "v.1": {"rows": str(genome / "variants.vcf"), "index": True,
                    "options": f"-m {model_folder} --window 60 --no-version"},
        },
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(asked))
    return asked


@pytest.fixture
def small(example, tmp_path):
    """The example with fewer rows."""
    for name in ("genome.fa", "variants.vcf"):
        shutil.copy(example / name, tmp_path)
    rows = (example / "regions.bed").read_text().splitlines(keepends=True)
    (tmp_path / "few.bed").write_text("".join(sorted(rows[:9], key=lambda row: row.split()[0])))
    return tmp_path


def commands_of(text):
    """Words of each findna command of a Snakemake file, with values for its placeholders."""
    for block in re.findall(r'shell:\n((?: +".*"\n)+)', text):
        command = "".join(re.findall(r'"(.*)"', block)).split(" 2> ")[0]
        command = re.sub(
            r"\{([^}]*?)(?:\[0\])?(?::q)?\}", lambda found: VALUES.get(found[1], "file"), command
        )
        yield shlex.split(command)


def test_commands_of_the_snakemake_rules_parse():
    commands = list(commands_of((SNAKEMAKE / "findna.smk").read_text()))
    names = ["embed", "predict", "scan", "variants", "merge"]
    assert [words[:2] for words in commands] == [["findna", name] for name in names]
    for words in commands:
        if words[1] == "embed":
            words.remove("--task"), words.remove("promoter")
        parse(words[1:])
    rules = re.findall(r"^rule (\w+)", (SNAKEMAKE / "findna.smk").read_text(), re.M)
    used = re.findall(r"^use rule (\w+) from commands", (SNAKEMAKE / "Snakefile").read_text(), re.M)
    assert sorted(used) == sorted(rules)


def test_the_schema_of_the_configuration():
    schema = yaml.safe_load((SNAKEMAKE / "config.schema.yaml").read_text())
    asked = yaml.safe_load((SNAKEMAKE / "config.yaml").read_text())
    assert set(asked) < set(schema["properties"])
    for command in ("embed", "predict", "scan", "variants"):
        entry = schema["properties"][command]["additionalProperties"]
        for name in asked[command].values():
            assert set(entry["required"]) <= set(name) <= set(entry["properties"])
            parse([command, "g.fa", *shlex.split(name.get("options", ""))])
    Validator = pytest.importorskip("jsonschema").Draft202012Validator
    Validator.check_schema(schema)
    check = Validator(schema)
    assert check.is_valid(asked)
    few = {"genome": "g.fa", "scan": {"t": {"task": "promoter"}}}
    assert check.is_valid(few)
    for wrong in (
        {"genome": "g.fa"},
        few | {"genom": "g.fa"},
        few | {"shards": 0},
        few | {"predict": {"a": {"rows": "a.bed"}}},
        few | {"embed": {"a/b": {"rows": "a.bed"}}},
        few | {"scan": {"t": {"task": "promoter", "contigs": ["c"], "regions": "a.bed"}}},
    ):
        assert not check.is_valid(wrong), wrong


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("snakemake") is None, reason="snakemake is not installed")
@pytest.mark.skipif(shutil.which("tabix") is None, reason="tabix is not installed")
def test_snakemake(small, tasks, model_folder, run):
    """As a module within a module: both are what others write."""
    asked = configuration(small, tasks, model_folder, small)
    (small / "Snakefile").write_text(f"""
configfile: "config.yaml"

module findna:
    snakefile: "{SNAKEMAKE / "Snakefile"}"
    config: config

use rule * from findna as findna_*

module commands:
    snakefile: "{SNAKEMAKE / "findna.smk"}"

use rule predict from commands as mine with:
    input: genome="genome.fa", rows="few.bed"
    output: "mine.bed.gz"
    params: options="--task {tasks["binary"]} --bed6"
    log: "mine.log"

rule both:
    default_target: True
    input: "mine.bed.gz", rules.findna_all.input
""")
    start(["snakemake", "--cores", "2"], small)
    same_as_alone(small, asked, run)
    run("predict", small / "genome.fa", small / "few.bed", "-t", tasks["binary"], "--bed6", "-o",
        small / "alone.bed.gz")  # fmt: skip
    assert contents(small / "mine.bed.gz") == contents(small / "alone.bed.gz")
    assert not list((small / "made").rglob("*.shard.json"))


def processes():
    """Give name, declarations and script of each process of the Nextflow module."""
    text = (NEXTFLOW / "findna.nf").read_text()
    for name, body in re.findall(r"^process (\w+) \{\n(.*?)^\}", text, re.M | re.S):
        declared, script = body.split('    """\n')[:2]
        yield name, declared, script.replace("\\\\", "\\")


def filled(script, values):
    """Replace what Nextflow replaces in a script, or in the name of an output."""
    return re.sub(r"\$\{([\w.]+)\}", lambda found: str(values[found[1]]), script)


def test_commands_of_the_nextflow_processes_parse():
    found = {name: (declared, script) for name, declared, script in processes()}
    assert list(found) == [
        f"FINDNA_{name}" for name in ("EMBED", "PREDICT", "VARIANTS", "MERGE", "SCAN")
    ]
    for name, (declared, script) in found.items():
        known = {*re.findall(r"(?:val|path)[( ](\w+)", declared), "task.cpus", "meta.id"}
        known |= set(re.findall(r"def (\w+) =", declared))
        used = set(re.findall(r"\$\{([\w.]+)\}", script + declared.split("script:")[0]))
        assert used <= known, name
        values = dict.fromkeys(known, "1") | {"options": "", "where": "-r chr20"}
        words = shlex.split(filled(script, values))
        assert words[:2] == ["findna", name.removeprefix("FINDNA_").lower()]
        parse(words[1:])
    main = (NEXTFLOW / "main.nf").read_text()
    assert set(re.findall(r"FINDNA_\w+", main)) <= set(found)
    settings = (NEXTFLOW / "nextflow.config").read_text()
    declared = settings.split("}")[0]
    for name in re.findall(r"params\.(\w+)", main + settings):
        assert f"    {name} = " in declared
    for name in re.findall(r"withName: '(\w+)'", settings):
        assert name in found


@pytest.mark.slow
def test_scripts_of_the_nextflow_processes_run(small, tasks, model_folder, run):
    """Without Nextflow: what it would hand to bash, and the outputs that it would look for."""
    found = {name: (declared, script) for name, declared, script in processes()}
    cases = {
        "EMBED": ("h5", "h5", "few.bed", f"-m {model_folder}"),
        "PREDICT": ("bed", "bed.gz", "few.bed", f"--task {tasks['binary']}"),
        "VARIANTS": ("vcf", "vcf.gz", "variants.vcf", f"-m {model_folder} --window 60"),
    }
    for name, (ending, joined, rows, options) in cases.items():
        options += " --precision fp32"
        declared, script = found[f"FINDNA_{name}"]
        values = {"meta.id": "mine", "genome": "genome.fa", "rows": rows, "n": 2, "task.cpus": 1}
        for i in (1, 2):
            values |= {"i": i, "options": options}
            start(["bash", "-ec", filled(script, values)], small)
            outputs = re.findall(r'path\("(.*?)"\)', declared)
            assert len(outputs) == 2
            assert all((small / filled(output, values)).exists() for output in outputs)
        declared, script = found["FINDNA_MERGE"]
        values = {"meta.id": "mine", "ending": joined, "options": ""}
        values["parts"] = f"mine.2.{ending} mine.1.{ending}"
        start(["bash", "-ec", filled(script, values)], small)
        words = [name.lower(), small / "genome.fa", small / rows, *options.split()]
        run(*words, "-o", small / f"alone.{joined}")
        made = small / f"mine.{joined}"
        if name == "VARIANTS":  # the command line of the first part
            made, alone = (
                [line for line in gzip.decompress(path.read_bytes()).splitlines()
                 if not line.startswith(b"##findnaCommand")]
                for path in (made, small / "alone.vcf.gz")
            )  # fmt: skip
            assert made == alone
        else:
            assert contents(made) == contents(small / f"alone.{joined}")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("nextflow") is None, reason="nextflow is not installed")
def test_nextflow(small, tasks, run):
    run("predict", small / "genome.fa", small / "few.bed", "--task", tasks["binary"], "-o",
        small / "alone.bed.gz")  # fmt: skip
    start(["nextflow", "run", NEXTFLOW, "--genome", "genome.fa", "--rows", "few.bed", "--task",
           tasks["binary"], "--shards", 2], small)  # fmt: skip
    assert contents(small / "results" / "few.bed.gz") == contents(small / "alone.bed.gz")


def same_as_alone(folder, asked, run):
    """Compare each file of a workflow with what one command writes."""
    endings = {"embed": "h5", "predict": "bed.gz", "scan": "bedgraph.gz", "variants": "vcf.gz"}
    for command, ending in endings.items():
        for name, entry in asked[command].items():
            words = [command, asked["genome"], *shlex.split(entry.get("options", ""))]
            words += [entry["rows"]] if "rows" in entry else []
            words += ["--task", entry["task"]] if "task" in entry else []
            words += ["--regions", entry["regions"]] if "regions" in entry else []
            alone = folder / f"alone.{name}.{ending}"
            run(*words, "-o", alone)
            made = folder / "made" / command / f"{name}.{ending}"
            if command == "scan":  # of several contigs: other blocks of BGZF
                assert gzip.decompress(made.read_bytes()) == gzip.decompress(alone.read_bytes())
            else:
                assert contents(made) == contents(alone), made
            assert made.with_name(f"{made.name}.tbi").exists() == entry.get("index", False)
