"""Training the head of a task, with or without its encoder."""
