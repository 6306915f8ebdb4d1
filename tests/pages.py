"""Reads the HTML that findna writes, and holds it to what its pages promise."""

import re
from html.parser import HTMLParser
from pathlib import Path

_EMPTY = {"meta", "br", "path", "use", "rect"}


class Page(HTMLParser):
    """A report: its text by heading, its tables and pictures; it must load nothing."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.sections: dict[str, str] = {"": ""}
        self.tables: list[list[list[str]]] = []
        self.pictures: list[str] = []
        self._open: list[str] = []
        self._heading = ""
        text = path.read_text()
        self.feed(text)
        self.close()
        assert not self._open
        assert text.startswith("<!DOCTYPE html>")
        assert "prefers-color-scheme: dark" in text
        assert not re.search(r"url\((?!#)|@import", text)
        ids = re.findall(r'\bid="([^"]*)"', text)
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "iframe", "img", "object")
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "action", "data"):
                assert (value or "").startswith("#"), (tag, name, value)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("th", "td"):
            self.tables[-1][-1].append("")
        elif tag == "svg":
            self.pictures.append(dict(attrs)["aria-label"] or "")
        elif tag in ("h1", "h2", "h3"):
            self._heading = ""
        if tag not in _EMPTY:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in _EMPTY:
            assert self._open.pop() == tag
        if tag in ("h1", "h2", "h3"):
            self.sections[self._heading] = ""

    def handle_data(self, data: str) -> None:
        if {"h1", "h2", "h3"} & set(self._open):
            self._heading += data
        elif {"th", "td"} & set(self._open):
            self.tables[-1][-1][-1] += data
        self.sections[self._heading] = self.sections.get(self._heading, "") + data
