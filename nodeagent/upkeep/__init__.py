"""What a node does to its chunks unasked: scrub, quarantine, repair, trash."""
