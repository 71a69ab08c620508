"""The chunk format of docs/formats.md: sealing, opening, and the checks that need no key."""
