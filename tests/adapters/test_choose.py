"""The choice of an adapter, by class or by what an object can do."""

from __future__ import annotations

import gymnasium  # noqa: TID253
import numpy as np
import pytest

from gamebridge import adapters, errors
from gamebridge.contract import FIRST
from gamebridge.testing.fakes import Corridor


class OnlyShapedLikeGymnasium:
    """Inherits nothing; its spaces tell where it belongs."""

    observation_space = gymnasium.spaces.Discrete(3)
    action_space = gymnasium.spaces.Discrete(2)
    render_mode = None

    @property
    def unwrapped(self):
        return self

    def reset(self, *, seed=None, options=None):
        return 1, {}

    def step(self, action):
        return 2, 0.0, False, False, {}

    def close(self):
        pass


class OnlyShapedLikeDmEnv:
    """Inherits nothing; its methods tell what it is."""

    def observation_spec(self):
        import dm_env.specs

        return dm_env.specs.DiscreteArray(3, np.int64)

    action_spec = observation_spec

    def discount_spec(self):
        return None

    def reset(self):
        import dm_env

        return dm_env.restart(1)

    def step(self, action):
        return self.reset()


@pytest.mark.parametrize("kind", [OnlyShapedLikeGymnasium, OnlyShapedLikeDmEnv])
def test_an_object_without_the_librarys_base_is_told_by_its_shape(kind):
    game = adapters.adapt([kind(), kind()], "test/shape")
    said = game.reset()
    assert said.step_type.tolist() == [FIRST, FIRST]
    assert said.observation.tolist() == [1, 1]


@pytest.mark.parametrize("thing", [7, None, "CartPole-v1", object(), Corridor()])
def test_an_unknown_object_is_refused_with_what_is_accepted(thing):
    with pytest.raises(errors.PluginError) as caught:
        adapters.adapt([thing], "mine/level")
    kind = f"{type(thing).__module__}.{type(thing).__name__}"
    assert str(caught.value) == (
        f"mine/level: `make` returned {kind}, which no adapter knows: expected a gamebridge Game, "
        "a gymnasium.Env, a gym.Env, a dm_env.Environment or an unbatched tf_agents PyEnvironment."
    )


def test_a_vectorised_environment_is_refused():
    vector = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="sync")
    with pytest.raises(errors.PluginError, match=r"SyncVectorEnv is a vectorised environment"):
        adapters.adapt([vector], "mine/level")
    vector.close()


def test_one_object_for_two_slots_is_refused():
    environment = gymnasium.make("CartPole-v1")
    with pytest.raises(errors.PluginError, match="two slots were given the same TimeLimit object"):
        adapters.adapt([environment, environment], "mine/level")


def test_no_environments_are_refused():
    with pytest.raises(ValueError, match="mine/level: no environments"):
        adapters.adapt([], "mine/level")
