"""What a node keeps on its disks."""
