"""Pretrain on the sequence of a FASTA file and write a model folder."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.distributed

from findna.errors import CollapseError, ConfigError, OutputError, RegionError
from findna.genome.bed import read_intervals
from findna.genome.fasta import Genome
from findna.genome.intervals import Interval, select
from findna.labelled.sets import read_labelled
from findna.model import collective
from findna.model.checkpoint import CONFIG, Checkpoint, load_checkpoint
from findna.model.devices import describe, keep_freed_memory, resolve_device
from findna.outputs.claims import claimed
from findna.outputs.files import check_folder, check_output, file_digest
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
_FREE_SIZES = ("n_cls", "max_length", "readout")  # of an encoder; they change no weight


@dataclass(frozen=True)
class TrainingData:
    """Files that windows are drawn from, and that the model is measured on.

    Parameters
    ----------
    regions, exclude : Path, optional
        BED files: draw windows only from these intervals, and never from those.
    heldout : sequence of str
        Contigs that are kept for measuring and never trained on.
    probe : Path, optional
        Labelled sequences, intervals of ``fasta`` included, on which the frozen teacher is probed
        at each evaluation.
    """

    fasta: Path
    regions: Path | None = None
    exclude: Path | None = None
    heldout: Sequence[str] = ()
    probe: Path | None = None


@dataclass(frozen=True)
class TrainingRun:
    """The folder that a run writes, and what else it leaves.

    Parameters
    ----------
    folder : Path
        Model folder to write.
    init : str, optional
        Model to take initial weights from, by name or folder.
    resume : bool
        Continue the run that the folder holds.
    force : bool
        Replace what the folder holds.
    note, species, licence : str
        For the model card: a sentence, the species, and the licence of the weights.
    report : Path, optional
        The curves of the run, drawn when it ends (`findna.pretraining.curves`).
    """

    folder: Path
    init: str | None = None
    resume: bool = False
    force: bool = False
    note: str = ""
    species: str = ""
    licence: str = ""
    report: Path | None = None

    @property
    def state(self) -> Path:
        """The file that a resumed run continues from."""
        return self.folder / STATE

    def prepare_folder(self) -> None:
        """Clear the folder of what a killed run left.

        Raises
        ------
        OutputError
            The folder is not empty, and neither ``resume`` nor ``force`` applies.
        """
        if self.resume and not self.state.exists() and (self.folder / CONFIG).exists():
            raise OutputError(
                f"{self.folder}: holds a model but no {STATE} to resume from; name another"
            )
        begun = self.resume and (self.state.exists() or self._has_only_leftovers())
        check_folder(self.folder, self.force or begun, CONFIG)
        if begun:
            for pattern in (f"{_SEQUENCE}*", ".*.tmp"):
                for path in self.folder.glob(pattern):
                    path.unlink(missing_ok=True)

    def _has_only_leftovers(self) -> bool:
        """Return True if the folder holds only what a run writes before its first checkpoint."""
        return self.folder.is_dir() and all(
            path.name == METRICS or path.name.startswith(".") for path in self.folder.iterdir()
        )

    def draw_report(self, settings: Mapping[str, Any] | None = None) -> None:
        """Draw the curves of the run, which has ended, if they are wanted.

        Parameters
        ----------
        settings : mapping, optional
            Of a run that failed; otherwise they are in the folder.
        """
        if self.report is not None:
            logger.info("drawing %s", self.report)
            write_report(read_history(self.folder, settings), self.report)


def pretrain_genome(
    data: TrainingData, run: TrainingRun, config: PretrainConfig, device: str = "auto"
) -> str:
    """Pretrain on the sequence of a FASTA file, and return the digest of the weights.

    Raises
    ------
    OutputError
        The folder cannot be written, see `TrainingRun.prepare_folder`.
    CollapseError
        The run diverged or collapsed.
    """
    torch_device = resolve_device(device)
    if torch_device.type == "cpu":
        keep_freed_memory()
    init = _initial(run.init, config) if run.init else None
    if collective.rank():
        return _train_beside_first(run, config, torch_device, init)
    if run.report is not None:
        need_curves(run.report)
    with claimed(run.folder), Genome(data.fasta) as genome:
        run.prepare_folder()
        include, exclude = _intervals(data, genome)
        probe, probe_facts = _probe(data.probe, genome)
        logger.info("reading %s", data.fasta)
        tokens = run.folder / f"{_SEQUENCE}{os.getpid()}"
        try:
            if run.report is not None:
                check_output(run.report, run.force or run.resume, [data.fasta])
            corpus = Corpus.build(genome, tokens).to(torch_device)
            if include is not None or exclude is not None:
                corpus = corpus.within(select(genome.contigs, include, exclude), genome)
            train, heldout = _split(corpus, data.heldout, min(config.lengths))
            n = collective.size()
            processes = f"{n} processes, each on " if n > 1 else ""
            provenance = {
                "data": [_data_facts(data, train)],
                **({"init": {"name": init.name, "digest": init.digest}} if init else {}),
                "heldout": list(data.heldout),
                "hardware": processes + describe(torch_device),
                "torch": torch.__version__.split("+")[0],
                "note": _text(run.note),
                "species": _text(run.species),
                "licence": _text(run.licence),
                **probe_facts,
            }
            logger.info("%s bp to draw windows from", f"{train.n_bases:,}")
            if n > 1:
                from_first((tokens, train.stretches, provenance))
                torch.distributed.barrier()
            try:
                digest = pretrain(
                    config,
                    train,
                    heldout,
                    run.folder,
                    resume=run.resume,
                    init=init.model if init else None,
                    provenance=provenance,
                    probe=probe,
                )
            except CollapseError:
                run.draw_report({"recipe": to_dict(config), **provenance})
                raise
            run.draw_report()
            return digest
        finally:
            tokens.unlink(missing_ok=True)


def _initial(name: str, config: PretrainConfig) -> Checkpoint:
    """Return the model whose weights a run begins with."""
    init = load_checkpoint(name)
    wanted, own = to_dict(config.encoder), to_dict(init.config)
    changed = [k for k in own if wanted[k] != own[k] and k not in _FREE_SIZES]
    if changed:
        raise ConfigError(f"--init {name}: its weights fix {', '.join(changed)}; leave that out")
    return init


def _train_beside_first(
    run: TrainingRun, config: PretrainConfig, device: torch.device, init: Checkpoint | None
) -> str:
    """Train in a process that is not the first, on the sequence that the first one has read."""
    tokens, stretches, provenance = from_first()
    corpus = Corpus.mapped(tokens, stretches).to(device)
    torch.distributed.barrier()  # the first process removes the file at its end
    return pretrain(
        config,
        corpus,
        corpus,
        run.folder,
        resume=run.resume,
        init=init.model if init else None,
        provenance=provenance,
    )


def _intervals(data: TrainingData, genome: Genome) -> tuple[list[Interval] | None, ...]:
    """Read the BED files of what to draw from and what to exclude, if there are such files."""
    for contig in data.heldout:
        if contig not in genome.contigs:
            raise RegionError(f"--holdout: {genome.unknown(contig)}")
    return tuple(
        list(read_intervals(path, genome)) if path else None
        for path in (data.regions, data.exclude)
    )


def _split(corpus: Corpus, heldout: Sequence[str], shortest: int) -> tuple[Corpus, Corpus]:
    """Return what to train on and what to measure on: the same, unless contigs are held out."""
    train = corpus.only(heldout, keep=False)
    if not train.stretches:
        raise ConfigError("no sequence is left to train on")
    if not heldout:
        return train, train
    measured = corpus.only(heldout)
    if not measured.fits(shortest):
        raise ConfigError("the held-out contigs hold no window of the shortest length")
    return train, measured


def _data_facts(data: TrainingData, train: Corpus) -> dict[str, Any]:
    """Return the facts of the sequence, for config.json and the card."""
    lists = {"regions": data.regions, "exclude": data.exclude}
    return {
        "file": data.fasta.name,
        "sha256": file_digest(data.fasta),
        "bases": train.n_bases,
        "contigs": len({stretch.contig for stretch in train.stretches}),
        "heldout": ", ".join(data.heldout),
        **{name: file_digest(path) for name, path in lists.items() if path},
    }


def _probe(path: Path | None, genome: Genome) -> tuple[FrozenProbe | None, dict[str, Any]]:
    """Return a probe on a labelled set, and the facts of it for config.json."""
    if path is None:
        return None, {}
    data = read_labelled(path, genome)
    probe = FrozenProbe(data)
    train, valid = probe.rows
    facts = {"file": path.name, "sha256": data.digest, "train": train, "valid": valid}
    return probe, {"probe": facts}


def _text(argument: str) -> str:
    """Return a command-line argument as text that can be stored."""
    return argument.encode("utf-8", "replace").decode()
