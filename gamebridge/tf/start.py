"""Loads TensorFlow without the noise it makes on a machine that is perfectly well."""

from __future__ import annotations

import contextlib
import io
import os
import sys
import warnings


def load() -> None:
    """Imports TensorFlow and TF-Agents once, before anything else here does.

    Left out are the start-up lines of TensorFlow's own log about GPUs that are not there
    (unless TF_CPP_MIN_LOG_LEVEL says otherwise), and the notice that gym prints, which
    TF-Agents imports.
    """
    if "tf_agents" in sys.modules:
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import tf_agents.environments.py_environment  # noqa: F401


def quieten() -> None:
    """Silences warnings of TensorFlow and TF-Agents about their own code, for the command line."""
    import absl.logging
    import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    absl.logging.set_verbosity(absl.logging.ERROR)
