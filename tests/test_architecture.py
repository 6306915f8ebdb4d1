"""The shape of the package: which way imports point, and who may use what."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import findna

PACKAGE = Path(findna.__file__).parent

FLOORS = (
    {"errors", "console"},
    {"settings"},
    {"genome"},
    {"outputs", "labelled"},
    {"model"},
    {"tasks", "pretraining"},
    {"variants"},
    {"evaluation"},
    {"commands"},
    {"cli"},
)
"""Rooms from the ground up. A room imports from the floors below it, never from its neighbours."""

FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}

OWNERS = {
    "pyfaidx": {"genome/index.py"},
    "pybedtools": {"genome/intervals.py"},
    "h5py": {"outputs/hdf5.py", "outputs/stored.py"},
    "pybigtools": {"outputs/tracks.py"},
    "logomaker": {"outputs/logos.py"},
    "pysam": {
        "genome/index.py", "outputs/files.py", "variants/vcf.py", "variants/annotate.py",
        "cli/__init__.py",  # for --version
    },
    "pickle": {"model/published.py"},
}  # fmt: skip
"""The modules that may import a file library."""

FILES = sorted(PACKAGE.rglob("*.py"))


def names_of(paths):
    return [path.relative_to(PACKAGE).as_posix() for path in paths]


def imports(path):
    """(module, names) of everything a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module, [alias.name for alias in node.names]


@pytest.mark.parametrize("path", FILES, ids=names_of(FILES))
def test_imports_point_downwards(path):
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module, _ in imports(path):
        package, _, rest = module.partition(".")
        other = rest.split(".")[0]
        if package != "findna" or room not in FLOOR or other not in FLOOR or room == other:
            continue
        assert FLOOR[other] < FLOOR[room], f"{room} imports {module}"


def test_every_room_has_a_floor():
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES}
    assert rooms - set(FLOOR) == {"__init__", "__main__", "example"}


TESTS = sorted(Path(__file__).parent.rglob("*.py"))


@pytest.mark.parametrize("path", FILES + TESTS, ids=[*names_of(FILES), *(p.name for p in TESTS)])
def test_underscore_names_stay_in_their_module(path):
    for module, names in imports(path):
        if module.split(".")[0] in ("findna", "tests"):
            private = [n for n in names if n.startswith("_") and not n.startswith("__")]
            inside = path.parent == PACKAGE / "cli" and module == "findna.cli"
            assert inside or not private, f"{path.name} imports {private} of {module}"


def test_each_file_library_has_one_home_and_click_stays_in_cli():
    for path in FILES:
        name = path.relative_to(PACKAGE).as_posix()
        for module, _ in imports(path):
            library = module.split(".")[0]
            if library in OWNERS:
                assert name in OWNERS[library], f"{name} imports {module}"
            if library == "click":
                assert name.startswith("cli/"), f"{name} imports click"


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


def test_only_the_import_of_published_checkpoints_unpickles():
    """`torch.load` anywhere else, or without weights_only, would be a way in."""
    calls = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and node.attr in ("load", "loads", "Unpickler"):
                owner = ast.unparse(node.value)
                if owner in ("torch", "pickle", "joblib"):
                    calls.append((path.name, owner))
    assert calls == [("published.py", "torch")]
    assert "weights_only=True" in (PACKAGE / "model" / "published.py").read_text()
    assert "allow_pickle" not in "".join(p.read_text() for p in PACKAGE.rglob("*.py"))
