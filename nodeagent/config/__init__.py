"""The configuration: every option with its default, limits and reason, and how it is read."""
