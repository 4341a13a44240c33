"""What benchmarks/speed/attention.py measures, and how."""
