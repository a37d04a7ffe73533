"""Training: a typed recipe, a task (network, samples, losses, validation), a loop, and a state that resumes."""
