"""Published results of others, as read in their sources; none was measured here.

Sets are named as in ``findna.evaluation.suites``. A figure is given only where it is plain which
set it belongs to. None of them comes from the protocol of this package, so they belong in
a column of their own, under the source and the note of their table.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Results of several models on several sets.

    Parameters
    ----------
    source : str
        Where the figures were read.
    metric : str
        Name of the measure, as in ``findna.labelled.metrics``.
    note : str
        What to know before comparing.
    models : tuple of str
    rows : dict of str to tuple of float
        Fractions by set, in the order of ``models``.
    """

    source: str
    metric: str
    note: str
    models: tuple[str, ...]
    rows: dict[str, tuple[float, ...]]


FROZEN = Table(
    source="Feng et al., Nature Communications 16, 10780 (2025), tables 1-3",
    metric="auroc",
    note="frozen embeddings, mean pooling, random forest; tasks were matched to sets by their "
    "names and lengths, and their splits may differ from those of the set",
    models=("DNABERT-2", "NT-v2", "HyenaDNA", "Caduceus-Ph", "GROVER"),
    rows={
        "gue/prom/prom_300_all": (0.9426, 0.9445, 0.9394, 0.9519, 0.9402),
        "gue/prom/prom_300_notata": (0.9765, 0.9758, 0.9662, 0.9834, 0.9728),
        "gue/prom/prom_300_tata": (0.7646, 0.7791, 0.8077, 0.7600, 0.7800),
        "gue/prom/prom_core_all": (0.8311, 0.8527, 0.8320, 0.8748, 0.8506),
        "gue/prom/prom_core_notata": (0.8531, 0.8729, 0.8516, 0.8961, 0.8704),
        "gue/prom/prom_core_tata": (0.7781, 0.7947, 0.7827, 0.8103, 0.7960),
        "gue/EMP/H3": (0.9137, 0.8951, 0.8996, 0.9285, 0.9056),
        "gue/EMP/H3K14ac": (0.7597, 0.7407, 0.7067, 0.7297, 0.7301),
        "gue/EMP/H3K36me3": (0.7989, 0.7849, 0.7395, 0.7662, 0.7533),
        "gue/EMP/H3K4me1": (0.7306, 0.7115, 0.6994, 0.7071, 0.6960),
        "gue/EMP/H3K4me2": (0.7078, 0.6847, 0.6854, 0.6895, 0.6939),
        "gue/EMP/H3K4me3": (0.6813, 0.6603, 0.6486, 0.6595, 0.6680),
        "gue/EMP/H3K79me3": (0.8565, 0.8436, 0.8215, 0.8450, 0.8427),
        "gue/EMP/H3K9ac": (0.7922, 0.7687, 0.7555, 0.7779, 0.7692),
        "gue/EMP/H4": (0.9314, 0.9104, 0.8983, 0.9304, 0.9080),
        "gue/EMP/H4ac": (0.7473, 0.7263, 0.6979, 0.7235, 0.7175),
        "genomic-benchmarks/demo_coding_vs_intergenomic_seqs": (
            0.9438,
            0.9289,
            0.9406,
            0.9735,
            0.9594,
        ),
        "genomic-benchmarks/demo_human_or_worm": (0.9799, 0.9785, 0.9502, 0.9915, 0.9843),
        "genomic-benchmarks/human_enhancers_cohn": (0.8223, 0.7894, 0.7754, 0.8210, 0.8161),
        "genomic-benchmarks/human_enhancers_ensembl": (0.9369, 0.9389, 0.9356, 0.9431, 0.9382),
        "genomic-benchmarks/human_nontata_promoters": (0.9297, 0.8905, 0.9280, 0.9426, 0.9395),
        "genomic-benchmarks/human_ocr_ensembl": (0.7253, 0.7183, 0.7191, 0.7650, 0.7455),
    },
)

# The covid set is left out: its figure in that table is an F1, not an MCC.
GUE_FINE_TUNED = Table(
    source="Zhou et al., DNABERT-2, ICLR 2024, as transcribed by others",
    metric="mcc",
    note="fine-tuned on the published train split",
    models=("DNABERT-2", "NT-2500M-multi"),
    rows={
        "gue/EMP/H3": (0.7827, 0.7877),
        "gue/EMP/H3K14ac": (0.5257, 0.5620),
        "gue/EMP/H3K36me3": (0.5688, 0.6199),
        "gue/EMP/H3K4me1": (0.5052, 0.5530),
        "gue/EMP/H3K4me2": (0.3113, 0.3649),
        "gue/EMP/H3K4me3": (0.3627, 0.4034),
        "gue/EMP/H3K79me3": (0.6739, 0.6470),
        "gue/EMP/H3K9ac": (0.5563, 0.5601),
        "gue/EMP/H4": (0.8071, 0.8167),
        "gue/EMP/H4ac": (0.5043, 0.4913),
        "gue/prom/prom_300_all": (0.8677, 0.9101),
        "gue/prom/prom_300_notata": (0.9427, 0.9400),
        "gue/prom/prom_300_tata": (0.7159, 0.7943),
        "gue/prom/prom_core_all": (0.6937, 0.7033),
        "gue/prom/prom_core_notata": (0.6804, 0.7158),
        "gue/prom/prom_core_tata": (0.7417, 0.7297),
        "gue/splice/reconstructed": (0.8499, 0.8936),
    },
)

GENOMIC_BENCHMARKS = Table(
    source="ML-Bioinfo-CEITEC/genomic_benchmarks, experiments/README.md",
    metric="accuracy",
    note="trained or fine-tuned on the published train split, one run; the CNN is the one that "
    "baselines trains. Five-fold runs by others give HyenaDNA .780 on the mouse set",
    models=("CNN", "HyenaDNA"),
    rows={
        "genomic-benchmarks/demo_coding_vs_intergenomic_seqs": (0.876, 0.913),
        "genomic-benchmarks/demo_human_or_worm": (0.930, 0.966),
        "genomic-benchmarks/dummy_mouse_enhancers_ensembl": (0.690, 0.851),
        "genomic-benchmarks/human_enhancers_cohn": (0.695, 0.742),
        "genomic-benchmarks/human_enhancers_ensembl": (0.689, 0.892),
        "genomic-benchmarks/human_ensembl_regulatory": (0.933, 0.938),
        "genomic-benchmarks/human_nontata_promoters": (0.846, 0.966),
        "genomic-benchmarks/human_ocr_ensembl": (0.680, 0.809),
    },
)

TABLES = (FROZEN, GUE_FINE_TUNED, GENOMIC_BENCHMARKS)


def published(name: str) -> Iterator[tuple[Table, dict[str, float]]]:
    """Tables that have a set, each with its results there by model."""
    for table in TABLES:
        if name in table.rows:
            yield table, dict(zip(table.models, table.rows[name], strict=True))
