"""findna from Python: what the commands do, with results as plain objects and arrays."""
