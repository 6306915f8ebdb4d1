"""Arguments of callers, made into what the package works with: paths, regions and options."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from importlib import import_module
from numbers import Integral, Real
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from findna.errors import ConfigError, MissingProgramError
from findna.genome.fasta import Genome
from findna.genome.regions import ON_ERROR, RegionOptions
from findna.genome.sources import RegionSource
from findna.genome.windows import ANCHORS

AnyPath = str | PathLike[str]

Result = TypeVar("Result")
Row = TypeVar("Row")

PLACEMENT = (
    "window",
    "flank",
    "upstream",
    "downstream",
    "anchor",
    "stranded",
    "split",
    "pad",
    "max_n",
    "on_error",
    "whole",
)
"""Options that decide which sequence is read of a row: fields of `RegionOptions`."""

_FLAGS = ("stranded", "split", "pad", "whole")

COMPUTE = ("device", "precision", "max_tokens")
"""Options that decide where and how to compute: arguments of `compute_on`."""


def opened_genome(stack: ExitStack, genome: AnyPath | Genome) -> Genome:
    """Return a FASTA; the stack closes it, unless the caller had opened it."""
    return genome if isinstance(genome, Genome) else stack.enter_context(Genome(Path(genome)))


def opened(stack: ExitStack, genome: AnyPath | Genome, regions: Any) -> tuple[Genome, RegionSource]:
    """Return a FASTA and regions; the stack closes them, unless the caller had opened them."""
    fasta = opened_genome(stack, genome)
    source = RegionSource.of(regions, fasta)
    return fasta, source if source is regions else stack.enter_context(source)


def until_done(results: Iterator[Result], stack: ExitStack) -> Iterator[Result]:
    """Yield results, and close their inputs when they are used up or given up."""
    with stack:
        yield from results


def kept(
    rows: Iterable[tuple[Row, Result | None]], skip: bool
) -> Iterator[tuple[Row, Result | None]]:
    """Yield rows with their results; those without one are left out if they are to be skipped."""
    return ((row, result) for row, result in rows if result is not None or not skip)


def check_options(function: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raise TypeError if an option is not known."""
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        raise TypeError(f"{function}() has no option {unknown!r}; it has {', '.join(known)}")


def chosen(name: str, value: Any, allowed: Collection[Any]) -> Any:
    """Return a value that is one of a few, or raise ConfigError."""
    if value not in allowed:
        raise ConfigError(f"{name}: no {value!r}; use one of {', '.join(map(str, allowed))}")
    return value


def at_least(name: str, value: Any, least: int) -> Any:
    """Return None or a whole number, numpy's too, that is not too small, or raise ConfigError."""
    if value is None:
        return None
    if not isinstance(value, Integral) or value < least:
        raise ConfigError(f"{name}: {value!r} is not a whole number of at least {least}")
    return int(value)


def with_numbers(given: Mapping[str, Any], least: Mapping[str, int]) -> dict[str, Any]:
    """Return options, of which some are whole numbers of at least so much; see `at_least`."""
    numbers = {name: at_least(name, given[name], least[name]) for name in least if name in given}
    return {**given, **numbers}


def placement(given: Mapping[str, Any]) -> RegionOptions:
    """Return the region options that were given; raise ConfigError if they are impossible."""
    given = with_numbers(given, {"window": 1, "flank": 0, "upstream": 0, "downstream": 0})
    # plain values of one type each: files of embeddings record them
    given |= {name: bool(given[name]) for name in _FLAGS if name in given}
    max_n = given.get("max_n", RegionOptions.max_n)
    if not isinstance(max_n, Real) or not 0 <= float(max_n) <= 1:
        raise ConfigError(f"max_n: {max_n!r} is not a share from 0 to 1")
    given |= {"max_n": float(max_n)}
    options = RegionOptions(**{name: given[name] for name in PLACEMENT if name in given})
    chosen("anchor", options.anchor, (None, *ANCHORS))
    chosen("on_error", options.on_error, ON_ERROR)
    if options.conflict:
        raise ConfigError(options.conflict)
    return options


def several(values: Any) -> list[Any]:
    """Return a list of values; of a single one, which may be a str, a list of one."""
    return list(values) if isinstance(values, list | tuple) else [values]


def one_or_more(name: str, values: Any) -> list[Any]:
    """Return what `several` does; raise ConfigError if it is an empty list."""
    listed = several(values)
    if not listed:
        raise ConfigError(f"{name}: an empty list; give at least one")
    return listed


def need(module: str, use: str, install: str) -> Any:
    """Import a library that not every user has; raise MissingProgramError where it is missing."""
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingProgramError(f"{use} needs {module}: pip install '{install}'") from error
