"""Standing jobs: they look at a source for ever, and make a job of every batch."""
