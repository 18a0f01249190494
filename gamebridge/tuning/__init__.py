"""Tuning: many short trainings of one agent on one game, in search of its best settings."""
