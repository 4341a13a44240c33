"""Closed-form learners on features, and the choice of label similarity from the training set."""
