"""What operators and machines look at: health, audit, notification of systemd."""
