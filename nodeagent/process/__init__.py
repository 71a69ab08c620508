"""Running pipelines over the bytes of tasks, in worker processes that can be killed."""
