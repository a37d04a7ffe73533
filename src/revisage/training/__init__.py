"""Training: a typed recipe, a task (network, samples, losses, examination), a loop, and a state that resumes."""
