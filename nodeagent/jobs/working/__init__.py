"""The worker of a node: pulls tasks, reads, processes, seals, delivers, and tells the keepers."""
