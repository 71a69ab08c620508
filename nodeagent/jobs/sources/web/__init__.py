"""Web servers as sources: what may be asked, how, and what is made of the answers."""
