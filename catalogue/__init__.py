"""A catalogue of products, drawn and reviewed on one machine or on many, resumable and each product once.

    from reliable_ads.catalogue import Catalogue, Manifest, Worker, open_storage

rows reads a CSV, JSONL, Parquet or a folder; an engine (diffusers_engine, comfy_engine, review_engine) does one job;
worker keeps what comes of it; manifest is the table of all attempts; run drives it on one machine, ray_run on Ray.
"""

from ..rfnet.lazy import lazily

__all__, __getattr__, __dir__ = lazily(
    __name__,
    manifest="Manifest",
    rows="BadRow Catalogue CatalogueError Job",
    storage="Storage StorageError open_storage",
    summary="Totals",
    worker="Worker",
)
