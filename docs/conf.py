"""The documentation site: Sphinx reads docs/ (bin/docs builds it)."""

import re
import sys
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))
from command_pages import write_pages

import findna

project = "findna"
author = "the authors of findna"
version = release = findna.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]

html_theme = "furo"  # all of its files come with it: the site works offline
html_title = f"findna {version}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False
html_show_copyright = False

highlight_language = "none"  # indented blocks hold commands and what they print
smartquotes = False  # "--option" stays as it is typed
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # reports that findna writes begin sections at level 3

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 70
napoleon_google_docstring = False
napoleon_use_rtype = False
default_role = "py:obj"


def _link_to_the_site(app: Sphinx, name: str, source: list[str]) -> None:
    """Lead links to files at the root, right on GitHub, to the pages that include these."""
    source[0] = re.sub(
        r"\]\(\.\./(CONTRIBUTING|CHANGELOG)\.md\)",
        lambda found: f"]({found[1].lower()}.md)",
        source[0],
    )


def setup(app: Sphinx) -> None:
    """Write the pages of the commands, and connect what changes pages as they are read."""
    write_pages(Path(app.srcdir) / "reference" / "commands")
    app.connect("source-read", _link_to_the_site)
