"""Jobs: their ledgers and stewards, workers and sources, and what becomes of them."""
