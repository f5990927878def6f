"""What watches a running program: torch's calls are seen as they are made, with their numbers."""
