"""Drawing: what a person sees of a race, and what an agent sees that plays from pixels."""
