"""The figures and generated tables of docs/method.md."""
