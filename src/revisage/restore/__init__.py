"""What one does to faces: detect, align, paste. Pure functions on numpy arrays."""
