"""What the laptop does as a job's source: `serve` answers the nodes that read it."""

from mcctl.sources.serving import Serving, local_path, local_uri, serve

__all__ = ["Serving", "local_path", "local_uri", "serve"]
