"""What every reader of a benchmark shares: records and drafts, files, pictures, options, and the import
itself."""
