"""A store of chunks in a bucket of a cloud."""
