"""What headscope relies on, tried on one checkpoint: ``headscope models check MODEL --thorough``."""
