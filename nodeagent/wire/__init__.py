"""Chunks on the wire: receiving, relaying, sending, serving."""
