"""Self-distillation: views, losses, the loop, and the guard that watches it."""
