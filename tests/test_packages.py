"""The parts of a release: wheel, sdist, the recipe for conda, the image."""

import configparser
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import jinja2
import pytest
import yaml

import findna

ROOT = Path(__file__).parents[1]
PACKAGING = ROOT / "docs" / "packaging"
SOURCES = ("findna", "docs/command_pages.py", "docs/man_pages.py", "setup.py", "setup.cfg",
           "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md",
           "CITATION.cff")  # fmt: skip
"""Files of the repository that a package is built from."""
CONDA = {"torch": "pytorch", "PyYAML": "pyyaml"}
"""Names that differ between PyPI and conda."""


def for_conda(requirements):
    """PyPI requirements, in the form and under the names of a recipe."""
    for requirement in requirements:
        name, sign, version = re.fullmatch(r"([\w-]+)(>=)([\d.]+)", requirement).groups()
        yield f"{CONDA.get(name, name)} {sign}{version}"


def test_the_recipe_says_what_setup_cfg_says():
    template = (PACKAGING / "bioconda" / "meta.yaml").read_text()
    recipe = yaml.safe_load(
        jinja2.Template(template, undefined=jinja2.StrictUndefined).render(
            PYTHON="python", pin_subpackage=lambda name, max_pin: f"{name} {max_pin}"
        )
    )
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg")
    settings = options["options"]
    python = f"python {settings['python_requires']}"
    needs = settings["install_requires"].split()
    assert sorted(recipe["requirements"]["run"]) == sorted([python, *for_conda(needs)])
    built_with = re.findall(r'^    "(.*)",$', (ROOT / "pyproject.toml").read_text(), re.M)
    assert sorted(recipe["requirements"]["host"]) == sorted([python, "pip", *for_conda(built_with)])
    assert recipe["package"] == {"name": "findna", "version": findna.__version__}
    scripts = options["options.entry_points"]["console_scripts"].split("\n")
    assert recipe["build"]["entry_points"] == [line for line in scripts if line]
    about = options["metadata"]
    assert recipe["about"]["summary"] == about["description"]
    assert recipe["about"]["license"] == about["license"]
    assert f"version: {findna.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_image_is_built_from_what_a_package_is_built_from():
    ignored = (PACKAGING / "Dockerfile.dockerignore").read_text().splitlines()
    assert ignored[0] == "*"
    let_in = {line[1:] for line in ignored if line.startswith("!")}
    assert let_in == {*SOURCES, "bin/requirements.txt"} - {"CHANGELOG.md", "CITATION.cff"}
    image = (PACKAGING / "Dockerfile").read_text()
    options = configparser.ConfigParser()
    options.read(ROOT / "setup.cfg")
    (extras,) = re.findall(r"/src\[(.*?)\]", image)
    assert set(extras.split(",")) == set(options["options.extras_require"]) - {"docs", "test"}


def build(kind, source, folder):
    """Build a wheel or an sdist as pip does, with the setuptools that is here."""
    code = f"from setuptools import build_meta as b; b.build_{kind}({str(folder)!r})"
    subprocess.run([sys.executable, "-c", code], cwd=source, check=True, capture_output=True)
    (made,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """A wheel and an sdist of the working tree."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        (source / name).parent.mkdir(exist_ok=True)
        if (ROOT / name).is_dir():
            leave = shutil.ignore_patterns("__pycache__")
            shutil.copytree(ROOT / name, source / name, ignore=leave)
        else:
            shutil.copy(ROOT / name, source / name)
    folders = [tmp_path_factory.mktemp(kind) for kind in ("wheel", "sdist")]
    return build("wheel", source, folders[0]), build("sdist", source, folders[1])


def digests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return {name: hashlib.sha256(archive.read(name)).hexdigest() for name in archive.namelist()}


@pytest.mark.slow
def test_the_sdist_builds_the_same_wheel(packages, tmp_path):
    wheel, sdist = packages
    with tarfile.open(sdist) as archive:
        safe = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}  # older Pythons
        archive.extractall(tmp_path, **safe)
    (source,) = tmp_path.iterdir()
    names = {path.name for path in source.iterdir()}
    assert names == {Path(name).parts[0] for name in SOURCES} | {"PKG-INFO", "findna.egg-info"}
    (tmp_path / "made").mkdir()
    assert digests(build("wheel", source, tmp_path / "made")) == digests(wheel)


@pytest.mark.slow
def test_the_wheel_holds_the_package_and_is_small(packages):
    wheel, _ = packages
    assert wheel.stat().st_size < 30e6
    inside = digests(wheel)
    package = ROOT / "findna"
    there = {
        f"findna/{path.relative_to(package)}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in inside if name.startswith("findna/")} == there
    assert any(name.endswith("/share/man/man1/findna-embed.1") for name in inside)


@pytest.mark.slow
def test_the_wheel_works_in_an_empty_environment(packages, tmp_path):
    """Nothing is fetched: what findna needs is taken from where these tests have it."""
    wheel, _ = packages
    here = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", here], check=True)
    python = here / "bin" / "python"
    words = [python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(words, check=True, capture_output=True, env=clean)
    (site,) = here.glob("lib/python*/site-packages")
    others = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (site / "others.pth").write_text("\n".join(others))

    def said(*words):
        done = subprocess.run(
            list(map(str, words)), cwd=tmp_path, capture_output=True, text=True, check=False,
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    where = said(python, "-c", "import findna; print(findna.__file__)").strip()
    assert Path(where).parent == site / "findna"
    assert "findna embed" in said(here / "bin" / "findna", "--help")
    tasks = said(here / "bin" / "findna", "tasks", "list")
    for folder in (ROOT / "findna" / "shipped" / "tasks").iterdir():
        assert folder.name in tasks
    assert "tiny" in said(here / "bin" / "findna", "models", "list")
    said(python, "-m", "findna.example", "demo")
    words = ["-r", "chr20part:1-500", "-o", "one.h5"]
    assert "1 of 1 region" in said(here / "bin" / "findna", "embed", "demo/genome.fa", *words)
    assert (here / "share" / "man" / "man1" / "findna-embed.1").exists()
