"""The web pages for links, at `/links`."""
