"""Other people's data as cases: one file a benchmark, with its reader and its rule of scoring, and one row in
``registry``."""
