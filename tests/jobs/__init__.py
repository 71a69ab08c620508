"""Tests of jobs: headers, ledgers, stewards, and whole lives of jobs on real nodes."""
