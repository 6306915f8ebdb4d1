"""Models and baselines on labelled sets and variants, in tables."""
