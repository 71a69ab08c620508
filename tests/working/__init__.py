"""The worker of a node, with real nodes around it."""
