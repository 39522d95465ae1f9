"""The study folder as one offline page, with its figures for papers and its summary."""
