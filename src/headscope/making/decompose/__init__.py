"""Steps for questions that have none: by rules, or by a language model whose answers are guesses."""
