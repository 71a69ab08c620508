"""What an output of a pipeline is called."""

from nodeagent.core.pipeline.cut import Part
from nodeagent.core.pipeline.kinds import stem
from nodeagent.core.pipeline.model import Pipeline

ENDINGS = {"none": "", "gzip": ".gz", "zstd": ".zst"}


def name_of(part: Part, pipeline: Pipeline) -> tuple[str, int]:
    """The path of its output, and which part of that it is."""
    form, compression = pipeline.output.format, pipeline.output.compression
    if form == "same":
        return part.path, part.index
    ending = ENDINGS.get(compression, "") if form != "parquet" else ""
    return f"{stem(part.path)}/part-{part.index:05}.{form}{ending}", 0
