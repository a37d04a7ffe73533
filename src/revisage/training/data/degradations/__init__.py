"""Degradations: steps that make a good image bad, and the published ways of combining them."""
