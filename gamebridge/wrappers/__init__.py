"""Wrappers, Game -> Game: what lies between a game and who plays it, one module each.

Nothing is imported here: `settings` serves the command line without numpy, and only
`images` and `stacking` load cv2.
"""
