"""Atlases to and from the Hugging Face Hub, with a card; no network unless a repository is named."""
