"""A fuzzer of every kind of file that gatlabel reads, and of its command lines: ``make fuzz``."""
