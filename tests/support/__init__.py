"""What tests build with: a cluster's authority, nodes in one loop, callers of every kind."""
