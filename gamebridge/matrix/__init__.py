"""The matrix: every agent beside every game, joined from their specs, and tried out."""
