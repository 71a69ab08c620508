"""Stores around a store: each adds one thing and keeps every promise of the contract."""
