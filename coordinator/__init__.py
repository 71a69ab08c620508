"""The brain: pure decisions. Time and chance are arguments; nothing here does input or output."""
