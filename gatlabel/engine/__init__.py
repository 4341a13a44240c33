"""Fits a model to batches: objectives, balancing of losses, optimisers."""
