"""What is released: wheel and sdist."""

import hashlib
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCES = ("findna", "docs/command_pages.py", "docs/man_pages.py", "setup.py", "setup.cfg",
           "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE", "CHANGELOG.md",
           "CITATION.cff")  # fmt: skip
"""What of the repository a package is built from."""


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
        archive.extractall(tmp_path, filter="data")
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
    subprocess.run(words, check=True, capture_output=True)
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
