"""What one batch of prompts gives: greedy answers, tokens read behind the cached prompt, choices scored."""
