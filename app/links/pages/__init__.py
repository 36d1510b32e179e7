"""The web page of links, at `/links`."""
