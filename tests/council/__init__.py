"""The council on its disks and over the wire."""
