"""Who is it, and what may they do: tokens for programs, sessions for browsers."""
