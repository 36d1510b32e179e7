"""Authentication and authorisation: bearer tokens for programs, sessions for browsers."""
