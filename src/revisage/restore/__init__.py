"""The steps of a restoration: detect, align, paste. Pure functions on numpy arrays."""
