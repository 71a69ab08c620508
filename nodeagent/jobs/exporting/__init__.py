"""Versions written into buckets as plain files, by the nodes near them."""
