"""Kinds of training: each with its settings, networks and losses."""
