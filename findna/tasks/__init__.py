"""A task: features of an encoder, a head, how it is trained and what it says."""
