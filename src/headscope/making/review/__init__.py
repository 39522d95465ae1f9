"""Review of cases by people: verdicts on every step, a local page to give them, and how far two agree."""
