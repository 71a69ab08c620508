"""The coordinator's simulator: production brains on virtual time, in a network that misbehaves.

One seed is one life, repeated exactly. `python -m tests.sim --help`.
"""
