"""Dataset versions: their manifests, how they are read, removed, and what they keep alive."""
