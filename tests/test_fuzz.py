"""The fuzz run of docs/reliability.md in small."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parents[1] / "docs" / "reliability"


@pytest.fixture
def fuzz(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import fuzz

    yield fuzz
    for name in ("fuzz", "damage", "valid"):
        sys.modules.pop(name, None)


def test_damaged_inputs_are_read_in_full_or_refused(fuzz, capfd, tmp_path):
    readers = ",".join(name for name in fuzz.READERS if name != "command")
    words = ["--inputs", "1300", "--seed", "2024", "--readers", readers]
    found = fuzz.main([*words, "--findings", str(tmp_path)])
    said = capfd.readouterr().out
    assert found == 0, said
    assert "| all | 1,300 |" in said


def test_damaged_inputs_through_commands(fuzz, capfd):
    found = fuzz.main(["--inputs", "60", "--seed", "2024", "--readers", "command"])
    assert found == 0, capfd.readouterr().out


def test_a_lost_row_is_found(fuzz, capfd, monkeypatch):
    """The run itself can find something."""
    read = fuzz.place_all

    def lossy(*arguments):
        return list(read(*arguments))[:-1]

    monkeypatch.setattr(fuzz, "place_all", lossy)
    assert fuzz.main(["--inputs", "20", "--readers", "bed"]) > 0
    assert "rows in" in capfd.readouterr().out


def test_many_rows_come_out_whole():
    """docs/reliability/load.py in small: every row in its place, some computed again alone."""
    words = [sys.executable, str(SCRIPTS / "load.py"), "--regions", "2000"]
    said = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    assert "all rows checked" in said
