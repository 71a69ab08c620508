"""What makes, checks and describes the repository; nothing of it is installed."""
