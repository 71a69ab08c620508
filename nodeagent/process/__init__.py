"""Running pipelines over the bytes of tasks, in worker processes that can be killed."""

import os

# Before Polars is imported, wherever that is: one thread gives one order, and a node has several
# workers to keep its cores busy.
os.environ.setdefault("POLARS_MAX_THREADS", "1")
