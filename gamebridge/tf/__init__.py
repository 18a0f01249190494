"""The door to TensorFlow: a Game as a TF-Agents environment, networks and replay."""
