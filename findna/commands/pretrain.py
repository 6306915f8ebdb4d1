"""FASTA in, model folder out."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from findna.errors import CollapseError, ConfigError, OutputError, RegionError
from findna.genome.bed import read_intervals
from findna.genome.fasta import Genome
from findna.labelled.sets import read_labelled
from findna.model import collective
from findna.model.checkpoint import CONFIG
from findna.model.devices import describe, keep_freed_memory, resolve_device
from findna.outputs.files import check_model_folder, check_output, file_digest
from findna.pretraining.corpus import Corpus
from findna.pretraining.curves import need_curves, write_report
from findna.pretraining.history import METRICS, read_history
from findna.pretraining.loop import pretrain
from findna.pretraining.probe import FrozenProbe
from findna.pretraining.processes import from_first
from findna.pretraining.recipe import PretrainConfig
from findna.pretraining.state import STATE
from findna.settings import to_dict

logger = logging.getLogger(__name__)

_SEQUENCE = ".sequence."  # and the process that reads it


def pretrain_genome(
    fasta: Path,
    folder: Path,
    config: PretrainConfig,
    *,
    regions: Path | None = None,
    exclude: Path | None = None,
    heldout: Sequence[str] = (),
    device: str = "auto",
    resume: bool = False,
    force: bool = False,
    note: str = "",
    licence: str = "",
    probe: Path | None = None,
    report: Path | None = None,
) -> str:
    """Pretrain on the sequence of a FASTA file; returns the digest of the weights.

    Parameters
    ----------
    folder : Path
        Model folder to write.
    regions, exclude : Path, optional
        BED files: draw windows only from these intervals, and never from those.
    heldout : sequence of str
        Contigs that are kept for measuring and never trained on.
    note, licence : str
        For the model card: a sentence, and the licence of the weights.
    probe : Path, optional
        Labelled sequences, intervals of ``fasta`` included, on which the frozen teacher is probed
        at each evaluation.
    report : Path, optional
        The curves of the run, drawn when it ends (`findna.pretraining.curves`).

    Raises
    ------
    OutputError
        The folder is not empty, and neither ``resume`` nor ``force`` applies.
    """
    torch_device = resolve_device(device)
    if torch_device.type == "cpu":
        keep_freed_memory()
    if collective.rank():
        tokens, stretches, known = from_first()
        corpus = Corpus.mapped(tokens, stretches).to(torch_device)
        torch.distributed.barrier()  # the first process removes the file at its end
        return pretrain(
            config, corpus, corpus, folder,
            device=torch_device, resume=resume, provenance=known,
        )  # fmt: skip
    if report is not None:
        need_curves(report)
    state = folder / STATE
    if resume and not state.exists() and (folder / CONFIG).exists():
        raise OutputError(f"{folder}: holds a model but no {STATE} to resume from; name another")
    begun = resume and (state.exists() or _only_leftovers(folder))
    check_model_folder(folder, force or begun)
    new = not folder.exists()
    if begun:
        _clear(folder)
    with Genome(fasta) as genome:
        for contig in heldout:
            if contig not in genome.contigs:
                raise RegionError(f"--holdout: {genome.unknown(contig)}")
        include = list(read_intervals(regions, genome)) if regions else None
        removed = list(read_intervals(exclude, genome)) if exclude else None
        frozen, probed = _probe(probe, genome)
        folder.mkdir(parents=True, exist_ok=True)
        if not resume:
            state.unlink(missing_ok=True)  # of the run that --force replaces
        logger.info("reading %s", fasta)
        tokens = folder / f"{_SEQUENCE}{os.getpid()}"
        try:
            if report is not None:
                check_output(report, force or resume, [fasta])
            corpus = Corpus.build(genome, tokens).to(torch_device)
            if include is not None or removed is not None:
                from findna.genome.intervals import select

                corpus = corpus.within(select(genome.contigs, include, removed), genome)
            train, held = corpus.only(heldout, keep=False), corpus.only(heldout)
            if not train.stretches:
                raise ConfigError("no sequence is left to train on")
            if heldout and not any(s.end - s.start >= min(config.lengths) for s in held.stretches):
                raise ConfigError("the held-out contigs hold no window of the shortest length")
            data = {
                "file": fasta.name,
                "sha256": file_digest(fasta),
                "bases": train.n_bases,
                "contigs": len({s.contig for s in train.stretches}),
                "heldout": ", ".join(heldout),
            }
            data |= {
                name: file_digest(path)
                for name, path in (("regions", regions), ("exclude", exclude))
                if path
            }
            provenance: dict[str, Any] = {
                "data": [data],
                "heldout": list(heldout),
                "hardware": _processes() + describe(torch_device),
                "torch": torch.__version__.split("+")[0],
                "note": _text(note),
                "licence": _text(licence),
            } | probed
            logger.info("%s bp to draw windows from", f"{train.n_bases:,}")
            if collective.size() > 1:
                from_first((tokens, train.stretches, provenance))
                torch.distributed.barrier()
            try:
                digest = pretrain(
                    config,
                    train,
                    held if heldout else train,
                    folder,
                    device=torch_device,
                    resume=resume,
                    provenance=provenance,
                    probe=frozen,
                )
            except CollapseError:
                _report(report, folder, {"recipe": to_dict(config), **provenance})
                raise
            _report(report, folder)
            return digest
        finally:
            tokens.unlink(missing_ok=True)
            if new and not any(folder.iterdir()):
                folder.rmdir()


def _processes() -> str:
    n = collective.size()
    return f"{n} processes, each on " if n > 1 else ""


def _probe(path: Path | None, genome: Genome) -> tuple[FrozenProbe | None, dict[str, Any]]:
    """A probe on a labelled set, and what config.json says of it."""
    if path is None:
        return None, {}
    data = read_labelled(path, genome)
    probe = FrozenProbe(data)
    train, valid = probe.rows
    return probe, {
        "probe": {"file": path.name, "sha256": data.digest, "train": train, "valid": valid}
    }


def _report(path: Path | None, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
    """Draw the curves of a run that has ended; its settings are in the folder if it went well."""
    if path is not None:
        logger.info("drawing %s", path)
        write_report(read_history(folder, settings), path)


def _only_leftovers(folder: Path) -> bool:
    """Whether a folder holds only what a run writes before its first checkpoint."""
    return folder.is_dir() and all(
        path.name == METRICS or path.name.startswith(".") for path in folder.iterdir()
    )


def _clear(folder: Path) -> None:
    """Remove what a killed run left: the sequence it drew from, and files half written."""
    for pattern in (f"{_SEQUENCE}*", ".*.tmp"):
        for path in folder.glob(pattern):
            path.unlink(missing_ok=True)


def _text(argument: str) -> str:
    """A command-line argument as text that can be stored."""
    return argument.encode("utf-8", "replace").decode()
