"""The parts of benchmarks/studies/peers.py: one concept a file."""
