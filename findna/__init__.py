"""Embed, predict and score DNA with a self-distilled language model."""

__version__ = "0.1.0"
