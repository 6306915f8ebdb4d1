"""Embed, predict and score DNA with a self-distilled language model.

The names below are loaded when they are first used: ``import findna`` alone loads neither torch
nor numpy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from findna.api.effects import Explanation, ScoredRecord, explain, explain_rows, score_variants
    from findna.api.embeddings import Embeddings, embed, embed_rows
    from findna.api.loaded import LoadedModel, LoadedTask, Predictions, load_model, load_task
    from findna.api.predictions import predict, predict_rows, scan, sites
    from findna.api.searching import search
    from findna.errors import FindnaError
    from findna.genome.fasta import Genome
    from findna.genome.sources import Regions

__version__ = "0.1.0"

__all__ = [
    "Embeddings",
    "Explanation",
    "FindnaError",
    "Genome",
    "LoadedModel",
    "LoadedTask",
    "Predictions",
    "Regions",
    "ScoredRecord",
    "embed",
    "embed_rows",
    "explain",
    "explain_rows",
    "load_model",
    "load_task",
    "predict",
    "predict_rows",
    "scan",
    "score_variants",
    "search",
    "sites",
]

_MODULES = {
    "findna.api.effects": (
        "Explanation",
        "ScoredRecord",
        "explain",
        "explain_rows",
        "score_variants",
    ),
    "findna.api.embeddings": ("Embeddings", "embed", "embed_rows"),
    "findna.api.loaded": ("LoadedModel", "LoadedTask", "Predictions", "load_model", "load_task"),
    "findna.api.predictions": ("predict", "predict_rows", "scan", "sites"),
    "findna.api.searching": ("search",),
    "findna.errors": ("FindnaError",),
    "findna.genome.fasta": ("Genome",),
    "findna.genome.sources": ("Regions",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(module), name)
    raise AttributeError(f"module 'findna' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
