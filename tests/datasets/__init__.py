"""Dataset versions on real nodes."""
