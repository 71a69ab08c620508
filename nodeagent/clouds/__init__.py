"""Buckets of clouds: one contract, and a driver for each kind."""
