"""Training samples: degradations and datasets. Every sample is a pure function of (seed, index)."""
