"""Scoring of answers and the statistics that every room shares."""
