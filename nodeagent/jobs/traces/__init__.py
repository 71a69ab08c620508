"""Traces of jobs and their chunks: which are kept, and who asks all nodes for them."""
