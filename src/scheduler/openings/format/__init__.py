"""The openings format: from the lines of a file to places."""
