"""Sequence of a FASTA file by coordinates."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import tempfile
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from findna.errors import GenomeError
from findna.genome.encoding import N, Tokens, encode, encode_soft_masked
from findna.genome.formats import check_format
from findna.genome.index import DAMAGE, holds_blanks, open_faidx, white_space
from findna.genome.text import BGZF_HEAD, GZIP_MAGIC, is_bgzf, numbered_lines, open_input
from findna.places import cache_folder

logger = logging.getLogger(__name__)

AUTO: Literal["auto"] = "auto"
"""In place of aliases: those that follow from the names of the contigs."""

_CHUNK = 1 << 22  # bp read at a time where a whole contig is needed
_MOST_NAMES = 3
_LONGEST_NAME = 100  # of a contig in a message
_MOST_PACKED = 1_100  # letters per compressed byte; deflate cannot hold more
_LONGEST_GAP = 1 << 20  # bytes from the end of one contig to the begin of the next
_STRETCH = 1 << 18  # bp; what is read often is kept in stretches of this length
_MOST_STRETCHES = 128
_OFTEN = 8  # requests after which a stretch is read whole: about what that costs
_MITOCHONDRIA = ("chrM", "MT", "M", "chrMT")
_HG19_CHRM = 16_571  # bp; other sequence than MT of GRCh37, which has 16,569


def _names(names: list[str]) -> str:
    n_others = len(names) - _MOST_NAMES
    shown = ", ".join(name[:_LONGEST_NAME] for name in names[:_MOST_NAMES])
    return shown + (f" and {n_others} more" if n_others > 0 else "")


def _other_names(contig: str) -> list[str]:
    """Return what other assemblies call a contig: ``1`` for ``chr1``, ``MT`` for ``chrM``."""
    if contig in _MITOCHONDRIA:
        return [name for name in _MITOCHONDRIA if name != contig]
    return [contig[3:]] if contig.startswith("chr") else [f"chr{contig}"]


def aliases_by_rule(contigs: Mapping[str, int]) -> dict[str, str]:
    """Return the aliases that follow from the names of contigs, given their lengths, bp.

    A name that could stand for two contigs is none, and so is MT of the chrM of hg19, which is
    another sequence.
    """
    meant: dict[str, list[str]] = {}
    for contig, length in contigs.items():
        if (contig, length) != ("chrM", _HG19_CHRM):
            for name in _other_names(contig):
                meant.setdefault(name, []).append(contig)
    return {
        name: found[0]
        for name, found in meant.items()
        if name and len(found) == 1 and name not in contigs
    }


class _Stretch(NamedTuple):
    """Part of a contig that is kept in memory."""

    tokens: Tokens
    holds_n: bool


class Genome:
    """A FASTA file, plain or BGZF, read by coordinates through its index.

    The index is that beside it, or built: see `findna.genome.index.open_faidx`.

    Parameters
    ----------
    aliases : dict or "auto", optional
        Other names of contigs: ``aliases["1"] = "chr1"`` lets regions on 1 be read from chr1.
        ``"auto"`` takes them from the names in the FASTA, see `aliases_by_rule`; which of them
        are used is a warning.

    Raises
    ------
    GenomeError
        The file is missing, empty, not FASTA, plain gzip, or has two contigs of one name.
    """

    def __init__(
        self, path: str | Path, aliases: dict[str, str] | Literal["auto"] | None = None
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            reason = "is a folder" if self.path.is_dir() else "no such file"
            raise GenomeError(f"{self.path}: {reason}; give a FASTA file")
        with self.path.open("rb") as file:
            head = file.read(BGZF_HEAD)
        with open_input(self.path) as file:
            check_format(file, "FASTA", str(self.path), GenomeError)
        self._bgzf = is_bgzf(head)
        if head.startswith(GZIP_MAGIC) and not self._bgzf:
            raise GenomeError(
                f"{self.path}: plain gzip cannot be read by coordinates; recompress it: "
                f"gunzip -c {self.path.name} | bgzip > {self.path.stem}.bgz"
            )
        if self._bgzf and self.path.suffix not in (".gz", ".bgz"):
            raise GenomeError(f"{self.path}: BGZF file; its name must end in .gz or .bgz")
        self._faidx = open_faidx(self.path, self._bgzf)
        index = self._faidx.index
        self._order = sorted(index, key=lambda name: index[name].offset)  # as they lie in the file
        self.known_digests: dict[str, str] = {}  # of contigs that were asked for
        self.contigs: dict[str, int] = {name: index[name].rlen for name in self._order}
        if not self.contigs:
            raise GenomeError(f"{self.path}: holds no sequence")
        most = self.path.stat().st_size * (_MOST_PACKED if self._bgzf else 1)
        wrong = next((name for name, n in self.contigs.items() if not 0 <= n <= most), None)
        if wrong is not None:
            raise self._unfit(f"contig {wrong} of {self.contigs[wrong]} bp")
        self._is_auto = aliases == AUTO
        self._used: dict[str, str] | None = {}  # aliases by rule; None once they were told
        given = self._by_rule if aliases == AUTO else aliases or {}
        self.aliases: dict[str, str] = {
            name: contig
            for name, contig in given.items()
            if contig in self.contigs and name not in self.contigs
        }
        self._place = {name: i for i, name in enumerate(self._order)}
        self._checked: set[int] = set()  # numbers of gaps
        self._stretches: dict[tuple[str, int], int | _Stretch] = {}  # the latest is the last
        self._blocks: set[int] = set()  # of BGZF, that lie where the index says

    @property
    def indexes(self) -> list[Path]:
        """Files of the index: .fai, and of BGZF .gzi."""
        gzi = getattr(self._faidx, "gzi_indexname", None)
        return [Path(name) for name in (self._faidx.indexname, gzi) if name]

    def resolve(self, chrom: str) -> str | None:
        """Return the FASTA's name of a contig, through the aliases; None if there is none."""
        if chrom in self.contigs:
            return chrom
        alias = self.aliases.get(chrom)
        if alias and self._is_auto and self._used is not None:
            self._used[chrom] = alias
        return alias

    @property
    def lengths(self) -> dict[str, int]:
        """Length of each contig, bp, by each of its names."""
        others = {name: self.contigs[contig] for name, contig in self.aliases.items()}
        return self.contigs | others

    @property
    def alias_facts(self) -> Any:
        """Aliases that count, or ``auto``: they decide an output, and its parts agree in them."""
        return AUTO if self._is_auto else self.aliases

    def tell_aliases(self, source: str = "the input") -> None:
        """Log, once, which names were read as others by rule; ``source`` is where they stand."""
        if not self._used:
            return
        pairs = [f"{name[:_LONGEST_NAME]} -> {to}" for name, to in self._used.items()]
        shown = ", ".join(pairs[:_MOST_NAMES]) + ", ..." * (len(pairs) > _MOST_NAMES)
        logger.warning(
            "chrom-alias auto: %d name%s of %s read as in %s (%s)",
            *(len(pairs), "s" * (len(pairs) > 1), source, self.path.name, shown),
        )
        self._used = None

    def unknown(self, *chroms: str) -> str:
        """Return one line about contigs that the FASTA does not hold, with the likely fix."""
        hint = next(filter(None, map(self._hint, chroms)), "")
        return (
            f"no contig {_names(list(chroms))} in {self.path.name}, "
            f"which has {_names(list(self.contigs))}{hint}"
        )

    @cached_property
    def _by_rule(self) -> dict[str, str]:
        return aliases_by_rule(self.contigs)

    def _hint(self, chrom: str) -> str:
        """Return the likely fix of a name that the FASTA does not hold; empty if none is known."""
        if chrom in self._by_rule:
            return f"; did you mean {self._by_rule[chrom]}? (--chrom-alias auto maps such names)"
        alike = self._alike(chrom)
        if chrom in _MITOCHONDRIA and alike == ["chrM"]:
            return "; its chrM is that of hg19, another sequence than MT"
        return f"; did you mean {alike[0]}? (--chrom-alias FILE maps names)" if alike else ""

    def _alike(self, chrom: str) -> list[str]:
        """Return the contigs whose names differ from this one as assemblies' names do."""
        return [name for name in _other_names(chrom) if name in self.contigs] + [
            name for name in self.contigs if name.lower() == chrom.lower()
        ]

    def fetch(self, chrom: str, start: int, end: int) -> Tokens:
        """Return the token ids of an interval; what lies outside the contig is N.

        Parameters
        ----------
        chrom : str
            A name in ``contigs``.
        start, end : int
            0-based, half-open; may overhang the contig on either side.

        Returns
        -------
        ndarray, shape (end - start,), uint8

        Raises
        ------
        GenomeError
            The file ends early or holds something else than its index says.
        """
        self._check_index(chrom)
        length = self.contigs[chrom]
        stretch = self._stretch(chrom, start, end)
        if stretch is not None:
            first = start - start % _STRETCH
            tokens: Tokens = stretch.tokens[start - first : end - first].copy()
            return tokens
        first, last = max(start, 0), min(end, length)
        inside = self._letters(chrom, first, last) if first < last else b""
        if first == start and last == end:
            return encode(inside)
        tokens = np.full(end - start, N, dtype=np.uint8)
        if inside:
            tokens[first - start : last - start] = encode(inside)
        return tokens

    def count_n(self, chrom: str, start: int, end: int) -> int:
        """Return the number of N that `fetch` gives for an interval, which may be a contig."""
        stretch = self._stretch(chrom, start, end)
        if stretch is not None and not stretch.holds_n:
            return 0
        return sum(
            int(np.count_nonzero(self.fetch(chrom, first, min(first + _CHUNK, end)) == N))
            for first in range(start, end, _CHUNK)
        )

    def _stretch(self, chrom: str, start: int, end: int) -> _Stretch | None:
        """Return the stretch of a contig that holds an interval, if it was asked for often.

        Requests are counted for the latest stretches only, so that those that lie far apart
        never read more than they ask for.
        """
        number = start // _STRETCH
        if not (0 <= start < end <= self.contigs[chrom] and end <= (number + 1) * _STRETCH):
            return None
        found = self._stretches.pop((chrom, number), 0)
        if isinstance(found, int):
            found += 1
            if found == _OFTEN:
                found = self._read_stretch(chrom, number * _STRETCH) or found
        self._stretches[chrom, number] = found
        if len(self._stretches) > _MOST_STRETCHES:
            del self._stretches[next(iter(self._stretches))]
        return None if isinstance(found, int) else found

    def _read_stretch(self, chrom: str, start: int) -> _Stretch | None:
        """Return a stretch; None if it is damaged: a request for what is damaged says so."""
        try:
            letters = self._letters(chrom, start, min(start + _STRETCH, self.contigs[chrom]))
        except GenomeError:
            return None
        tokens = encode(letters)
        return _Stretch(tokens, bool((tokens == N).any()))

    def _unfit(self, reason: str) -> GenomeError:
        return GenomeError(
            f"{self.path}: {reason}; the file does not fit its index: remove the .fai and .gzi "
            "files beside it and try again; or the lines of a record are not all as long"
        )

    def _check_index(self, chrom: str) -> None:
        """Raise GenomeError unless the contig lies where the index says.

        An index can be newer than a FASTA it does not belong to, and be of the right lengths.
        """
        place = self._place[chrom]
        missing = [number for number in (place, place + 1) if number not in self._checked]
        if not missing:
            return
        record = self._faidx.index[chrom]
        line_end = (record.offset + record.lenc, record.offset + record.lenb)
        try:
            line = self._bytes(record.offset, record.offset + min(record.lenb, _LONGEST_GAP))
            if holds_blanks(line.partition(b"\n")[0]):
                raise white_space(f"{self.path}: {chrom}")
            fits = (
                0 <= record.lenb - record.lenc <= len("\r\n")
                and (record.rlen <= record.lenc or self._bytes(*line_end) in (b"\n", b"\r\n"))
                and all(map(self._is_gap, missing))
            )
        except DAMAGE as error:
            raise GenomeError(f"{self.path}: cannot read {chrom}: {error}") from error
        if not fits:
            raise self._unfit(f"{chrom} is not where its index says")
        self._checked.update(missing)

    def _is_gap(self, number: int) -> bool:
        """Return whether a contig's name, and no letters, lie between it and the one before.

        Number 0 is what precedes the first contig; the highest, what follows the last. Names of
        empty records may lie there too: samtools leaves them out of an index.
        """
        index, start, letter = self._faidx.index, 0, b""
        if number:
            before = index[self._order[number - 1]]
            start = before.offset + before.rlen
            if before.rlen:
                start += (before.rlen - 1) // max(before.lenc, 1) * (before.lenb - before.lenc)
                letter = self._bytes(start - 1, start)
                if letter in (b"", b"\n", b"\r"):
                    return False
        name = self._order[number] if number < len(self._order) else None
        gap = self._bytes(start, start + _LONGEST_GAP if name is None else index[name].offset)
        if letter and gap.strip() and not gap.startswith((b"\n", b"\r\n")):
            return False
        lines = [line for line in gap.split(b"\n") if line.strip()]
        if number == 0:
            lines = [line for line in lines if not line.startswith(b";")]  # comments of old FASTA
        if not all(line.startswith(b">") for line in lines):
            return False
        if name is None:
            return True
        if not lines or (index[name].rlen and not gap.endswith(b"\n")):
            return False
        return lines[-1][1:].decode("utf-8", "replace").split()[:1] == [name]

    def _bytes(self, start: int, end: int) -> bytes:
        """Read bytes of the file, unpacked; fewer at its end."""
        if not 0 <= end - start <= _LONGEST_GAP:
            raise ValueError("contigs overlap or lie too far apart")
        file = self._faidx.file
        if self._bgzf:
            block = self._faidx.gzi_index[self._block(start)]
            within = start - block.ustart
            if not 0 <= within < 1 << 16:
                raise ValueError("no block of that place")
            file.seek(block.cstart << 16 | within)  # a virtual offset
        else:
            file.seek(start)
        content: bytes = file.read(end - start)
        return content

    def _block(self, start: int) -> int:
        """Return the number of the BGZF block that holds a byte; checked against its neighbours."""
        blocks = self._faidx.gzi_index
        holder = bisect_right(blocks, start, key=lambda block: block.ustart) - 1
        for number in (holder - 1, holder):
            if number in self._blocks or not 0 <= number < len(blocks) - 1:
                continue
            before, after = blocks[number], blocks[number + 1]
            with self.path.open("rb") as file:
                file.seek(before.cstart)
                head = file.read(BGZF_HEAD)
                size = int.from_bytes(head[16:18], "little") + 1
                file.seek(before.cstart + size - 4)
                length = int.from_bytes(file.read(4), "little")
            if not is_bgzf(head) or (size, length) != (
                after.cstart - before.cstart,
                after.ustart - before.ustart,
            ):
                raise self._unfit("its blocks are not where the .gzi file says")
            self._blocks.add(number)
        return holder

    def _letters(self, chrom: str, start: int, end: int) -> bytes:
        try:
            if self._bgzf:
                record = self._faidx.index[chrom]
                self._block(
                    record.offset + start + start // record.lenc * (record.lenb - record.lenc)
                )
            text: str = self._faidx.fetch(chrom, start + 1, end)
            letters = text.encode("ascii")
        except DAMAGE as error:
            region = f"{chrom}:{start + 1}-{end}"
            raise GenomeError(f"{self.path}: cannot read {region}: {error}") from error
        if holds_blanks(letters):
            raise white_space(f"{self.path}: {chrom}:{start + 1}-{end}")
        if len(letters) != end - start:
            raise self._unfit(f"{chrom}:{start + 1}-{end} has {len(letters)} letters")
        return letters

    def chunks(self, chrom: str) -> Iterator[Tokens]:
        """Yield the token ids of a whole contig with its soft mask, a few megabases at a time."""
        return map(encode_soft_masked, self._pieces(chrom))

    def _pieces(self, chrom: str) -> Iterator[bytes]:
        self._check_index(chrom)
        for start in range(0, self.contigs[chrom], _CHUNK):
            yield self._letters(chrom, start, min(start + _CHUNK, self.contigs[chrom]))

    def digests(self, chroms: Iterable[str]) -> dict[str, str]:
        """Return the MD5 of each contig's upper-case letters: the M5 of ``samtools dict``.

        Read once per FASTA and contig, then kept in the cache folder. A file that was replaced or
        changed is read again, whatever its time of change was set to.
        """
        stat = self.path.stat()
        state = stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns
        key = f"{self.path.resolve()}:{state}"
        name = hashlib.sha256(key.encode()).hexdigest()[:16]
        cache = cache_folder() / "digests" / f"{name}.json"
        try:
            content = json.loads(cache.read_text())
        except (OSError, ValueError):
            content = {}
        known: dict[str, str] = content if isinstance(content, dict) else {}
        wanted = list(chroms)
        missing = [chrom for chrom in wanted if chrom not in known]
        for chrom in missing:
            md5 = hashlib.md5(usedforsecurity=False)
            for letters in self._pieces(chrom):
                md5.update(letters.upper())
            known[chrom] = md5.hexdigest()
        if missing:
            with suppress(OSError):  # a cache that cannot be written only costs time
                cache.parent.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile("w", dir=cache.parent, delete=False) as file:
                    json.dump(known, file)
                os.replace(file.name, cache)
        found = {chrom: known[chrom] for chrom in wanted}
        self.known_digests |= found
        return found

    def close(self) -> None:
        """Close the FASTA file."""
        self.tell_aliases()
        self._faidx.close()

    def __enter__(self) -> Genome:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def read_aliases(path: Path) -> dict[str, str]:
    """Read contig aliases from a two-column, tab-separated file: other name, name in the FASTA.

    Raises
    ------
    GenomeError
        A line does not have two columns, or a name stands for two contigs.
    RegionError
        The file is not text.
    """
    aliases: dict[str, str] = {}
    with open_input(path) as file:
        for number, line in numbered_lines(file, str(path)):
            if not line.strip() or line.startswith("#"):
                continue
            names = [name.strip() for name in line.split("\t")]
            if len(names) != 2:
                raise GenomeError(
                    f"{path}:{number}: expected two tab-separated names: "
                    "the one in the regions, the one in the FASTA"
                )
            if aliases.setdefault(names[0], names[1]) != names[1]:
                raise GenomeError(
                    f"{path}:{number}: {names[0][:80]} stands for {aliases[names[0]][:80]} and for "
                    f"{names[1][:80]}; keep one"
                )
    return aliases
