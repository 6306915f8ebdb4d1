"""Formats and how a file appears: whole, in parts, or not at all. Knows no model."""
