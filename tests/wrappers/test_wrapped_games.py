"""Wrapped games keep the rules that every game keeps."""

from __future__ import annotations

import toy_games

from gamebridge.testing import conformance
from gamebridge.wrappers import actions, episodes, guards, images, limits, repeats, stacking
from gamebridge.wrappers.settings import ImageSettings

IMAGES = ImageSettings(crop_left=1, grey=True, height=6, width=6)


class Wrapped(conformance.GameConformance):
    num_steps = 80

    def make(self):
        return self.make_with(2)


class TestGuarded(Wrapped):
    def make_with(self, num_slots):
        return guards.ValueGuard(toy_games.ToyGame(num_slots))


class TestClipped(Wrapped):
    def make_with(self, num_slots):
        return guards.ValueGuard(toy_games.ToyGame(num_slots), "clip")


class TestRepeated(Wrapped):
    def make_with(self, num_slots):
        return repeats.ActionRepeat(toy_games.ToyGame(num_slots), 3)


class TestLimited(Wrapped):
    def make_with(self, num_slots):
        return limits.EpisodeLimit(toy_games.ToyGame(num_slots), 3)


class TestPreprocessed(Wrapped):
    def make_with(self, num_slots):
        return images.ImagePreprocessing(toy_games.ToyGame(num_slots), IMAGES)


class TestStacked(Wrapped):
    def make_with(self, num_slots):
        return stacking.FrameStack(toy_games.ToyGame(num_slots), 3)


class TestLogged(Wrapped):
    def make_with(self, num_slots):
        return episodes.EpisodeLog(toy_games.ToyGame(num_slots))


class TestAllTogether(Wrapped):
    def make_with(self, num_slots):
        game = guards.ValueGuard(toy_games.ToyGame(num_slots, silence=0.2))
        game = limits.EpisodeLimit(repeats.ActionRepeat(game, 2), 3)
        game = stacking.FrameStack(images.ImagePreprocessing(game, IMAGES), 4)
        return episodes.EpisodeLog(actions.canonical(game)[0])
