"""Errors that a user can fix.

A message says where, what and the remedy, on one line. ``findna.cli`` prints it and exits
with ``exit_code``; a programmer's mistake raises a built-in exception instead.
"""

from collections.abc import Iterable

LONGEST_MESSAGE = 2_000


def did_you_mean(word: str, words: Iterable[str]) -> str:
    """Return a hint to the word that is most like one that is not known; empty if none is."""
    from difflib import get_close_matches

    close = get_close_matches(word, list(words), 1)
    return f"; did you mean {close[0]}?" if close else ""


class FindnaError(Exception):
    """Something the user can fix."""

    exit_code = 1

    def __str__(self) -> str:
        """Return the message: one line of bounded length, whatever the input that it names."""
        text = super().__str__()
        if len(text) > LONGEST_MESSAGE:
            text = text[:LONGEST_MESSAGE] + "..."
        return text.replace("\r", " ").replace("\n", " ")


class ConfigError(FindnaError):
    """A configuration value or file that cannot be used."""

    exit_code = 2


class GenomeError(FindnaError):
    """A FASTA file that cannot be read, or a contig it does not hold."""


class RegionError(FindnaError):
    """A region that is malformed or lies outside its contig."""


class VariantError(FindnaError):
    """A VCF file that cannot be read, or a record that does not fit the genome."""


class LabelError(FindnaError):
    """A labelled set that cannot be read, or from which nothing can be learned."""


class CheckpointError(FindnaError):
    """A model folder that is missing, malformed or of another kind."""


class EmbeddingError(FindnaError):
    """A file of embeddings that cannot be read, is damaged or of another kind."""


class OutputError(FindnaError):
    """An output that exists already or cannot be written."""


class InterruptedRunError(FindnaError):
    """A run was interrupted, and can go on from where it was."""

    exit_code = 130


class MissingProgramError(FindnaError):
    """An external program that the command needs is not installed."""


class CollapseError(FindnaError):
    """Training diverged or its teacher became constant; the last good checkpoint is kept."""

    exit_code = 3
