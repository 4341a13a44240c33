"""What benchmarks/attention.py measures, and how."""
