"""Tests with real daemons as processes, on dev clusters."""
