"""What callers pass, made into what the package works with: paths, regions and options."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import import_module
from os import PathLike
from pathlib import Path
from typing import Any, TypeVar

from findna.errors import ConfigError, MissingProgramError
from findna.genome.fasta import Genome
from findna.genome.regions import ON_ERROR, RegionOptions, RegionSource
from findna.genome.windows import ANCHORS
from findna.model.devices import PRECISIONS, Compute

AnyPath = str | PathLike[str]

Opened = TypeVar("Opened")
Result = TypeVar("Result")
Row = TypeVar("Row")

PLACEMENT = ("window", "flank", "anchor", "stranded", "split", "pad", "on_error", "whole")
"""Options that decide which sequence is read of a row: fields of `RegionOptions`."""

COMPUTE = ("device", "precision", "max_tokens")
"""Options that decide where and how to compute: arguments of `Compute.on`."""


@contextmanager
def opened(genome: AnyPath | Genome, regions: Any) -> Iterator[tuple[Genome, RegionSource]]:
    """Open a FASTA and regions; what the caller has opened stays open."""
    with ExitStack() as stack:
        fasta = opened_genome(stack, genome)
        source = RegionSource.of(regions, fasta)
        if source is not regions:
            stack.enter_context(source)
        yield fasta, source


def opened_genome(stack: ExitStack, genome: AnyPath | Genome) -> Genome:
    """Return a FASTA, which is closed with the stack if it is opened here."""
    if isinstance(genome, Genome):
        return genome
    return stack.enter_context(Genome(Path(genome)))


def streamed(
    inputs: AbstractContextManager[Opened], read: Callable[[Opened], Iterator[Result]]
) -> Iterator[Result]:
    """Open inputs, check them and return the results, which are computed as they are asked for.

    Parameters
    ----------
    inputs : context manager
        Closed when the results are used up or given up.
    read : callable
        Makes the results of the opened inputs; what it raises, the call raises.
    """
    with ExitStack() as stack:
        results = read(stack.enter_context(inputs))
        return _until_done(results, stack.pop_all())


def _until_done(results: Iterator[Result], stack: ExitStack) -> Iterator[Result]:
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
    """Return a value that is one of a few.

    Raises
    ------
    ConfigError
        It is none of them.
    """
    if value not in allowed:
        raise ConfigError(f"{name}: no {value!r}; use one of {', '.join(map(str, allowed))}")
    return value


def at_least(name: str, value: Any, least: int) -> Any:
    """Return a whole number that is not too small, or None.

    Raises
    ------
    ConfigError
        It is another value.
    """
    if value is not None and (not isinstance(value, int) or value < least):
        raise ConfigError(f"{name}: {value!r} is not a whole number of at least {least}")
    return value


def placement(given: Mapping[str, Any]) -> RegionOptions:
    """Return the region options that were given.

    Raises
    ------
    ConfigError
        A value is impossible, or two options exclude each other.
    """
    options = RegionOptions(**{name: given[name] for name in PLACEMENT if name in given})
    at_least("window", options.window, 1)
    at_least("flank", options.flank, 0)
    chosen("anchor", options.anchor, ANCHORS)
    chosen("on_error", options.on_error, ON_ERROR)
    if options.split and (options.flank or options.window is not None):
        raise ConfigError("--split cannot be combined with --flank or --window")
    return options


def compute(given: Mapping[str, Any], default: Compute | None = None) -> Compute:
    """Return where and how to compute.

    Parameters
    ----------
    default : Compute, optional
        Taken if no option was given.

    Raises
    ------
    ConfigError
        A value is impossible, or this machine has no such device.
    """
    options = {name: given[name] for name in COMPUTE if name in given}
    if default is not None and not options:
        return default
    chosen("precision", options.get("precision", PRECISIONS[0]), PRECISIONS)
    at_least("max_tokens", options.get("max_tokens"), 1)
    return Compute.on(**options)


def several(values: Any) -> list[Any]:
    """Return a list of values; of a single one, which may be a str, a list of one."""
    return list(values) if isinstance(values, list | tuple) else [values]


def need(module: str, use: str, install: str) -> Any:
    """Import a library that not every user has.

    Raises
    ------
    MissingProgramError
        It is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingProgramError(f"{use} needs {module}: pip install '{install}'") from error
