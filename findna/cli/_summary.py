"""``--summary FILE``: what a run read, wrote and counted, as one JSON object for pipelines."""

from __future__ import annotations

import functools
import json
import math
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from findna import __version__
from findna.cli import outcome

FORMAT = "findna summary 1"
_FACTS = ("rows", "statuses", "counts", "weights", "contigs", "device", "precision")
_NOTES = "findna.summary"  # key of the context's meta


def note(**facts: Any) -> None:
    """Note facts about the run for its summary, if there will be one; see docs/formats.md."""
    click.get_current_context().meta.setdefault(_NOTES, {}).update(facts)


def note_rows(counts: Mapping[str, int], done: str, out: int | None = None) -> None:
    """Note what became of rows, given what a run counted; ``done`` is its name of a result."""
    from findna.genome.regions import OK, WITHOUT_RESULT

    fates = {status: counts[status] for status in WITHOUT_RESULT if counts.get(status)}
    n = counts["rows"]
    used = {"rows", "skipped", "written", "header_lines", done, *fates}
    note(
        rows={"in": n, "out": n - counts.get("skipped", 0) if out is None else out},
        statuses={OK: counts[done], **fates},
        counts={name: number for name, number in counts.items() if name not in used},
    )


def summarized(inputs: str, outputs: str = "") -> Callable[[Any], Any]:
    """Return a decorator that adds ``--summary``, and lets no output replace an input.

    Parameters
    ----------
    inputs, outputs : str
        Parameters that hold paths of files read and written, divided by spaces.
    """

    def decorate(command: Callable[..., Any]) -> Any:
        @functools.wraps(command)
        def run(*, summary: Path | None, **given: Any) -> Any:
            files = {
                "inputs": list(_files(inputs.split(), given)),
                "outputs": list(_files(outputs.split(), given)),
            }
            _check_outputs(**files)
            other = "WORLD_SIZE" in os.environ and os.environ.get("RANK", "0") != "0"
            if summary is None or other:  # of a torchrun job the first process writes
                return command(**given)
            _check(summary, files["inputs"] + files["outputs"], bool(given.get("force")))
            started, code, message = time.monotonic(), 0, ""
            try:
                return command(**given)
            except BaseException as error:
                code, message = outcome(error)
                raise
            finally:
                ended = {
                    "exit_status": code,
                    "error": message or None,
                    "seconds": round(time.monotonic() - started, 3),
                }
                _write(summary, {**ended, **files}, bool(given.get("shard")))

        option = click.option(
            "--summary",
            type=click.Path(path_type=Path),
            metavar="FILE",
            help="Also write rows, statuses, weights, seconds and exit status as JSON, whether the "
            "run fails or not (docs/formats.md).",
        )
        return option(run)

    return decorate


def _files(names: Sequence[str], given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield option and path of each file that was named."""
    for name in names:
        value = given.get(name)
        for path in value if isinstance(value, tuple) else (value,):
            if path is not None and path != "auto":  # of --chrom-alias
                yield {"name": name, "path": str(path)}


def _check_outputs(
    inputs: Sequence[Mapping[str, Any]], outputs: Sequence[Mapping[str, Any]]
) -> None:
    """Raise if an output would replace an input."""
    from findna.outputs.files import check_is_no_input

    read = [Path(file["path"]) for file in inputs]
    for file in outputs:
        check_is_no_input(Path(file["path"]), read)


def _check(path: Path, files: Sequence[Mapping[str, Any]], force: bool) -> None:
    """Raise unless the summary can be written; that of an earlier run is replaced."""
    from findna.outputs.files import check_output

    if str(path) == "-":
        raise click.UsageError("--summary needs a file; standard output is for results")
    if any(Path(file["path"]).absolute() == path.absolute() for file in files):
        raise click.UsageError(f"--summary {path}: is also an input or output; name another file")
    check_output(path, force or _is_summary(path))


def _is_summary(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(100)
    except OSError:
        return False


def _write(path: Path, facts: dict[str, Any], sharded: bool) -> None:
    """Write the summary, after what the command has noted."""
    from findna.outputs.files import replaced

    context = click.get_current_context()
    values = {
        "format": FORMAT,
        "findna_version": __version__,
        "command": context.info_name,
        "command_line": shlex.join(["findna", *sys.argv[1:]]),
        **facts,
        **dict.fromkeys(_FACTS),
        **context.meta.get(_NOTES, {}),
    }
    if sharded and facts["exit_status"] == 0:
        for file in values["outputs"]:
            file["sha256"] = _noted_digest(Path(file["path"]))
    with replaced(path) as temporary:
        temporary.write_text(json.dumps(_finite(values), indent=1) + "\n", encoding="utf-8")


def _noted_digest(path: Path) -> str | None:
    """Return the digest in the note of a shard."""
    from findna.outputs.shards import note_path, read_journal

    found = note_path(path)
    return read_journal(found)["sha256"] if found.is_file() else None


def _finite(value: Any) -> Any:
    """Return plain values without numbers that JSON does not have."""
    if isinstance(value, Mapping):
        return {name: _finite(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
