"""What can be trained: each task with its settings, its networks and their losses."""
