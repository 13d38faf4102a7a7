"""Where the records of every run are kept."""
