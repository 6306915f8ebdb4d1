"""One module per command: readers, a stage, a writer."""
