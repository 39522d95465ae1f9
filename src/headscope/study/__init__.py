"""One study: a folder with one run's settings, stages and artefacts; every stage resumes from it."""
