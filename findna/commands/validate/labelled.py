"""The report on labelled sequences."""

from __future__ import annotations

import numpy as np

from findna.commands.validate.report import LABELLED, Report
from findna.commands.validate.rows import Input, Sample
from findna.errors import FindnaError, LabelError
from findna.genome.batching import Sequences
from findna.genome.encoding import N, Tokens
from findna.genome.regions import OK, RegionOptions
from findna.labelled.rows import RowOptions
from findna.labelled.sets import CLASSES, check_trainable, labelled_set, read_rows


def check_labelled(
    source: Input, kind: str, label_column: str | None, options: RegionOptions
) -> Report:
    """Read a labelled set, held whole as in training, and return the report.

    Of ``options``, what ``findna finetune`` has counts.
    """
    report = source.report
    report.kind = LABELLED
    try:
        how = RowOptions(label_column, options, source.problem)
        raw, kind = read_rows(source.path, source.genome, how, kind=kind)
        data = labelled_set(raw, source.name, kind, on_problem=source.problem)
    except FindnaError as error:
        report.incomplete = source.message(error)
        return report
    report.rows += len(data)
    report.statuses[OK] = len(data)
    report.contigs = dict.fromkeys(data.contigs or ())
    report.labels = data.kind
    sample = Sample[Tokens]()
    for row, sequence in enumerate(data.sequences):
        source.digests.add([sequence.tobytes()], row)
        report.sequence(len(sequence), int(np.count_nonzero(sequence == N)))
        sample.add(sequence)
    if data.kind == CLASSES:
        report.classes.update(data.class_counts)
    report.duplicates = source.digests.duplicates(
        lambda row: raw.rows[row].place.replace(str(source.path), source.name),
        [row.values for row in raw.rows],
    )
    try:
        check_trainable(data)
    except LabelError as error:
        report.unusable = source.message(error)
    sequences = Sequences(sample.items)
    source.estimate_embed([region for _, region in sequences.rows() if region], sequences)
    return report
