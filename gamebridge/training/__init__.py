"""Training: learners, the drivers that run them, run folders, checkpoints and metrics."""
