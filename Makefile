# Everything needs only Python 3.11 (or 3.10), make and git; each target makes .venv if need be.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
# racing/random and racing/circuit show and take what racing/oval does.
MATRIX := gym/CartPole-v1 gym/Pendulum-v1 gym/LunarLander-v3 gym/LunarLanderContinuous-v3 \
	racing/oval racing/oval-discrete racing/oval-pixels racing/oval-pixels-discrete racing/oval-line \
	unity/racing catch/84 spaces/dict spaces/tuple spaces/multi-discrete spaces/multi-binary \
	spaces/mixed spaces/masked spaces/dict-action spaces/tuple-action \
	spaces/multi-discrete-action spaces/multi-binary-action spaces/whole-numbers-action \
	spaces/endless-action
READY := $(VENV)/.ready

.PHONY: setup demo test check check-wheel format lint types bench bench-faults bench-unity bench-peers bench-learning matrix clean

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 11))' || \
		{ echo "gamebridge needs Python 3.10 or 3.11; $(PYTHON) is another. Try: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11" >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@$(BIN)/python -m compileall -q gamebridge plugins
	@touch $(READY)

demo: $(READY)
	@rm -rf runs/demo
	$(BIN)/gamebridge train racing/oval --agent ppo --steps 1500000 --run runs/demo
	$(BIN)/gamebridge evaluate runs/demo --episodes 10 --record-episodes 2

# Three at once: many tests wait for processes. A file stays together, as its fixtures do, and
# those of Unity have processes of their own: after some of the others gRPC did not listen.
PYTEST := -m pytest -n 3 --dist loadfile
UNITY := tests/plugins/unity

test: $(READY)
	$(BIN)/python $(PYTEST) $(UNITY)
	$(BIN)/python $(PYTEST) --ignore $(UNITY)

check: format lint types test

# The wheel in an environment of its own, away from the sources: what a user gets.
check-wheel: $(READY)
	rm -rf build/wheel && mkdir -p build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel .
	$(PYTHON) -m venv build/wheel/venv
	build/wheel/venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt "$$(echo build/wheel/*.whl)[dev]"
	cp -r tests examples pyproject.toml README.md Makefile build/wheel/
	cd build/wheel && venv/bin/python $(PYTEST) $(UNITY)
	cd build/wheel && venv/bin/python $(PYTEST) --ignore $(UNITY)
	cd build/wheel && venv/bin/mypy

format: $(READY)
	$(BIN)/ruff format --check .

lint: $(READY)
	$(BIN)/ruff check .

types: $(READY)
	$(BIN)/mypy

# The whole table against the peers, some fifteen minutes on a machine that does nothing else.
bench: bench-peers
	$(BIN)/python benchmarks/vector.py
	$(BIN)/python benchmarks/stepping.py
	$(BIN)/python benchmarks/images.py
	$(BIN)/python benchmarks/roundtrip.py
	$(BIN)/python benchmarks/waiting.py
	$(BIN)/python benchmarks/replay.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/racing.py

# Ten minutes of what should not last: workers killed again and again, and a million steps.
bench-faults: $(READY)
	$(BIN)/python benchmarks/kills.py --seconds 300 --every 5
	$(BIN)/python benchmarks/soak.py --steps 1000000

# Our client of Unity players beside the one of mlagents-envs, some ten minutes.
bench-unity: bench-peers
	$(BIN)/python benchmarks/unity.py

# What each agent learns, beside what others published: many hours, which can be stopped at any
# time and gone on with.
bench-learning: bench-peers
	$(BIN)/python benchmarks/learning.py
	$(BIN)/python benchmarks/learning_table.py --write docs/learning.md README.md
	$(BIN)/python benchmarks/learning_peers.py
	$(BIN)/python benchmarks/loops.py

# Every agent on every game of the README's table, for a few hundred steps each; likewise.
matrix: $(READY)
	$(BIN)/gamebridge --plugins examples/plugins matrix --run --markdown README.md $(MATRIX)

# The peers' environments, under build/bench; PIP_EXTRA_INDEX_URL can name PyTorch's index
# of CPU builds, to be spared the CUDA packages.
bench-peers: $(READY)
	$(BIN)/python benchmarks/environments.py

clean:
	rm -rf $(VENV) dist build .pytest_cache .mypy_cache .ruff_cache
