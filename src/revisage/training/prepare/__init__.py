"""From photos to a set of aligned faces to train on: found, judged, cut out, and listed."""
