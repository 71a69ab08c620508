"""The read-only S3 endpoint: datasets for tools that speak S3 and know nothing of us."""
