"""From an adapted network and a Survey to a `FitResult`, and from there to predictions: read `config`, then `loop`."""
