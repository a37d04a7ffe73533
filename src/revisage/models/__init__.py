"""Models: networks, the registry of names, weight files, devices."""
