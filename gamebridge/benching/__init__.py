"""Benching: what a step of a game costs, from the bare game to an agent that learns.

The numpy side is measured first, layer by layer and in workers; TensorFlow is loaded when
that is done. Everything is measured where it runs, by clocks between the layers, so that
the parts of a step add up to the step. Rounds are by time: a slow game takes fewer steps.
"""
