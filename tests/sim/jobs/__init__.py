"""A job's production ledger and steward on virtual time, while workers and stewards die."""
