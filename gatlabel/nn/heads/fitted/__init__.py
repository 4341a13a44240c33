"""Heads that a classical method has filled: arrays with an evaluation, and no gradients."""
