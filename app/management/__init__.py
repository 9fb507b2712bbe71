"""The operator's side: the JSON API behind the panel."""
