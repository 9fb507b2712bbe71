"""Who is asked: URL, authentication, verdict, quirks."""
