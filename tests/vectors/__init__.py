"""Chunks whose bytes never change: every release reads them, and others may try theirs on them."""
