"""A job: its ledger of facts and its steward, who says what is next and when it is over."""
