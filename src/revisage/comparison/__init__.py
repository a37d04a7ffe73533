"""Versions of the same images side by side: a grid as one image, or a page with sliders."""
