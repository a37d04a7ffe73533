"""What can be trained: each task with its settings, its players and their losses."""
