"""The proof of a loaded model: where its heads are, and what edits, batches and caches do to it."""
