"""The shape of the package: which way imports point, and who may use what."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import findna

PACKAGE = Path(findna.__file__).parent

TESTS_FOLDER = Path(__file__).parent

FLOORS = (
    {"errors", "console"},
    {"settings", "places"},
    {"genome"},
    {"outputs", "labelled"},
    {"model"},
    {"tasks", "pretraining"},
    {"variants"},
    {"evaluation"},
    {"commands"},
    {"cli", "api"},
)
"""Rooms from the ground up. A room imports from the floors below it, never from its neighbours."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

OWNERS = {
    "pyfaidx": {"genome/index.py"},
    "pybedtools": {"genome/intervals.py"},
    "h5py": {"outputs/hdf5.py", "outputs/joined.py", "outputs/stored.py"},
    "pybigtools": {"outputs/tracks.py"},
    "logomaker": {"outputs/logos.py"},
    "matplotlib": {"outputs/logos.py", "outputs/pictures/image.py", "outputs/pictures/files.py"},
    "plotly": {"outputs/pictures/page.py", "outputs/pictures/files.py"},
    "umap": {"outputs/pictures/embedding.py"},
    "pysam": {
        "genome/index.py", "outputs/destination.py", "outputs/htslib.py", "variants/bcf.py",
        "variants/indexed.py",
        "cli/__init__.py",  # for --version
    },
    "usearch": {"outputs/graph.py"},
    "pickle": {"model/published.py"},
}  # fmt: skip
"""The modules that may import a file library."""

FILES = sorted(PACKAGE.rglob("*.py"))

TESTS = sorted(TESTS_FOLDER.rglob("*.py"))


def name_of(path):
    return path.relative_to(PACKAGE if PACKAGE in path.parents else TESTS_FOLDER).as_posix()


def room_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


@cache
def nodes(path):
    """Every node of a file's syntax tree."""
    return list(ast.walk(ast.parse(path.read_text())))


def imports(path):
    """(module, names) of everything a file imports, at its top or inside a function."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names]


@pytest.mark.slow
def test_imports_point_downwards():
    upwards = []
    for path in FILES:
        room = room_of(path)
        for module, _ in imports(path):
            package, _, rest = module.partition(".")
            other = rest.split(".")[0]
            if package != "findna" or room not in FLOOR or other not in FLOOR or room == other:
                continue
            if FLOOR[other] >= FLOOR[room]:
                upwards.append(f"{name_of(path)} imports {module}")
    assert not upwards


def test_every_room_has_a_floor():
    assert {room_of(path) for path in FILES} - set(FLOOR) == {"__init__", "__main__", "example"}


@pytest.mark.slow
def test_underscore_names_stay_in_their_module():
    crossing = []
    for path in FILES + TESTS:
        for module, names in imports(path):
            inside = path.parent == PACKAGE / "cli" and module == "findna.cli"
            if module.split(".")[0] not in ("findna", "tests") or inside:
                continue
            private = [n for n in names if n.startswith("_") and not n.startswith("__")]
            crossing += [f"{name_of(path)} imports {name} of {module}" for name in private]
    assert not crossing


def test_each_file_library_has_one_home_and_click_stays_in_cli():
    homeless = []
    for path in FILES:
        name = name_of(path)
        for module, _ in imports(path):
            library = module.split(".")[0]
            outside = name not in OWNERS.get(library, {name})
            if outside or (library == "click" and not name.startswith("cli/")):
                homeless.append(f"{name} imports {module}")
    assert not homeless


@pytest.mark.slow
def test_model_and_pretraining_do_not_need_the_file_libraries():
    code = """
import sys
for name in ('pysam', 'pyfaidx', 'pybedtools', 'h5py', 'Bio'):
    sys.modules[name] = None
import findna.model.checkpoint, findna.model.pooling, findna.pretraining.loop
print('fine')
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=PACKAGE.parent
    )
    assert done.stdout.strip() == "fine"


def test_no_function_takes_more_than_ten_parameters():
    """Options that belong together are one object. Above eight is for the public API alone."""
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef):
                every = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
                n = len([argument for argument in every if argument.arg not in ("self", "cls")])
                most = 10 if room_of(path) == "api" else 8
                assert n <= most, f"{name_of(path)}:{node.lineno} {node.name} takes {n}"


def test_the_formatter_is_not_skipped():
    for path in FILES:
        assert "# fmt: skip" not in path.read_text(), name_of(path)


def test_docstrings_say_what_is_done():
    """Their first word is a verb or a noun; "What this gives" makes a reader guess."""
    for path in FILES:
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                text = ast.get_docstring(node) or ""
                assert text.split(" ")[0] not in ("What", "Where", "Whether"), (
                    f"{name_of(path)}: {text.splitlines()[0]}"
                )


def test_the_walks_name_what_is_there():
    """Each row of the tables in docs/architecture.md names a module and what is defined in it."""
    page = (PACKAGE.parent / "docs" / "architecture.md").read_text()
    steps = re.findall(r"  ([a-z]+/[a-z_]+\.py) +([A-Za-z_.]+)", page)
    assert len(steps) > 20
    for module, name in steps:
        defined = {getattr(node, "name", None) for node in nodes(PACKAGE / module)}
        assert set(name.split(".")) <= defined, f"{module}: {name}"
