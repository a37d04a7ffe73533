"""Colour spaces of photos, so that networks see sRGB and the photo keeps its own."""
