"""Experiments: does the label graph help on this data, and which one?"""
