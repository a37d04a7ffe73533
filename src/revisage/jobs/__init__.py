"""Shared by runs that can be resumed: the job store, the collector of input files, ordered prefetch."""
