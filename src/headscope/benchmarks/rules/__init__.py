"""Each benchmark's own rule of scoring, as a function over cases and answers."""
