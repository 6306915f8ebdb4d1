"""A page of the variants with the largest scores, and the sequence around each, by igv-reports.

The only user of igv-reports; igv.js itself is that of igv-notebook, so the page fetches nothing.
"""

from __future__ import annotations

import heapq
import math
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from html import escape
from importlib.util import find_spec
from pathlib import Path

from findna.errors import ConfigError, MissingProgramError, OutputError
from findna.genome.fasta import Genome
from findna.outputs.files import MISSING, replaced
from findna.variants.alleles import Examined
from findna.variants.annotate import InfoField, VcfWriter
from findna.variants.scores import Effect

_WINDOW = 101  # bp that are shown at first
_AROUND = 1000  # bp that the page holds of the surroundings
_MISSING = "--report needs igv-reports and igv-notebook: pip install 'findna[reports]'"


def need_reports() -> None:
    """Raise MissingProgramError unless a page can be made."""
    for name in ("igv_reports", "igv_notebook"):
        _folder(name)


def _folder(library: str) -> Path:
    spec = find_spec(library)
    if spec is None or spec.origin is None:
        raise MissingProgramError(_MISSING)
    return Path(spec.origin).parent


def leading(fields: Sequence[str]) -> list[str]:
    """Return the fields by which variants are chosen.

    They are those of the first task, its difference or its gain and loss; without one LLR, without
    that the distance.

    Raises
    ------
    ConfigError
        There is no score.
    """
    for ends in (("_DELTA", "_GAIN"), ("FINDNA_LLR",), ("FINDNA_DIST",)):
        for name in fields:
            if name.endswith(ends):
                loss = name.removesuffix("_GAIN") + "_LOSS"
                return [name, loss] if name.endswith("_GAIN") and loss in fields else [name]
    raise ConfigError("--report shows the largest scores; there are none (--scores, --task)")


class Report:
    """The variants with the largest scores of a run.

    Parameters
    ----------
    fields : sequence of InfoField
        Scores, which are columns of the table.
    top : int
        Number of records that are kept.
    """

    def __init__(self, fields: Sequence[InfoField], top: int) -> None:
        self._fields, self._top = fields, top
        names = [field.id for field in fields]
        self._leading = leading(names)
        self._columns = [names.index(name) for name in self._leading]
        self._kept: list[tuple[float, int, Examined, list[list[float | None]]]] = []
        self._seen = 0

    def following(
        self, scored: Iterable[tuple[Examined, list[Effect | None]]]
    ) -> Iterator[tuple[Examined, list[Effect | None]]]:
        """Yield records as they come, and keep those with the largest scores."""
        for item, effects in scored:
            self._add(item, effects)
            yield item, effects

    def _add(self, item: Examined, effects: Sequence[Effect | None]) -> None:
        empty: list[float | None] = [None] * len(self._fields)
        values = [effect.values if effect else empty for effect in effects]
        sizes = [abs(row[i] or 0) for row in values for i in self._columns if _is_number(row[i])]
        if not sizes:
            return
        self._seen += 1  # of equal scores the first records stay
        heapq.heappush(self._kept, (max(sizes), -self._seen, item, values))
        if len(self._kept) > self._top:
            heapq.heappop(self._kept)

    def write(self, path: Path, genome: Genome, weights: Sequence[str]) -> int:
        """Write the page, the largest score first; it appears once it is complete.

        Returns
        -------
        int
            Number of records on it.

        Raises
        ------
        OutputError
            No record has a score, or igv-reports fails; the other outputs are complete.
        """
        if not self._kept:
            raise OutputError(f"{path}: not written: no record has a score to be chosen by")
        best = sorted(self._kept, key=lambda kept: kept[:2], reverse=True)
        with tempfile.TemporaryDirectory(prefix="findna-") as name, replaced(path) as page:
            folder = Path(name)
            self._write_vcf(folder / "variants.vcf", best, genome)
            (folder / "template.html").write_text(_template(), encoding="utf-8")
            by = " and ".join(self._leading)
            said = f"The {len(best)} of {self._seen} scored records with the largest {by}, by size."
            (folder / "header.html").write_text(
                f"<p>{escape(said)} {escape('; '.join(weights))}.</p>\n", encoding="utf-8"
            )
            for file in (genome.path, *genome.indexes):
                ending = "" if file == genome.path else file.suffix
                (folder / f"genome.fa{ending}").symlink_to(file.resolve())
            first = sorted(self._fields, key=lambda field: field.id not in self._leading)
            _make(folder, page, [_column(field).id for field in first])
        return len(best)

    def _write_vcf(
        self,
        path: Path,
        best: Sequence[tuple[float, int, Examined, list[list[float | None]]]],
        genome: Genome,
    ) -> None:
        """Write the records with their scores alone, under the names of the FASTA."""
        fields = [_column(field) for field in self._fields]
        contigs = [f"##contig=<ID={name},length={n}>" for name, n in genome.contigs.items()]
        head = ["##fileformat=VCFv4.2", *contigs, *(field.header for field in fields)]
        columns = ["#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO"]
        with path.open("wb") as file:
            writer = VcfWriter(file, fields)
            writer.begin([*head, "\t".join(columns)])
            for _, _, item, values in best:
                old = item.record.line.split("\t", 8)[:5]
                old[0] = genome.resolve(item.record.chrom) or old[0]
                line = "\t".join([*old, *[MISSING] * 3])
                writer.write(replace(item.record, line=line), item.classes, values)


def _column(field: InfoField) -> InfoField:
    """Return a field under the name that it has on the page, where room is scarce."""
    return replace(field, id=field.id.removeprefix("FINDNA_"))


def _is_number(value: float | None) -> bool:
    return value is not None and not math.isnan(value)


def _template() -> str:
    """Return the page of igv-reports, with the igv.js that is installed; nothing is of the web."""
    text = (_folder("igv_reports") / "templates" / "variant_template.html").read_text("utf-8")
    script = (_folder("igv_notebook") / "js" / "igv.min.js").as_uri()
    text = re.sub(r'src="https?://[^"]*/igv(\.min)?\.js"', f'src="{script}"', text)
    return text.replace("sessionURL:", "loadDefaultGenomes: false, sessionURL:")


def _make(folder: Path, page: Path, columns: Sequence[str]) -> None:
    """Let igv-reports write a page of the files in a folder."""
    variants = str(folder / "variants.vcf")
    settings = {
        "--fasta": folder / "genome.fa",
        "--template": folder / "template.html",
        "--header": folder / "header.html",
        "--title": "findna variants",
        "--flanking": _AROUND,
        "--window": _WINDOW,
        "--output": page,
    }
    words = [sys.executable, "-m", "igv_reports.report", variants, "--standalone"]
    for name, value in settings.items():
        words += [name, str(value)]
    words += ["--tracks", variants, "--info-columns", *columns]
    done = subprocess.run(words, capture_output=True, text=True, errors="replace")
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise OutputError(f"--report: igv-reports cannot write the page: {reason}")
