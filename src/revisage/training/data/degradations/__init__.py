"""Degradations: steps that make a good picture bad, and the published ways of putting them together."""
