"""The encoder, its heads, pooling and checkpoints. Knows nothing of files of sequence."""
