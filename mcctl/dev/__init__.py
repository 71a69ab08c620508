"""A cluster on one machine: real daemons, real mTLS, emulated clouds."""
