"""Executors: where candidates' code runs."""
