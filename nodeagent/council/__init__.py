"""A node in the council: its memory as a member, how it decides, its copy of the decisions."""
