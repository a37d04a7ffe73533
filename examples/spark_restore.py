"""Restore photos in a Spark cluster by mapInPandas: spark-submit spark_restore.py s3a://ALBUM s3a://TABLE.parquet."""

import io
import sys
from collections.abc import Iterator

import pandas as pd
import PIL.Image

import revisage

SCHEMA = "path string, content binary, faces int, error string"


def restore_batches(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
    """Tables with ``path`` and ``content`` (a photo's bytes) -> tables of ``SCHEMA``; content is a PNG."""
    restorer = revisage.load()  # one for all batches of a partition
    for batch in batches:
        yield pd.DataFrame([restore_row(restorer, *row) for row in zip(batch["path"], batch["content"], strict=True)])


def restore_row(restorer: revisage.Restorer, path: str, content: bytes) -> dict:
    try:
        result = restorer(PIL.Image.open(io.BytesIO(content)))
    except Exception as error:  # one bad photo must not cost the others
        return {"path": path, "content": None, "faces": 0, "error": f"{path}: {error}"}
    png = io.BytesIO()
    PIL.Image.fromarray(result.image).save(png, "png")
    return {"path": path, "content": png.getvalue(), "faces": len(result.faces), "error": None}


if __name__ == "__main__":
    from pyspark.sql import SparkSession

    spark = SparkSession.builder.appName("revisage").getOrCreate()
    photos = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(sys.argv[1])
    photos.select("path", "content").mapInPandas(restore_batches, SCHEMA).write.parquet(sys.argv[2])
