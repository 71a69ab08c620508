"""The operator's command line, and the cluster on one machine."""
