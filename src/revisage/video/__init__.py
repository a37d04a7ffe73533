"""Films: faces followed from frame to frame and restored without flicker."""
