"""What MkDocs asks us while it builds: links that leave docs/ lead to the repository."""
