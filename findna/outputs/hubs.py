"""A track hub of the UCSC Genome Browser: hub.txt, and a page about each of its tracks."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from findna.errors import ConfigError
from findna.outputs.pictures.figure import PALETTE

HUB = "hub.txt"
"""Name of the file whose address the browser is given."""

EMAIL = "nobody@example.org"
"""Stands where UCSC requires an address; whoever publishes the hub puts their own."""

_SHORT, _LONG = 17, 76  # letters of labels that UCSC shows

_ASSEMBLY = re.compile(r"[A-Za-z]\w*(\.\d+)?", re.ASCII)


@dataclass(frozen=True)
class Hub:
    """Place of a track hub.

    Parameters
    ----------
    folder : Path
    assembly : str
        UCSC's name of the genome, such as hg38, or an accession (GCF_, GCA_).
    force : bool
        Write into a folder that is not empty.
    """

    folder: Path
    assembly: str
    force: bool = False

    def __post_init__(self) -> None:
        if not _ASSEMBLY.fullmatch(self.assembly):
            raise ConfigError(
                f"--assembly {self.assembly}: give UCSC's name of the genome, such as hg38, ce11 "
                "or GCF_000146045.2"
            )


@dataclass(frozen=True)
class HubTrack:
    """A bigWig file of a hub, and what is said of it.

    Parameters
    ----------
    class_name : str
    number : int
        Of the class, for the colour.
    strand : {"+", "-"}
    meaning : str
        What the values are.
    call : float, optional
        Least probability of the sites that it holds, and not a value at every base.
    facts : mapping of str to str
        More for the page, by name.
    ends : tuple of float, optional
        Lowest and highest value; without, the browser chooses a scale.
    """

    class_name: str
    number: int
    strand: str
    meaning: str
    call: float | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    ends: tuple[float, float] | None = (0, 1)

    @property
    def name(self) -> str:
        """Name in hub.txt, and of its files: letters, digits and underscores."""
        kind = "track" if self.call is None else "sites"
        strand = "plus" if self.strand == "+" else "minus"
        word = re.sub(r"\W", "_", self.class_name, flags=re.ASCII)
        return f"{kind}{self.number}_{word}_{strand}"

    @property
    def title(self) -> str:
        """Class and strand, and how sites were chosen."""
        return self.class_name + self._rest

    @property
    def _rest(self) -> str:
        called = "" if self.call is None else f" >={self.call:g}"
        return f"{called} {self.strand}"

    def settings(self, task: str) -> dict[str, str]:
        """Return the lines of hub.txt about the track."""
        colour = PALETTE[self.number % len(PALETTE)]
        kind, scale = "bigWig", {"autoScale": "on"}
        if self.ends is not None:
            low, high = self.ends
            kind = f"bigWig {low:g} {high:g}"
            scale = {"autoScale": "off", "viewLimits": f"{low:g}:{high:g}"}
        return {
            "track": self.name,
            "bigDataUrl": f"{self.name}.bw",
            "shortLabel": _cut(self.class_name, _SHORT - len(self._rest)) + self._rest,
            "longLabel": _cut(f"{task} {self.title}: {self.meaning}", _LONG),
            "type": kind,
            "color": ",".join(str(int(colour[i : i + 2], 16)) for i in (1, 3, 5)),
            "visibility": "full",
            **scale,
            "maxHeightPixels": "100:40:8",
            "windowingFunction": "maximum",
            "html": f"{self.name}.html",
        }

    def page(self, task: str, card: str) -> str:
        """Return the page that the browser shows about the track."""
        rows = "".join(
            f"<tr><td>{escape(name)}</td><td>{escape(value)}</td></tr>\n"
            for name, value in self.facts.items()
        )
        return (
            f"<h2>{escape(f'{task} {self.title}')}</h2>\n<p>Values: {escape(self.meaning)}.</p>\n"
            f"<table>\n{rows}</table>\n<h3>The task, by its card</h3>\n"
            f'<pre style="white-space: pre-wrap">{escape(card)}</pre>\n'
        )


def _cut(text: str, most: int) -> str:
    """Return a text on one line, of at most so many letters."""
    text = " ".join(text.split())
    return text if len(text) <= most else text[: most - 1].rstrip() + "\u2026"


def write_hub(
    folder: Path, assembly: str, task: str, tracks: Sequence[HubTrack], card: str
) -> None:
    """Write hub.txt and a page about each track beside their bigWig files."""
    word = re.sub(r"\W", "_", task, flags=re.ASCII)
    first = {
        "hub": f"findna_{word}",
        "shortLabel": _cut(f"findna {task}", _SHORT),
        "longLabel": _cut(f"findna scan, task {task}", _LONG),
        "useOneFile": "on",
        "email": EMAIL,
    }
    stanzas = [first, {"genome": assembly}, *(track.settings(task) for track in tracks)]
    text = "\n".join(
        "".join(f"{name} {value}\n" for name, value in stanza.items()) for stanza in stanzas
    )
    (folder / HUB).write_text(text, encoding="utf-8")
    for track in tracks:
        (folder / f"{track.name}.html").write_text(track.page(task, card), encoding="utf-8")
