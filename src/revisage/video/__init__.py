"""Videos: faces tracked from frame to frame and restored without flicker."""
