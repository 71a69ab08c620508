"""The SDK: the generated API, a pinned client, and the words that errors are made of."""

__version__ = "0.1.0"
