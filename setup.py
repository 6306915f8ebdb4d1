"""Adds man pages, made from the commands as they are, to what setup.cfg declares."""

import sys
from pathlib import Path

from setuptools import setup

root = Path(__file__).parent
sys.path[:0] = [str(root), str(root / "docs")]

from man_pages import write_man_pages  # noqa: E402  in docs/, with its neighbour

pages = write_man_pages(root / "build" / "man")
setup(data_files=[("share/man/man1", [str(page.relative_to(root)) for page in pages])])
