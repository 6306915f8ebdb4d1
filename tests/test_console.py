"""Progress on a terminal, beside rows on a terminal, and in a log."""

import fcntl
import io
import os
import struct
import termios

import pytest

from findna import console
from findna.console import counted, progress


class Terminal(io.StringIO):
    """What is written to a terminal of 100 columns."""

    def __init__(self):
        super().__init__()
        _, self.side = os.openpty()
        fcntl.ioctl(self.side, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))

    def fileno(self):
        return self.side

    def isatty(self):
        return True


def terminal_of(monkeypatch):
    """Put standard error on a terminal."""
    stream = Terminal()
    monkeypatch.setattr("sys.stderr", stream)
    return stream


def log_of(monkeypatch, seconds=0.0, quiet=False):
    """Put standard error in a file that gets a line after so many seconds."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stderr", stream)
    monkeypatch.setattr(console, "SECONDS", seconds)
    console.set_up(quiet)
    return stream


@pytest.fixture(autouse=True)
def _not_quiet():
    console.set_quiet(False)
    yield
    console.set_quiet(False)


def test_a_noun_agrees_with_its_number():
    assert [counted(n, "seed") for n in (0, 1, 2)] == ["0 seeds", "1 seed", "2 seeds"]
    assert counted(2, "class") == "2 classes"
    assert counted(1700, "random encoder", ",") == "1,700 random encoders"


def test_numbers_are_written_as_people_write_them(monkeypatch):
    terminal = terminal_of(monkeypatch)
    with progress(1700, "steps", "pretrain", initial=20) as bar:
        bar.update(250)
        bar.set_postfix({"mnm": "1.386", "accuracy": "0.312"})
        *_, frame = terminal.getvalue().split("\r")
    assert "270/1,700 steps" in frame
    assert frame.endswith("left, mnm=1.386, accuracy=0.312")
    assert frame.startswith("pretrain  16% |")
    assert len(frame.split("|")[1]) > 20
    assert len(frame) <= 100


def test_rows_on_a_terminal_have_no_bar_beside_them(monkeypatch):
    terminal = terminal_of(monkeypatch)
    monkeypatch.setattr("sys.stdout", Terminal())
    with progress(30, "rows", "predict", beside_rows=True) as bar:
        bar.update(8)
    assert terminal.getvalue() == ""
    with progress(30, "rows", "predict") as bar:  # rows that go to a file
        bar.update(8)
    assert "0/30 rows" in terminal.getvalue()


def test_a_log_gets_lines(monkeypatch):
    log = log_of(monkeypatch)
    with progress(30, "rows", "predict", beside_rows=True) as bar:
        bar.update(8)
        bar.refresh()
    *_, line = log.getvalue().splitlines()
    assert line.startswith("findna: predict  27% 8/30 rows, ")
    assert "\r" not in log.getvalue()


@pytest.mark.parametrize("options", [{"seconds": 10.0}, {"quiet": True}])
def test_a_short_run_and_a_quiet_one_write_no_lines(monkeypatch, options):
    log = log_of(monkeypatch, **options)
    with progress(30, "rows", "predict") as bar:
        bar.update(30)
        bar.refresh()
    assert log.getvalue() == ""


def test_a_total_that_is_unknown(monkeypatch):
    log = log_of(monkeypatch)
    with progress(None, "rows", "predict") as bar:
        bar.update(1_234)
        bar.refresh()
    assert log.getvalue().splitlines()[-1].startswith("findna: predict 1,234 rows")
