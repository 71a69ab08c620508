"""The body: everything that a node does with its disk, its network and its clock."""
