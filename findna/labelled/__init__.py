"""Labelled sequences: rows, their meaning, splits, metrics."""
