"""Roads: tracks between walls, where they come from, and how fast they can be lapped."""
