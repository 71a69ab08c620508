"""Decisions that are made once: registers with compare-and-set, agreed by single-decree ballots."""
