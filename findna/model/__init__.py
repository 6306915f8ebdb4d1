"""The encoder, its heads and weights, and the one inference loop."""
