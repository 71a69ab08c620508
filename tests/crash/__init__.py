"""Proof that the local store loses nothing it acknowledged: modelled power cuts, faults, kills."""
