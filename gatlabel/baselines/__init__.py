"""Learners in closed form on features, and the choice of similarity from the training set."""
