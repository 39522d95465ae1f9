"""Small vision-language models whose heads carry known functions by construction, and pictures for them."""
