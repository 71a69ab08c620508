"""The API on the wire: who may call, what is served, and how peers are called."""
