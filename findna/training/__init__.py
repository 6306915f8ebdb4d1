"""Pretraining by self-distillation: views, losses, teacher, loop."""
