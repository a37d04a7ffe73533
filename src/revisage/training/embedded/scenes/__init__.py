"""Scenes with known faces, for training a detector."""
