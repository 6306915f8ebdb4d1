"""One run over the sets of a suite: the choice of sets, and the folder that keeps their results."""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from findna import __version__
from findna.console import progress
from findna.errors import ConfigError, FindnaError, LabelError, OutputError
from findna.genome.fasta import Genome
from findna.model.checkpoint import Checkpoint
from findna.model.devices import Compute, describe
from findna.outputs.files import file_digest, replaced
from findna.tasks.feature_cache import FeatureCache

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Run:
    """The model that is evaluated, the data, and the folder of the results."""

    data: Path  # folder of the suite
    compute: Compute
    model: str = "tiny"  # name or folder
    only: tuple[str, ...] = ()  # names of the sets to take; all if empty
    folder: Path | None = None  # keeps the result of each set as soon as there is one
    resume: bool = False  # keep the results that the folder holds and measure only other sets
    force: bool = False  # replace them
    cache: FeatureCache | None = None  # keeps the vectors of labelled sequences between runs


@dataclass(frozen=True)
class Suite:
    """A suite as it was found: the files of every set by its name, and the FASTA of intervals."""

    name: str
    files: Mapping[str, Sequence[Path]]
    genome: Genome | None = None

    def digest(self, name: str) -> str:
        """Return the SHA-256 over the data of a set; empty of one that was not found."""
        if name not in self.files:
            return ""
        data: dict[str, Any] = {}
        for path in self.files[name]:
            below = [each for each in path.rglob("*") if each.is_file()] or [path]
            data |= {str(each.relative_to(path.parent)): file_digest(each) for each in below}
        if self.genome is not None:
            data["contigs"] = self.genome.digests(self.genome.contigs)
        return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


class _Named(Protocol):
    @property
    def name(self) -> str: ...


Set = TypeVar("Set", bound=_Named)


def choose_sets(
    run: Run, suite: str, sets: list[Set], missing: list[str], form: str
) -> tuple[list[Set], list[str]]:
    """Return the sets to measure, and what is missing of those that were asked for.

    ``form`` says what a set looks like, for the message where there is none.

    Raises
    ------
    ConfigError
        There is no set, or none of a name that was asked for.
    """
    if not sets:
        hint = f"; unusable: {', '.join(missing[:3])}" if missing else ""
        raise ConfigError(f"{run.data}: no set of the suite {suite} in it{hint}; {form}")
    if not run.only:
        return sets, missing
    names = {chosen.name for chosen in sets}
    wanted = {name if name in names else f"{suite}/{name}": name for name in run.only}
    for name, given in wanted.items():
        if name not in names:
            raise ConfigError(
                f"--set {given}: not among the sets found: "
                f"{', '.join(sorted(names)[:5])}{', ...' * (len(names) > 5)}"
            )
    return [chosen for chosen in sets if chosen.name in wanted], []


def leave_out(name: str, error: FindnaError, missing: list[str]) -> None:
    """Warn of a set that cannot be measured and add it to those that are missing."""
    logger.warning("%s left out: %s", name, error)
    missing.append(f"{name} ({error})")


def nothing_measured(run: Run, missing: list[str]) -> LabelError:
    """Return the error of a run in which every set was left out."""
    return LabelError(f"{run.data}: no set could be measured: {missing[-1]}")


def measure_sets(
    run: Run,
    suite: Suite,
    sets: list[Set],
    missing: list[str],
    measure: Callable[[Set], dict[str, Any]],
    checkpoint: Checkpoint,
    settings: dict[str, Any],
    announce: Callable[[list[Set]], object] = lambda sets: None,
) -> dict[str, Any]:
    """Measure one set after the other, and keep each result in the folder.

    ``settings`` decide the figures, beside model and data: results of others are not mixed.
    ``announce`` gets the sets that are to be measured, before the first is. Returned are
    ``about``, ``sets`` and ``missing``, the sets that cannot be measured, with the reason.
    """
    about: dict[str, Any] = {"findna_version": __version__, "model": checkpoint.name}
    about |= {"digest": checkpoint.digest, **settings}
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()
    kept = {} if run.folder is None else _kept_results(run.folder, digest, run, suite)
    started = time.monotonic()
    announce([chosen for chosen in sets if chosen.name not in kept])
    results = []
    with progress(len(sets), "sets", suite.name) as bar:
        for chosen in sets:
            result = kept.pop(chosen.name, None)
            if result is None:
                try:
                    result = measure(chosen)
                except FindnaError as error:
                    leave_out(chosen.name, error, missing)
                    continue
                if run.folder is not None:
                    kept_as = {"settings": digest, "data": suite.digest(chosen.name)}
                    text = json.dumps({**kept_as, "result": result}, indent=1) + "\n"
                    path = run.folder / f"{chosen.name.replace('/', '.')}.json"
                    with replaced(path) as temporary:
                        temporary.write_text(text)
            results.append(result)
            bar.update()
    # measured before under the same settings, but not among --set now
    results += [kept[name] for name in sorted(kept)]
    if not results:
        raise nothing_measured(run, missing)
    about |= {
        "suite": suite.name,
        "hardware": describe(run.compute.device),
        "seconds": round(time.monotonic() - started),
    }
    return {"about": about, "sets": results, "missing": missing}


def _kept_results(folder: Path, settings: str, run: Run, suite: Suite) -> dict[str, Any]:
    """Make the folder; return the results to go on from, by set.

    Raises
    ------
    OutputError
        It holds results and neither --resume nor --force was given, or others than those to go on
        from.
    """
    kept = {}
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder}: exists and is not a folder")
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.json")):
        try:
            before = json.loads(path.read_text())
        except (ValueError, OSError, RecursionError):
            before = {}
        if not isinstance(before, dict) or not {"settings", "result"} <= before.keys():
            continue  # a report, or a file of someone else's
        result = before["result"]
        if not isinstance(result, dict) or not isinstance(result.get("name"), str):
            raise OutputError(f"{path}: not a result of this findna; remove it")
        if not run.resume and not run.force:
            raise OutputError(
                f"{folder}: holds results already; --resume keeps them and goes on, --force "
                "replaces them"
            )
        if run.resume and before["settings"] != settings:
            raise OutputError(
                f"{path}: measured with another model or other options; name another folder, or "
                "--force to begin anew"
            )
        if run.resume and before.get("data") != suite.digest(result["name"]):
            raise OutputError(
                f"{path}: measured on other data than {run.data} holds; name another folder, or "
                "--force to begin anew"
            )
        if run.resume:
            kept[result["name"]] = result
        else:
            path.unlink()
    return kept
