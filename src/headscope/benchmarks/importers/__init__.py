"""Other people's data as cases: one small module a source, one registry, one engine that writes and
reports."""
