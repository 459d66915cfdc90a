"""The book: what generates, checks, runs and builds the pages of docs/."""
