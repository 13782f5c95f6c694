"""The command: composes the rooms, and holds no logic that belongs into one of them."""
