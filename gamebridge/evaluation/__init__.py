"""Evaluation: greedy episodes on seeds of their own, what they brought, and their pictures."""
