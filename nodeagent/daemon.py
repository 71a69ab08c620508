"""Starts and stops everything, in order. The one place where the parts are wired together."""
