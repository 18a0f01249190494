"""Unity builds, and whatever else speaks the ML-Agents protocol, as games."""
